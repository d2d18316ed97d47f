from hypothesis import given
from hypothesis import strategies as st

from worker.stt import EndOfTurn, Partial, SpeechStarted, SpeechStopped
from worker.stt.openai_turns import Turns


def spoken(turns: Turns, *items: str) -> None:
    """Let stretches of speech be heard and committed."""
    for item in items:
        turns.started(item)
        turns.stopped(100.0)
        turns.committed(item)


def test_a_turn_ends_with_the_words_of_its_only_item() -> None:
    turns = Turns()
    assert turns.started("a") == [SpeechStarted(lasting=True)]
    assert turns.stopped(900.0) == [SpeechStopped(900.0)]
    assert not turns.committed("a")
    assert turns.delta("a", "two") == [Partial("two")]
    assert turns.delta("a", " of us") == [Partial("two of us")]
    assert turns.answered("a", "Two of us.") == [EndOfTurn("Two of us.", 900.0)]
    assert not turns.is_busy


def test_items_are_put_together_in_the_order_of_their_commits() -> None:
    turns = Turns()
    spoken(turns, "a", "b")
    assert turns.answered("b", "outside") == [Partial("outside")]
    assert turns.delta("a", "two") == [Partial("two outside")]
    assert turns.answered("a", "two of us") == [EndOfTurn("two of us outside", 100.0)]


def test_a_caller_who_goes_on_keeps_the_turn() -> None:
    turns = Turns()
    spoken(turns, "a")
    turns.started("b")
    assert turns.answered("a", "two of us") == [Partial("two of us")]
    turns.stopped(None)
    turns.committed("b")
    assert turns.answered("b", "outside") == [EndOfTurn("two of us outside", None)]


def test_between_the_end_of_speech_and_its_commit_no_turn_ends() -> None:
    turns = Turns()
    spoken(turns, "a")
    turns.started("b")
    turns.stopped(None)
    assert turns.answered("a", "two") == [Partial("two")]


def test_speech_without_words_ends_a_turn_without_words() -> None:
    turns = Turns()
    spoken(turns, "a")
    assert turns.answered("a", "") == [EndOfTurn("", 100.0)]


def test_words_that_come_before_their_commit_are_heard_at_once() -> None:
    turns = Turns()
    turns.started()
    assert turns.delta("a", "two") == [Partial("two")]
    turns.asked()
    assert turns.committed("a")
    assert turns.answered("a", "two of us") == [EndOfTurn("two of us", None)]


def test_a_sealed_turn_ends_although_the_caller_goes_on() -> None:
    turns = Turns()
    spoken(turns, "a")
    turns.started("b")
    turns.seal(asked=True)
    assert turns.committed("b")
    turns.started("c")
    assert turns.answered("a", "hold") == [Partial("hold")]
    assert turns.answered("b", "music") == [EndOfTurn("hold music", 100.0)]
    turns.committed("c")
    assert turns.answered("c", "hello") == [EndOfTurn("hello", None)]


def test_a_sealed_turn_with_nothing_in_it_ends_at_once() -> None:
    turns = Turns()
    turns.seal(asked=False)
    assert turns.over() == [EndOfTurn("", None)]


def test_a_commit_that_is_refused_ends_the_turn_with_what_there_is() -> None:
    turns = Turns()
    turns.seal(asked=True)
    assert turns.over() == []
    assert turns.refused() == [EndOfTurn("", None)]
    turns.started()
    turns.asked()
    assert turns.refused() == [EndOfTurn("", None)]


def test_words_of_a_turn_that_was_given_up_never_come() -> None:
    turns = Turns()
    spoken(turns, "a")
    turns.delta("a", "too")
    turn = turns.seal(asked=True)
    assert turns.give_up(turn) == [EndOfTurn("too", 100.0)]
    assert turns.give_up(turn) == []
    assert turns.answered("a", "too late") == []
    assert turns.committed("z")
    assert turns.delta("z", "too late") == []
    assert turns.answered("z", "too late") == []
    spoken(turns, "b")
    assert turns.answered("b", "hello") == [EndOfTurn("hello", 100.0)]


def test_what_was_not_answered_is_expected_again_after_a_loss() -> None:
    turns = Turns()
    spoken(turns, "a", "b")
    turns.answered("a", "two")
    turns.seal(asked=True)
    turns.committed("x")
    turns.lost(forgets_speech=True)
    assert turns.over() == []
    assert turns.committed("y")
    assert turns.answered("y", "of us") == [EndOfTurn("two of us", 100.0)]


def test_a_second_answer_to_an_item_is_left_out() -> None:
    turns = Turns()
    spoken(turns, "a", "b")
    turns.answered("a", "two")
    assert turns.answered("a", "three") == []
    assert turns.answered("b", "of us") == [EndOfTurn("two of us", 100.0)]


NAMES = st.sampled_from("abcd")
MOVES = st.lists(
    st.tuples(
        st.sampled_from(
            ["started", "stopped", "committed", "delta", "answered", "asked", "seal", "refused",
             "lost", "give up"]
        ),
        NAMES,
    ),
    max_size=40,
)  # fmt: skip


@given(MOVES)
def test_no_order_of_events_breaks_it(moves: list[tuple[str, str]]) -> None:
    turns = Turns()
    sealed = turns.seal(asked=False)
    events = turns.over()
    for move, item in moves:
        match move:
            case "started":
                events += turns.started(item)
            case "stopped":
                events += turns.stopped(1.0)
            case "committed":
                turns.committed(item)
            case "delta":
                events += turns.delta(item, " word")
            case "answered":
                events += turns.answered(item, "word")
            case "asked":
                turns.asked()
            case "seal":
                sealed = turns.seal(asked=True)
                events += turns.over()
            case "refused":
                events += turns.refused()
            case "lost":
                turns.lost(forgets_speech=True)
            case _:
                events += turns.give_up(sealed)
    assert all(event.text for event in events if isinstance(event, Partial))
    last = turns.seal(asked=False)
    turns.give_up(last)
    assert not turns.is_busy
