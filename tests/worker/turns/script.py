"""A turn as a script on a clock that is moved by hand.

    (
        Script(Listening(Turns()))
        >> SpeechStarted()
        << Began()
        >> After(200)
        >> Partial("hi")
        << Words("hi")
    ).ends()

``>>`` lets something happen, ``<<`` expects the next decision. A decision that nobody expected
fails at the next step. `After` lets time pass and wakes the machine at its deadlines, as the one
timer of a call does.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from worker.turns.floor import Floor
from worker.turns.listening import Listening


@dataclass(frozen=True)
class After:
    """So many ms pass."""

    ms: float


@dataclass(frozen=True)
class Left:
    """From now on the agent has so much left to say, in ms."""

    ms: float | None


class Machine(Protocol):
    """What has a deadline."""

    @property
    def deadline(self) -> float | None:
        """When it wants to be woken."""

    def tick(self, now: float) -> list[Any]:
        """Wake it."""


class Script:
    """Drives a `Listening` or a `Floor`."""

    def __init__(self, machine: Listening | Floor) -> None:
        self.machine = machine
        self.now = 100.0
        self.left_ms: float | None = None
        self._decided: list[Any] = []

    @property
    def state(self) -> str:
        """The name of the machine's state."""
        return self.machine.state.name

    def __rshift__(self, step: object) -> "Script":
        assert not self._decided, f"nobody expected {self._decided}"
        self._happens(step)
        return self

    def __lshift__(self, expected: object) -> "Script":
        assert self._decided, f"nothing was decided where {expected} belongs"
        decision = self._decided.pop(0)
        assert decision == expected, f"{decision} where {expected} belongs"
        return self

    def ends(self, state: str | None = None) -> None:
        """No decision is left; the machine is in ``state``."""
        assert not self._decided, f"nobody expected {self._decided}"
        assert state in (None, self.state)

    def _happens(self, step: object) -> None:
        match step:
            case After(ms):
                self._decided += pass_time(self.machine, self.now, ms)
                self.now += ms / 1000
            case Left(ms):
                self.left_ms = ms
            case _ if isinstance(self.machine, Floor):
                self._decided += self.machine.take(step, self.now, self.left_ms)  # type: ignore[arg-type]
            case _:
                self._decided += self.machine.hear(step, self.now)  # type: ignore[arg-type]


def pass_time(machine: Machine, now: float, ms: float) -> list[Any]:
    """Wake ``machine`` at each of its deadlines in ``ms`` from ``now``; return what it decides."""
    end, decided = now + ms / 1000, list[Any]()
    for _ in range(50):
        if machine.deadline is None or machine.deadline > end:
            return decided
        now = max(now, machine.deadline)
        decided += machine.tick(now)
    raise AssertionError(f"{machine} has a deadline that never passes: {machine.deadline}")
