"""Attempts in the database: written before the carrier is asked, so that none is made twice.

A new attempt is durable before anything is asked of the carrier; what becomes of it is written soon
after. If that is lost with the gateway, the row says that it must be found out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Executable, RowMapping, and_, literal, select, update

from gateway.carriers.placing import Machine as AnsweringMachine
from gateway.dialer.attempt import MOVES, NOT_NOW, OPEN, Attempt, AttemptState, CallPlan
from gateway.store.change import inserting
from gateway.store.store import Store, StoreError, Upsert
from gateway.store.tables import attempts, leads
from shared.machine import Machine

_OTHERS_SECONDS = 2 * 3600.0
"""How long before an attempt another one may have been that could be taken for it."""


@dataclass(frozen=True, slots=True)
class News:
    """How an attempt stands, as far as that changes."""

    id: str
    state: AttemptState
    sid: str
    status: str
    answered_by: str
    error: str


class Ledger:
    """The table of attempts."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def open(self, attempt: Attempt) -> bool:
        """Write a new attempt; false if its id is taken. Durable. Raises `StoreError`.

        False also for a lead's that is not its lead's any more: another gateway has it then.
        """
        row, before = _row(attempt), list[Executable]()
        new = inserting(attempts, self._store.engine.dialect.name)
        if attempt.campaign is None:
            new = new.values(**row)
        else:
            # Locked first: whoever gives the lead back meanwhile waits, and sees the attempt then.
            whose = _is_of_its_lead(attempt)
            before.append(select(leads.c.number).where(whose).with_for_update())
            values = (literal(it, attempts.c[name].type).label(name) for name, it in row.items())
            here = select(leads.c.number).where(whose).exists()
            new = new.from_select(list(row), select(*values).where(here))
        new = new.on_conflict_do_nothing(index_elements=["id"])
        return await self._store.commit(*before, new) == 1

    async def reopen(self, attempt: Attempt) -> bool:
        """Begin an attempt anew that the carrier never took up; false if another was faster.

        Durable. Raises `StoreError`.
        """
        if not await self._store.flush():
            raise StoreError("what is known of the attempt is not written yet", away=True)
        idle = (attempts.c.state == AttemptState.REFUSED.value, attempts.c.status == NOT_NOW)
        again = update(attempts).where(attempts.c.id == attempt.id, *idle)
        return await self._store.commit(again.values(_row(attempt))) == 1

    async def ordered(self, most: int) -> Sequence[Attempt]:
        """Return orders that wait for the gateway that dials, the oldest first."""
        table = attempts.c
        question = select(attempts).where(table.state == AttemptState.ORDERED.value)
        rows = await self._store.rows(question.order_by(table.created).limit(most))
        return [_attempt(row) for row in rows]

    async def take(self, attempt: Attempt) -> bool:
        """Begin to carry out an order that waits; false if it does not any more. Durable."""
        return await self._past_order(attempt, {"state": AttemptState.CREATING.value})

    async def withdraw(self, attempt: Attempt, error: str, status: str, now: float) -> bool:
        """Refuse an order that waits; false if it does not any more. Durable."""
        refused = {"state": AttemptState.REFUSED.value, "status": status or None}
        return await self._past_order(attempt, refused | {"error": error, "ended": now})

    async def _past_order(self, attempt: Attempt, values: dict[str, Any]) -> bool:
        waits = (attempts.c.id == attempt.id, attempts.c.state == AttemptState.ORDERED.value)
        return await self._store.commit(update(attempts).where(*waits).values(values)) == 1

    def write(self, attempt: Attempt) -> None:
        """Have what is known of an attempt written soon."""
        self._store.write(Upsert("attempts", _row(attempt)))

    async def recall(self, dial_id: str) -> Attempt | None:
        """Return an attempt. Raises `StoreError`."""
        rows = await self._store.rows(select(attempts).where(attempts.c.id == dial_id))
        return _attempt(rows[0]) if rows else None

    async def of_call(self, sid: str) -> Attempt | None:
        """Return the attempt that made the call ``sid``. Raises `StoreError`."""
        rows = await self._store.rows(select(attempts).where(attempts.c.call_sid == sid))
        return _attempt(rows[0]) if rows else None

    async def all_open(self) -> Sequence[Attempt]:
        """Return those of which something must still come. Raises `StoreError`."""
        states = [state.value for state in OPEN]
        rows = await self._store.rows(select(attempts).where(attempts.c.state.in_(states)))
        return [_attempt(row) for row in rows]

    async def news(self, ids: Sequence[str]) -> Sequence[News]:
        """Return how attempts stand by what is written. Raises `StoreError`."""
        it = attempts.c
        columns = (it.id, it.state, it.call_sid, it.status, it.answered_by, it.error)
        rows = await self._store.rows(select(*columns).where(it.id.in_(ids)))
        return [_news(row) for row in rows]

    async def others(self, attempt: Attempt) -> frozenset[str]:
        """Return the calls of other attempts to its number, of that time. Raises `StoreError`."""
        table = attempts.c
        rows = await self._store.rows(
            select(table.call_sid).where(
                table.phone == attempt.to,
                table.created >= attempt.created - _OTHERS_SECONDS,
                table.id != attempt.id,
                table.call_sid.is_not(None),
            )
        )
        return frozenset(str(row["call_sid"]) for row in rows)


def _news(row: RowMapping) -> News:
    return News(
        row["id"],
        AttemptState(row["state"]),
        row["call_sid"] or "",
        row["status"] or "",
        row["answered_by"] or "",
        row["error"] or "",
    )


def _is_of_its_lead(it: Attempt) -> ColumnElement[bool]:
    """Whether a lead is the one that an attempt was claimed for, and is dialled by no other."""
    lead = leads.c
    return and_(
        lead.campaign_id == it.campaign,
        lead.number == it.lead,
        lead.attempt_id == it.id,
        lead.state == "dialling",
    )


def _row(it: Attempt) -> dict[str, Any]:
    return {
        "id": it.id,
        "campaign_id": it.campaign,
        "lead": it.lead,
        "company_id": it.company,
        "phone": it.to,
        "from_number": it.from_,
        "account_sid": it.account or None,
        "state": it.state.value,
        "call_sid": it.sid or None,
        "created": it.created,
        "ended": it.ended,
        "status": it.status or None,
        "error": it.error or None,
        "answered_by": it.answered_by or None,
        "plan": {
            "agent": it.plan.agent,
            "variables": dict(it.plan.variables),
            "machine": it.plan.machine.value,
            "ring_seconds": it.plan.ring_seconds,
            "most_seconds": it.plan.most_seconds,
            "transfer_of": it.plan.transfer_of,
        },
    }


def _attempt(row: RowMapping) -> Attempt:
    plan = dict(row["plan"] or {})
    plan["machine"] = AnsweringMachine(plan.get("machine", AnsweringMachine.GO_ON))
    return Attempt(
        id=row["id"],
        to=row["phone"],
        from_=row["from_number"] or "",
        company=row["company_id"],
        plan=CallPlan(**plan),
        created=row["created"],
        campaign=row["campaign_id"],
        lead=row["lead"],
        account=row["account_sid"] or "",
        sid=row["call_sid"] or "",
        status=row["status"] or "",
        answered_by=row["answered_by"] or "",
        error=row["error"] or "",
        ended=row["ended"],
        answered=row["state"] == AttemptState.ANSWERED.value,
        machine=Machine(AttemptState(row["state"]), MOVES),
    )
