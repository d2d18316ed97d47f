"""The gateways that share a database: what each is called, and which of them are still there.

A row that is one gateway's work bears its id, and the others leave it alone as long as that gateway
is heard of. What one that is gone has left they take: each row by one statement that says whose it
was, so that only one of them gets it.

It refuses to know what the rows are. Clocks of machines may differ by a minute or two.
"""

import asyncio
import secrets
import socket
import time
from math import inf
from pathlib import Path

from sqlalchemy import ColumnElement, Executable, and_, func, or_, select

from gateway.store.store import Store, StoreError, Upsert, statement_of
from gateway.store.tables import gateways
from shared.local_secrets import local_secret

ID_FILE = "gateway-id"

BEAT_SECONDS = 30.0
GONE_SECONDS = 180.0
"""A gateway that nothing was heard of for so long is gone."""

_RETRY_SECONDS = 2.0
_MOST_ID = 40
_MOST_HOST = 64

_TURN = 0x63616C6E
"""Of PostgreSQL's advisory locks: who takes away what is old."""


def gateway_id(data_dir: Path) -> str:
    """Return what the gateway of ``data_dir`` is called, in this life and in every other.

    Made once, and kept there. Reads a file; raises ``OSError`` and ``LocalSecretError`` as
    ``local_secret`` does.
    """
    return local_secret(data_dir / ID_FILE, lambda: f"gw_{secrets.token_hex(8)}")[:_MOST_ID]


async def beat(store: Store, now: float) -> None:
    """Let the others know that this gateway is there. Raises ``StoreError``."""
    host = socket.gethostname()[:_MOST_HOST]
    here = Upsert("gateways", {"id": store.gateway, "host": host, "seen": now})
    await store.commit(statement_of(here, store.url.get_backend_name()))


async def keep_present(store: Store, every: float = BEAT_SECONDS) -> None:
    """Let the others know, again and again, until cancelled.

    A database that was away has kept all of them from it: who is gone is not known for a while.
    """
    store.sure_from = inf
    while True:
        pause = min(every, _RETRY_SECONDS)
        try:
            if store.ready:
                await beat(store, time.time())
                pause = every
                if store.sure_from == inf:
                    store.sure_from = time.time() + 2 * every
        except StoreError:
            store.sure_from = inf
        await asyncio.sleep(pause)


def is_ours(column: ColumnElement[str], store: Store) -> ColumnElement[bool]:
    """Rows of this gateway, and of none: a callfarm that knew no gateways wrote those."""
    return or_(column.is_(None), column == store.gateway)


def is_left(column: ColumnElement[str], store: Store, now: float) -> ColumnElement[bool]:
    """Rows of another gateway that is gone."""
    here = select(gateways.c.id).where(
        gateways.c.id == column, gateways.c.seen > now - GONE_SECONDS
    )
    return and_(column.is_not(None), column != store.gateway, ~here.exists())


def may_be_taken(column: ColumnElement[str], store: Store, now: float) -> ColumnElement[bool]:
    """Rows that no other gateway is there for."""
    return or_(is_ours(column, store), is_left(column, store, now))


def in_turn(store: Store) -> tuple[Executable, ...]:
    """Return what begins a transaction that takes many rows away: one gateway at a time does.

    Two that lock the same rows in another order would lock each other out. On SQLite there is one
    writer in any case.
    """
    if store.url.get_backend_name() == "sqlite":
        return ()
    return (select(func.pg_advisory_xact_lock(_TURN)),)


async def others(store: Store, since: float) -> frozenset[str]:
    """Return the other gateways that were heard of ``since``. Raises ``StoreError``."""
    g = gateways.c
    rows = await store.rows(select(g.id).where(g.id != store.gateway, g.seen > since))
    return frozenset(row["id"] for row in rows)


async def host_of(store: Store, gateway: str) -> str | None:
    """Return the name of a gateway's machine, if it is known. Raises ``StoreError``."""
    rows = await store.rows(select(gateways.c.host).where(gateways.c.id == gateway))
    return rows[0]["host"] if rows else None
