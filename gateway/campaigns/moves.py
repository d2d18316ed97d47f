"""A campaign's moves in the database, each with the event that tells it: both are done, or neither.

    what is told is made ──> one transaction: event, leads, campaign ──> the outbox sends

A gateway that dies after the transaction has the next one's outbox find the event. It refuses to
know who wants to be told, and why a campaign moves. All raise `StoreError`.
"""

import asyncio
from typing import Any, Protocol

import msgspec
from sqlalchemy import ColumnElement, Executable, Update, and_, select, update

from gateway.campaigns.register import Register
from gateway.campaigns.states import (
    CAMPAIGN_MOVES,
    CampaignMove,
    CampaignState,
    LeadState,
    campaign_after,
)
from gateway.campaigns.views import Progress
from gateway.outbox.event import Event
from gateway.outbox.prepared import Prepared
from gateway.store.store import Store, StoreError
from gateway.store.tables import campaigns, leads

EVENTS = {
    CampaignMove.START: "campaign.started",
    CampaignMove.PAUSE: "campaign.paused",
    CampaignMove.RESUME: "campaign.resumed",
    CampaignMove.CANCEL: "campaign.cancelled",
    CampaignMove.TRIP: "campaign.stopped",
    CampaignMove.FINISH: "campaign.completed",
}
"""What webhooks are told of a campaign."""


class Post(Protocol):
    """What campaigns need of the outbox."""

    def tells(self, company: int | None) -> bool:
        """Whether anybody wants to know of a company's campaigns."""
        ...

    def prepared(self, event: Event) -> Prepared:
        """Return what tells an event, to be committed with what it tells of, and then sent."""
        ...

    def send(self, it: Prepared) -> None:
        """Tell what was written down."""
        ...


class CampaignMoves:
    """Moves campaigns. Without ``post`` nobody is told."""

    def __init__(self, store: Store, post: Post | None = None) -> None:
        self._store, self._post = store, post
        self.under_way = self.count = 0
        """Moves that are being made; and how often one was begun or has ended, which tells whether
        there was one meanwhile."""
        self.unsure = asyncio.Event()
        """An answer was lost: whether a move was made is not known."""
        self._register = Register(store)

    async def make(
        self, campaign: str, move: CampaignMove, now: float, why: str | None = None
    ) -> bool:
        """Move a campaign, and its leads with it; false if it is not where ``move`` begins.

        ``now`` in Unix seconds; ``why`` is kept with a campaign that is stopped.
        """
        self.count, self.under_way = self.count + 1, self.under_way + 1
        try:
            return await self._made(campaign, move, now, why)
        except StoreError:
            self.unsure.set()
            raise
        finally:
            self.count, self.under_way = self.count + 1, self.under_way - 1

    async def _made(self, campaign: str, move: CampaignMove, now: float, why: str | None) -> bool:
        told = await self._told(campaign, move, now, why)
        statements = list[Executable]()
        if told is not None:
            # Before the campaign has moved: then, and only then, it is still where it begins.
            here = select(campaigns.c.id).where(_here(campaign, move)).exists()
            statements += told.statements(here)
        if move is CampaignMove.CANCEL:
            statements.append(_cancelled(campaign))
        done = await self._store.commit(*statements, _moved(campaign, move, now, why)) == 1
        if done and told is not None and self._post is not None:
            self._post.send(told)
        return done

    async def _told(
        self, campaign: str, move: CampaignMove, now: float, why: str | None
    ) -> Prepared | None:
        if self._post is None:
            return None
        it = await self._register.get(campaign)
        if it is None or not self._post.tells(it.company):
            return None
        progress = foreseen(await self._register.progress(it), move, now, why)
        if progress is None:
            return None
        data = {"campaign": msgspec.to_builtins(progress)}
        return self._post.prepared(Event(EVENTS[move], call={}, data=data, company=it.company))


def foreseen(it: Progress, move: CampaignMove, now: float, why: str | None) -> Progress | None:
    """Return how far a campaign will be by ``move``, ``None`` if that does not begin there."""
    state = campaign_after(CampaignState(it.state), move)
    if state is None:
        return None
    changed: dict[str, Any] = {"state": state.value, "why": why}
    if move is CampaignMove.START:
        changed["started"] = now
    if state.final:
        changed["ended"] = now
    if move is CampaignMove.CANCEL:
        changed |= {"cancelled": it.cancelled + it.waiting, "waiting": 0, "next_at": None}
    return msgspec.structs.replace(it, **changed)


def _here(campaign: str, move: CampaignMove) -> ColumnElement[bool]:
    """Whether a row is the campaign's, and where ``move`` begins."""
    states = [state.value for state, by in CAMPAIGN_MOVES if by is move]
    return and_(campaigns.c.id == campaign, campaigns.c.state.in_(states))


def _moved(campaign: str, move: CampaignMove, now: float, why: str | None) -> Update:
    """Return the update of a campaign by ``move``, from where it is allowed."""
    to = next(state for (_, by), state in CAMPAIGN_MOVES.items() if by is move)
    values: dict[str, Any] = {"state": to.value, "why": why}
    if move is CampaignMove.START:
        values["started"] = now
    if to.final:
        values["ended"] = now
    return update(campaigns).where(_here(campaign, move)).values(values)


def _cancelled(campaign: str) -> Update:
    """Return the update that cancels all leads of a campaign that wait."""
    return (
        update(leads)
        .where(leads.c.campaign_id == campaign, leads.c.state == LeadState.WAITING.value)
        .values(state=LeadState.CANCELLED.value)
    )
