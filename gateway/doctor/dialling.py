"""Which gateway dials for the database, if one does. Nothing is changed, and nothing is kept."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import URL, text

from gateway.dialer.advisory_lock import HOLDER
from gateway.dialer.file_lock import holder_now, lock_file
from gateway.dialer.holder import Holder
from gateway.doctor.finding import Finding, ok, warn
from gateway.store.connections import database_url, make_engine
from gateway.store.errors import FAILURES, StoreError
from shared.settings import Settings

PATIENCE_SECONDS = 5.0

_FIX = (
    "leave it so if two gateways are meant to share the database; this one takes over when that "
    "one ends. Else stop one of them, or give it a DATABASE_URL of its own"
)


def check_dialling(settings: Settings) -> Iterator[Finding]:
    """See who dials. A database that does not answer is the matter of another check."""
    written = settings.database_url
    try:
        url = database_url(written.get_secret_value() if written else None, settings.data_dir)
        if url.get_backend_name() == "sqlite":
            found = holder_now(lock_file(Path(url.database or "")))
        else:
            found = asyncio.run(_ask(url))
    except (*FAILURES, StoreError):
        return
    if found is None:
        yield ok("dialling", "no gateway dials for this database now")
    elif isinstance(found, Holder) and found.is_at(Holder.of(settings.data_dir)):
        yield ok("dialling", f"the gateway of this DATA_DIR dials for this database ({found})")
    else:
        yield warn("dialling", f"another gateway dials for this database ({found})", _FIX)


async def _ask(url: URL) -> Holder | str | None:
    engine = make_engine(url)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS), engine.connect() as connection:
            name = (await connection.execute(text(HOLDER.replace(":", "\\:")))).scalar()
            return None if name is None else Holder.read(name) or "it is not known which"
    finally:
        await engine.dispose()
