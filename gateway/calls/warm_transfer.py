"""The course of one warm transfer: a pure table; no I/O, no clock, no carrier.

    parking ──held──> calling ──answered──> briefing ──accepted──> joining ──joined──> talking
       │                 └────────── not taken ─┴──────────────────────┤                  │
       │                                                          returning               │
       │                                                               │ caller back      │
       └───────────── the caller leaves, at any time ──────────────> over <───────────────┘

Two people are called together whose phones, callbacks and hang-ups come in any order. Each
event is one row or none: what does not fit changes nothing. A step says what is to be done. An
outcome that is decided stays, but for a caller who leaves before the agent is told.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from shared.messages import WarmOutcome


class Stage(Enum):
    """Where a transfer stands."""

    PARKING = "parking"
    """The caller's stream is being closed; nobody is called yet."""
    CALLING = "calling"
    """The caller hears music, the human's phone rings."""
    BRIEFING = "briefing"
    """The human hears what it is about, and is asked."""
    JOINING = "joining"
    """The human has accepted and is on the way to the caller."""
    TALKING = "talking"
    RETURNING = "returning"
    """Nobody takes the call: the caller is brought back to the agent."""
    OVER = "over"


class Event(Enum):
    """What happens. Who the human is, and on which leg, others know."""

    HELD = "the caller is on hold"
    CALLER_LEFT = "the caller has hung up, or was hung up on"
    CALLER_BACK = "the caller has a stream again"
    ROOM_CLOSED = "the caller came out of the room, and asks what is next"
    REFUSED = "the human could not be called"
    ANSWERED = "the human has picked up"
    MACHINE = "a machine has picked up"
    ACCEPTED = "the human takes the call"
    DECLINED = "the human does not take the call"
    SILENT = "the human has not answered the question"
    JOINED = "the human is in the room"
    BUSY = "the human is busy"
    UNANSWERED = "the phone rang out"
    FAILED = "the phone could not be reached"
    HUNG_UP = "the human has hung up"
    OVERDUE = "the stage has taken too long"


class Act(Enum):
    """What is to be done about it."""

    CALL = "call the human"
    HANG_UP = "hang up on the human, whether the phone rings or was answered"
    EXCUSE = "tell the human that nobody is there any more"
    HAND_OVER = "let the agent go: the caller is the human's"
    BRING_BACK = "bring the caller back to the agent"
    REPORT = "tell how it went"


@dataclass(frozen=True, slots=True)
class Row:
    """What follows an event. ``outcome`` is empty where it is not decided by it."""

    to: Stage
    acts: tuple[Act, ...] = ()
    outcome: WarmOutcome | None = None


_S, _E = Stage, Event
_LEFT = Row(_S.OVER, (Act.REPORT,), "caller_left")
_MET = (Act.REPORT, Act.HAND_OVER)


def _back(outcome: WarmOutcome, *acts: Act) -> Row:
    return Row(_S.RETURNING, (*acts, Act.BRING_BACK), outcome)


def _left(*acts: Act) -> Row:
    return Row(_S.OVER, (*acts, Act.REPORT), "caller_left")


ROWS: Mapping[tuple[Stage, Event], Row] = {
    (_S.PARKING, _E.HELD): Row(_S.CALLING, (Act.CALL,)),
    (_S.PARKING, _E.CALLER_LEFT): _LEFT,
    # The human's phone.
    (_S.CALLING, _E.ANSWERED): Row(_S.BRIEFING),
    (_S.CALLING, _E.REFUSED): _back("failed"),
    (_S.CALLING, _E.BUSY): _back("busy"),
    (_S.CALLING, _E.UNANSWERED): _back("no_answer"),
    (_S.CALLING, _E.FAILED): _back("failed"),
    # Answered and hung up on before we were asked what to say.
    (_S.CALLING, _E.HUNG_UP): _back("no_answer"),
    (_S.CALLING, _E.MACHINE): _back("machine", Act.HANG_UP),
    (_S.CALLING, _E.OVERDUE): _back("no_answer", Act.HANG_UP),
    (_S.CALLING, _E.ROOM_CLOSED): _back("failed", Act.HANG_UP),
    (_S.CALLING, _E.CALLER_LEFT): _left(Act.HANG_UP),
    # The question. How a call that was answered ends at its carrier is one thing here.
    (_S.BRIEFING, _E.ACCEPTED): Row(_S.JOINING),
    (_S.BRIEFING, _E.DECLINED): _back("declined"),
    (_S.BRIEFING, _E.SILENT): _back("no_answer"),
    (_S.BRIEFING, _E.MACHINE): _back("machine", Act.HANG_UP),
    (_S.BRIEFING, _E.HUNG_UP): _back("declined"),
    (_S.BRIEFING, _E.BUSY): _back("failed"),
    (_S.BRIEFING, _E.UNANSWERED): _back("failed"),
    (_S.BRIEFING, _E.FAILED): _back("failed"),
    (_S.BRIEFING, _E.OVERDUE): _back("no_answer", Act.HANG_UP),
    (_S.BRIEFING, _E.ROOM_CLOSED): _back("failed", Act.EXCUSE),
    (_S.BRIEFING, _E.CALLER_LEFT): _left(Act.EXCUSE),
    # On the way. A room that closes now was open: they have met, and a callback was lost.
    (_S.JOINING, _E.JOINED): Row(_S.TALKING, _MET, "accepted"),
    (_S.JOINING, _E.OVERDUE): Row(_S.TALKING, _MET, "accepted"),
    (_S.JOINING, _E.ROOM_CLOSED): Row(_S.OVER, _MET, "accepted"),
    # A machine's greeting was taken for a yes.
    (_S.JOINING, _E.MACHINE): _back("machine", Act.HANG_UP),
    (_S.JOINING, _E.HUNG_UP): _back("declined"),
    (_S.JOINING, _E.FAILED): _back("failed"),
    (_S.JOINING, _E.CALLER_LEFT): _left(Act.EXCUSE),
    (_S.TALKING, _E.HUNG_UP): Row(_S.OVER),
    (_S.TALKING, _E.FAILED): Row(_S.OVER),
    (_S.TALKING, _E.CALLER_LEFT): Row(_S.OVER),
    (_S.TALKING, _E.ROOM_CLOSED): Row(_S.OVER),
    # The way back. What is heard of the human does not matter any more.
    (_S.RETURNING, _E.CALLER_BACK): Row(_S.OVER, (Act.REPORT,)),
    (_S.RETURNING, _E.CALLER_LEFT): _LEFT,
}


class Course:
    """One transfer's stage and outcome."""

    __slots__ = ("outcome", "stage")

    def __init__(self) -> None:
        self.stage = Stage.PARKING
        self.outcome: WarmOutcome | None = None

    def take(self, event: Event) -> tuple[Act, ...]:
        """Move on by ``event``; return what is to be done, in this order: often nothing."""
        row = ROWS.get((self.stage, event))
        if row is None:
            return ()
        self.stage = row.to
        self.outcome = row.outcome or self.outcome
        return row.acts
