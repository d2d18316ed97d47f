"""Stores of `tests.gateway.store`, here too: on SQLite, and on both where a test is `ON_BOTH`."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.gateway.store.conftest import pair, store
from tests.gateway.store.postgres import SERVER_URL, new_database

__all__ = ["ON_BOTH", "database", "pair", "store"]

_needs_postgres = pytest.mark.skipif(not SERVER_URL, reason="TEST_POSTGRES_URL is not set")

ON_BOTH = pytest.mark.parametrize(
    "database", ["sqlite", pytest.param("postgresql", marks=_needs_postgres)], indirect=True
)
"""A test that asks the database what another would answer in its own way."""


@pytest.fixture
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """Return the address of an empty database."""
    if getattr(request, "param", "sqlite") == "sqlite":
        yield f"sqlite:///{tmp_path}/callfarm.db"
        return
    async with new_database(SERVER_URL) as url:
        yield url
