from enum import Enum

from hypothesis import given
from hypothesis import strategies as st

from shared.machine import Machine


class Light(Enum):
    RED = "red"
    GREEN = "green"
    BROKEN = "broken"


MOVES = {
    Light.RED: frozenset({Light.GREEN, Light.BROKEN}),
    Light.GREEN: frozenset({Light.RED}),
}


def test_a_move_of_the_table_is_made() -> None:
    light = Machine(Light.RED, MOVES)
    assert light.move(Light.GREEN)
    assert light.state is Light.GREEN


def test_a_move_that_the_table_lacks_changes_nothing() -> None:
    light = Machine(Light.GREEN, MOVES)
    assert not light.move(Light.BROKEN)
    assert light.state is Light.GREEN


def test_a_state_without_a_row_is_an_end() -> None:
    light = Machine(Light.BROKEN, MOVES)
    assert not any(light.may(state) for state in Light)


def test_no_state_follows_itself_unless_the_table_says_so() -> None:
    assert not Machine(Light.RED, MOVES).move(Light.RED)


@given(st.lists(st.sampled_from(Light)))
def test_any_walk_follows_the_table(wishes: list[Light]) -> None:
    light = Machine(Light.RED, MOVES)
    for wish in wishes:
        before, allowed = light.state, light.may(wish)
        assert light.move(wish) is allowed
        assert light.state is (wish if allowed else before)
        assert not allowed or wish in MOVES[before]
