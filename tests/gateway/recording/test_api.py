"""Recordings as programs get them."""

import asyncio
import io
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import select
from starlette.applications import Starlette

from gateway.api import Api, Parts
from gateway.calls.record import CarrierLine
from gateway.recording.api import RecordingSection
from gateway.recording.recorder import Recorder
from gateway.recording.reel import Reel
from gateway.recording.studio import Studio, StudioLimits
from gateway.store.recorder import StoreRecords
from gateway.store.recording_rows import own_recording
from gateway.store.store import Upsert
from gateway.store.tables import recordings
from shared import messages
from shared.ulaw_wav import find_sound
from tests.gateway.api.bureau import TOKEN, Bureau, bureau
from tests.gateway.calls.actors import SID, incoming
from tests.harness import eventually

PATH = f"/api/calls/{SID}/recording"


@dataclass
class Desk:
    it: Bureau
    studio: Studio
    client: httpx2.AsyncClient
    folder: Path

    async def get(self, path: str = PATH, **headers: str) -> httpx2.Response:
        return await self.client.get(path, headers={"Authorization": f"Bearer {TOKEN}", **headers})

    async def delete(self) -> httpx2.Response:
        return await self.client.delete(PATH, headers={"Authorization": f"Bearer {TOKEN}"})

    def recorded(self) -> Recorder:
        """A call that is known, and its recorder."""
        record = StoreRecords(self.it.store).of(incoming(), False)
        record.begun("r1", direct=False)
        return self.studio.recorder(SID, record)


@pytest.fixture
async def desk(tmp_path: Path, database: str) -> AsyncIterator[Desk]:
    async with bureau(tmp_path, database=database) as it:
        studio = Studio(tmp_path, it.store, StudioLimits(tick_seconds=0.02, least_free=0))
        running = asyncio.create_task(studio.run())
        await studio.mend()  # later it would take what a test writes for a crash's leavings
        section = RecordingSection(studio, it.calls, it.store)
        api = Api(it.calls, it.api and it.farm, TOKEN, {}, Parts(it.store, sections=(section,)))  # type: ignore[arg-type]
        transport = httpx2.ASGITransport(Starlette(routes=api.routes()))
        async with httpx2.AsyncClient(transport=transport, base_url="http://callfarm") as client:
            yield Desk(it, studio, client, tmp_path)
        running.cancel()
        await studio.aclose()


async def finished(desk: Desk, size: int = 8000) -> None:
    """Let a call be recorded, of ``size`` samples."""
    recorder = desk.recorded()
    reel = Reel.begin(desk.folder, SID)
    reel.write(b"l" * size, b"r" * size)
    reel.finish()
    recorder.reel, recorder.path = reel, reel.path
    recorder.ended()
    assert await desk.it.store.flush(30)


async def test_a_recording_is_given_out_whole_and_in_parts(desk: Desk) -> None:
    await finished(desk)
    whole = await desk.get()
    assert (whole.status_code, whole.headers["content-type"]) == (200, "audio/wav")
    assert whole.headers["accept-ranges"] == "bytes"
    assert int(whole.headers["content-length"]) == len(whole.content) == 58 + 16000
    sound = find_sound(io.BytesIO(whole.content))
    assert sound is not None
    assert sound.frames == 8000
    part = await desk.get(range="bytes=56-61")
    assert (part.status_code, part.headers["content-range"]) == (206, "bytes 56-61/16058")
    assert part.content == whole.content[56:62]
    assert (await desk.get(range="bytes=-4")).content == b"lrlr"
    beyond = await desk.get(range="bytes=99999-")
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */16058")
    again = await desk.get(**{"range": "bytes=0-3", "if-range": whole.headers["etag"]})
    assert again.content == b"RIFF"
    changed = await desk.get(**{"range": "bytes=0-3", "if-range": '"another"'})
    assert changed.status_code == 200
    pcm = await desk.get(PATH + "?format=pcm")
    assert len(pcm.content) == 44 + 32000
    (shown,) = (await desk.get(f"/api/calls/{SID}")).json()["recordings"]
    assert (shown["kind"], shown["status"], shown["seconds"]) == ("own", "completed", 1.0)


