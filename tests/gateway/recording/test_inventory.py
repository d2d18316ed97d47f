"""Files and rows of recordings that a crash, or somebody's hand, has left apart."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from gateway.calls.record import KeptRecording
from gateway.recording.inventory import Found, Inventory
from gateway.recording.recorder import Recorder
from gateway.recording.reel import Reel
from gateway.recording.studio import Studio, StudioLimits
from gateway.store.recording_rows import own_recording
from gateway.store.retention import prune
from gateway.store.store import Store, Upsert
from gateway.store.tables import recordings
from tests.gateway.store.conftest import dies
from tests.harness import eventually

SID, OTHER, THIRD = ("CA" + digit * 32 for digit in "123")
CARRIER = "RE" + "4" * 32
LONG_AGO = time.time() - 30 * 86_400


@pytest.fixture
async def studio(store: Store, tmp_path: Path) -> AsyncIterator[Studio]:
    it = Studio(tmp_path, store, StudioLimits(tick_seconds=0.02, least_free=0))
    yield it
    await it.aclose()


@pytest.fixture
def inventory(store: Store, tmp_path: Path, studio: Studio) -> Inventory:
    return Inventory(store, tmp_path, studio)


def file(folder: Path, sid: str = SID, day: str = "2026/10/28", at: float = LONG_AGO) -> Path:
    """Make a recording's file that has lain still since long ago."""
    reel = Reel.begin(folder, sid, f"recordings/{day}/{sid}.wav")
    reel.write(b"l" * 8000, b"r" * 8000)
    reel.finish()
    (folder / "recordings/open" / sid).unlink()
    path = folder / reel.path
    os.utime(path, (at, at))
    return path


def row(store: Store, sid: str, path: Path | None, status: str = "completed") -> None:
    below = "/".join(path.parts[-5:]) if path is not None else None
    store.write(own_recording(sid, KeptRecording(below, status, 8000), LONG_AGO, store.gateway))


async def taken(inventory: Inventory) -> Found:
    """Run it until it is done for the day."""
    running = asyncio.create_task(inventory.run())
    await eventually(lambda: inventory.is_done)
    running.cancel()
    return inventory.found


async def rows(store: Store) -> dict[str, dict[str, Any]]:
    assert await store.flush()
    found = await store.rows(select(recordings))
    return {it["id"]: dict(it) for it in found}


async def test_what_belongs_together_stays_as_it_is(
    store: Store, tmp_path: Path, inventory: Inventory
) -> None:
    path = file(tmp_path)
    row(store, SID, path)
    before = await rows(store)
    with capture_logs() as logs:
        assert await taken(inventory) == Found()
    assert await rows(store) == before
    assert path.exists()
    assert not [it for it in logs if it["log_level"] == "warning"]


async def test_a_row_whose_file_is_gone_says_so(
    store: Store, tmp_path: Path, inventory: Inventory
) -> None:
    path = file(tmp_path)
    row(store, SID, path)
    carriers = {"id": CARRIER, "call_sid": SID, "kind": "carrier", "status": "completed"}
    gone = {"path": "recordings/2026/10/28/gone.wav", "size": 1, "created": LONG_AGO}
    store.write(Upsert("recordings", {**carriers, **gone}))
    await store.flush()
    path.unlink()
    await taken(inventory)
    found = await rows(store)
    assert (found[SID]["status"], found[SID]["path"]) == ("absent", None)
    # The carrier has it still.
    assert (found[CARRIER]["status"], found[CARRIER]["path"]) == ("completed", None)
    assert inventory.found == Found(corrected=2)


async def test_a_row_of_a_recording_that_nobody_writes_any_more_is_closed(
    store: Store, tmp_path: Path, inventory: Inventory
) -> None:
    row(store, SID, file(tmp_path), "in-progress")
    await taken(inventory)
    it = (await rows(store))[SID]
    assert (it["status"], it["seconds"], it["size"]) == ("interrupted", 1.0, 16058)


async def test_a_file_without_a_row_gets_one_and_goes_when_its_time_has_come(
    store: Store, tmp_path: Path, inventory: Inventory
) -> None:
    path = file(tmp_path)
    theirs = path.with_name(f"{CARRIER}.wav")
    theirs.write_bytes(b"RIFF of the carrier's")
    os.utime(theirs, (LONG_AGO, LONG_AGO))
    with capture_logs() as logs:
        await taken(inventory)
    assert [it["files_without_record"] for it in logs if "files_without_record" in it] == [2]
    found = await rows(store)
    assert {it["kind"]: it["path"] for it in found.values()} == {
        "own": f"recordings/2026/10/28/{SID}.wav",
        "carrier": f"recordings/2026/10/28/{CARRIER}.wav",
    }
    assert found[SID]["seconds"] == 1.0
    assert (await prune(store, LONG_AGO - 100, tmp_path)).recordings == 0
    assert (await prune(store, time.time() - 86_400, tmp_path)).recordings == 2
    assert not path.exists()
    assert not theirs.exists()
    assert await rows(store) == {}


