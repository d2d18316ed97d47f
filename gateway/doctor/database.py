"""Does the database answer, and can its secrets be read. Nothing is changed, and none is made."""

import asyncio
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import URL, inspect, text

from gateway.doctor.finding import Finding, fail, ok
from gateway.store.connections import database_url, make_engine
from gateway.store.errors import FAILURES, StoreError, store_error
from gateway.store.secrets import SecretError, Secrets
from gateway.store.tables import companies
from shared.local_secrets import SECRET_KEY_FILE, LocalSecretError
from shared.settings import Settings

PATIENCE_SECONDS = 5.0

Hidden = Sequence[Sequence[Any]]
"""Companies that have secrets: number, and three that are encrypted, or not there."""

_TABLES_OF_SQLITE = "SELECT name FROM sqlite_master WHERE type = 'table'"
_HIDDEN = (
    "SELECT id, auth_token, speech_key, secrets FROM companies "
    "WHERE auth_token IS NOT NULL OR speech_key IS NOT NULL OR secrets IS NOT NULL ORDER BY id"
)
_BRING_BACK = "bring the old key back, behind the new one in SECRET_KEY, with a comma between them"
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
        hidden = _look(file) if file is not None else asyncio.run(_ask(url))
    except StoreError as error:
        yield fail("database", f"{where}: {error.sentence}", _FIX)
        return
    yield ok("database", f"{where} answers")
    yield from _read(settings, hidden)


def _look(file: Path) -> Hidden:
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
            tables = {row[0] for row in connection.execute(_TABLES_OF_SQLITE)}
            return connection.execute(_HIDDEN).fetchall() if companies.name in tables else ()
    except (sqlite3.Error, ValueError) as error:
        raise StoreError(str(error)) from error


async def _ask(url: URL) -> Hidden:
    engine = make_engine(url)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS), engine.connect() as connection:
            there = await connection.run_sync(lambda it: inspect(it).has_table(companies.name))
            return list((await connection.execute(text(_HIDDEN))).all()) if there else ()
    except FAILURES as error:
        raise store_error(error) from error
    finally:
        await engine.dispose()


def _read(settings: Settings, hidden: Hidden) -> Iterator[Finding]:
    """Try whether what is encrypted can be decrypted with the key that there is."""
    if not hidden:
        return
    if settings.secret_key is None and not (settings.data_dir / SECRET_KEY_FILE).exists():
        problem = f"companies have secrets, and their key is gone: {SECRET_KEY_FILE} in DATA_DIR"
        yield fail("secrets", problem, _BRING_BACK)
        return
    try:
        secrets = Secrets.of(settings)
    except (OSError, LocalSecretError) as error:
        yield fail("secrets", str(error), _BRING_BACK)
        return
    lost = [
        str(number) for number, *texts in hidden if not all(_opens(secrets, it) for it in texts)
    ]
    if lost:
        problem = (
            f"secrets of companies cannot be read with this SECRET_KEY: {', '.join(lost[:20])}"
        )
        yield fail("secrets", problem, _BRING_BACK)
    else:
        yield ok("secrets", f"of {len(hidden)} companies can be read")


def _opens(secrets: Secrets, it: str | None) -> bool:
    try:
        return it is None or bool(secrets.shown(it))
    except SecretError:
        return False
