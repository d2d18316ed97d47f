from hypothesis import given
from hypothesis import strategies as st

from worker.turns.policy import Turns
from worker.turns.silence import Ask, Duration, Leave, Silence, TimeUp, Warn

TURNS = Turns(silence_s=10.0, ask_times=2)


def test_silence_is_asked_about_and_at_last_left() -> None:
    silence, now, due = Silence(TURNS), 0.0, list[object]()
    for _ in range(10):
        silence.quiet(now)
        now += 10.0
        due.append(silence.tick(now))
    assert due == [Ask(), Ask(), Leave(), *[None] * 7]


def test_silence_is_counted_from_when_it_began() -> None:
    silence = Silence(TURNS)
    silence.quiet(0.0)
    silence.quiet(9.0)
    assert silence.tick(9.9) is None
    assert silence.tick(10.0) == Ask()


def test_what_is_due_is_said_once() -> None:
    silence = Silence(TURNS)
    silence.quiet(0.0)
    assert silence.tick(10.0) == Ask()
    assert silence.tick(10.1) is None


def test_while_the_agent_is_busy_nothing_is_counted() -> None:
    silence = Silence(TURNS)
    silence.quiet(0.0)
    silence.busy()
    assert silence.deadline is None
    assert silence.tick(99.0) is None
    silence.quiet(99.0)
    assert silence.deadline == 109.0


def test_a_caller_who_says_something_is_asked_as_often_as_before() -> None:
    silence, due = Silence(TURNS), list[object]()
    for now in (10.0, 20.0, 30.0):
        silence.quiet(now - 10)
        due.append(silence.tick(now))
        if now == 20.0:
            silence.caller()
    assert due == [Ask(), Ask(), Ask()]


def test_silence_that_is_not_minded_is_never_due() -> None:
    silence = Silence(Turns(silence_s=None))
    silence.quiet(0.0)
    assert silence.deadline is None
    forgotten = Silence(TURNS)
    forgotten.quiet(0.0)
    forgotten.mind(False)
    forgotten.quiet(1.0)
    assert forgotten.deadline is None


def test_who_is_not_to_be_asked_is_left_at_once() -> None:
    silence = Silence(Turns(silence_s=5.0, ask_times=0))
    silence.quiet(0.0)
    assert silence.tick(5.0) == Leave()


@given(st.lists(st.sampled_from(["quiet", "busy", "caller", "time"]), max_size=60))
def test_it_is_left_at_most_once_and_only_after_all_questions(deeds: list[str]) -> None:
    silence, now, asked, left = Silence(TURNS), 0.0, 0, 0
    for deed in deeds:
        if deed == "time":
            now += 11.0
            due = silence.tick(now)
            asked += due == Ask()
            if due == Leave():
                assert asked == 2
                left += 1
        elif deed == "quiet":
            silence.quiet(now)
        elif deed == "busy":
            silence.busy()
        else:
            silence.caller()
            asked = 0
    assert left <= 1


def test_the_end_of_a_call_is_announced_and_comes() -> None:
    duration = Duration(Turns(longest_s=600.0, warn_s=60.0), 100.0)
    due = [(duration.deadline, duration.tick(now)) for now in (639.0, 640.0, 699.0, 700.0, 9999.0)]
    assert due == [(640.0, None), (640.0, Warn()), (700.0, None), (700.0, TimeUp()), (None, None)]


def test_a_call_that_is_shorter_than_its_warning_has_none() -> None:
    duration = Duration(Turns(longest_s=30.0, warn_s=60.0), 0.0)
    assert duration.tick(30.0) == TimeUp()


def test_without_a_limit_nothing_is_ever_due() -> None:
    duration = Duration(Turns(), 0.0)
    assert duration.deadline is None
    assert duration.tick(9e9) is None
