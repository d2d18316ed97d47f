"""Opens the store: at start-up, and in whatever else needs a database of its own."""

import asyncio
import tempfile
from pathlib import Path

from sqlalchemy import URL

from gateway.store.connections import database_url, make_engine
from gateway.store.store import Store
from gateway.store.writer import WriterLimits


def make_store(
    url: str | URL | None,
    folder: Path | None = None,
    limits: WriterLimits | None = None,
    gateway: str = "",
) -> Store:
    """Return a store that is not open yet. Looks at the journal's folder; raises `StoreError`.

    ``url`` is as operators write it; ``None`` means SQLite in ``folder``. ``folder`` (``DATA_DIR``)
    is where the journal goes; without one it is SQLite's own folder, or a new temporary one.
    ``gateway`` is the id of the gateway whose store it is.
    """
    address = url if isinstance(url, URL) else database_url(url, folder or Path())
    return Store(address, make_engine(address), folder or _folder(address), limits, gateway)


async def open_store(
    url: str | URL | None,
    folder: Path | None = None,
    *,
    limits: WriterLimits | None = None,
    need: bool = True,
    gateway: str = "",
) -> Store:
    """Return a store that writes, its schema up to date; close it with ``aclose``.

    See `make_store` and ``Store.open``. Raises `StoreError`.
    """
    store = await asyncio.to_thread(make_store, url, folder, limits, gateway)
    await store.open(need=need)
    return store


def _folder(url: URL) -> Path:
    if url.get_backend_name() == "sqlite":
        return Path(url.database or "").parent
    return Path(tempfile.mkdtemp(prefix="callfarm-records-"))
