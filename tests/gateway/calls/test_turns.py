from math import inf, nan

import pytest

from gateway.calls.turns import MOST_LETTERS, MOST_TROUBLES, MOST_TURNS, TurnLog
from shared.turn_stages import Stage

TURN = {"caller_stopped": 100.0, "stt_final": 300.0, "first_sent": 304.0, "first_heard": 340.0}


def test_a_turn_is_kept_with_what_follows_from_its_stages() -> None:
    log = TurnLog()
    log.timed(3, TURN)
    (turn,) = log.turns
    assert (turn.number, turn.reply_ms, turn.own_ms) == (3, 240.0, 4.0)
    assert list(turn.stages) == [
        Stage.CALLER_STOPPED,
        Stage.STT_FINAL,
        Stage.FIRST_SENT,
        Stage.FIRST_HEARD,
    ]


def test_what_is_told_later_of_a_turn_adds_to_it_and_is_new_only_once() -> None:
    log = TurnLog()
    first = log.timed(0, {"stt_final": 300.0, "first_sent": 304.0, "caller_stopped": 100.0})
    later = log.timed(0, {"first_heard": 340.0, "first_sent": 305.0})
    assert first is not None
    assert later is not None
    assert (first.reply_ms, first.own_ms) == (None, 4.0)
    assert (later.reply_ms, later.own_ms) == (240.0, None)
    (turn,) = log.turns
    assert (turn.reply_ms, turn.own_ms) == (240.0, 5.0)


@pytest.mark.parametrize(
    ("number", "stages"),
    [
        (-1, TURN),
        (0, {}),
        (0, {"magic": 1.0}),
        (0, {"stt_final": nan, "first_sent": inf, "first_heard": 1e300}),
    ],
)
def test_what_makes_no_sense_is_no_turn(number: int, stages: dict[str, float]) -> None:
    log = TurnLog()
    assert log.timed(number, stages) is None
    assert log.turns == ()


def test_of_a_turn_that_makes_sense_in_part_that_part_is_kept() -> None:
    log = TurnLog()
    log.timed(0, {**TURN, "magic": 1.0, "cleared": nan})
    (turn,) = log.turns
    assert set(turn.stages) == set(TURN)


def test_the_oldest_turns_and_troubles_go_when_there_are_too_many() -> None:
    log = TurnLog()
    for number in range(MOST_TURNS + 5):
        log.timed(number, TURN)
    for number in range(MOST_TROUBLES + 5):
        log.trouble("cartesia", str(number), None, 1.0)
    assert [turn.number for turn in log.turns[:2]] == [5, 6]
    assert len(log.turns) == MOST_TURNS
    assert (len(log.troubles), log.troubles[0].sentence) == (MOST_TROUBLES, "5")


def test_a_trouble_is_cut_to_a_length_that_can_be_shown() -> None:
    trouble = TurnLog().trouble("p" * 9999, "s" * 9999, "f" * 9999, 1.0)
    assert len(trouble.sentence) == MOST_LETTERS
    assert len(trouble.provider) == len(trouble.fallback or "") == MOST_LETTERS // 10
