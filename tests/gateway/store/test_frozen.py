"""A database that stands still: it takes what is asked and never answers."""

import asyncio
import time
from pathlib import Path

import pytest
from sqlalchemy import select

from gateway.store.engine import open_store
from gateway.store.tables import companies
from tests.gateway.store.conftest import QUICK
from tests.gateway.store.postgres import own_server


@pytest.mark.timeout(60)
async def test_whoever_asks_a_database_that_stands_still_waits_no_longer_than_they_will(
    tmp_path: Path,
) -> None:
    question = select(companies.c.id)
    with own_server() as server:
        store = await open_store(server.url, tmp_path, limits=QUICK)
        assert await store.rows(question) == []
        server.freeze()
        waited = list[float]()
        for _ in range(3):
            began = time.monotonic()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await store.rows(question)
            waited.append(time.monotonic() - began)
        server.thaw()
        assert await store.rows(question) == []
        await store.aclose()
    assert max(waited) < 1, waited
