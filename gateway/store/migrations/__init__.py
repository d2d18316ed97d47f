"""The database's schema, step by step: alembic's folder, and the one way it is run.

A new step: change `gateway.store.tables`, run ``python -m gateway.store.migrations NAME`` and read
what it has written. A test compares the tables with the steps on every database.
"""

import asyncio
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, inspect

from gateway.store.connections import make_engine, make_plain_engine
from gateway.store.errors import StoreError

_LOCK = 0x63616C6C
"""Of PostgreSQL's advisory locks: who starts at the same time migrates one after the other."""


_VERSIONS = Path(__file__).parent / "versions"


def migrate(url: URL) -> None:
    """Bring the database up to date. Blocks: for a thread, where no loop runs.

    Raises `StoreError` for a database that a newer callfarm wrote, and what drivers raise.
    """
    if url.get_backend_name() == "sqlite":
        _migrate_file(url)
    else:
        asyncio.run(_migrate_server(url))


def _migrate_file(url: URL) -> None:
    engine = make_plain_engine(url)
    try:
        with engine.begin() as connection:
            # Python's driver begins no transaction for a CREATE TABLE.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            _upgrade(connection)
    finally:
        engine.dispose()


async def _migrate_server(url: URL) -> None:
    engine = make_engine(url)
    try:
        async with engine.begin() as connection:
            await connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            await connection.run_sync(_upgrade)
    finally:
        await engine.dispose()


def _upgrade(connection: Connection) -> None:
    if _is_up_to_date(connection):
        return
    from alembic import command
    from alembic.util import CommandError

    try:
        command.upgrade(configuration(connection), "head")
    except CommandError as error:
        raise StoreError(
            f"the database does not fit this callfarm ({error}): a newer one has written it; "
            "install that one, or restore the backup you made before"
        ) from error


def _is_up_to_date(connection: Connection) -> bool:
    """Tell whether there is nothing to do: alembic, slow to import, is not needed to see that."""
    newest = max(path.name[:4] for path in _VERSIONS.glob("[0-9]*.py"))
    if not inspect(connection).has_table("alembic_version"):
        return False
    found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all()
    return found == [newest]


def configuration(connection: Connection) -> Any:
    """Return alembic's configuration for one connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config
