"""The store on real databases: what is written is there, whatever one does to the database."""

import asyncio
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import func, insert, select, update

from gateway.store.engine import open_store
from gateway.store.store import Store, StoreError, Upsert, statement_of
from gateway.store.tables import calls, campaigns, leads, lines
from tests.gateway.store.conftest import QUICK
from tests.gateway.store.postgres import own_server
from tests.harness import eventually


def call(number: int, **values: Any) -> Upsert:
    return Upsert("calls", {"sid": f"CA{number:05d}", "began": float(number), **values})


async def count(store: Store) -> int:
    return int((await store.rows(select(func.count()).select_from(calls)))[0]["count_1"])


async def test_a_record_is_there_soon_and_changed_where_it_is_named(store: Store) -> None:
    store.write(call(1, state="ringing", agent_state={"name": ["Zoë", None, 1.5]}))
    assert await store.flush(60)
    store.write(call(1, state="ended"), Upsert("calls", {"sid": "CA00001", "reason": "hung up"}))
    assert await store.flush(60)
    row = (await store.rows(select(calls)))[0]
    assert (row["state"], row["reason"], row["began"]) == ("ended", "hung up", 1.0)
    assert row["agent_state"] == {"name": ["Zoë", None, 1.5]}


async def test_a_thousand_records_of_several_tables(store: Store) -> None:
    for number in range(1000):
        store.write(call(number, state="ended"))
        values = {"call_sid": f"CA{number:05d}", "number": 1, "role": "caller", "text": "Hello"}
        store.write(Upsert("lines", values))
    assert await store.flush(60)
    assert await count(store) == 1000
    rows = await store.rows(select(lines.c.interrupted).where(lines.c.call_sid == "CA00999"))
    assert [row["interrupted"] for row in rows] == [False]


async def test_a_value_that_does_not_fit_is_set_aside_and_holds_up_nobody(
    store: Store, tmp_path: Path
) -> None:
    for number in range(20):
        store.write(call(number))
    store.write(Upsert("calls", {"sid": "bad", "began": None}))
    store.write(Upsert("planets", {"name": "Pluto"}))
    store.write(Upsert("calls", {"sid": "bad", "colour": "blue"}))
    store.write(Upsert("calls", {"sid": "bad", "began": 1.0, "lead": 1 << 63}))
    for number in range(20, 40):
        store.write(call(number))
    assert await store.flush(60)
    assert await count(store) == 40
    assert store.statistics.refused == 4
    kept = [
        msgspec.json.decode(line)
        for line in (tmp_path / "refused-records.jsonl").read_bytes().splitlines()
    ]
    assert sorted(line["table"] for line in kept) == ["calls", "calls", "calls", "planets"]
    assert all(line["reason"] for line in kept)


async def test_letters_that_a_database_does_not_take_cost_no_record(store: Store) -> None:
    store.write(call(1, reason="a\x00b\ud800", from_number="sip:" + "x" * 100))
    assert await store.flush(60)
    row = (await store.rows(select(calls)))[0]
    assert row["reason"].startswith("a")
    assert not store.statistics.refused


async def test_a_decision_is_whole_or_not_at_all(store: Store) -> None:
    made = {"name": "n", "state": "draft", "settings": {}, "total": 1, "created": 1.0}
    await store.commit(insert(campaigns).values(id="c1", **made))
    lead = {"campaign_id": "c1", "number": 1, "phone": "+15551234567", "state": "waiting"}
    dialect = store.url.get_backend_name()
    assert await store.commit(statement_of(Upsert("leads", lead), dialect)) == 1
    with pytest.raises(StoreError) as caught:
        await store.commit(
            update(leads).values(state="dialling"), insert(campaigns).values(id="c1", **made)
        )
    assert caught.value.taken
    assert not caught.value.away
    assert [row["state"] for row in await store.rows(select(leads))] == ["waiting"]
    partly = statement_of(
        Upsert("leads", {"campaign_id": "c1", "number": 1, "state": "called"}), dialect
    )
    assert await store.commit(partly) == 1
    assert [row["state"] for row in await store.rows(select(leads))] == ["called"]


async def test_of_many_who_claim_one_row_one_gets_it(store: Store) -> None:
    store.write(call(1, state="free"))
    await store.flush(60)
    claim = update(calls).where(calls.c.state == "free").values(state="taken")
    assert sorted(await asyncio.gather(*(store.commit(claim) for _ in range(20)))) == [0] * 19 + [1]


async def test_an_error_quotes_no_value(store: Store) -> None:
    secret = "+4915112345678"
    store.write(Upsert("do_not_call", {"company_id": 0, "phone": secret, "created": 1.0}))
    await store.flush(60)
    with pytest.raises(StoreError) as caught:
        await store.commit(
            insert(__import__("gateway.store.tables", fromlist=["x"]).do_not_call).values(
                company_id=0, phone=secret, created=1.0
            )
        )
    assert secret not in str(caught.value)


