"""A database that stands still: it takes what is asked and never answers."""

import asyncio
import time
from pathlib import Path
from statistics import median

import pytest
from sqlalchemy import select

from gateway.store.engine import open_store
from gateway.store.tables import companies
from tests.gateway.store.conftest import QUICK
from tests.gateway.store.postgres import own_server
from tests.virtual_time import settled


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
        for _ in range(5):
            began = time.monotonic()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await store.rows(question)
            waited.append(time.monotonic() - began)
        server.thaw()
        assert await store.rows(question) == []
        await store.aclose()
    # A driver's goodbye takes two seconds each time; a busy machine may be late once.
    assert median(waited) < 1, waited


@pytest.mark.timeout(60)
async def test_a_store_is_closed_in_time_and_leaves_no_connection_open(tmp_path: Path) -> None:
    """Questions that nobody waits for any more are still under way."""
    question = select(companies.c.id)
    with own_server() as server:
        store = await open_store(server.url, tmp_path, limits=QUICK)
        await asyncio.gather(*(store.rows(question) for _ in range(3)))
        assert _sockets() > 0
        server.freeze()
        try:
            for _ in range(4):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await store.rows(question)
            await store.aclose(0.1)
            await settled()
            assert _sockets() == 0
        finally:
            server.thaw()


def _sockets() -> int:
    """Return how many connections this process has: the loop's own are pairs of sockets."""
    own = {link for fd in Path("/proc/self/fd").iterdir() if (link := _link(fd))}
    rows = [line.split() for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]]
    return sum(f"socket:[{row[9]}]" in own for row in rows)


def _link(fd: Path) -> str:
    try:
        return str(fd.readlink())
    except FileNotFoundError:  # that of the listing itself
        return ""
