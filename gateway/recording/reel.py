"""One recording's file: grows, and can be played at any moment; finished or left by a crash.

    recordings/2026/11/02/CA….wav     the audio, 0600
    recordings/open/CA…               which files are not finished, one line each: the path

Audio is written first, then the head that counts it, so that a player never misses what the head
promises. What is in ``open`` at a start was left by a crash: `mend` counts what there is.
Everything here blocks: for a thread. Raises ``OSError``.
"""

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import structlog

from shared.audio import SAMPLE_RATE, SILENCE
from shared.ulaw_wav import FRAME_BYTES, HEAD_BYTES, MOST_FRAMES, head, interleaved

log = structlog.get_logger(__name__)

FOLDER = "recordings"
OPEN = "open"

MOST_GAP_SECONDS = 600.0
"""A gateway that was gone for longer than this has not interrupted a recording, but ended it."""

_PIECE = 1 << 20


class ReelFullError(OSError):
    """A WAV file cannot hold more."""

    def __str__(self) -> str:
        return "a WAV file holds no more than 74 hours"


@dataclass(frozen=True, slots=True)
class Found:
    """A file that a crash has left. ``path`` is below the data folder, ``frames`` a side.

    ``whole``: it had been finished, but perhaps nobody was told. ``at`` is when it was written
    last, in Unix seconds.
    """

    sid: str
    path: str
    frames: int
    whole: bool
    at: float

    @property
    def seconds(self) -> float:
        """How long it plays."""
        return self.frames / SAMPLE_RATE


class Reel:
    """The open file of one call. ``path`` is below ``data_dir``."""

    def __init__(self, data_dir: Path, sid: str, path: str, fd: int, frames: int) -> None:
        self._data_dir, self.sid, self.path = data_dir, sid, path
        self._fd, self.frames = fd, frames

    @classmethod
    def begin(cls, data_dir: Path, sid: str, path: str | None = None) -> "Reel":
        """Make the file; or go on with the one at ``path``, silent for the time it lay still."""
        if path is None:
            day = time.strftime("%Y/%m/%d", time.gmtime())
            path = f"{FOLDER}/{day}/{sid}.wav"
        there = data_dir / path
        there.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        marker = data_dir / FOLDER / OPEN / sid
        marker.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        marker.write_text(path + "\n", encoding="utf-8")
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(there, flags, 0o600)
        reel = cls(data_dir, sid, path, fd, 0)
        try:
            reel._continue()
        except BaseException:
            os.close(fd)
            raise
        return reel

    def _continue(self) -> None:
        it = os.fstat(self._fd)
        self.frames = max(0, it.st_size - HEAD_BYTES) // FRAME_BYTES
        self._write_head()
        if self.frames:
            lay = min(max(0.0, time.time() - it.st_mtime), MOST_GAP_SECONDS)
            silence = SILENCE * round(lay * SAMPLE_RATE)
            self.write(silence, silence)

    def write(self, left: bytes, right: bytes) -> None:
        """Add audio of both sides, of one length."""
        if self.frames + len(left) > MOST_FRAMES:
            raise ReelFullError
        data, place = memoryview(interleaved(left, right)), HEAD_BYTES + self.frames * FRAME_BYTES
        for start in range(0, len(data), _PIECE):
            _write_all(self._fd, data[start : start + _PIECE], place + start)
        self.frames += len(left)
        self._write_head()

    def _write_head(self) -> None:
        _write_all(self._fd, memoryview(head(self.frames)), 0)

    def finish(self) -> None:
        """No more comes. The marker says so, and stays until `told`; an empty file does not."""
        os.close(self._fd)
        if not self.frames:
            (self._data_dir / self.path).unlink(missing_ok=True)
        self._marker.write_text(f"{self.path}\nwhole\n", encoding="utf-8")

    def abandon(self) -> None:
        """Nothing more can be written: leave what there is for `mend`."""
        os.close(self._fd)

    @property
    def _marker(self) -> Path:
        return self._data_dir / FOLDER / OPEN / self.sid


def told(data_dir: Path, sids: Iterable[str]) -> None:
    """Whoever is to know of these finished files does: forget that they were open."""
    for sid in sids:
        (data_dir / FOLDER / OPEN / sid).unlink(missing_ok=True)


def mend(data_dir: Path) -> list[Found]:
    """Make what a crash has left whole files, and return them.

    One that cannot be read now is left for the next time, and the log has it.
    """
    folder, found = data_dir / FOLDER / OPEN, list[Found]()
    if not folder.is_dir():
        return found
    for marker in sorted(folder.iterdir()):
        try:
            if marker.is_file():
                found.append(_mended(data_dir, marker))
        except OSError as error:
            why = error.strerror or str(error)
            log.warning("a recording is left as it is", call_sid=marker.name, reason=why)
    return found


def mend_one(data_dir: Path, sid: str) -> Found:
    """Make the file of one call whole."""
    return _mended(data_dir, data_dir / FOLDER / OPEN / sid)


def _mended(data_dir: Path, marker: Path) -> Found:
    nothing = Found(marker.name, "", 0, whole=False, at=time.time())
    try:
        path, _, rest = marker.read_text(encoding="utf-8").partition("\n")
        there = (data_dir / path).resolve()
    except (ValueError, RuntimeError):  # torn by the crash itself, or a ring of links
        return nothing
    if not path or not there.is_relative_to((data_dir / FOLDER).resolve()) or not there.is_file():
        return nothing
    fd = os.open(there, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        it = os.fstat(fd)
        frames = (it.st_size - HEAD_BYTES) // FRAME_BYTES
        if frames <= 0:
            there.unlink()
            return nothing
        os.ftruncate(fd, HEAD_BYTES + frames * FRAME_BYTES)
        _write_all(fd, memoryview(head(frames)), 0)
        os.utime(fd, (it.st_mtime, it.st_mtime))
    finally:
        os.close(fd)
    return Found(marker.name, path, frames, rest.startswith("whole"), it.st_mtime)


def _write_all(fd: int, data: memoryview, place: int) -> None:
    while len(data):
        written = os.pwrite(fd, data, place)
        data, place = data[written:], place + written
