"""Two gateways share a database: neither takes what is the other's while that is there."""

import asyncio
import time
from collections.abc import AsyncIterator
from math import inf
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import select

from gateway.archive import Archive
from gateway.store.gateways import ID_FILE, gateway_id, host_of, keep_present, others
from gateway.store.recorder import StoreRecords, mark_lost
from gateway.store.retention import prune
from gateway.store.store import Store, StoreError, Upsert
from gateway.store.tables import calls, campaigns, gateways, leads, recordings
from shared.settings import Settings
from tests.gateway.calls import actors
from tests.gateway.store.conftest import dies
from tests.gateway.store.test_retention import counts, write_call
from tests.harness import eventually

SID, OTHER = ("CA" + digit * 32 for digit in "12")
HOUR = 3600.0


async def begun(store: Store, sid: str = SID, *, ago: float = 0.0) -> None:
    """Let a call begin at a store's gateway, some seconds ago."""
    if ago:
        store.write(Upsert("calls", {"sid": sid, "began": time.time() - ago}))
    StoreRecords(store).of(actors.incoming(sid=sid), known=False).begun("r1", direct=False)
    assert await store.flush()


async def call(store: Store, sid: str = SID) -> dict[str, Any]:
    return dict((await store.rows(select(calls).where(calls.c.sid == sid)))[0])


def test_a_gateway_is_called_the_same_in_every_life(tmp_path: Path) -> None:
    first = gateway_id(tmp_path / "a")
    assert gateway_id(tmp_path / "a") == first
    assert gateway_id(tmp_path / "b") != first
    assert (tmp_path / "a" / ID_FILE).stat().st_mode & 0o077 == 0


async def test_a_call_in_progress_at_another_gateway_is_not_ended(
    pair: tuple[Store, Store],
) -> None:
    a, b = pair
    await begun(a)
    assert await mark_lost(b, time.time() + 1) == 0
    assert (await call(a))["ended"] is None
    assert await mark_lost(a, time.time() + 1, [SID]) == 0
    assert await mark_lost(a, time.time() + 1) == 1
    assert (await call(a))["outcome"] == "lost"


async def test_a_call_that_comes_back_to_the_other_gateway_is_that_ones(
    pair: tuple[Store, Store],
) -> None:
    a, b = pair
    await begun(a)
    await begun(b)
    assert await mark_lost(a, time.time() + 1) == 0
    assert await mark_lost(b, time.time() + 1) == 1


async def test_a_call_from_before_gateways_were_known_is_ended_by_whichever_starts(
    pair: tuple[Store, Store],
) -> None:
    a, b = pair
    a.write(Upsert("calls", {"sid": SID, "began": time.time() - 10}))
    assert await a.flush()
    assert await mark_lost(b, time.time()) == 1


async def test_what_a_gateway_leaves_for_ever_is_ended_when_it_cannot_be_alive_any_more(
    pair: tuple[Store, Store],
) -> None:
    a, b = pair
    await begun(a, ago=2 * HOUR)
    await begun(a, OTHER, ago=HOUR / 2)
    assert await mark_lost(b, time.time(), longest=HOUR) == 0
    await dies(a)
    assert await mark_lost(b, time.time(), longest=3 * HOUR) == 0
    assert await mark_lost(b, time.time(), longest=HOUR) == 1
    ended = await call(b)
    assert (ended["outcome"], ended["gateway"]) == ("lost", "b")
    assert (await call(b, OTHER))["ended"] is None


async def test_a_gateway_that_was_never_heard_of_is_gone(pair: tuple[Store, Store]) -> None:
    _, b = pair
    b.write(Upsert("calls", {"sid": SID, "began": 1.0, "gateway": "c"}))
    assert await b.flush()
    assert await mark_lost(b, 0.0, longest=HOUR) == 1