async def test_a_file_that_was_pruned_while_it_was_looked_at_gets_no_row(
    store: Store, tmp_path: Path, inventory: Inventory
) -> None:
    path = file(tmp_path)
    files = inventory._still_files(path.parent, time.time())
    path.unlink()
    await inventory._match(files)
    assert await rows(store) == {}
    assert inventory.found == Found()


async def test_a_disk_that_was_away_gives_its_files_back(
    store: Store, tmp_path: Path, studio: Studio
) -> None:
    path = file(tmp_path)
    row(store, SID, path)
    await store.flush()
    away = tmp_path / "away.wav"
    path.rename(away)
    await Inventory(store, tmp_path, studio).take()
    assert (await rows(store))[SID]["path"] is None
    away.rename(path)
    await Inventory(store, tmp_path, studio).take()
    it = (await rows(store))[SID]
    assert (it["path"], it["status"]) == (f"recordings/2026/10/28/{SID}.wav", "interrupted")


async def test_a_second_file_of_a_call_has_a_row_of_its_own(
    store: Store, tmp_path: Path, studio: Studio
) -> None:
    row(store, SID, file(tmp_path))
    await store.flush()
    second = file(tmp_path, day="2026/10/29")
    for expected in (1, 0):
        assert (await Inventory(store, tmp_path, studio).take()).adopted == expected
    found = await rows(store)
    assert set(found) == {SID, f"{SID}-20261029"}
    assert found[f"{SID}-20261029"]["call_sid"] == SID
    assert second.exists()


async def test_what_was_to_be_deleted_and_halves_of_fetches_go(
    store: Store, tmp_path: Path, inventory: Inventory
) -> None:
    path = file(tmp_path)
    row(store, SID, None, "deleted")
    half = path.with_name("RE1.part")
    half.write_bytes(b"RIFF")
    os.utime(half, (LONG_AGO, LONG_AGO))
    await taken(inventory)
    assert not path.exists()
    assert not half.exists()
    assert inventory.found == Found(removed=2)


async def test_what_is_young_or_being_recorded_or_not_ours_is_not_touched(
    store: Store, tmp_path: Path, studio: Studio, inventory: Inventory
) -> None:
    young = file(tmp_path, at=time.time())
    foreign = young.with_name("notes of mine.wav")
    foreign.write_bytes(b"x")
    os.utime(foreign, (LONG_AGO, LONG_AGO))
    recorder = Recorder(OTHER, studio)
    await recorder.record()
    assert recorder.reel is not None
    os.utime(tmp_path / recorder.reel.path, (LONG_AGO, LONG_AGO))
    assert await taken(inventory) == Found()
    assert young.exists()
    assert foreign.exists()
    assert (tmp_path / recorder.reel.path).exists()


async def test_what_lies_at_another_gateway_is_not_absent(
    pair: tuple[Store, Store], tmp_path: Path
) -> None:
    a, b = pair
    path = file(tmp_path / "a")
    row(a, SID, path)
    row(a, OTHER, tmp_path / "a/recordings/2026/10/28/gone.wav", "in-progress")
    before = await rows(a)
    theirs = Inventory(b, tmp_path / "b", Studio(tmp_path / "b", b))
    assert await theirs.take() == Found()
    assert await rows(a) == before
    ours = Inventory(a, tmp_path / "a", Studio(tmp_path / "a", a))
    assert await ours.take() == Found(corrected=1)
    assert (await rows(a))[OTHER]["status"] == "absent"


async def test_a_row_without_a_gateway_is_that_ones_which_has_the_file(
    pair: tuple[Store, Store], tmp_path: Path
) -> None:
    a, b = pair
    row(a, SID, file(tmp_path / "a"))
    row(a, OTHER, tmp_path / "a/recordings/2026/10/28/gone.wav")
    for sid in (SID, OTHER):
        a.write(Upsert("recordings", {"id": sid, "gateway": None}))
    assert await a.flush()
    before = await rows(a)
    theirs = Inventory(b, tmp_path / "b", Studio(tmp_path / "b", b))
    assert await theirs.take() == Found()
    assert await rows(a) == before
    ours = Inventory(a, tmp_path / "a", Studio(tmp_path / "a", a))
    assert await ours.take() == Found()
    assert {sid: it["gateway"] for sid, it in (await rows(a)).items()} == {SID: "a", OTHER: None}
    await dies(b, 25 * 3600.0)
    assert await ours.take() == Found(corrected=1)


async def test_what_was_deleted_at_another_gateway_goes_here(
    pair: tuple[Store, Store], tmp_path: Path
) -> None:
    a, b = pair
    path = file(tmp_path / "a")
    row(a, SID, path)
    assert await a.flush()
    row(b, SID, None, "deleted")
    assert await b.flush()
    await Inventory(a, tmp_path / "a", Studio(tmp_path / "a", a)).take()
    assert not path.exists()


async def test_many_are_gone_through_in_parts(
    store: Store, tmp_path: Path, inventory: Inventory
) -> None:
    for number in range(450):
        path = file(tmp_path, f"CA{number:032d}")
        if number % 2:
            row(store, f"CA{number:032d}", path)
        if number % 10 == 1:
            path.unlink()
    await store.flush(30)
    await taken(inventory)
    assert inventory.found == Found(corrected=45, adopted=225)
