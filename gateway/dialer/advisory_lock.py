"""The right to dial as PostgreSQL keeps it: an advisory lock of a session that does nothing else.

The server takes it from a session that ends: at once when the process is killed, and when its
machine is not heard of any more after `KEEPALIVE` (11 s), which is longer than a gateway that
cannot reach the server believes in its lock (`gateway.dialer.right.LEASE_SECONDS`).

One for each schema of a database. A pooler that gives a statement to any session (PgBouncer's
transaction mode) cannot keep it: then nobody has the right, and that is said.
"""

import contextlib
from collections.abc import Callable
from typing import Any, Protocol

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.dialer.holder import Holder
from gateway.store.connections import make_engine
from gateway.store.errors import FAILURES, StoreError

KEEPALIVE = {
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10000",
    "idle_session_timeout": "0",
}
"""How the server watches the session: seconds, probes, milliseconds; and that it may be idle."""

_TAKE = "select pg_try_advisory_lock(1667329132, hashtext(coalesce(current_schema(), '')))"
HOLDER = """
select case when l.pid = pg_backend_pid() then '' else coalesce(a.application_name, '-') end
from pg_locks l left join pg_stat_activity a on a.pid = l.pid
where l.locktype = 'advisory' and l.granted and l.objsubid = 2 and l.classid = 1667329132
  and l.objid = (hashtext(coalesce(current_schema(), ''))::bigint & 4294967295)::oid
  and l.database = (select oid from pg_database where datname = current_database())
"""
"""Asks who has it: the name of the session, empty if it is the one that asks, null if nobody has.

The number is the word "call".
"""
_SET = "select set_config(name, $2, false) from pg_settings where name = $1"


class _Session(Protocol):
    """What is used of asyncpg's connection."""

    async def fetchval(self, query: str, *args: str) -> Any: ...

    def add_termination_listener(self, callback: Callable[[object], None]) -> None: ...

    def terminate(self) -> None: ...


class AdvisoryLock:
    """The lock in the database ``url``."""

    def __init__(self, url: URL) -> None:
        self._url = url
        self._engine: AsyncEngine | None = None
        self._connection: AsyncConnection | None = None
        self._session: _Session | None = None

    async def take(self, me: Holder, lost: Callable[[], None]) -> bool:
        """Take it if nobody has it."""
        if self._session is None:
            self._session = await self._connected(me, lost)
        if not await _asked(self._session, _TAKE):
            return False
        # A pooler may have asked another session than the next question will.
        return await self.confirm()

    async def confirm(self) -> bool:
        """Tell whether this session has it."""
        return self._session is not None and await _asked(self._session, HOLDER) == ""

    async def holder(self) -> Holder | None:
        """Return who has it."""
        if self._session is None:
            return None
        return Holder.read(await _asked(self._session, HOLDER) or "")

    async def release(self) -> None:
        """End the session, and with it the lock."""
        session, connection, engine = self._session, self._connection, self._engine
        self._session = self._connection = self._engine = None
        if session is not None:
            session.terminate()
        with contextlib.suppress(*FAILURES):
            if connection is not None:
                await connection.invalidate()
                await connection.close()
            if engine is not None:
                await engine.dispose()

    async def _connected(self, me: Holder, lost: Callable[[], None]) -> _Session:
        """Return a session that says who it is, and is watched at both ends."""
        self._engine = make_engine(self._url)
        self._connection = await self._engine.connect()
        session: _Session = (await self._connection.get_raw_connection()).driver_connection  # type: ignore[assignment]

        def ended(_: object) -> None:
            if self._session is session:
                lost()

        session.add_termination_listener(ended)
        for name, value in {"application_name": me.signature, **KEEPALIVE}.items():
            await _asked(session, _SET, name, value)
        return session


async def _asked(session: _Session, query: str, *args: str) -> Any:
    """Return the one value that answers a query. Raises `StoreError`."""
    import asyncpg  # type: ignore[import-untyped]

    try:
        return await session.fetchval(query, *args)
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise StoreError(f"the database is away: {type(error).__name__}", away=True) from error
