"""The revisions make what the tables say, on every database, forwards and back, and once."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.store.connections import database_url, make_engine
from gateway.store.errors import StoreError
from gateway.store.migrations import configuration, migrate
from gateway.store.tables import metadata


async def on(url: str, ask: Callable[[Connection], Any]) -> Any:
    engine: AsyncEngine = make_engine(database_url(url, Path()))
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(ask)
    finally:
        await engine.dispose()


async def migrated(url: str) -> None:
    await asyncio.to_thread(migrate, database_url(url, Path()))


def _differences(connection: Connection) -> list[Any]:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    context = MigrationContext.configure(connection, opts={"compare_type": True})
    found: list[Any] = compare_metadata(context, metadata)
    return found


async def test_the_revisions_lead_to_the_tables(database: str) -> None:
    await migrated(database)
    different = await on(database, _differences)
    assert not different, "run: python -m gateway.store.migrations what_is_changed"


async def test_a_second_time_nothing_is_done(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrated(database)
    monkeypatch.setitem(sys.modules, "alembic", None)  # slow to import, so not even that
    await migrated(database)


async def test_of_many_who_start_at_once_one_migrates(database: str) -> None:
    await asyncio.gather(*(migrated(database) for _ in range(5)))
    assert not await on(database, _differences)


async def test_back_to_nothing(database: str) -> None:
    await migrated(database)

    def back(connection: Connection) -> list[str]:
        from alembic import command

        command.downgrade(configuration(connection), "base")
        return list(inspect(connection).get_table_names())

    assert await on(database, back) == ["alembic_version"]
    await migrated(database)


async def test_rows_of_before_are_there_after_every_revision(database: str) -> None:
    def before(connection: Connection) -> None:
        from alembic import command

        command.upgrade(configuration(connection), "0001")
        values = "VALUES ('d1', '+491', 'ringing', 1.0)"
        made = f"INSERT INTO attempts (id, phone, state, created) {values}"
        connection.execute(text(made))
        connection.execute(text("INSERT INTO calls (sid, began) VALUES ('CA1', 1.0)"))

    await on(database, before)
    await migrated(database)
    asked = text("SELECT id, account_sid FROM attempts")
    rows = await on(database, lambda connection: list(connection.execute(asked)))
    assert [tuple(row) for row in rows] == [("d1", None)]
    asked = text("SELECT sid, gateway FROM calls")
    rows = await on(database, lambda connection: list(connection.execute(asked)))
    assert [tuple(row) for row in rows] == [("CA1", None)]


async def test_a_database_of_a_newer_callfarm_is_refused(database: str) -> None:
    await migrated(database)
    newer = text("UPDATE alembic_version SET version_num = '9999'")
    await on(database, lambda connection: connection.execute(newer))
    with pytest.raises(StoreError, match="newer") as caught:
        await migrated(database)
    assert not caught.value.away


async def test_a_migration_that_breaks_leaves_what_was_there(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(config: Any, _: str) -> None:
        config.attributes["connection"].exec_driver_sql("CREATE TABLE half (x INTEGER)")
        raise RuntimeError("broken")

    with monkeypatch.context() as broken:
        broken.setattr("alembic.command.upgrade", breaks)
        with pytest.raises(RuntimeError):
            await migrated(database)
    assert not await on(database, lambda connection: inspect(connection).get_table_names())
    await migrated(database)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("sqlite:///x.db", "sqlite+aiosqlite:///x.db"),
        ("sqlite:////var/x.db", "sqlite+aiosqlite:////var/x.db"),
        ("postgres://u:p@h/n", "postgresql+asyncpg://u:p@h/n"),
        ("postgresql://u:p@h:1/n", "postgresql+asyncpg://u:p@h:1/n"),
        ("postgresql+psycopg2://u:p@h/n", "postgresql+asyncpg://u:p@h/n"),
        (None, "sqlite+aiosqlite:////data/callfarm.db"),
    ],
)
def test_addresses_are_taken_as_operators_write_them(written: str | None, meant: str) -> None:
    url = database_url(written, Path("/data"))
    assert url.render_as_string(hide_password=False) == meant


@pytest.mark.parametrize("written", ["", "x", "mysql://h/n", "sqlite://", "sqlite:///:memory:"])
def test_other_addresses_are_refused_with_an_example(written: str) -> None:
    with pytest.raises(StoreError, match="sqlite:///"):
        database_url(written, Path("/data"))
