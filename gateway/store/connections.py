"""The database's address as operators write it, and the connections to it.

SQLite runs in write-ahead mode, so that readers and the one writer do not wait for each other,
and syncs at every commit: with records written by the batch that is five times a second at most,
and what was committed survives a power cut. PostgreSQL is left as its administrator set it up.
"""

import json
import sqlite3
import time
from pathlib import Path
from typing import Any
from weakref import WeakSet

import msgspec
from sqlalchemy import URL, Engine, NullPool, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from gateway.store.errors import StoreError

FILE = "callfarm.db"
"""The database's name in ``DATA_DIR`` when no other is set."""

BUSY_SECONDS = 2.0
"""How long SQLite waits for a lock that another process holds."""

CONNECT_SECONDS = 5.0
COMMAND_SECONDS = 20.0
"""What PostgreSQL may take for a connection, and for one statement."""

_CONNECTIONS = 4
_MORE_CONNECTIONS = 4

_PRAGMAS = (
    f"PRAGMA busy_timeout={BUSY_SECONDS * 1000:.0f}",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA journal_size_limit=67108864",
)


def database_url(text: str | None, data_dir: Path) -> URL:
    """Return the address for SQLAlchemy: with our drivers, whatever driver ``text`` names.

    ``None`` stands for SQLite in ``data_dir``. Raises `StoreError`.
    """
    if text is None:
        return URL.create("sqlite+aiosqlite", database=str(data_dir / FILE))
    try:
        url = make_url(text)
    except ArgumentError:
        raise StoreError(f"DATABASE_URL cannot be read: {_EXAMPLES}") from None
    kind = url.drivername.partition("+")[0]
    if kind in {"postgres", "postgresql"}:
        return url.set(drivername="postgresql+asyncpg")
    if kind != "sqlite":
        raise StoreError(f"DATABASE_URL names {kind}: {_EXAMPLES}")
    if url.database in {None, "", ":memory:"}:
        raise StoreError("DATABASE_URL names no file: write sqlite:///callfarm.db")
    return url.set(drivername="sqlite+aiosqlite")


def make_engine(url: URL) -> AsyncEngine:
    """Return an engine for what `database_url` gave. It connects when it is first asked."""
    if url.get_backend_name() == "sqlite":
        engine = create_async_engine(
            url,
            json_serializer=_json,
            pool_size=_CONNECTIONS,
            max_overflow=_MORE_CONNECTIONS,
            pool_timeout=COMMAND_SECONDS,
            connect_args={"timeout": BUSY_SECONDS},
        )
        event.listen(engine.sync_engine, "connect", _prepare)
        return engine
    return create_async_engine(
        url,
        json_serializer=_json,
        pool_size=_CONNECTIONS,
        max_overflow=_MORE_CONNECTIONS,
        pool_timeout=COMMAND_SECONDS,
        # Of connections that a restart of the database has cut, none is used.
        pool_pre_ping=True,
        connect_args={
            "timeout": CONNECT_SECONDS,
            "command_timeout": COMMAND_SECONDS,
            "server_settings": {"application_name": "callfarm"},
        },
    )


def drivers_of(engine: AsyncEngine) -> WeakSet[Any]:
    """Return the driver's connections of ``engine``: those that are opened from now on."""
    found = WeakSet[Any]()

    def opened(connection: Any, _record: Any) -> None:
        found.add(connection.driver_connection)

    # Before the dialect, which asks the server something first.
    event.listen(engine.sync_engine, "connect", opened, insert=True)
    return found


def cut(drivers: WeakSet[Any]) -> None:
    """Close connections to PostgreSQL without a goodbye, whoever uses them."""
    for driver in list(drivers):
        if hasattr(driver, "terminate"):
            driver.terminate()


def make_plain_engine(url: URL) -> Engine:
    """Return an engine for an SQLite file that works without an event loop.

    It brings the file into write-ahead mode, in which it stays.
    """
    engine = create_engine(
        url.set(drivername="sqlite"), poolclass=NullPool, connect_args={"timeout": BUSY_SECONDS}
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "connect", _write_ahead)
    return engine


def _write_ahead(connection: Any, _record: Any) -> None:
    """Change the mode. SQLite does not wait for others who do the same, so this does."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return


def _prepare(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    try:
        for pragma in _PRAGMAS:
            cursor.execute(pragma)
    finally:
        cursor.close()


def _json(value: Any) -> str:
    """Return JSON. What is not a number there, NaN, becomes null: PostgreSQL takes no NaN."""
    try:
        return msgspec.json.encode(value, enc_hook=repr).decode()
    except TypeError:  # a key that JSON does not have; an agent may use any
        return json.dumps(value, skipkeys=True, default=repr)


_EXAMPLES = "write sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"
