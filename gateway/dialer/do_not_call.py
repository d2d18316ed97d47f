"""Who must not be called: by anybody (company 0), or by one company."""

import time

from sqlalchemy import delete, select

from gateway.dialer.numbers import NumberRefusedError, Reason
from gateway.store.change import statement_of
from gateway.store.store import Store, Upsert
from gateway.store.tables import do_not_call

EVERYBODY = 0
"""The company of entries that hold for all."""


class DoNotCall:
    """The list in the database. Every method raises `StoreError`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def check(self, number: str, company: int | None) -> None:
        """Raise `NumberRefusedError` if ``number`` (E.164) must not be called."""
        table = do_not_call.c
        whose = (EVERYBODY, company if company is not None else EVERYBODY)
        found = await self._store.rows(
            select(table.phone).where(table.phone == number, table.company_id.in_(whose))
        )
        if found:
            raise NumberRefusedError(number, Reason.DO_NOT_CALL)

    async def add(self, number: str, company: int | None = None, reason: str = "") -> None:
        """Put a number (E.164) on the list, once. Durable."""
        row = {
            "company_id": company or EVERYBODY,
            "phone": number,
            "reason": reason or None,
            "created": time.time(),
        }
        change = Upsert("do_not_call", row)
        await self._store.commit(statement_of(change, self._store.engine.dialect.name))

    async def remove(self, number: str, company: int | None = None) -> bool:
        """Take a number off the list; tell whether it was there. Durable."""
        table = do_not_call.c
        entry = (table.phone == number, table.company_id == (company or EVERYBODY))
        return await self._store.commit(delete(do_not_call).where(*entry)) > 0