async def test_of_a_call_in_progress_there_is_what_there_is_so_far(desk: Desk) -> None:
    recorder = desk.recorded()
    recorder.opened(_Stream())
    await recorder.record()
    recorder.agent(b"a" * 80_000)

    async def grown() -> bool:
        return (await desk.get()).headers.get("content-length", "0") > "58"

    await eventually(grown)
    first = await desk.get()
    assert first.status_code == 200
    assert "etag" not in first.headers
    await asyncio.sleep(0.3)
    assert len((await desk.get()).content) > len(first.content)
    refused = await desk.client.delete(PATH, headers={"Authorization": f"Bearer {TOKEN}"})
    assert refused.status_code == 409
    recorder.finish()


async def test_who_may_not_read_gets_nothing(desk: Desk) -> None:
    await finished(desk)
    calls_only, other = await desk.it.token("calls"), await desk.it.token("read", company=7)
    assert (await desk.client.get(PATH)).status_code == 401
    answer = await desk.client.get(PATH, headers={"Authorization": f"Bearer {calls_only}"})
    assert answer.status_code == 403
    answer = await desk.client.get(PATH, headers={"Authorization": f"Bearer {other}"})
    assert answer.status_code == 404


async def test_what_is_not_there_is_said_in_a_sentence(desk: Desk) -> None:
    assert (await desk.get()).json()["detail"] == "No such call is known."
    desk.recorded()
    assert "no recording" in (await desk.get()).json()["detail"]
    await finished(desk)
    (path,) = desk.folder.glob("recordings/*/*/*/*.wav")
    path.unlink()
    assert (await desk.get()).json()["detail"] == "The recording's file is gone."


