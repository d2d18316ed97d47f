"""Attempts in the database: written before the carrier is asked, so that none is made twice.

A new attempt is durable before anything is asked of the carrier; what becomes of it is written soon
after. If that is lost with the gateway, the row says that it must be found out.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import RowMapping, select, update

from gateway.carriers.placing import Machine as AnsweringMachine
from gateway.dialer.attempt import MOVES, NOT_NOW, OPEN, Attempt, AttemptState, CallPlan
from gateway.store.change import inserting
from gateway.store.store import Store, StoreError, Upsert
from gateway.store.tables import attempts
from shared.machine import Machine

_OTHERS_SECONDS = 2 * 3600.0
"""How long before an attempt another one may have been that could be taken for it."""


class Ledger:
    """The table of attempts."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def open(self, attempt: Attempt) -> bool:
        """Write a new attempt; false if its id is taken. Durable. Raises `StoreError`."""
        dialect = self._store.engine.dialect.name
        new = inserting(attempts, dialect).values(**_row(attempt))
        return await self._store.commit(new.on_conflict_do_nothing(index_elements=["id"])) == 1

    async def reopen(self, attempt: Attempt) -> bool:
        """Begin an attempt anew that the carrier never took up; false if another was faster.

        Durable. Raises `StoreError`.
        """
        if not await self._store.flush():
            raise StoreError("what is known of the attempt is not written yet", away=True)
        idle = (attempts.c.state == AttemptState.REFUSED.value, attempts.c.status == NOT_NOW)
        again = update(attempts).where(attempts.c.id == attempt.id, *idle)
        return await self._store.commit(again.values(_row(attempt))) == 1

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
