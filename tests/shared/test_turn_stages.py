import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.turn_stages import (
    Stage,
    known,
    model_wait_ms,
    origin_ms,
    own_ms,
    reply_ms,
    voice_wait_ms,
)

HOSTED = {
    Stage.CALLER_STOPPED: 1000.0,
    Stage.STT_FINAL: 1300.0,
    Stage.MODEL_ASKED: 1302.0,
    Stage.FIRST_TOKEN: 1600.0,
    Stage.FIRST_CLAUSE: 1650.0,
    Stage.FIRST_AUDIO: 1750.0,
    Stage.FIRST_SENT: 1751.0,
    Stage.FIRST_HEARD: 1790.0,
}
"""A turn in which every provider was waited for and nothing went wrong."""


def without(*stages: Stage, **changes: float) -> dict[Stage, float]:
    kept = {stage: ms for stage, ms in HOSTED.items() if stage not in stages}
    return kept | {Stage(name): ms for name, ms in changes.items()}


def test_the_reply_time_is_what_the_caller_waits() -> None:
    assert reply_ms(HOSTED) == 790.0


def test_the_own_time_is_what_is_left_without_the_providers() -> None:
    assert (model_wait_ms(HOSTED), voice_wait_ms(HOSTED)) == (348.0, 100.0)
    assert own_ms(HOSTED) == 3.0


def test_an_agent_without_a_model_waits_for_its_voice_alone() -> None:
    plain = without(Stage.MODEL_ASKED, Stage.FIRST_TOKEN, first_clause=1302.0, first_audio=1310.0)
    assert own_ms(plain | {Stage.FIRST_SENT: 1311.0}) == 3.0


def test_a_model_asked_before_the_final_words_counts_from_them_only() -> None:
    eager = without(model_asked=1100.0)
    assert model_wait_ms(eager) == 350.0
    assert own_ms(eager) == 1.0


def test_an_answer_that_was_ready_before_the_final_words_cost_no_wait() -> None:
    ready = without(model_asked=900.0, first_token=1000.0, first_clause=1100.0, first_audio=1200.0)
    assert own_ms(ready | {Stage.FIRST_SENT: 1302.0}) == 2.0


@pytest.mark.parametrize(
    ("stage", "reply", "own"),
    [
        (Stage.CALLER_STOPPED, None, 3.0),
        (Stage.FIRST_HEARD, None, 3.0),
        (Stage.STT_FINAL, 790.0, None),
        (Stage.FIRST_SENT, 790.0, None),
        (Stage.FIRST_CLAUSE, 790.0, 153.0),
    ],
)
def test_a_missing_stage_takes_only_what_is_reckoned_from_it(
    stage: Stage, reply: float | None, own: float | None
) -> None:
    assert (reply_ms(without(stage)), own_ms(without(stage))) == (reply, own)


def test_offsets_count_from_the_callers_end_or_from_the_first_thing_known() -> None:
    assert origin_ms(HOSTED) == 1000.0
    assert origin_ms({Stage.FIRST_SENT: 7.0, Stage.FIRST_CLAUSE: 5.0}) == 5.0
    assert origin_ms({}) == 0.0


def test_unknown_names_are_left_out_and_the_others_are_in_order() -> None:
    told = {"first_sent": 2.0, "magic": 3.0, "stt_final": 1.0}
    assert list(known(told).items()) == [(Stage.STT_FINAL, 1.0), (Stage.FIRST_SENT, 2.0)]


@given(st.dictionaries(st.sampled_from(Stage), st.floats(-1e9, 1e9)))
def test_no_order_of_stages_makes_an_impossible_own_time(
    stages: dict[Stage, float],
) -> None:
    own = own_ms(stages)
    if own is not None:
        assert 0 <= own <= stages[Stage.FIRST_SENT] - stages[Stage.STT_FINAL]
