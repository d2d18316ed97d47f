import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import messages
from shared.turn_stages import Stage
from worker.turn_times import AudioClock, TurnTimes


class Times:
    """A `TurnTimes` on a clock moved by hand, and what it told."""

    def __init__(self, origin: float | None = 10.0) -> None:
        self.now = 10.0
        self.told: list[messages.TurnTimed] = []
        self.times = TurnTimes(lambda: self.now, self.told.append)
        self.times.origin = origin

    def at(self, now: float, stage: Stage) -> bool:
        self.now = now
        return self.times.reached(stage)


def test_the_stages_of_a_turn_are_told_in_ms_from_the_first_stream() -> None:
    it = Times()
    it.times.turn(12.0, 11.5)
    it.at(12.1, Stage.MODEL_ASKED)
    it.at(12.5, Stage.FIRST_SENT)
    stages = {name: round(ms) for name, ms in it.told[0].stages.items()}
    assert stages == {
        "stt_final": 2000,
        "caller_stopped": 1500,
        "model_asked": 2100,
        "first_sent": 2500,
    }
    assert [told.number for told in it.told] == [1]


def test_only_the_first_time_counts() -> None:
    it = Times()
    assert it.at(11.0, Stage.FIRST_TOKEN)
    assert not it.at(12.0, Stage.FIRST_TOKEN)
    it.times.flush()
    assert it.told[0].stages == {"first_token": 1000.0}


def test_nothing_is_told_twice() -> None:
    it = Times()
    it.at(11.0, Stage.FIRST_SENT)
    it.times.flush()
    it.times.turn(12.0, None)
    assert len(it.told) == 1


def test_what_was_reached_while_it_rang_is_told_once_the_stream_is_there_and_is_negative() -> None:
    it = Times(origin=None)
    it.at(9.5, Stage.FIRST_AUDIO)
    it.at(10.1, Stage.FIRST_SENT)
    assert it.told == []
    it.times.origin = 10.0
    it.times.flush()
    stages = it.told[0].stages
    assert (it.told[0].number, stages["first_audio"]) == (0, -500.0)


def test_a_caller_cannot_have_stopped_after_the_words_were_final() -> None:
    it = Times()
    it.times.turn(12.0, 12.4)
    it.times.flush()
    assert it.told[0].stages["caller_stopped"] == it.told[0].stages["stt_final"]


def test_what_was_prepared_early_belongs_to_the_turn_to_come() -> None:
    it = Times()
    it.times.early(True)
    it.at(11.0, Stage.MODEL_ASKED)
    it.at(11.2, Stage.FIRST_TOKEN)
    it.times.early(False, kept=True)
    it.times.turn(11.5, None)
    it.at(11.6, Stage.FIRST_TOKEN)
    it.at(11.7, Stage.FIRST_SENT)
    assert it.told[0].number == 1
    assert it.told[0].stages["first_token"] == pytest.approx(1200)
    assert it.times.took_ms() == pytest.approx(200)


def test_what_was_prepared_in_vain_is_forgotten() -> None:
    it = Times()
    it.times.early(True)
    it.at(11.0, Stage.MODEL_ASKED)
    it.times.early(False)
    it.times.turn(11.5, None)
    it.at(11.6, Stage.MODEL_ASKED)
    it.times.flush()
    assert it.told[0].stages["model_asked"] == pytest.approx(1600)


def test_a_pause_while_an_answer_is_prepared_belongs_to_the_turn_in_progress() -> None:
    it = Times()
    it.times.early(True)
    it.at(11.0, Stage.PAUSED)
    it.times.flush()
    assert it.told == [messages.TurnTimed(0, {"paused": 1000.0})]


@pytest.mark.parametrize("stage", [Stage.FIRST_HEARD, Stage.COMMITTED, Stage.RESUMED])
def test_what_the_operator_waits_for_is_told_at_once(stage: Stage) -> None:
    it = Times()
    it.at(11.0, stage)
    assert len(it.told) == 1


def test_a_turn_without_a_first_frame_took_no_time_that_is_known() -> None:
    it = Times()
    assert it.times.took_ms() is None
    it.times.turn(12.0, None)
    assert it.times.took_ms() is None
    assert it.times.number == 1


# The caller's audio ------------------------------------------------------------------------------


def test_a_place_in_the_audio_is_the_moment_when_it_came() -> None:
    clock = AudioClock()
    for number in range(100):
        clock.posted(160, 50.0 + number * 0.02)
    assert clock.time_of(0) == 50.0
    assert clock.time_of(1000) == pytest.approx(51.0)
    assert clock.time_of(1990) == pytest.approx(51.99)


def test_in_a_batch_a_place_is_the_moment_when_it_was_spoken_and_not_when_the_batch_came() -> None:
    single, batches = AudioClock(), AudioClock()
    for number in range(100):
        single.posted(160, 50.0 + number * 0.02)
        if number % 5 == 4:
            batches.posted(800, 50.0 + number * 0.02)
    for place in range(0, 1990, 70):
        assert batches.time_of(place) == pytest.approx(single.time_of(place))


def test_after_a_gap_in_the_audio_places_are_later() -> None:
    clock = AudioClock()
    for number in range(25):
        clock.posted(160, number * 0.02)
    clock.posted(160, 30.0)
    assert clock.time_of(500) == pytest.approx(30.0)


def test_a_place_that_has_not_come_is_the_end_of_what_has() -> None:
    clock = AudioClock()
    clock.posted(160, 1.0)
    assert clock.time_of(9999) == pytest.approx(1.02)


def test_before_any_audio_and_after_other_ears_nothing_is_known() -> None:
    clock = AudioClock()
    assert clock.time_of(0) is None
    clock.posted(160, 1.0)
    clock.restart()
    assert clock.time_of(0) is None


def test_of_a_long_call_the_last_minute_is_known_and_memory_is_bounded() -> None:
    clock = AudioClock()
    for number in range(60 * 60 * 50 // 10):
        clock.posted(1600, number * 0.2)
    assert clock.time_of(0) is None
    assert clock.time_of(3590_000) == pytest.approx(3590, abs=0.2)
    assert len(clock._known) <= AudioClock._MOST


@given(st.lists(st.integers(1, 4000), min_size=1, max_size=60), st.floats(0, 30_000))
def test_later_places_are_never_earlier(sizes: list[int], place: float) -> None:
    clock, now = AudioClock(), 0.0
    for size in sizes:
        now += size / 8000
        clock.posted(size, now)
    here, later = clock.time_of(place), clock.time_of(place + 100)
    assert here is not None
    assert later is not None
    assert here <= later + 1e-9
