"""A state machine as a table of allowed moves, and nothing else.

A move that the table does not allow changes nothing and says so: what arrives out of order is
logged by whoever asked, never raised into an event loop.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Generic, TypeVar

StateT = TypeVar("StateT", bound=Enum)


class Machine(Generic[StateT]):
    """Holds one state and moves along ``moves`` only."""

    __slots__ = ("_moves", "state")

    def __init__(self, start: StateT, moves: Mapping[StateT, frozenset[StateT]]) -> None:
        self.state = start
        self._moves = moves

    def may(self, to: StateT) -> bool:
        """Tell whether ``to`` can follow now."""
        return to in self._moves.get(self.state, frozenset())

    def move(self, to: StateT) -> bool:
        """Move to ``to`` and return true, or change nothing and return false."""
        if not self.may(to):
            return False
        self.state = to
        return True
