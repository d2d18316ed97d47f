"""What is told of campaigns outside: plain values, as the API and the commands show them.

Times are Unix seconds.
"""

from typing import Any

import msgspec

from gateway.campaigns.policy import Policy


class CampaignView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A campaign. ``why`` is why it is stopped, ``total`` how many leads it has.

    ``elsewhere`` says so if it runs and another gateway dials for the database.
    """

    id: str
    name: str
    company: int | None
    state: str
    why: str | None
    total: int
    created: float
    started: float | None
    ended: float | None
    policy: Policy
    elsewhere: str | None = None


class Progress(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a campaign is: leads by their state.

    ``outcomes`` counts what came of those that were attempted (``answered``, ``busy``, ...),
    ``attempts`` all calls that were placed. ``next_at`` is when the next lead that waits may be
    called, if it is not yet. ``elsewhere`` is as in `CampaignView`.
    """

    id: str
    name: str
    state: str
    why: str | None
    total: int
    waiting: int
    dialling: int
    in_progress: int
    done: int
    failed: int
    skipped: int
    cancelled: int
    attempts: int
    outcomes: dict[str, int]
    next_at: float | None
    started: float | None
    ended: float | None
    elsewhere: str | None = None


class LeadView(msgspec.Struct, frozen=True):
    """A lead. ``status`` is the carrier's last word on its last call, ``seconds`` what was talked.

    ``called`` is when that call was begun.
    ``outcome`` is ours: ``answered``, ``machine``, ``busy``, ``no-answer``, ``failed``,
    ``canceled``, ``lost`` or ``skipped``.
    """

    number: int
    phone: str
    state: str
    outcome: str | None
    attempts: int
    call_sid: str | None
    status: str | None
    answered_by: str | None
    called: float | None
    seconds: float | None
    error: str | None
    next_at: float | None
    variables: dict[str, Any]


class LeadPage(msgspec.Struct, frozen=True):
    """Some leads in the order of their numbers; ``next`` continues after them, if any follow."""

    leads: list[LeadView]
    next: int | None


class RefusedLead(msgspec.Struct, frozen=True):
    """A row that is not called. ``row`` counts from 0 in what was given; ``reason`` from 1."""

    row: int
    phone: str
    reason: str


class Added(msgspec.Struct, frozen=True):
    """What became of leads that were given: ``total`` is how many the campaign has now."""

    added: int
    total: int
    refused: list[RefusedLead]
