"""A running campaign in the database: every decision is there before it is acted on.

Each statement that moves a lead says where it must be and by which attempt, so that what was done
by another, or once before, is not done again. All raise `StoreError`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Executable, func, or_, select, update

from gateway.campaigns.moves import CampaignMoves
from gateway.campaigns.outcomes import Outcome, outcome_of
from gateway.campaigns.scheduler import Lead
from gateway.campaigns.states import (
    LEAD_MOVES,
    CampaignMove,
    CampaignState,
    LeadMove,
    LeadState,
)
from gateway.dialer.attempt import AttemptState
from gateway.store.store import Store
from gateway.store.tables import attempts, campaigns, leads

PAGE = 50
"""Leads in memory that wait for their turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What became of a lead's attempt. ``next_at`` in Unix seconds, for those that wait again.

    ``attempts`` is how many count from now on: one that was never placed does not.
    """

    number: int
    attempt_id: str
    move: LeadMove
    attempts: int
    outcome: str | None = None
    error: str | None = None
    call_sid: str | None = None
    next_at: float | None = None


@dataclass(frozen=True, slots=True)
class Flying:
    """A lead that was in flight when it was last written down, and its attempt's id."""

    lead: Lead
    attempt_id: str
    state: LeadState


class CampaignLedger:
    """The leads of one campaign, as its runner sees them."""

    def __init__(self, store: Store, campaign: str, moves: CampaignMoves | None = None) -> None:
        self._store, self._campaign = store, campaign
        self._moves = moves or CampaignMoves(store)

    async def page(self, now: float) -> Sequence[Lead]:
        """Return leads that are due, those that are due longest first."""
        table = leads.c
        rows = await self._store.rows(
            select(table.number, table.phone, table.attempts, table.variables)
            .where(
                table.campaign_id == self._campaign,
                table.state == LeadState.WAITING.value,
                table.next_at <= now,
            )
            .order_by(table.next_at, table.number)
            .limit(PAGE)
        )
        return [_lead(row) for row in rows]

    async def next_at(self) -> float | None:
        """Return when the next lead that waits is due, ``None`` if none waits."""
        table = leads.c
        rows = await self._store.rows(
            select(func.min(table.next_at).label("at")).where(
                table.campaign_id == self._campaign, table.state == LeadState.WAITING.value
            )
        )
        return rows[0]["at"] if rows else None

    async def flying(self) -> Sequence[Flying]:
        """Return the leads that are in flight, as far as is written down."""
        table = leads.c
        states = [it.value for it in LeadState if it.in_flight]
        rows = await self._store.rows(
            select(leads)
            .where(table.campaign_id == self._campaign, table.state.in_(states))
            .order_by(table.number)
        )
        return [Flying(_lead(it), it["attempt_id"] or "", LeadState(it["state"])) for it in rows]

    async def ended(self, most: int) -> Sequence[Outcome]:
        """Return how the last calls of which the lead knows the end have ended, oldest first.

        That somebody answered and was not served is known of a lead's last call only.
        """
        it, lead = attempts.c, leads.c
        flying = [state.value for state in LeadState if state.in_flight]
        known = [outcome.value for outcome in Outcome]
        when = func.coalesce(it.ended, it.created)
        rows = await self._store.rows(
            select(it.status, it.answered_by, lead.outcome)
            .select_from(attempts.outerjoin(leads, lead.attempt_id == it.id))
            .where(
                it.campaign_id == self._campaign,
                # The lead's outcome is durable before the attempt's end, or without it.
                or_(it.state == AttemptState.ENDED.value, lead.outcome.in_(known)),
                or_(lead.state.is_(None), lead.state.not_in(flying)),
            )
            .order_by(when.desc(), it.id)
            .limit(most)
        )
        return [
            Outcome(row["outcome"])
            if row["outcome"] in set(Outcome)
            else outcome_of(row["status"] or "", row["answered_by"] or "")
            for row in reversed(rows)
        ]

    async def attempted(self, ids: Sequence[str]) -> frozenset[str]:
        """Return those of ``ids`` of which the dialer has written down that it would call."""
        rows = await self._store.rows(select(attempts.c.id).where(attempts.c.id.in_(ids)))
        return frozenset(str(row["id"]) for row in rows)

    async def claim(self, lead: Lead, attempt_id: str) -> bool:
        """Take a lead that waits for an attempt of this id; false if it does not wait any more.

        False also if the campaign does not run: it may have been halted at another gateway.
        """
        it = campaigns.c
        runs = (it.id == self._campaign, it.state == CampaignState.RUNNING.value)
        changed = await self._store.commit(
            self._moved(lead.number, LeadMove.DIAL)
            .where(select(it.id).where(*runs).exists())
            .values(
                attempts=lead.attempts + 1,
                attempt_id=attempt_id,
                outcome=None,
                error=None,
                call_sid=None,
            )
        )
        return changed == 1

    async def give_back(
        self, lead: Lead, attempt_id: str, why: str, *, cancelled: bool = False
    ) -> bool:
        """Let a lead wait that was claimed for an attempt which was never written down.

        ``lead`` is as it was before the claim; if the campaign is ``cancelled``, so is the lead.
        False if the attempt is there after all, or the lead is another's.
        """
        table = leads.c
        whose = (
            table.campaign_id == self._campaign,
            table.number == lead.number,
            table.attempt_id == attempt_id,
        )
        # Locked first: whoever writes the attempt down meanwhile waits, and finds the lead gone.
        locked = select(table.number).where(*whose).with_for_update()
        written = select(attempts.c.id).where(attempts.c.id == attempt_id).exists()
        move = LeadMove.CANCEL if cancelled else LeadMove.NOT_PLACED
        back = self._moved(lead.number, move).where(*whose, ~written)
        values = {"attempts": lead.attempts, "next_at": 0.0, "error": why}
        return await self._store.commit(locked, back.values(values)) == 1

    async def settle(self, settlements: Iterable[Settlement]) -> None:
        """Write down what became of attempts, all or none."""
        statements: list[Executable] = []
        for it in settlements:
            values: dict[str, Any] = {"attempts": it.attempts}
            for name in ("outcome", "error", "call_sid", "next_at"):
                value = getattr(it, name)
                if value is not None:
                    values[name] = value
            statements.append(
                self._moved(it.number, it.move)
                .where(leads.c.attempt_id == it.attempt_id)
                .values(values)
            )
        if statements:
            await self._store.commit(*statements)

    async def defer(self, numbers: Sequence[int], until: float) -> None:
        """Let leads that wait do so until then."""
        table = leads.c
        await self._store.commit(
            update(leads)
            .where(
                table.campaign_id == self._campaign,
                table.number.in_(numbers),
                table.state == LeadState.WAITING.value,
            )
            .values(next_at=until)
        )

    async def skip(self, number: int, sentence: str) -> None:
        """Never call a lead that waits."""
        await self._store.commit(
            self._moved(number, LeadMove.SKIP).values(outcome="skipped", error=sentence)
        )

    async def move(self, move: CampaignMove, now: float, why: str | None = None) -> bool:
        """Move the campaign; false if it is not where ``move`` begins."""
        return await self._moves.make(self._campaign, move, now, why)

    def _moved(self, number: int, move: LeadMove) -> Any:
        """Return the update of a lead by ``move``, from where it is allowed."""
        table = leads.c
        to = {it: state for (it, by), state in LEAD_MOVES.items() if by is move}
        return (
            update(leads)
            .where(
                table.campaign_id == self._campaign,
                table.number == number,
                table.state.in_([state.value for state in to]),
            )
            .values(state=next(iter(to.values())).value)
        )


async def left_behind(store: Store) -> Sequence[str]:
    """Return the campaigns that a gateway must look after when it starts."""
    is_running = campaigns.c.state == CampaignState.RUNNING.value
    running = await store.rows(select(campaigns.c.id).where(is_running))
    in_flight = [it.value for it in LeadState if it.in_flight]
    flying = await store.rows(
        select(leads.c.campaign_id).where(leads.c.state.in_(in_flight)).distinct()
    )
    return sorted({*(row["id"] for row in running), *(row["campaign_id"] for row in flying)})


async def standing(store: Store, ids: Sequence[str]) -> Mapping[str, CampaignState]:
    """Return the states of all campaigns that run, and of those of ``ids``."""
    it = campaigns.c
    wanted = or_(it.state == CampaignState.RUNNING.value, it.id.in_(ids))
    rows = await store.rows(select(it.id, it.state).where(wanted))
    return {row["id"]: CampaignState(row["state"]) for row in rows}


def _lead(row: Any) -> Lead:
    return Lead(row["number"], row["phone"], row["attempts"], dict(row["variables"] or {}))