async def test_what_is_not_written_in_time_is_written_after_the_restart(
    database: str, tmp_path: Path
) -> None:
    first = await open_store(database, tmp_path, limits=QUICK)
    for number in range(50):
        first.write(call(number))
    await first.aclose(0)
    second = await open_store(database, tmp_path, limits=QUICK)
    assert await second.flush(60)
    assert await count(second) == 50
    await second.aclose()


_LOCK = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
database.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
database.execute("COMMIT")
"""


@asynccontextmanager
async def locked(database: Path) -> AsyncIterator[None]:
    """Have another process hold the database's lock until the block ends."""
    locker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _LOCK, str(database), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert locker.stdin is not None
    assert locker.stdout is not None
    try:
        assert await locker.stdout.readline() == b"locked\n"
        yield
    finally:
        locker.stdin.close()
        await locker.communicate()
    assert locker.returncode == 0


async def test_a_lock_of_another_process_delays_records_and_loses_none(tmp_path: Path) -> None:
    store = await open_store(None, tmp_path, limits=QUICK)
    async with locked(tmp_path / "callfarm.db"):
        for number in range(100):
            store.write(call(number))
            await asyncio.sleep(0.001)
        # Only once all are there is it certain that none is on its way into the database.
        await eventually(lambda: store.statistics.writer.journal_bytes, 60)
        await eventually(lambda: not store.statistics.writer.waiting, 60)
        assert store.statistics.writer.written == 0
        assert await count(store) == 0
    assert await store.flush(60)
    assert await count(store) == 100
    await store.aclose()


async def test_a_full_disk_delays_records_and_loses_none(tmp_path: Path) -> None:
    store = await open_store(None, tmp_path, limits=QUICK)
    text = "x" * 2000

    async with store.engine.connect() as one, store.engine.connect() as other:
        # All connections of the pool that may be used: those two are kept, and written through.
        pages = (await one.exec_driver_sql("PRAGMA page_count")).scalar_one()
        for connection in (one, other):
            await connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 20}")
    for number in range(200):
        store.write(call(number, reason=text))
    await eventually(lambda: store.statistics.writer.journal_bytes)
    assert "full" in store.statistics.writer.last_error
    with pytest.raises(StoreError, match="full"):
        await store.commit(insert(calls).values(sid="decision", began=1.0, reason=text * 100))
    async with store.engine.connect() as one, store.engine.connect() as other:
        for connection in (one, other):
            await connection.exec_driver_sql("PRAGMA max_page_count=1000000")
    assert await store.flush(60)
    assert await count(store) == 200
    await store.aclose()


async def test_a_database_whose_file_is_broken_keeps_records_waiting(tmp_path: Path) -> None:
    store = await open_store(None, tmp_path, limits=QUICK)
    await store.aclose()
    (tmp_path / "callfarm.db").write_bytes(b"this is no database" * 1000)
    for left in tmp_path.glob("callfarm.db-*"):
        left.unlink()
    with pytest.raises(StoreError, match="not a database"):
        await open_store(None, tmp_path, limits=QUICK)
    store = await open_store(None, tmp_path, limits=QUICK, need=False)
    store.write(call(1))
    await eventually(lambda: store.statistics.writer.journal_bytes)
    with pytest.raises(StoreError):
        await store.rows(select(calls))
    (tmp_path / "callfarm.db").unlink()
    assert await store.flush(60), "a new one was made"
    assert await count(store) == 1
    await store.aclose()


@pytest.fixture
async def nowhere(tmp_path: Path) -> AsyncIterator[Path]:
    folder = tmp_path / "not" / "yet"
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


async def test_a_database_that_is_not_there_yet_is_waited_for(
    nowhere: Path, tmp_path: Path
) -> None:
    url = f"sqlite:///{nowhere}/callfarm.db"
    with pytest.raises(StoreError) as caught:
        await open_store(url, tmp_path)
    assert caught.value.away
    store = await open_store(url, tmp_path, limits=QUICK, need=False)
    store.write(call(1))
    await eventually(lambda: store.statistics.writer.journal_bytes)
    assert not store.statistics.ready
    nowhere.mkdir(parents=True)
    assert await store.flush(60)
    assert await count(store) == 1
    await store.aclose()


async def test_postgresql_killed_in_the_midst_loses_nothing(tmp_path: Path) -> None:
    with own_server() as server:
        store = await open_store(server.url, tmp_path, limits=QUICK)
        for number in range(300):
            store.write(call(number))
            await asyncio.sleep(0.002)
            if number == 150:
                server.kill()
        await eventually(lambda: store.statistics.writer.journal_bytes)
        with pytest.raises(StoreError) as caught:
            await store.rows(select(calls))
        assert caught.value.away
        await asyncio.to_thread(server.start)
        assert await store.flush(60)
        assert await count(store) == 300
        await store.aclose()


def test_sqlite_here_is_new_enough() -> None:
    assert sqlite3.sqlite_version_info >= (3, 35)
