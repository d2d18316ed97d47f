"""A release's states: the table is the law, and what it does not allow changes nothing."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.farm.states import MOVES, ReleaseState, release_machine

S = ReleaseState


@given(st.lists(st.sampled_from(ReleaseState), max_size=30))
def test_a_move_that_the_table_does_not_allow_changes_nothing(moves: list[ReleaseState]) -> None:
    machine = release_machine()
    for wanted in moves:
        before = machine.state
        allowed = wanted in MOVES[before]
        assert machine.may(wanted) == allowed
        assert machine.move(wanted) == allowed
        assert machine.state is (wanted if allowed else before)


def test_every_state_can_be_reached_and_none_is_a_trap() -> None:
    assert set(MOVES) == set(ReleaseState)
    reached, edge = {S.BUILDING}, {S.BUILDING}
    while edge := set().union(*(MOVES[state] for state in edge)) - reached:
        reached |= edge
    assert reached == set(ReleaseState)
    assert all(MOVES.values())


def test_no_release_goes_live_without_having_been_rehearsed() -> None:
    ways_to_live = {state for state, moves in MOVES.items() if S.LIVE in moves}
    assert ways_to_live == {S.READY, S.DRAINING}
    assert {state for state, moves in MOVES.items() if S.READY in moves} == {S.REHEARSING}


def test_a_release_lives_drains_comes_back_and_retires() -> None:
    machine = release_machine()
    for state in (S.LOADING, S.REHEARSING, S.READY, S.LIVE, S.DRAINING, S.LIVE, S.DRAINING):
        assert machine.move(state)
    assert machine.move(S.RETIRED)
    assert not machine.move(S.LIVE)
    assert machine.move(S.LOADING)
    assert machine.move(S.FAILED)
