import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.calls.state import MOVES, CallState, Flow, Plan


def test_every_state_has_a_row_and_every_state_but_the_last_can_end() -> None:
    assert set(MOVES) == set(CallState)
    assert all(CallState.ENDED in moves for state, moves in MOVES.items() if state.value != "ended")
    assert not MOVES[CallState.ENDED]


def test_nothing_leads_back_to_ringing() -> None:
    assert all(CallState.RINGING not in moves for moves in MOVES.values())


def test_a_call_whose_media_is_elsewhere_comes_from_ringing_and_has_no_stream_here() -> None:
    to = {state for state, moves in MOVES.items() if CallState.ELSEWHERE in moves}
    assert to == {CallState.RINGING}
    assert MOVES[CallState.ELSEWHERE] == {CallState.LEAVING, CallState.DIALLED, CallState.ENDED}


@given(st.lists(st.sampled_from(CallState)))
def test_a_move_the_table_lacks_changes_nothing(wishes: list[CallState]) -> None:
    flow = Flow.new()
    for wish in wishes:
        before = flow.state
        moved = flow.machine.move(wish)
        assert moved is (wish in MOVES[before])
        assert flow.state is (wish if moved else before)
        assert flow.over is (flow.state is CallState.ENDED)


_intents = st.tuples(st.sampled_from(Plan), st.text(max_size=3), st.text(max_size=3))


@given(st.lists(_intents))
def test_a_plan_never_gives_way_to_a_lesser_one(intents: list[tuple[Plan, str, str]]) -> None:
    order = [Plan.RECONNECT, Plan.DIGITS, Plan.HOLD, Plan.APOLOGISE, Plan.DIAL, Plan.HANG_UP]
    flow = Flow.new()
    for plan, reason, target in intents:
        before = (flow.plan, flow.reason, flow.target)
        counts = order.index(plan) >= order.index(flow.plan)
        assert flow.intend(plan, reason, target) is counts
        assert (flow.plan, flow.reason, flow.target) == (
            (plan, reason, target) if counts else before
        )


@pytest.mark.parametrize("state", [CallState.DIALLED, CallState.ENDED])
@pytest.mark.parametrize("plan", Plan)
def test_nothing_can_be_intended_once_it_is_decided(state: CallState, plan: Plan) -> None:
    flow = Flow.new()
    flow.machine.move(state)
    assert not flow.intend(plan, "too late", "x")
    assert (flow.plan, flow.reason, flow.target) == (Plan.RECONNECT, "", "")


def test_pressed_keys_are_followed_by_an_ordinary_stream() -> None:
    flow = Flow.new()
    flow.intend(Plan.DIGITS, "digits", "12#")
    flow.resume()
    assert (flow.plan, flow.target) == (Plan.RECONNECT, "")


@pytest.mark.parametrize("plan", [Plan.HANG_UP, Plan.DIAL, Plan.APOLOGISE])
def test_a_stream_that_follows_changes_no_other_plan(plan: Plan) -> None:
    flow = Flow.new()
    flow.intend(plan, "why", "target")
    flow.resume()
    assert (flow.plan, flow.target) == (plan, "target")
