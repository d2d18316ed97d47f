"""The carrier's recordings, followed against a server that speaks Twilio's REST."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from gateway.carriers.control import CarrierRefusedError, CarrierUnavailableError
from gateway.carriers.recordings import CarrierArchive, CarrierRecording
from gateway.carriers.twilio.recordings import TwilioRecordings
from gateway.carriers.twilio.sdk import Account
from gateway.recording.carrier import CarrierRecordings, FollowLimits
from gateway.store.engine import open_store
from gateway.store.retention import prune
from gateway.store.store import Store, Upsert
from gateway.store.tables import recordings
from tests.fakes.twilio_recordings import RecordingTwilio
from tests.fakes.twilio_rest import ACCOUNT_SID, AUTH_TOKEN
from tests.gateway.store.conftest import QUICK
from tests.harness import eventually

CALL = "CA" + "4" * 32
CALLBACK = "http://127.0.0.1:9/twilio/recording"  # nobody is there: every callback is lost
SOON = FollowLimits(
    round_seconds=0.05, look_seconds=0.1, give_up_seconds=0.4, again_seconds=0.05, most_bytes=4000
)


def archive(twilio: RecordingTwilio, token: str = AUTH_TOKEN) -> TwilioRecordings:
    return TwilioRecordings(
        Account(ACCOUNT_SID, token, origin=twilio.base_url), timeout_s=2.0, backoff_s=0.01
    )


@pytest.fixture
async def twilio() -> AsyncIterator[RecordingTwilio]:
    async with RecordingTwilio() as it:
        yield it


@dataclass
class Desk:
    twilio: RecordingTwilio
    rest: TwilioRecordings
    store: Store
    folder: Path
    keeper: CarrierRecordings
    live: set[str] = field(default_factory=set)
    reachable: bool = True

    async def started(self) -> str:
        """A recording is started, and noted as the call notes it."""
        sid = await self.rest.start_recording(CALL, callback_url=CALLBACK)
        call = {"sid": CALL, "account_sid": ACCOUNT_SID, "began": time.time()}
        self.store.write(Upsert("calls", call))
        self.told(sid, "in-progress")
        return sid

    def told(self, sid: str, status: str, **more: Any) -> None:
        values = {"id": sid, "call_sid": CALL, "kind": "carrier", "created": time.time()}
        self.store.write(Upsert("recordings", {**values, "status": status, **more}))
        self.keeper.told()

    async def row(self, sid: str) -> dict[str, Any]:
        await self.store.flush()
        rows = await self.store.rows(select(recordings).where(recordings.c.id == sid))
        return dict(rows[0])

    async def comes_to(self, sid: str, **wanted: Any) -> dict[str, Any]:
        async def has() -> dict[str, Any] | None:
            row = await self.row(sid)
            return row if all(row[name] == value for name, value in wanted.items()) else None

        found: dict[str, Any] = await eventually(has, 10, every=0.05)
        return found


@asynccontextmanager
async def desk_of(
    twilio: RecordingTwilio,
    folder: Path,
    database: str,
    *,
    fetch: bool = True,
    limits: FollowLimits = SOON,
) -> AsyncIterator[Desk]:
    store = await open_store(database, folder, limits=QUICK)
    rest = archive(twilio)
    live: set[str] = set()

    async def archive_of(account_sid: str) -> CarrierArchive | None:
        assert account_sid == ACCOUNT_SID
        return rest if desk.reachable else None

    keeper = CarrierRecordings(
        store, folder, archive_of, live.__contains__, fetch=fetch, limits=limits
    )
    desk = Desk(twilio, rest, store, folder, keeper, live)
    running = asyncio.create_task(keeper.run())
    yield desk
    running.cancel()
    await rest.aclose()
    await store.aclose()


async def test_a_complete_recording_is_fetched_with_credentials_for_twilio_alone(
    twilio: RecordingTwilio, tmp_path: Path, database: str
) -> None:
    async with desk_of(twilio, tmp_path, database) as desk:
        sid = await desk.started()
        await twilio.complete(sid, b"RIFF of Twilio", tell=False)
        desk.told(sid, "completed")
        row = await desk.comes_to(sid, size=14)
    assert (tmp_path / row["path"]).read_bytes() == b"RIFF of Twilio"
    assert (tmp_path / row["path"]).stat().st_mode & 0o777 == 0o600
    assert row["path"].startswith("recordings/2")
    assert twilio.leaked == []
    assert twilio.fetched == ["RequestedChannels=2"]


async def test_one_that_twilio_does_not_have_yet_is_asked_for_again(
    twilio: RecordingTwilio, tmp_path: Path, database: str
) -> None:
    async with desk_of(twilio, tmp_path, database) as desk:
        sid = await desk.started()
        await twilio.complete(sid, b"RIFF", tell=False)
        twilio.late = 3
        desk.told(sid, "completed")
        await desk.comes_to(sid, size=4)
    assert len(twilio.fetched) == 4


async def test_one_with_a_single_channel_is_fetched_as_it_is(
    twilio: RecordingTwilio, tmp_path: Path, database: str
) -> None:
    async with desk_of(twilio, tmp_path, database) as desk:
        sid = await desk.started()
        twilio.mono.add(sid)
        await twilio.complete(sid, b"RIFF", tell=False)
        desk.told(sid, "completed")
        await desk.comes_to(sid, size=4)
    assert twilio.fetched == ["RequestedChannels=2", ""]


async def test_a_recording_is_completed_without_a_callback_once_its_call_is_over(
    twilio: RecordingTwilio, tmp_path: Path, database: str
) -> None:
    async with desk_of(twilio, tmp_path, database, fetch=False) as desk:
        desk.live.add(CALL)
        sid = await desk.started()
        await twilio.complete(sid, b"RIFF", tell=False)
        await asyncio.sleep(0.4)
        assert (await desk.row(sid))["status"] == "in-progress"
        desk.live.clear()
        row = await desk.comes_to(sid, status="completed")
    assert row["path"] is None
    assert twilio.fetched == []


async def test_a_later_life_completes_what_an_earlier_one_has_begun(
    twilio: RecordingTwilio, tmp_path: Path, database: str
) -> None:
    never = FollowLimits(round_seconds=60, look_seconds=60)
    async with desk_of(twilio, tmp_path, database, limits=never) as desk:
        sid = await desk.started()
    await twilio.complete(sid, b"RIFF", tell=False)
    async with desk_of(twilio, tmp_path, database) as desk:
        await desk.comes_to(sid, status="completed", size=4)


async def test_one_that_twilio_has_lost_is_absent(
    twilio: RecordingTwilio, tmp_path: Path, database: str
) -> None:
    async with desk_of(twilio, tmp_path, database) as desk:
        sid = await desk.started()
        del twilio.account.recordings[sid]
        await desk.comes_to(sid, status="absent")


async def test_nobody_waits_for_ever_for_what_nobody_can_tell(
    twilio: RecordingTwilio, tmp_path: Path, database: str
) -> None:
    async with desk_of(twilio, tmp_path, database) as desk:
        desk.reachable = False
        sid = await desk.started()
        await desk.comes_to(sid, status="unknown")


async def test_a_deleted_recording_takes_our_copy_with_it(
    twilio: RecordingTwilio, tmp_path: Path, database: str
) -> None:
    async with desk_of(twilio, tmp_path, database) as desk:
        sid = await desk.started()
        await twilio.complete(sid, b"RIFF", tell=False)
        desk.told(sid, "completed")
        path = tmp_path / (await desk.comes_to(sid, size=4))["path"]
        await desk.rest.delete_recording(sid)
        desk.told(sid, "deleted")
        await desk.comes_to(sid, status="deleted", path=None)
        assert not path.exists()


async def test_a_file_whose_row_was_pruned_while_it_was_fetched_goes_again(
    twilio: RecordingTwilio, tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = TwilioRecordings.fetch_recording

    async with desk_of(twilio, tmp_path, database) as desk:
        fetched = asyncio.Event()

        async def and_pruned(self: TwilioRecordings, sid: str, file: Path, most: int) -> int:
            size = await fetch(self, sid, file, most)
            await desk.store.commit(delete(recordings))
            fetched.set()
            return size

        monkeypatch.setattr(TwilioRecordings, "fetch_recording", and_pruned)
        sid = await desk.started()
        await twilio.complete(sid, b"RIFF", tell=False)
        desk.told(sid, "completed")
        await asyncio.wait_for(fetched.wait(), 10)
        await eventually(lambda: not list(tmp_path.rglob("RE*.wav")))
        await desk.store.flush()
        assert not await desk.store.rows(select(recordings))


async def test_what_was_deleted_here_is_not_brought_back_by_what_twilio_tells_later(
    twilio: RecordingTwilio, tmp_path: Path, database: str
) -> None:
    async with desk_of(twilio, tmp_path, database) as desk:
        sid = await desk.started()
        desk.told(sid, "deleted")
        await twilio.complete(sid, b"RIFF", tell=False)
        await desk.row(sid)
        desk.told(sid, "completed", url="https://there/RE")
        await asyncio.sleep(0.2)
        assert (await desk.row(sid))["status"] == "deleted"
    async with desk_of(twilio, tmp_path, database) as desk:
        desk.told(sid, "completed", url="https://there/RE")
        await asyncio.sleep(0.2)
        row = await desk.row(sid)
        assert (row["status"], row["url"], row["path"]) == ("deleted", None, None)
    assert twilio.fetched == []
    assert not list(tmp_path.rglob("RE*"))


async def test_what_was_pruned_with_its_call_is_not_brought_back_either(
    twilio: RecordingTwilio, tmp_path: Path, database: str
) -> None:
    async with desk_of(twilio, tmp_path, database) as desk:
        sid = await desk.started()
        desk.live.add(CALL)  # it is not looked at
        await twilio.complete(sid, b"RIFF", tell=False)
        desk.told(sid, "completed")
        path = tmp_path / (await desk.comes_to(sid, size=4))["path"]
        desk.store.write(Upsert("calls", {"sid": CALL, "ended": time.time()}))
        await desk.store.flush()
        for _ in range(2):
            await prune(desk.store, time.time() + 1, tmp_path)
            desk.told(sid, "completed", url="https://there/RE")
            await asyncio.sleep(0.2)
            assert not path.exists()
            row = await desk.row(sid)
            assert (row["status"], row["url"], row["path"]) == ("deleted", None, None)
    assert len(twilio.fetched) == 1


async def test_a_recording_that_is_deleted_while_it_is_looked_at_stays_so(
    twilio: RecordingTwilio, tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = TwilioRecordings.look_at_recording
    looked = asyncio.Event()

    async with desk_of(twilio, tmp_path, database) as desk:

        async def and_deleted(self: TwilioRecordings, sid: str) -> CarrierRecording:
            found = await look(self, sid)
            order = update(recordings).values(status="deleted")
            await desk.store.commit(order)
            looked.set()
            return found

        monkeypatch.setattr(TwilioRecordings, "look_at_recording", and_deleted)
        sid = await desk.started()
        await twilio.complete(sid, b"RIFF", tell=False)
        await asyncio.wait_for(looked.wait(), 10)
        await asyncio.sleep(0.2)
        row = await desk.row(sid)
        assert (row["status"], row["path"]) == ("deleted", None)
        assert not list(tmp_path.rglob("RE*"))


async def test_no_more_is_taken_than_there_is_room_for(
    twilio: RecordingTwilio, tmp_path: Path
) -> None:
    rest = archive(twilio)
    sid = await rest.start_recording(CALL, callback_url=CALLBACK)
    await twilio.complete(sid, b"x" * 100_000, tell=False)
    with pytest.raises(CarrierRefusedError, match="more than is taken"):
        await rest.fetch_recording(sid, tmp_path / "a/b.wav", 99_999)
    assert not list(tmp_path.rglob("*.*"))
    assert await rest.fetch_recording(sid, tmp_path / "a/b.wav", 100_000) == 100_000
    await rest.aclose()


async def test_wrong_credentials_and_failures_are_told_apart(
    twilio: RecordingTwilio, tmp_path: Path
) -> None:
    rest, wrong = archive(twilio), archive(twilio, "another")
    sid = await rest.start_recording(CALL, callback_url=CALLBACK)
    await twilio.complete(sid, b"x", tell=False)
    with pytest.raises(CarrierRefusedError, match="credentials"):
        await wrong.fetch_recording(sid, tmp_path / "a.wav", 10)
    twilio.fail(503)
    with pytest.raises(CarrierUnavailableError, match="503"):
        await rest.fetch_recording(sid, tmp_path / "a.wav", 10)
    await rest.aclose()
    await wrong.aclose()


async def test_of_a_call_at_another_gateway_that_one_asks_as_long_as_it_is_there(
    twilio: RecordingTwilio, tmp_path: Path, database: str
) -> None:
    async with desk_of(twilio, tmp_path, database) as desk:
        now = time.time()
        desk.store.write(
            Upsert("calls", {"sid": CALL, "began": now, "gateway": "gw_1"}),
            Upsert("gateways", {"id": "gw_1", "seen": now}),
        )
        sid = await desk.started()
        await twilio.complete(sid, b"RIFF", tell=False)
        await asyncio.sleep(0.5)
        row = await desk.row(sid)
        assert (row["status"], row["path"]) == ("in-progress", None)
        desk.store.write(Upsert("gateways", {"id": "gw_1", "seen": now - 600}))
        fetched = await desk.comes_to(sid, size=4)
        assert fetched["gateway"] == desk.store.gateway
