"""Stores for tests: on SQLite always, on PostgreSQL where ``TEST_POSTGRES_URL`` is set."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.store.engine import open_store
from gateway.store.gateways import beat
from gateway.store.store import Store
from gateway.store.writer import WriterLimits
from tests.gateway.store.postgres import SERVER_URL, new_database

QUICK = WriterLimits(gather=0.01, first_retry=0.02, last_retry=0.1, patience=3.0)

_needs_postgres = pytest.mark.skipif(not SERVER_URL, reason="TEST_POSTGRES_URL is not set")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=_needs_postgres)])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """Return the address of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/callfarm.db"
        return
    async with new_database(SERVER_URL) as url:
        yield url


@pytest.fixture
async def store(database: str, tmp_path: Path) -> AsyncIterator[Store]:
    """Return a store that is ready."""
    opened = await open_store(database, tmp_path, limits=QUICK)
    yield opened
    await opened.aclose()


@pytest.fixture
async def pair(database: str, tmp_path: Path) -> AsyncIterator[tuple[Store, Store]]:
    """Return the stores of two gateways, a and b, that share a database; both are there."""
    opened = []
    for name in "ab":
        folder = tmp_path / name
        folder.mkdir()
        opened.append(await open_store(database, folder, limits=QUICK, gateway=name))
        await beat(opened[-1], time.time())
    yield opened[0], opened[1]
    for it in opened:
        await it.aclose()


async def dies(store: Store, seconds: float = 600.0) -> None:
    """Let the gateway of this store have been silent for so long."""
    await beat(store, time.time() - seconds)
