"""The states of a call and the moves between them; no I/O, no clock, no carrier.

    ringing ──stream──> streaming ──lost──> gap ──next: connect──> streaming
       │ │                  │                │
       │ └──joined──> elsewhere ──we end it──┐     ┌──taken──┐
       │                    └──we close──> leaving ──next──> dialled ──next──┐
       │                                      └──next──> held ──not taken──> gap
       └───────────────────────┴────────────┴─────────┴────────┴──> ended <──┘

A move that the table does not hold changes nothing: whatever order stops, closes, callbacks,
crashes and deadlines come in, each is acted on at most once.
"""

from dataclasses import dataclass
from enum import Enum

from shared.machine import Machine


class CallState(Enum):
    """Where a call stands."""

    RINGING = "ringing"
    """Accepted; its first stream is not open yet."""
    STREAMING = "streaming"
    GAP = "gap"
    """The stream is gone, for whatever reason; the call may live on."""
    ELSEWHERE = "elsewhere"
    """The carrier has joined the caller straight to a service: no stream comes here."""
    LEAVING = "leaving"
    """The stream was closed from here; the carrier has not yet heard what is next."""
    HELD = "held"
    """The caller hears music; a human is asked to take the call."""
    DIALLED = "dialled"
    """The carrier connects the caller with somebody else."""
    ENDED = "ended"


_S = CallState
MOVES: dict[CallState, frozenset[CallState]] = {
    _S.RINGING: frozenset({_S.STREAMING, _S.ELSEWHERE, _S.LEAVING, _S.GAP, _S.ENDED, _S.DIALLED}),
    _S.STREAMING: frozenset({_S.GAP, _S.LEAVING, _S.ENDED, _S.DIALLED}),
    _S.GAP: frozenset({_S.STREAMING, _S.LEAVING, _S.ENDED, _S.DIALLED}),
    _S.ELSEWHERE: frozenset({_S.LEAVING, _S.ENDED, _S.DIALLED}),
    _S.LEAVING: frozenset({_S.STREAMING, _S.ENDED, _S.DIALLED, _S.HELD}),
    _S.HELD: frozenset({_S.GAP, _S.STREAMING, _S.LEAVING, _S.ENDED, _S.DIALLED}),
    _S.DIALLED: frozenset({_S.ENDED}),
    _S.ENDED: frozenset(),
}


class Plan(Enum):
    """What the carrier is told when it asks how the call goes on."""

    RECONNECT = "reconnect"
    DIGITS = "digits"
    HOLD = "hold"
    HANG_UP = "hang up"
    DIAL = "dial"
    APOLOGISE = "apologise"


# A later wish does not undo an end: once a call is to be hung up it stays so, and a failure is
# answered by an apology only while nothing else was decided.
_RANK = {
    Plan.RECONNECT: 0,
    Plan.DIGITS: 1,
    Plan.HOLD: 2,
    Plan.APOLOGISE: 3,
    Plan.DIAL: 4,
    Plan.HANG_UP: 5,
}


@dataclass(slots=True)
class Flow:
    """A call's state and plan together: the whole decision of how it goes on."""

    machine: Machine[CallState]
    plan: Plan = Plan.RECONNECT
    target: str = ""
    reason: str = ""

    @classmethod
    def new(cls) -> "Flow":
        """Return the flow of a call that was just accepted."""
        return cls(Machine(CallState.RINGING, MOVES))

    @property
    def state(self) -> CallState:
        """Where the call stands."""
        return self.machine.state

    @property
    def over(self) -> bool:
        """Whether nothing more can happen to the call."""
        return self.state is CallState.ENDED

    def intend(self, plan: Plan, reason: str, target: str = "") -> bool:
        """Set what comes next; tell whether it counts. ``target`` is a number or digits."""
        if self.over or self.state is CallState.DIALLED or _RANK[plan] < _RANK[self.plan]:
            return False
        self.plan, self.reason, self.target = plan, reason, target
        return True

    def resume(self) -> None:
        """The keys were pressed, or nobody took the call: an ordinary stream follows."""
        if self.plan in {Plan.DIGITS, Plan.HOLD}:
            self.plan, self.target = Plan.RECONNECT, ""
