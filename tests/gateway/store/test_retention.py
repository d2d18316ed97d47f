"""What is older than it may be goes, with all that hangs on it; what is not stays."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select

from gateway.store.retention import Pruned, count_older, prune
from gateway.store.store import Store, StoreError, Upsert
from gateway.store.tables import (
    attempts,
    calls,
    campaigns,
    carrier_lines,
    deliveries,
    delivery_tries,
    jobs,
    leads,
    lines,
    metadata,
    recordings,
)


def write_call(store: Store, folder: Path, number: int, began: float) -> Path:
    sid, path = f"CA{number:04d}", f"recordings/2026/{number % 7:02d}/{number}.wav"
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"RIFF")
    rows: list[tuple[str, dict[str, Any]]] = [
        ("calls", {"sid": sid, "began": began, "state": "ended"}),
        ("lines", {"call_sid": sid, "number": 0, "role": "caller", "text": "Hello"}),
        ("turns", {"call_sid": sid, "number": 0, "stages": {}}),
        ("tool_calls", {"call_sid": sid, "number": 0, "name": "book", "outcome": "ok"}),
        ("recordings", {"id": sid, "call_sid": sid, "kind": "own", "status": "completed",
                        "path": path, "created": began}),
        ("deliveries", {"id": sid, "call_sid": sid, "event": "call.ended", "url": "https://x",
                        "body": b"{}", "state": "delivered", "created": began}),
        ("delivery_tries", {"delivery_id": sid, "number": 0, "at": began}),
    ]  # fmt: skip
    store.write(*(Upsert(table, values) for table, values in rows))
    return file


async def counts(store: Store) -> dict[str, int]:
    found = {}
    for table in metadata.sorted_tables:
        rows = await store.rows(select(func.count().label("n")).select_from(table))
        if rows[0]["n"]:
            found[table.name] = rows[0]["n"]
    return found


async def test_old_calls_go_with_all_that_hangs_on_them(store: Store, tmp_path: Path) -> None:
    old = [write_call(store, tmp_path, number, float(number)) for number in range(450)]
    new = [write_call(store, tmp_path, number, 10_000.0) for number in range(450, 460)]
    assert await store.flush(30)
    expected = Pruned(calls=450, recordings=450, deliveries=450)
    assert await count_older(store, 5_000.0) == expected
    assert len(list(tmp_path.rglob("*.wav"))) == 460
    assert await prune(store, 5_000.0, tmp_path) == expected
    assert not any(file.exists() for file in old)
    assert all(file.exists() for file in new)
    assert set((await counts(store)).values()) == {10}
    assert await prune(store, 5_000.0, tmp_path) == Pruned()


async def test_a_call_in_progress_stays_however_short_the_time(
    store: Store, tmp_path: Path
) -> None:
    now = time.time()
    store.write(
        Upsert("calls", {"sid": "CA1", "began": now - 60, "state": "streaming"}),
        Upsert("calls", {"sid": "CA2", "began": now - 60, "state": "ended", "ended": now - 30}),
        Upsert("calls", {"sid": "CA3", "began": now - 200_000, "state": "streaming"}),
    )
    assert await store.flush(30)
    assert (await count_older(store, now)).calls == 2
    assert (await prune(store, now, tmp_path)).calls == 2
    assert [row["sid"] for row in await store.rows(select(calls.c.sid))] == ["CA1"]


async def test_folders_that_are_empty_go_too(store: Store, tmp_path: Path) -> None:
    file = write_call(store, tmp_path, 1, 1.0)
    await store.flush()
    await prune(store, 2.0, tmp_path)
    assert not file.parent.exists()
    assert tmp_path.exists()


async def test_what_is_not_below_the_data_folder_is_not_touched(
    store: Store, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.wav"
    outside.write_bytes(b"RIFF")
    values = {"id": "R", "call_sid": "CA1", "kind": "own", "status": "completed", "created": 1.0}
    store.write(
        Upsert("calls", {"sid": "CA1", "began": 1.0}),
        Upsert("recordings", {**values, "path": "../outside.wav"}),
        Upsert("calls", {"sid": "CA2", "began": 1.0}),
    )
    await store.flush()
    data_dir = tmp_path / "var"
    data_dir.mkdir()
    assert await prune(store, 2.0, data_dir) == Pruned(calls=1, files_left=1)
    assert outside.exists()
    assert [row["sid"] for row in await store.rows(select(calls))] == ["CA1"]
    assert len(await store.rows(select(recordings))) == 1


async def test_a_file_that_leads_nowhere_stays_with_its_call_and_holds_up_no_other(
    store: Store, tmp_path: Path
) -> None:
    ring, other = (write_call(store, tmp_path, number, 1.0) for number in (1, 2))
    await store.flush()
    ring.unlink()
    ring.symlink_to(ring)
    done = await prune(store, 2.0, tmp_path)
    assert (done.calls, done.files_left) == (1, 1)
    assert not other.exists()


async def test_recordings_on_another_disk_go_as_well(store: Store, tmp_path: Path) -> None:
    data, disk = tmp_path / "data", tmp_path / "disk"
    data.mkdir()
    disk.mkdir()
    (data / "recordings").symlink_to(disk)
    file = write_call(store, data, 1, 1.0)
    await store.flush()
    assert file.exists()
    assert (await prune(store, 2.0, data)).calls == 1
    assert list(disk.iterdir()) == []


async def test_a_delivery_that_waits_is_kept_until_its_call_goes(store: Store) -> None:
    row = {"event": "x", "url": "https://x", "body": b"{}", "created": 1.0}
    await store.commit(insert(deliveries).values(id="waits", state="waiting", **row))
    await store.commit(insert(deliveries).values(id="failed", state="failed", **row))
    await store.commit(insert(delivery_tries).values(delivery_id="failed", number=1, at=1.0))
    assert (await prune(store, 2.0, Path())).deliveries == 1
    assert [r["id"] for r in await store.rows(select(deliveries))] == ["waits"]
    assert not await store.rows(select(delivery_tries))


async def test_others_get_their_turn_while_much_is_pruned(store: Store, tmp_path: Path) -> None:
    for number in range(1000):
        values = {"call_sid": f"CA{number}", "number": 0, "role": "caller", "text": "Hi"}
        store.write(Upsert("calls", {"sid": f"CA{number}", "began": 1.0}), Upsert("lines", values))
    assert await store.flush(60)
    pruning = asyncio.create_task(prune(store, 2.0, tmp_path))
    await asyncio.sleep(0)
    await store.commit(insert(calls).values(sid="new", began=10.0))
    assert not pruning.done()
    assert (await pruning).calls == 1000
    assert [row["sid"] for row in await store.rows(select(calls))] == ["new"]
    assert not await store.rows(select(lines))


@pytest.mark.parametrize("count", [0, 1, 200, 201])
async def test_any_number_goes(store: Store, tmp_path: Path, count: int) -> None:
    for number in range(count):
        store.write(Upsert("calls", {"sid": f"CA{number}", "began": float(number // 50)}))
    await store.flush(30)
    assert (await prune(store, 100.0, tmp_path)).calls == count


async def test_campaigns_that_have_ended_go_with_their_leads_and_those_that_go_on_stay(
    store: Store,
) -> None:
    for name, ended in (("old", 1.0), ("new", 9.0), ("open", None)):
        row = {"id": name, "name": name, "state": "x", "settings": {}, "total": 450}
        await store.commit(insert(campaigns).values(created=1.0, ended=ended, **row))
        body = {"campaign": name, "numbers": ["+493012345678"]}
        job = {"id": "job_" + name, "kind": "k", "state": "running", "body": body}
        await store.commit(insert(jobs).values(created=1.0, **job))
        people = [
            {"campaign_id": name, "number": n, "phone": "+493012345678", "state": "done"}
            for n in range(450)
        ]
        await store.commit(insert(leads).values(people))
        attempt = {"id": "k" + name, "campaign_id": name, "phone": "+493012345678", "state": "x"}
        await store.commit(insert(attempts).values(created=1.0, ended=ended, **attempt))
    expected = Pruned(campaigns=1, jobs=1, attempts=1)
    assert await count_older(store, 5.0) == expected
    assert await prune(store, 5.0, Path()) == expected
    assert {row["id"] for row in await store.rows(select(campaigns))} == {"new", "open"}
    assert {row["id"] for row in await store.rows(select(jobs))} == {"job_new", "job_open"}
    assert {row["campaign_id"] for row in await store.rows(select(leads))} == {"new", "open"}


# Recordings that are not whole yet ---------------------------------------------------------------


async def test_a_live_call_stays_with_its_recording_however_old_it_is(
    store: Store, tmp_path: Path
) -> None:
    live, over = (write_call(store, tmp_path, number, 1.0) for number in (1, 2))
    await store.flush()
    assert await count_older(store, 9.0, {"CA0001"}) == Pruned(1, 1, 2)
    assert (await prune(store, 9.0, tmp_path, {"CA0001"})).calls == 1
    assert (live.exists(), over.exists()) == (True, False)
    assert [row["sid"] for row in await store.rows(select(calls))] == ["CA0001"]
    assert len(await store.rows(select(recordings))) == 1


@pytest.mark.parametrize("kind", ["own", "carrier"])
@pytest.mark.parametrize("status", ["in-progress", "processing"])
async def test_a_call_whose_recording_is_still_to_come_stays_for_a_day(
    store: Store, tmp_path: Path, kind: str, status: str
) -> None:
    now = time.time()
    for name, created in (("young", now - 60), ("old", now - 200_000)):
        store.write(
            Upsert("calls", {"sid": name, "began": created, "ended": created + 1}),
            Upsert("recordings", {"id": name, "call_sid": name, "kind": kind, "status": status,
                                  "created": created}),
        )  # fmt: skip
    await store.flush()
    assert (await prune(store, now, tmp_path)).calls == 1
    assert [row["sid"] for row in await store.rows(select(calls))] == ["young"]


async def test_recordings_without_a_call_go_by_their_own_time(store: Store, tmp_path: Path) -> None:
    for number in range(450):
        file = tmp_path / f"{number}.wav"
        file.write_bytes(b"RIFF")
        values = {"id": f"RE{number}", "call_sid": f"CA{number}", "kind": "own", "path": file.name}
        created = 1.0 if number < 440 else 9.0
        store.write(Upsert("recordings", {**values, "status": "completed", "created": created}))
    assert await store.flush(30)
    expected = Pruned(recordings=439)
    assert await count_older(store, 5.0, {"CA7"}) == expected
    assert await prune(store, 5.0, tmp_path, {"CA7"}) == expected
    assert len(list(tmp_path.glob("*.wav"))) == 11
    assert len(await store.rows(select(recordings))) == 11


async def test_pruning_that_was_cut_short_between_files_and_rows_is_finished_the_next_time(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_call(store, tmp_path, 1, 1.0)
    await store.flush()
    with monkeypatch.context() as broken:

        async def killed(*statements: object) -> int:
            raise StoreError("it is gone", away=True)

        broken.setattr(store, "commit", killed)
        with pytest.raises(StoreError):
            await prune(store, 2.0, tmp_path)
    assert not file.exists()
    assert len(await store.rows(select(recordings))) == 1
    assert (await prune(store, 2.0, tmp_path)).calls == 1
    assert await counts(store) == {}


async def test_the_end_of_a_call_that_is_still_to_be_told_is_kept(store: Store) -> None:
    row = {"event": "call.ended", "url": "https://x", "body": b"{}", "created": 1.0}
    await store.commit(insert(deliveries).values(id="held", state="held", **row))
    assert (await count_older(store, 2.0)).deliveries == 0
    assert (await prune(store, 2.0, Path())).deliveries == 0
    assert [r["id"] for r in await store.rows(select(deliveries))] == ["held"]


async def test_what_the_carrier_has_heard_of_a_call_that_is_gone_goes_by_its_own_time(
    store: Store,
) -> None:
    now = time.time()
    store.write(Upsert("calls", {"sid": "CA-known", "began": now, "ended": now}))
    for name, at, call in (("a", 1.0, "CA-gone"), ("b", now, "CA-gone"), ("c", 1.0, "CA-known")):
        values = {"id": name, "call_sid": call, "track": "inbound", "text": "Hi", "at": at}
        store.write(Upsert("carrier_lines", values))
    assert await store.flush()
    await prune(store, 2.0, Path())
    kept = await store.rows(select(carrier_lines).order_by(carrier_lines.c.id))
    assert [r["id"] for r in kept] == ["b", "c"]