async def test_the_others_are_known_with_their_machines(pair: tuple[Store, Store]) -> None:
    a, b = pair
    assert await others(a, time.time() - 60) == {"b"}
    assert await host_of(a, "b")
    assert await host_of(a, "c") is None
    await dies(b)
    assert await others(a, time.time() - 60) == frozenset()


async def test_who_is_gone_is_not_known_until_the_others_could_be_heard(
    pair: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, _ = pair
    assert a.sure_from == 0.0
    living = asyncio.create_task(keep_present(a, every=0.05))
    await eventually(lambda: a.sure_from < time.time() < a.sure_from + 10)
    with monkeypatch.context() as away:
        away.setattr(a, "commit", _away)
        await eventually(lambda: a.sure_from == inf)
    back = time.time()
    await eventually(lambda: a.sure_from < inf)
    assert a.sure_from >= back + 0.1
    living.cancel()


async def _away(*_: Any) -> int:
    raise StoreError("the database is away", away=True)


# Retention ---------------------------------------------------------------------------------------


def write_campaign(store: Store, name: str, count: int) -> None:
    made = {"name": name, "state": "ended", "settings": {}, "total": count, "created": 1.0}
    store.write(Upsert("campaigns", {"id": name, "ended": 2.0, **made}))
    for number in range(count):
        lead = {"phone": "+491", "variables": {}, "state": "done", "attempts": 1}
        store.write(Upsert("leads", {"campaign_id": name, "number": number, **lead}))


@pytest.mark.timeout(60)
async def test_both_may_take_away_what_is_old_at_the_same_time(
    pair: tuple[Store, Store], tmp_path: Path
) -> None:
    a, b = pair
    for number in range(450):
        write_call(a, tmp_path / "a", number, float(number))
    for name in ("c1", "c2"):
        write_campaign(a, name, 450)
    assert await a.flush(30)
    done = await asyncio.gather(
        prune(a, 5_000.0, tmp_path / "a"), prune(b, 5_000.0, tmp_path / "b")
    )
    assert sum(it.calls for it in done) == 450
    assert sum(it.campaigns for it in done) == 2
    assert await counts(a) == {"gateways": 2}
    assert not await a.rows(select(leads.c.number).limit(1))
    assert not await a.rows(select(campaigns.c.id).limit(1))


async def test_a_file_on_another_machine_is_that_gateways_to_remove(
    pair: tuple[Store, Store], tmp_path: Path
) -> None:
    a, b = pair
    file = write_call(a, tmp_path / "a", 1, 1.0)
    a.write(Upsert("recordings", {"id": "CA0001", "gateway": "a"}))
    assert await a.flush()
    done = await prune(b, 2.0, tmp_path / "b")
    assert (done.calls, done.files_left) == (0, 1)
    assert file.exists()
    assert (await prune(a, 2.0, tmp_path / "a")).calls == 1
    assert not file.exists()


async def test_of_a_gateway_that_is_gone_for_a_day_the_rows_go(
    pair: tuple[Store, Store], tmp_path: Path
) -> None:
    a, b = pair
    write_call(a, tmp_path / "a", 1, 1.0)
    a.write(Upsert("recordings", {"id": "CA0001", "gateway": "a"}))
    assert await a.flush()
    await dies(a, 25 * HOUR)
    assert (await prune(b, 2.0, tmp_path / "b")).calls == 1
    assert not await b.rows(select(recordings.c.id))


# The archive -------------------------------------------------------------------------------------


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Archive]:
    it = Archive(Settings(data_dir=tmp_path, secret_key=SecretStr("x")), "token")
    await it.open()
    yield it
    await it.aclose()


async def test_a_gateway_lets_the_others_know_that_it_is_there(archive: Archive) -> None:
    living = asyncio.create_task(archive.keep(tuple))
    seen = await eventually(lambda: archive.store.rows(select(gateways.c.id)))
    living.cancel()
    assert [row["id"] for row in seen] == [archive.store.gateway]
    assert archive.store.gateway == gateway_id(archive.data_dir)
