"""Compares recordings' files with their rows once a day; joins what a crash has left apart.

    row with a path    no file there ──────────> absent (the carrier's: fetched again, if it may be)
                       nobody writes it any more > interrupted
    file               its row was deleted ────> it goes as well
                       no row, or not this one ─> a row is made, so that retention finds it
                       half of a fetch ────────> it goes

Nothing is removed whose deletion nobody ordered: another database, or a disk that comes back, finds
all of it again. Only what has lain still for an hour is looked at, some of it at a time. Of rows
whose file is at another gateway that shares the database nothing is said here.
"""

import asyncio
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import RowMapping, select, update

from gateway.recording.reel import FOLDER, OPEN
from gateway.recording.studio import Studio
from gateway.store.gateways import is_ours, others
from gateway.store.store import Store, StoreError, Upsert
from gateway.store.tables import recordings
from shared.audio import SAMPLE_RATE
from shared.ulaw_wav import FRAME_BYTES, HEAD_BYTES, find_sound

log = structlog.get_logger(__name__)

STILL_SECONDS = 3600.0
"""A file or a row that is younger is somebody's work."""

_AT_ONCE = 200
_REST_SECONDS = 0.05
_RETRY_SECONDS = 5.0
_DAY_SECONDS = 86_400.0
_UNREADABLE = -1
_NAME = re.compile(r"[A-Za-z0-9]{1,48}")


@dataclass(slots=True)
class Found:
    """Rows that said what is not so, files that no row knew, and files that went."""

    corrected: int = 0
    adopted: int = 0
    removed: int = 0


@dataclass(frozen=True, slots=True)
class _File:
    """A file that has lain still. ``path`` is below the data folder, ``at`` when it was written."""

    name: str
    path: str
    size: int
    at: float

    @property
    def other_name(self) -> str:
        """What its row is called if the call has another file."""
        return f"{self.name}-{''.join(self.path.split('/')[1:4])}"


