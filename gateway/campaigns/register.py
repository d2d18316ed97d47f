"""All campaigns in the database, as those see them who make, list and report them.

It refuses to know how a campaign is run (`ledger`). All raise `StoreError`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import RowMapping, Select, TextClause, func, insert, select, text, update

from gateway.campaigns.policy import Policy, read_policy
from gateway.campaigns.states import CampaignState, LeadState
from gateway.campaigns.views import CampaignView, LeadPage, LeadView, Progress
from gateway.store.store import Store
from gateway.store.tables import attempts, calls, campaigns, leads

MOST_LISTED = 500

_INSERT = """
insert into leads (campaign_id, number, phone, variables, state, attempts, next_at)
select cast(:campaign as varchar), cast(:first as integer) + {place}, {phone}, {variables},
  'waiting', 0, 0.0
from {rows} where exists (select 1 from campaigns where id = :campaign and state = 'draft')
on conflict do nothing
"""
_SQLITE = _INSERT.format(
    place="key",
    phone="json_extract(value, '$[0]')",
    variables="json_extract(value, '$[1]')",
    rows="json_each(:rows)",
)
_POSTGRESQL = _INSERT.format(
    place="cast(place as integer) - 1",
    phone="value->>0",
    variables="cast(value->1 as json)",
    rows="jsonb_array_elements(cast(:rows as jsonb)) with ordinality as it(value, place)",
)
"""Many leads by one parameter: the database takes them apart, and not the event loop."""


class Register:
    """The tables of campaigns and leads."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # Making ------------------------------------------------------------------------------------

    async def create(
        self, campaign: str, name: str, company: int | None, policy: Policy, now: float
    ) -> None:
        """Write a draft without leads. Durable."""
        await self._store.commit(
            insert(campaigns).values(
                id=campaign,
                company_id=company,
                name=name,
                state=CampaignState.DRAFT.value,
                settings=msgspec.to_builtins(policy),
                total=0,
                created=now,
            )
        )

    async def add(
        self, campaign: str, first: int, rows: Sequence[tuple[str, Mapping[str, str]]]
    ) -> bool:
        """Add leads to a draft, numbered from ``first``; false if it is no draft. Durable.

        Numbers that are there stay as they are, so that it can be repeated.
        """
        table = leads.c
        count = select(func.count()).select_from(leads).where(table.campaign_id == campaign)
        total = (
            update(campaigns)
            .where(campaigns.c.id == campaign, campaigns.c.state == CampaignState.DRAFT.value)
            .values(total=count.scalar_subquery())
        )
        return await self._store.commit(self._insert(campaign, first, rows), total) == 1

    def _insert(
        self, campaign: str, first: int, rows: Sequence[tuple[str, Mapping[str, str]]]
    ) -> TextClause:
        postgresql = self._store.engine.dialect.name == "postgresql"
        return text(_POSTGRESQL if postgresql else _SQLITE).bindparams(
            campaign=campaign, first=first, rows=msgspec.json.encode(rows).decode()
        )

    async def known(self, campaign: str, phones: Sequence[str], before: int) -> Mapping[str, int]:
        """Return the leads below number ``before`` that have one of ``phones``."""
        table = leads.c
        rows = await self._store.rows(
            select(table.phone, func.min(table.number).label("number"))
            .where(table.campaign_id == campaign, table.number < before, table.phone.in_(phones))
            .group_by(table.phone)
        )
        return {row["phone"]: row["number"] for row in rows}

    # Showing -----------------------------------------------------------------------------------

    async def get(self, campaign: str) -> CampaignView | None:
        """Return a campaign, ``None`` if there is none."""
        rows = await self._store.rows(select(campaigns).where(campaigns.c.id == campaign))
        return _view(rows[0]) if rows else None

    async def list(
        self, state: str | None, company: int | None, before: float | None, limit: int
    ) -> Sequence[CampaignView]:
        """Return campaigns, the newest first, made before ``before``."""
        table = campaigns.c
        question = select(campaigns).order_by(table.created.desc(), table.id).limit(limit)
        if state is not None:
            question = question.where(table.state == state)
        if company is not None:
            question = question.where(table.company_id == company)
        if before is not None:
            question = question.where(table.created < before)
        return [_view(row) for row in await self._store.rows(question)]

    async def progress(self, it: CampaignView) -> Progress:
        """Return how far a campaign is."""
        table = leads.c
        rows = await self._store.rows(
            select(
                table.state,
                table.outcome,
                func.count().label("leads"),
                func.sum(table.attempts).label("attempts"),
                func.min(table.next_at).label("next_at"),
            )
            .where(table.campaign_id == it.id)
            .group_by(table.state, table.outcome)
        )
        states: dict[str, int] = {}
        outcomes: dict[str, int] = {}
        for row in rows:
            states[row["state"]] = states.get(row["state"], 0) + row["leads"]
            if row["outcome"] is not None:
                outcomes[row["outcome"]] = outcomes.get(row["outcome"], 0) + row["leads"]
        waiting = [row["next_at"] for row in rows if row["state"] == LeadState.WAITING.value]
        return Progress(
            id=it.id,
            name=it.name,
            state=it.state,
            why=it.why,
            total=it.total,
            **{state.value.replace("-", "_"): states.get(state.value, 0) for state in LeadState},
            attempts=sum(row["attempts"] or 0 for row in rows),
            outcomes=outcomes,
            next_at=min((at for at in waiting if at), default=None) if all(waiting) else None,
            started=it.started,
            ended=it.ended,
            elsewhere=None,
        )

    async def leads(
        self, campaign: str, after: int, limit: int, state: str | None = None
    ) -> LeadPage:
        """Return leads with numbers over ``after``, in their order, with how their calls went."""
        question = _leads(campaign).where(leads.c.number > after).limit(limit + 1)
        if state is not None:
            question = question.where(leads.c.state == state)
        rows = await self._store.rows(question)
        shown = [_lead(row) for row in rows[:limit]]
        return LeadPage(shown, shown[-1].number if len(rows) > limit else None)


def _leads(campaign: str) -> Select[Any]:
    it = leads.c
    return (
        select(
            *(it.number, it.phone, it.state, it.outcome, it.attempts, it.call_sid, it.error),
            *(it.next_at, it.variables, attempts.c.status, attempts.c.answered_by),
            attempts.c.created.label("called"),
            (calls.c.ended - calls.c.answered).label("seconds"),
        )
        .select_from(
            leads.outerjoin(attempts, attempts.c.id == it.attempt_id).outerjoin(
                calls, calls.c.sid == it.call_sid
            )
        )
        .where(it.campaign_id == campaign)
        .order_by(it.number)
    )


def _lead(row: RowMapping) -> LeadView:
    waits = row["state"] == LeadState.WAITING.value
    values = {**row, "next_at": (row["next_at"] or None) if waits else None}
    return LeadView(**{**values, "variables": row["variables"] or {}})


def _view(row: RowMapping) -> CampaignView:
    return CampaignView(
        id=row["id"],
        name=row["name"],
        company=row["company_id"],
        state=row["state"],
        why=row["why"],
        total=row["total"],
        created=row["created"],
        started=row["started"],
        ended=row["ended"],
        policy=read_policy(row["settings"]),
    )
