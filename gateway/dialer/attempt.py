"""One attempt to call a number: what is known of it, from the wish to the last callback.

    ordered ──taken by who dials──> creating (else refused)

    creating ──the carrier's answer──> created ──> ringing ──> answered ──> ended
       │  └──no answer──> doubt ──found───┘ │          │                     ↑
       │                    └──not found──> lost       └─────────────────────┤
       └──the carrier's no──> refused       └────────────────────────────────┘

A callback may overtake the answer, and each other: whatever says that a call exists moves it on
from ``creating``, ``doubt`` and even ``lost``, and nothing late takes a state back. Pure: it does
no I/O and reads no clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from gateway.carriers.placing import Machine as AnsweringMachine
from shared.machine import Machine


class AttemptState(Enum):
    """Where an attempt stands."""

    ORDERED = "ordered"
    """Written down at a gateway that does not dial, for the one that does."""
    CREATING = "creating"
    DOUBT = "doubt"
    """The carrier was asked and did not answer: perhaps it calls."""
    CREATED = "created"
    RINGING = "ringing"
    ANSWERED = "answered"
    ENDED = "ended"
    REFUSED = "refused"
    LOST = "lost"
    """The carrier never made the call, as far as it can tell."""


_A = AttemptState
_ALIVE = (_A.CREATED, _A.RINGING, _A.ANSWERED, _A.ENDED)
MOVES: dict[AttemptState, frozenset[AttemptState]] = {
    _A.ORDERED: frozenset({*_ALIVE, _A.CREATING, _A.DOUBT, _A.REFUSED, _A.LOST}),
    _A.CREATING: frozenset({*_ALIVE, _A.DOUBT, _A.REFUSED, _A.LOST}),
    _A.DOUBT: frozenset({*_ALIVE, _A.LOST}),
    _A.CREATED: frozenset(_ALIVE[1:]),
    _A.RINGING: frozenset(_ALIVE[2:]),
    _A.ANSWERED: frozenset({_A.ENDED}),
    _A.LOST: frozenset(_ALIVE),
    _A.REFUSED: frozenset(),
    _A.ENDED: frozenset(),
}

OPEN = frozenset({_A.CREATING, _A.DOUBT, *_ALIVE[:-1]})
"""States after which something must come from the carrier."""

NOT_NOW = "not-now"
"""The status of an attempt that the carrier never took up: the same order may be tried again."""

_BY_STATUS = {
    "queued": _A.CREATED,
    "initiated": _A.CREATED,
    "ringing": _A.RINGING,
    "in-progress": _A.ANSWERED,
}


@dataclass(frozen=True, slots=True)
class CallPlan:
    """How the call is to go once it is answered. Seconds; an empty agent: by the number.

    ``transfer_of`` is the call that it is to take over, empty if it is for an agent.
    """

    agent: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    machine: AnsweringMachine = AnsweringMachine.GO_ON
    ring_seconds: int = 30
    most_seconds: int = 3600
    transfer_of: str = ""


@dataclass(slots=True)
class Attempt:
    """An attempt. Times in Unix seconds; ``status`` is the carrier's last word.

    ``campaign`` and ``lead`` say for which row of which campaign it is, if for any. ``account`` is
    the carrier's that is asked, empty if that was not written down.
    """

    id: str
    to: str
    from_: str
    company: int | None
    plan: CallPlan
    created: float
    campaign: str | None = None
    lead: int | None = None
    account: str = ""
    sid: str = ""
    status: str = ""
    answered_by: str = ""
    error: str = ""
    ended: float | None = None
    answered: bool = False
    machine: Machine[AttemptState] = field(
        default_factory=lambda: Machine(AttemptState.CREATING, MOVES)
    )

    @property
    def state(self) -> AttemptState:
        """Where it stands."""
        return self.machine.state

    @property
    def is_open(self) -> bool:
        """Whether something must still come."""
        return self.state in OPEN

    def exists(self, sid: str, status: str, now: float, *, final: bool = False) -> bool:
        """The carrier says that it has the call ``sid``; tell whether that changed anything.

        A word about another call than the one that is known changes nothing.
        """
        if self.sid and sid != self.sid:
            return False
        to = AttemptState.ENDED if final else _BY_STATUS.get(status, AttemptState.CREATED)
        if not self.machine.move(to):
            return False
        self.sid, self.status, self.error = sid, status, ""
        self.answered = self.answered or to is AttemptState.ANSWERED
        if final:
            self.ended = now
        return True

    def fails(self, state: AttemptState, error: str, now: float) -> bool:
        """It is in doubt, refused or lost; tell whether that changed anything."""
        if not self.machine.move(state):
            return False
        self.error = error
        if state is not AttemptState.DOUBT:
            self.ended = now
        return True
