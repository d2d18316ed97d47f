"""Webhooks while the database is away: told at once, written down later, lost by nobody."""

import asyncio
import sqlite3
from pathlib import Path

from sqlalchemy import select

from gateway.store.engine import open_store
from gateway.store.tables import deliveries
from gateway.store.writer import WriterLimits
from tests.fakes.n8n import Answer, N8nFake
from tests.gateway.outbox.post_office import booking, outbox
from tests.gateway.outbox.test_outbox import at
from tests.harness import eventually

SOON = WriterLimits(gather=0.01, first_retry=0.05, last_retry=0.1, patience=0.3)


def _lock(folder: Path) -> sqlite3.Connection:
    other = sqlite3.connect(folder / "callfarm.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    return other


async def test_a_locked_database_delays_no_event(tmp_path: Path) -> None:
    store = await open_store(None, tmp_path, limits=SOON)
    async with N8nFake() as n8n, outbox(store, at(n8n)) as box:
        other = _lock(tmp_path)
        for number in range(5):
            box.post(booking(number))
        await eventually(lambda: len(n8n.taken()) == 5, 2)
        other.execute("ROLLBACK")
        other.close()
        assert await store.flush(10)
        rows = await store.rows(select(deliveries.c.state))
        assert [row["state"] for row in rows] == ["delivered"] * 5
    await store.aclose()


async def test_what_fails_while_it_is_locked_is_tried_again_after(tmp_path: Path) -> None:
    store = await open_store(None, tmp_path, limits=SOON)
    async with N8nFake() as n8n, outbox(store, at(n8n)) as box:
        n8n.otherwise = Answer(500)
        other = _lock(tmp_path)
        box.post(booking(1))
        await eventually(lambda: n8n.received, 2)
        await asyncio.sleep(0.5)
        n8n.otherwise = Answer()
        box.post(booking(2))
        await eventually(n8n.taken, 2)
        other.execute("ROLLBACK")
        other.close()
        await eventually(lambda: len({it.key for it in n8n.taken()}) == 2, 15)
    await store.aclose()
