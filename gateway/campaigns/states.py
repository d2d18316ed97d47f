"""The states of a campaign and of a lead, and the moves between them. No I/O.

    campaign   draft ──start──> running ──finish──> completed
                                 │  ^ │
                           pause v  │ └─trip──> stopped          cancel: from any but completed
                              paused ──resume── (stopped too)

    lead       waiting ──dial──> dialling ──answered──> in-progress
                  ^ ^              │   │                     │
                  │ └─not placed───┘   └────────ended────────┤
                  └───────────retry──────────────────────────┴──> done | failed
               waiting, dialling ──skip──> skipped, ──cancel──> cancelled: no phone has rung

Every move leads to one state, wherever it begins. One that is in no table changes nothing. The
attempts behind a lead are the dialer's: `gateway.dialer.attempt`.
"""

from collections.abc import Mapping
from enum import StrEnum


class CampaignState(StrEnum):
    """Where a campaign is."""

    DRAFT = "draft"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    """By its circuit breaker, or because the carrier takes no call at all."""
    CANCELLED = "cancelled"
    COMPLETED = "completed"

    @property
    def final(self) -> bool:
        """Tell whether it never goes on."""
        return self in {CampaignState.CANCELLED, CampaignState.COMPLETED}


class CampaignMove(StrEnum):
    """What happens to a campaign."""

    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    TRIP = "trip"
    FINISH = "finish"


class LeadState(StrEnum):
    """Where a lead is."""

    WAITING = "waiting"
    DIALLING = "dialling"
    TALKING = "in-progress"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Tell whether nobody calls it any more."""
        return self in {
            LeadState.DONE,
            LeadState.FAILED,
            LeadState.SKIPPED,
            LeadState.CANCELLED,
        }

    @property
    def in_flight(self) -> bool:
        """Tell whether it has a call, or may have one."""
        return self in {LeadState.DIALLING, LeadState.TALKING}


class LeadMove(StrEnum):
    """What happens to a lead."""

    DIAL = "dial"
    ANSWERED = "answered"
    NOT_PLACED = "not-placed"
    RETRY = "retry"
    SUCCEED = "succeed"
    FAIL = "fail"
    SKIP = "skip"
    CANCEL = "cancel"


_C, _CM = CampaignState, CampaignMove
CAMPAIGN_MOVES: Mapping[tuple[CampaignState, CampaignMove], CampaignState] = {
    (_C.DRAFT, _CM.START): _C.RUNNING,
    (_C.DRAFT, _CM.CANCEL): _C.CANCELLED,
    (_C.RUNNING, _CM.PAUSE): _C.PAUSED,
    (_C.RUNNING, _CM.CANCEL): _C.CANCELLED,
    (_C.RUNNING, _CM.TRIP): _C.STOPPED,
    (_C.RUNNING, _CM.FINISH): _C.COMPLETED,
    (_C.PAUSED, _CM.RESUME): _C.RUNNING,
    (_C.PAUSED, _CM.CANCEL): _C.CANCELLED,
    (_C.STOPPED, _CM.RESUME): _C.RUNNING,
    (_C.STOPPED, _CM.CANCEL): _C.CANCELLED,
}

_L, _LM = LeadState, LeadMove
LEAD_MOVES: Mapping[tuple[LeadState, LeadMove], LeadState] = {
    (_L.WAITING, _LM.DIAL): _L.DIALLING,
    (_L.WAITING, _LM.SKIP): _L.SKIPPED,
    (_L.WAITING, _LM.CANCEL): _L.CANCELLED,
    (_L.DIALLING, _LM.ANSWERED): _L.TALKING,
    (_L.DIALLING, _LM.NOT_PLACED): _L.WAITING,
    (_L.DIALLING, _LM.RETRY): _L.WAITING,
    (_L.DIALLING, _LM.SUCCEED): _L.DONE,
    (_L.DIALLING, _LM.FAIL): _L.FAILED,
    (_L.DIALLING, _LM.SKIP): _L.SKIPPED,
    (_L.DIALLING, _LM.CANCEL): _L.CANCELLED,
    (_L.TALKING, _LM.RETRY): _L.WAITING,
    (_L.TALKING, _LM.SUCCEED): _L.DONE,
    (_L.TALKING, _LM.FAIL): _L.FAILED,
}


def campaign_after(state: CampaignState, move: CampaignMove) -> CampaignState | None:
    """Return where ``move`` leads from ``state``; ``None``: nowhere."""
    return CAMPAIGN_MOVES.get((state, move))


def lead_after(state: LeadState, move: LeadMove) -> LeadState | None:
    """Return where ``move`` leads from ``state``; ``None``: nowhere."""
    return LEAD_MOVES.get((state, move))
