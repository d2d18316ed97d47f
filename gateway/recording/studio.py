"""Writes all recordings: once a second, in a thread of its own, and all of them at once.

    tapes ──about 1 s of each──> thread: interleave, write, count ──> again
      └──the thread is behind: they wait in memory, up to a limit, then that recording ends

A disk that is full, slow or gone ends recordings, with a line in the log, and never a call. What a
crash has left is made whole when the gateway starts.
"""

import asyncio
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import structlog

from gateway.calls.record import KeptRecording, Record
from gateway.recording import reel as files
from gateway.recording.recorder import Recorder, RecordingError
from gateway.recording.reel import Found, Reel
from gateway.store.change import Upsert
from gateway.store.recording_rows import own_recording

log = structlog.get_logger(__name__)

TICK_SECONDS = 1.0
CLOSE_SECONDS = 5.0

MOST_UNWRITTEN_SECONDS = 30.0
"""What waits in memory for a slow disk: beyond that the recording ends (480 kB a call)."""

_AT_ONCE = 16
"""Tapes that are looked into before the event loop goes round."""

_MOST_INTERRUPTED = 1000

_T = TypeVar("_T")


class Book(Protocol):
    """Where records go (`gateway.store.store.Store`)."""

    def write(self, *changes: Upsert) -> None:
        """Write them soon."""

    async def flush(self, seconds: float = ...) -> bool:
        """Wait until they are written."""


@dataclass(frozen=True, slots=True)
class StudioLimits:
    """``least_free`` bytes of the disk stay free: no recording begins or goes on below."""

    tick_seconds: float = TICK_SECONDS
    unwritten_seconds: float = MOST_UNWRITTEN_SECONDS
    least_free: int = 256 << 20


@dataclass(slots=True)
class _Part:
    recorder: Recorder
    reel: Reel
    pieces: list[tuple[bytes, bytes]]
    last: bool
    error: OSError | None = None


