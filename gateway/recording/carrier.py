"""Follows the carrier's recordings to their end, whatever callbacks come, or do not.

    in-progress ──call over, no callback──> asked for ──> completed | absent | unknown
    completed ──CARRIER_FETCH──> fetched: a file of ours
    deleted ──> our file goes as well; whatever is told of it later, it stays deleted

Everything is in the database, so that it goes on after a crash. Nobody waits for any of it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog
from sqlalchemy import RowMapping, and_, or_, select, update

from gateway.carriers.control import CallGoneError, CarrierError
from gateway.carriers.recordings import CarrierArchive
from gateway.recording.reel import FOLDER
from gateway.store.gateways import is_ours, may_be_taken
from gateway.store.store import Store, StoreError, Upsert
from gateway.store.tables import calls, recordings

log = structlog.get_logger(__name__)

_AT_ONCE = 50
_MOST_LATER = 1000
_DAY_SECONDS = 86_400.0
_OPEN = ("in-progress", "paused", "stopped", "processing")


@dataclass(frozen=True, slots=True)
class FollowLimits:
    """A callback is overdue ``look_seconds`` after a call, and given up ``give_up_seconds`` later.

    A fetch is repeated after ``again_seconds``, twice as long each time, for a day.
    """

    round_seconds: float = 30.0
    look_seconds: float = 60.0
    give_up_seconds: float = 3600.0
    again_seconds: float = 5.0
    most_again_seconds: float = 1800.0
    most_bytes: int = 1 << 30


@dataclass(slots=True)
class _Later:
    since: float
    at: float
    tries: int = 0


class CarrierRecordings:
    """The carrier's recordings of one gateway's calls.

    ``archive_of`` returns the REST of an account, ``None`` if there is none; ``is_live`` whether a
    call is in progress.
    """

    def __init__(
        self,
        store: Store,
        data_dir: Path,
        archive_of: Callable[[str], Awaitable[CarrierArchive | None]],
        is_live: Callable[[str], bool],
        *,
        fetch: bool,
        limits: FollowLimits | None = None,
    ) -> None:
        self._store, self._data_dir = store, data_dir
        self._archive_of, self._is_live, self._fetches = archive_of, is_live, fetch
        self._limits = limits or FollowLimits()
        self._later: dict[str, _Later] = {}
        self._wake = asyncio.Event()

    def told(self) -> None:
        """The carrier has told something of a recording."""
        self._wake.set()

    async def run(self) -> None:
        """Follow them until cancelled."""
        while True:
            pause = min([self._limits.round_seconds, *self._waits()])
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self._store.flush(1.0)
                await self._round(await self._due())
            except StoreError as error:
                if not error.away:
                    log.warning("the carrier's recordings wait", reason=error.sentence)

    def _waits(self) -> list[float]:
        now = time.monotonic()
        return [max(0.05, it.at - now) for it in self._later.values()]

    async def _due(self) -> Sequence[RowMapping]:
        r = recordings.c
        # Of a call that another gateway has, that one asks, as long as it is there.
        ours = may_be_taken(calls.c.gateway, self._store, time.time())
        here = is_ours(r.gateway, self._store)
        wanted = [
            and_(r.status.in_(_OPEN), ours),
            and_(r.status == "deleted", r.path.is_not(None), here),
        ]
        if self._fetches:
            young = r.created > time.time() - _DAY_SECONDS
            wanted.append(and_(r.status == "completed", r.path.is_(None), young, ours))
        question = (
            select(r.id, r.call_sid, r.status, r.path, r.created, calls.c.account_sid)
            .select_from(recordings.outerjoin(calls, calls.c.sid == r.call_sid))
            .where(r.kind == "carrier", or_(*wanted))
            .order_by(r.created.desc())
            .limit(_AT_ONCE)
        )
        return await self._store.rows(question)

    async def _round(self, rows: Sequence[RowMapping]) -> None:
        known = {row["id"] for row in rows}
        self._later = {sid: it for sid, it in self._later.items() if sid in known}
        now = time.monotonic()
        for row in rows:
            if row["status"] in _OPEN and self._is_live(row["call_sid"]):
                continue
            first = now + (self._limits.look_seconds if row["status"] in _OPEN else 0.0)
            later = self._later.setdefault(row["id"], _Later(now, first))
            if row["status"] not in _OPEN and not later.tries:
                later.at = now
            if later.at <= now:
                await self._follow(row, later)

    async def _follow(self, row: RowMapping, later: _Later) -> None:
        limits = self._limits
        later.tries += 1
        pause = min(limits.again_seconds * 2 ** (later.tries - 1), limits.most_again_seconds)
        later.at = time.monotonic() + pause
        sid = row["id"]
        try:
            if row["status"] == "deleted":
                await self._forget(row)
                return
            archive = await self._archive_of(row["account_sid"] or "")
            if archive is None:
                self._give_up(row, later, "there are no credentials for its account")
                return
            await self._ask(archive, row)
        except CallGoneError:
            self._change(sid, status="absent")
        except CarrierError as error:
            self._give_up(row, later, str(error))
        except OSError as error:
            why = error.strerror or str(error)
            log.warning("the carrier's recording is not kept", recording=sid, reason=why)

    async def _ask(self, archive: CarrierArchive, row: RowMapping) -> None:
        sid = row["id"]
        it = await archive.look_at_recording(sid)
        if it.status != row["status"] or it.status == "completed":
            self._change(sid, status=it.status, seconds=it.seconds)
        if it.status == "completed" and self._fetches:
            day = time.strftime("%Y/%m/%d", time.gmtime(row["created"]))
            path = f"{FOLDER}/{day}/{sid}.wav"
            size = await archive.fetch_recording(
                sid, self._data_dir / path, self._limits.most_bytes
            )
            await self._keep(sid, path, size)

    async def _keep(self, sid: str, path: str, size: int) -> None:
        """Note where the file is; one that nobody wants any more goes again."""
        noted = update(recordings).where(recordings.c.id == sid, recordings.c.status != "deleted")
        here = {"path": path, "size": size, "gateway": self._store.gateway}
        if await self._store.commit(noted.values(here)):
            log.info("the carrier's recording is fetched", recording=sid, bytes=size)
        else:
            await asyncio.to_thread((self._data_dir / path).unlink, missing_ok=True)
        self._later.pop(sid, None)

    def _give_up(self, row: RowMapping, later: _Later, why: str) -> None:
        """It is asked for again, for so long; then nobody knows what has become of it."""
        if later.tries == 1:
            log.warning("the carrier's recording waits", recording=row["id"], reason=why)
        waited = time.monotonic() - later.since
        if row["status"] in _OPEN and waited > self._limits.give_up_seconds:
            self._change(row["id"], status="unknown")

    async def _forget(self, row: RowMapping) -> None:
        path = (self._data_dir / row["path"]).resolve()
        if path.is_relative_to((self._data_dir / FOLDER).resolve()):
            await asyncio.to_thread(path.unlink, missing_ok=True)
        # By a decision: no record changes what is deleted.
        here = update(recordings).where(recordings.c.id == row["id"])
        await self._store.commit(here.values(path=None, size=None))
        self._later.pop(row["id"], None)

    def _change(self, sid: str, **values: object) -> None:
        self._later.pop(sid, None)
        self._store.write(Upsert("recordings", {"id": sid, **values}))
