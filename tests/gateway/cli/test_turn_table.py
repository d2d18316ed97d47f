from typing import Any

from gateway.cli.turn_table import turn_table


def _turn(
    number: int, reply: float | None = None, own: float | None = None, **stages: float
) -> dict[str, Any]:
    return {"number": number, "stages": stages, "reply_ms": reply, "own_ms": own}


def test_stages_are_offsets_from_the_callers_end_and_medians_come_last() -> None:
    columns, rows = turn_table(
        [
            _turn(1, 790.0, 3.0, caller_stopped=1000.0, stt_final=1300.0, first_heard=1790.0),
            _turn(2, 690.0, 4.0, caller_stopped=9000.0, stt_final=9200.0, first_heard=9690.0),
        ]
    )
    assert columns == ["turn", "at", "caller stopped", "stt final", "first heard", "reply", "own"]
    assert rows == [
        ["1", "1.0", "0", "300", "790", "790", "3.0"],
        ["2", "9.0", "0", "200", "690", "690", "4.0"],
        ["median", "", "0", "250", "740", "740", "3.5"],
    ]


def test_a_turn_without_the_callers_end_counts_from_its_first_stage() -> None:
    columns, rows = turn_table([_turn(0, first_clause=-300.0, first_sent=2.0)])
    assert columns[2:4] == ["first clause", "first sent"]
    assert rows[0] == ["0", "-0.3", "0", "302", "-", "-"]
    assert rows[1] == ["median", "", "0", "302", "-", "-"]


def test_a_greeting_is_not_mixed_into_the_medians_of_replies() -> None:
    _, rows = turn_table(
        [
            _turn(0, first_clause=-300.0, first_sent=2.0),
            _turn(1, caller_stopped=1000.0, first_sent=1400.0),
        ]
    )
    assert rows[-1] == ["median", "", "0", "-", "400", "-", "-"]


def test_stages_that_no_turn_has_are_not_shown_and_unknown_ones_neither() -> None:
    columns, rows = turn_table([_turn(0, stt_final=5.0, magic=7.0), _turn(1, paused=9.0)])
    assert columns == ["turn", "at", "stt final", "paused", "reply", "own"]
    assert rows[1] == ["1", "0.0", "-", "0", "-", "-"]