class Studio:
    """The recordings of one gateway, below ``data_dir``."""

    def __init__(self, data_dir: Path, book: Book, limits: StudioLimits | None = None) -> None:
        self._data_dir, self._book = data_dir, book
        self._limits = limits or StudioLimits()
        self._thread = ThreadPoolExecutor(1, "recordings")
        self._running: dict[str, Recorder] = {}
        self._written_at: dict[str, float] = {}
        self._interrupted: dict[str, str] = {}
        """Files of an earlier life, by call: it may come back."""
        self._untold: list[str] = []
        self._mending, self._has_mended = asyncio.Lock(), False
        self._wake = asyncio.Event()
        self._round: asyncio.Task[None] | None = None

    def recorder(self, sid: str, record: Record) -> Recorder:
        """Return what would record a call."""
        return Recorder(sid, self, record)

    def is_recorded(self, sid: str) -> bool:
        """Whether a call is being recorded."""
        return sid in self._written_at

    def unfinished(self) -> set[str]:
        """Return the calls whose recording is not whole, or not known of in the database yet."""
        beginning = (sid for sid, it in self._running.items() if it.is_beginning)
        return {*self._written_at, *self._untold, *beginning}

    def path(self, recorded: str) -> Path:
        """Return where the file with this path of a record lies."""
        return self._data_dir / recorded

    async def remove(self, recorded: str) -> None:
        """Remove a file. Raises ``OSError``."""
        path = self.path(recorded).resolve()
        if path.is_relative_to((self._data_dir / files.FOLDER).resolve()):
            await self._in_thread(lambda: path.unlink(missing_ok=True))

    # One recording -----------------------------------------------------------------------------

    def listen(self, recorder: Recorder) -> None:
        """Forget what a recorder hears, from now on, as long as it has no file."""
        if self._running.setdefault(recorder.sid, recorder) is not recorder:
            raise RecordingError("the call is being recorded")

    async def begin(self, recorder: Recorder) -> None:
        """Open a recorder's file and write what it has from now on. Raises `RecordingError`."""
        await self.mend()
        path = recorder.path or self._interrupted.pop(recorder.sid, None)
        try:
            reel = await self._in_thread(lambda: self._begin(recorder.sid, path))
        except OSError as error:
            why = error.strerror or str(error)
            log.error("no recording", call_sid=recorder.sid, reason=why)  # noqa: TRY400
            raise RecordingError(f"the recording's file cannot be made: {why}") from error
        recorder.reel, recorder.path = reel, reel.path
        self._running[recorder.sid] = recorder
        self._written_at[recorder.sid] = recorder.clock()
        if recorder.over:
            self.hurry()

    def _begin(self, sid: str, path: str | None) -> Reel:
        self._check_room()
        return Reel.begin(self._data_dir, sid, path)

    def _check_room(self) -> None:
        free = shutil.disk_usage(self._data_dir).free
        if free < self._limits.least_free:
            raise OSError(28, f"less than {self._limits.least_free >> 20} MB are free on the disk")

    def hurry(self) -> None:
        """Write at once."""
        self._wake.set()

    # All of them -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Make whole what a crash has left, then write until cancelled."""
        await self.mend()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._limits.tick_seconds):
                    await self._wake.wait()
            self._wake.clear()
            # What is being written is seen to its end, whoever cancels this.
            self._round = asyncio.create_task(self._write())
            await asyncio.shield(self._round)
            await self._tell()

    async def _write(self) -> None:
        parts = []
        for number, recorder in enumerate(list(self._running.values())):
            if number % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
            if recorder.reel is not None:
                parts += _part(recorder, recorder.reel)
            elif recorder.is_beginning:
                continue
            elif recorder.tape is None or recorder.over:
                self._running.pop(recorder.sid, None)
            else:
                recorder.tape.take(recorder.clock())
        if not parts:
            return
        writing = asyncio.ensure_future(self._in_thread(lambda: self._write_all(parts)))
        while not (await asyncio.wait((writing,), timeout=self._limits.tick_seconds))[0]:
            self._give_up_the_overdue()
        writing.result()
        for part in parts:
            self._written(part)

    def _write_all(self, parts: Iterable[_Part]) -> None:
        """In the thread: write the parts, each its own fate."""
        for part in parts:
            try:
                self._check_room()
                while part.pieces:
                    part.reel.write(*part.pieces[0])
                    del part.pieces[0]
                if part.last:
                    part.reel.finish()
            except OSError as error:
                part.error = error
                with suppress(OSError):
                    part.reel.abandon()
                with suppress(OSError):  # a part of a piece may have been written
                    part.reel.frames = files.mend_one(self._data_dir, part.reel.sid).frames

    def _written(self, part: _Part) -> None:
        recorder = part.recorder
        self._written_at[recorder.sid] = recorder.clock()
        if part.error is not None:
            recorder.why = recorder.why or part.error.strerror or str(part.error)
        elif not part.last:
            return
        del self._running[recorder.sid], self._written_at[recorder.sid]
        recorder.ended()
        self._untold.append(recorder.sid)

    def _give_up_the_overdue(self) -> None:
        for recorder in list(self._running.values()):
            waited = recorder.clock() - self._written_at.get(recorder.sid, recorder.clock())
            if recorder.tape is not None and waited > self._limits.unwritten_seconds:
                recorder.give_up(f"the disk has taken nothing for {waited:.0f} s")

    async def _tell(self) -> None:
        """Once the database knows of a finished file, nothing else has to remember it."""
        untold = tuple(self._untold)
        if not untold or not await self._book.flush(self._limits.tick_seconds):
            return
        with suppress(OSError):
            await self._in_thread(lambda: files.told(self._data_dir, untold))
        del self._untold[: len(untold)]

    # Beginning and end -------------------------------------------------------------------------

    async def mend(self) -> None:
        """Make whole what a crash has left, and complete its records; once, before any other."""
        async with self._mending:
            if not self._has_mended:
                await self._mend()
            self._has_mended = True

    async def _mend(self) -> None:
        try:
            found = await self._in_thread(lambda: files.mend(self._data_dir))
        except OSError as error:
            log.warning("unfinished recordings are left as they are", reason=str(error))
            return
        for each in found:
            self._book.write(_mended(each))
            self._untold.append(each.sid)
            if each.frames and not each.whole and len(self._interrupted) < _MOST_INTERRUPTED:
                self._interrupted[each.sid] = each.path
        if found:
            log.info("recordings that a crash had left are whole", recordings=len(found))

    async def aclose(self) -> None:
        """Finish all recordings, in bounded time."""
        for recorder in list(self._running.values()):
            recorder.finish()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                if self._round is not None:
                    await self._round
                await self._write()
                await self._tell()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _part(recorder: Recorder, reel: Reel) -> list[_Part]:
    """Return what of a recording is to be written now, if anything."""
    tape, now = recorder.tape, recorder.clock()
    if tape is None:
        return [_Part(recorder, reel, [], last=True)]
    if not recorder.over:
        piece = tape.take(now)
        return [_Part(recorder, reel, [piece], last=False)] if piece[0] else []
    pieces = []
    while (piece := tape.finish(now))[0]:
        pieces.append(piece)
    return [_Part(recorder, reel, pieces, last=True)]


def _mended(it: Found) -> Upsert:
    status = "absent"
    if it.frames:
        status = "completed" if it.whole else "interrupted"
    kept = KeptRecording(it.path if it.frames else None, status, it.frames)
    return own_recording(it.sid, kept, it.at - it.seconds)