async def test_a_recording_can_be_taken_away(desk: Desk) -> None:
    await finished(desk)
    answer = await desk.client.delete(PATH, headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 204
    assert not list(desk.folder.glob("recordings/*/*/*/*.wav"))
    (shown,) = (await desk.get(f"/api/calls/{SID}")).json()["recordings"]
    assert (shown["status"], shown["size"]) == ("deleted", None)
    assert (await desk.get()).status_code == 404


async def test_a_copy_of_the_carriers_that_is_still_to_be_fetched_is_not_fetched_then(
    desk: Desk,
) -> None:
    await finished(desk)
    of_carrier = {"call_sid": SID, "kind": "carrier", "created": time.time()}
    for name, status in (("RE1", "completed"), ("RE2", "absent"), ("RE3", "processing")):
        desk.it.store.write(Upsert("recordings", {"id": name, "status": status, **of_carrier}))
    answer = await desk.client.delete(PATH, headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 204
    shown = (await desk.get(f"/api/calls/{SID}")).json()["recordings"]
    assert {it["id"]: it["status"] for it in shown} == {
        SID: "deleted",
        "RE1": "deleted",
        "RE2": "deleted",
        "RE3": "deleted",
    }


async def test_one_that_the_carrier_has_not_told_of_yet_stays_deleted_whatever_it_tells(
    desk: Desk,
) -> None:
    desk.recorded()
    records = StoreRecords(desk.it.store)
    sid = "RE" + "1" * 32
    records.event(SID, messages.RecordingChanged(sid, "in-progress", None))
    assert (await desk.delete()).status_code == 204
    records.event(SID, messages.RecordingChanged(sid, "completed", "https://there/RE1"))
    (shown,) = (await desk.get(f"/api/calls/{SID}")).json()["recordings"]
    assert (shown["status"], shown["size"]) == ("deleted", None)
    (row,) = await desk.it.store.rows(select(recordings))
    assert (row["url"], row["path"]) == (None, None)
    assert (await desk.delete()).status_code == 404


async def test_what_is_ordered_is_in_the_database_when_it_is_answered(desk: Desk) -> None:
    await finished(desk)
    values = {"id": "RE1", "call_sid": SID, "kind": "carrier", "status": "completed"}
    desk.it.store.write(Upsert("recordings", {**values, "created": time.time()}))
    assert (await desk.delete()).status_code == 204
    rows = await desk.it.store.rows(select(recordings.c.status))  # nothing is flushed before
    assert [row["status"] for row in rows] == ["deleted", "deleted"]


async def test_a_file_that_cannot_be_removed_is_deleted_by_the_next_order(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await finished(desk)

    async def refused(path: str) -> None:
        raise OSError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(desk.studio, "remove", refused)
        assert (await desk.delete()).status_code == 500
    assert (await desk.delete()).status_code == 204
    assert not list(desk.folder.glob("recordings/*/*/*/*.wav"))


async def test_while_the_carrier_records_a_call_in_progress_nothing_is_taken_away(
    desk: Desk,
) -> None:
    await finished(desk)
    desk.it.calls.incoming(incoming())
    values = {"id": "RE1", "call_sid": SID, "kind": "carrier", "created": time.time()}
    desk.it.store.write(Upsert("recordings", {**values, "status": "in-progress"}))
    assert (await desk.delete()).status_code == 409
    desk.it.store.write(Upsert("recordings", {**values, "status": "processing"}))
    assert (await desk.delete()).status_code == 204


async def test_the_carriers_recording_is_given_out_as_it_was_fetched(desk: Desk) -> None:
    desk.recorded()
    (desk.folder / "recordings").mkdir(exist_ok=True)
    (desk.folder / "recordings/RE1.wav").write_bytes(b"RIFF of the carrier")
    values = {
        "id": "RE1",
        "call_sid": SID,
        "kind": "carrier",
        "status": "completed",
        "path": "recordings/RE1.wav",
        "created": time.time(),
    }
    desk.it.store.write(Upsert("recordings", values))
    assert (await desk.get()).content == b"RIFF of the carrier"
    assert (await desk.get(PATH + "?kind=own")).status_code == 404
    await finished(desk)
    assert (await desk.get()).content[:4] == b"RIFF"
    assert len((await desk.get()).content) == 16058
    assert (await desk.get(PATH + "?kind=carrier")).content == b"RIFF of the carrier"


async def test_what_the_carrier_has_heard_is_kept_once(desk: Desk) -> None:
    records = StoreRecords(desk.it.store)
    desk.recorded()
    for number, text in ((1, "a table"), (1, "a table"), (2, "for two")):
        records.carrier_line(SID, CarrierLine(f"GT1:{number}", "inbound", text, 0.9))
    found = (await desk.get(f"/api/calls/{SID}/carrier-transcript")).json()
    assert sorted(line["text"] for line in found["lines"]) == ["a table", "for two"]


def test_a_row_names_no_file_that_is_not_there() -> None:
    from gateway.calls.record import KeptRecording

    row = own_recording(SID, KeptRecording(None, "absent", 0), 1.0).values
    assert (row["path"], row["size"]) == (None, 0)


class _Stream:
    def record(self, recorder: Recorder | None) -> None:
        """Say nothing by itself."""


async def test_a_file_at_another_gateway_is_said_to_be_there(desk: Desk) -> None:
    await finished(desk)
    store = desk.it.store
    there = {"path": "recordings/2026/10/28/there.wav", "gateway": "gw_1"}
    store.write(Upsert("recordings", {"id": SID, **there}))
    assert await store.flush()
    answer = await desk.get()
    assert answer.status_code == 404
    assert "another gateway" in answer.json()["detail"]
    store.write(Upsert("gateways", {"id": "gw_1", "host": "calls-2", "seen": time.time()}))
    assert await store.flush()
    assert "the gateway on calls-2" in (await desk.get()).json()["detail"]
    store.write(Upsert("recordings", {"id": SID, "status": "in-progress"}))
    assert await store.flush()
    refused = await desk.delete()
    assert (refused.status_code, "Another gateway" in refused.json()["detail"]) == (409, True)
    store.write(Upsert("recordings", {"id": SID, "status": "completed"}))
    assert await store.flush()
    assert (await desk.delete()).status_code == 204
