"""Does the database answer. Nothing in it is changed, and none is made."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from sqlalchemy import URL, text

from gateway.doctor.finding import Finding, fail, ok
from gateway.store.connections import database_url, make_engine
from gateway.store.errors import FAILURES, StoreError, store_error
from shared.settings import Settings

PATIENCE_SECONDS = 5.0

_FIX = "see to it, or correct DATABASE_URL; without it calls are taken and campaigns wait"


def check_database(settings: Settings) -> Iterator[Finding]:
    """Ask the database whether it is there."""
    written = settings.database_url
    try:
        url = database_url(written.get_secret_value() if written else None, settings.data_dir)
    except StoreError as error:
        yield fail("database", error.sentence, "correct DATABASE_URL")
        return
    file = Path(url.database or "").absolute() if url.get_backend_name() == "sqlite" else None
    where = str(file or url.render_as_string(hide_password=True).partition("://")[2])
    if file is not None and not file.exists() and (written is None or file.parent.is_dir()):
        yield ok("database", f"{where} will be made")
        return
    try:
        if file is not None:
            _look(file)
        else:
            asyncio.run(_ask(url))
    except StoreError as error:
        yield fail("database", f"{where}: {error.sentence}", _FIX)
    else:
        yield ok("database", f"{where} answers")


def _look(file: Path) -> None:
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master")
    except (sqlite3.Error, ValueError) as error:
        raise StoreError(str(error)) from error


async def _ask(url: URL) -> None:
    engine = make_engine(url)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS), engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
    except FAILURES as error:
        raise store_error(error) from error
    finally:
        await engine.dispose()