class Inventory:
    """Takes stock of one gateway's recordings."""

    def __init__(
        self, store: Store, data_dir: Path, studio: Studio, still_seconds: float = STILL_SECONDS
    ) -> None:
        self._store, self._data_dir, self._studio = store, data_dir, studio
        self._still = still_seconds
        self.found, self.is_done = Found(), False
        """What was found the last time, and whether that was all."""

    async def run(self) -> None:
        """Take stock at the start and then once a day, until cancelled."""
        await self._studio.mend()
        while True:
            self.is_done = False
            try:
                if await self._store.flush():
                    _tell(await self.take())
                    self.is_done = True
            except StoreError as error:
                self.is_done = not error.away
                if self.is_done:
                    log.warning("recordings are not compared with records", reason=error.sentence)
            except OSError as error:
                log.warning("recordings are not compared with records", reason=str(error))
            await asyncio.sleep(_DAY_SECONDS if self.is_done else _RETRY_SECONDS)

    async def take(self) -> Found:
        """Compare; return what was found. Raises `StoreError` and ``OSError``."""
        self.found, until = Found(), time.time() - self._still
        await self._look_at_rows(until)
        await self._look_at_files(until)
        return self.found

    # Rows ----------------------------------------------------------------------------------------

    async def _look_at_rows(self, until: float) -> None:
        r, last = recordings.c, ""
        # Where the file of a row without a gateway is only that one knows.
        is_alone = not await others(self._store, time.time() - _DAY_SECONDS)
        wanted = select(r.id, r.call_sid, r.kind, r.status, r.path, r.gateway).where(
            r.path.is_not(None), r.created < until, is_ours(r.gateway, self._store)
        )
        page = wanted.order_by(r.id).limit(_AT_ONCE)
        while rows := await self._store.rows(page.where(r.id > last)):
            last = rows[-1]["id"]
            sizes = await asyncio.to_thread(self._sizes, [row["path"] for row in rows])
            for row, size in zip(rows, sizes, strict=True):
                if is_alone or row["gateway"] is not None or size is not None:
                    await self._compare(row, size)
            here = [
                row["id"]
                for row, size in zip(rows, sizes, strict=True)
                if row["gateway"] is None and size is not None
            ]
            await self._claim(here)
            await asyncio.sleep(_REST_SECONDS)

    async def _claim(self, ids: Sequence[str]) -> None:
        """Note that the files of these rows, of which that was not known, are here."""
        if ids:
            r = recordings.c
            found = update(recordings).where(r.id.in_(ids), r.gateway.is_(None))
            await self._store.commit(found.values(gateway=self._store.gateway))

    def _sizes(self, paths: Sequence[str]) -> list[int | None]:
        return [_size(self._data_dir / path) for path in paths]

    async def _compare(self, row: RowMapping, size: int | None) -> None:
        sid = row["call_sid"]
        if sid in self._studio.unfinished() or size == _UNREADABLE:
            return
        change: dict[str, Any]
        if size is None:
            change = {"path": None, "size": None}
            if row["kind"] == "own":
                change["status"] = "absent"
        elif row["kind"] == "own" and row["status"] == "in-progress":
            if await asyncio.to_thread((self._data_dir / FOLDER / OPEN / sid).exists):
                return
            frames = max(0, size - HEAD_BYTES) // FRAME_BYTES
            change = {"status": "interrupted", "size": size, "seconds": frames / SAMPLE_RATE}
        else:
            return
        r = recordings.c
        same = update(recordings).where(
            r.id == row["id"], r.path == row["path"], r.status == row["status"]
        )
        self.found.corrected += await self._store.commit(same.values(**change))

    # Files ---------------------------------------------------------------------------------------

    async def _look_at_files(self, until: float) -> None:
        for folder in await asyncio.to_thread(lambda: list(_days(self._data_dir))):
            try:
                files = await asyncio.to_thread(self._still_files, folder, until)
            except FileNotFoundError:
                continue  # its recordings were pruned meanwhile
            for start in range(0, len(files), _AT_ONCE):
                await self._match(files[start : start + _AT_ONCE])
                await asyncio.sleep(_REST_SECONDS)

    def _still_files(self, folder: Path, until: float) -> list[_File]:
        """Return the recordings of a day; halves of fetches go. What cannot be read is passed."""
        found = []
        for path in sorted(folder.iterdir()):
            try:
                it = path.lstat()
                if it.st_mtime >= until or not path.is_file() or path.is_symlink():
                    continue
                if path.suffix == ".part":
                    path.unlink()
                    self.found.removed += 1
                elif path.suffix == ".wav" and _NAME.fullmatch(path.stem):
                    below = path.relative_to(self._data_dir).as_posix()
                    found.append(_File(path.stem, below, it.st_size, it.st_mtime))
            except OSError as error:
                log.warning("a recording cannot be looked at", file=path.name, reason=str(error))
        return found

    async def _match(self, files: Sequence[_File]) -> None:
        r = recordings.c
        names = [name for it in files for name in (it.name, it.other_name)]
        rows = await self._store.rows(select(r.id, r.kind, r.path, r.status).where(r.id.in_(names)))
        known = {row["id"]: row for row in rows}
        unfinished, before = self._studio.unfinished(), self.found.adopted
        for it in files:
            row = known.get(it.name)
            if it.other_name in known or it.name in unfinished:
                continue
            if row is None:
                await self._adopt(it, it.name)
            elif row["path"] is not None:
                if row["path"] != it.path:
                    await self._adopt(it, it.other_name)
            elif row["status"] == "deleted":
                await asyncio.to_thread((self._data_dir / it.path).unlink, missing_ok=True)
                self.found.removed += 1
            else:
                self._give_back(it, row)
        if self.found.adopted > before:
            await self._store.flush()  # a call may have another file in the next folder

    def _give_back(self, it: _File, row: RowMapping) -> None:
        """A file whose row had lost it is there again."""
        status = "interrupted" if row["kind"] == "own" else row["status"]
        values = {
            "id": row["id"],
            "path": it.path,
            "size": it.size,
            "status": status,
            "gateway": self._store.gateway,
        }
        self._store.write(Upsert("recordings", values))
        self.found.adopted += 1

    async def _adopt(self, it: _File, name: str) -> None:
        """A file that no row knows gets one."""
        is_ours = await asyncio.to_thread(_is_ours, self._data_dir / it.path)
        if is_ours is None:
            return
        seconds = max(0, it.size - HEAD_BYTES) / FRAME_BYTES / SAMPLE_RATE if is_ours else None
        values = {
            "id": name,
            "call_sid": it.name,
            "kind": "own" if is_ours else "carrier",
            "status": "interrupted" if is_ours else "completed",
            "path": it.path,
            "size": it.size,
            "seconds": seconds,
            "created": it.at - (seconds or 0.0),
            "gateway": self._store.gateway,
        }
        self._store.write(Upsert("recordings", values))
        self.found.adopted += 1


def _tell(it: Found) -> None:
    if it.corrected or it.adopted or it.removed:
        log.warning(
            "recordings and records differed",
            records_corrected=it.corrected,
            files_without_record=it.adopted,
            leftovers_removed=it.removed,
        )


def _days(data_dir: Path) -> Iterator[Path]:
    """Yield the folders of days, the oldest first."""
    yield from sorted(it for it in (data_dir / FOLDER).glob("[0-9]*/[0-9]*/[0-9]*") if it.is_dir())


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None
    except OSError:
        return _UNREADABLE


def _is_ours(path: Path) -> bool | None:
    """Whether it is one of our own recordings, by its form; ``None``: it was pruned meanwhile."""
    try:
        with path.open("rb") as file:
            return find_sound(file) is not None
    except FileNotFoundError:
        return None
    except OSError:
        return False
