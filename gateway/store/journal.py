"""Changes that wait on disk while the database does not take them: appended, read back in order.

    journal/00000001.log   entries: length (u32), CRC-32 (u32), bytes
    journal/00000002.log   the one that is written

A file is removed when all of it is in the database. What a crash tore off at a file's end is
skipped; a file that is damaged in its midst is kept beside the others, and its good entries are
used. Everything here blocks: it is called in a thread.
"""

import os
import struct
import threading
import zlib
from collections.abc import Sequence
from pathlib import Path

_HEAD = struct.Struct(">II")
_SUFFIX = ".log"
_DAMAGED = ".damaged"

SEGMENT_BYTES = 4 << 20
"""A file that is longer is followed by another."""

MOST_ENTRY = 16 << 20
"""A length beyond it is no length."""


class Journal:
    """The files in ``folder``, which is made with the first entry."""

    def __init__(self, folder: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._folder, self._segment_bytes = folder, segment_bytes
        self._lock = threading.Lock()
        self._fd = -1
        self._end = 0
        self._open: Path | None = None
        self.damaged = 0
        """Entries that could not be read back."""
        self._sizes = {path: path.stat().st_size for path in sorted(folder.glob("*" + _SUFFIX))}

    @property
    def size(self) -> int:
        """Bytes on disk that are not in the database."""
        return sum(tuple(self._sizes.values()))  # written in a thread

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._sizes

    def append(self, entries: Sequence[bytes]) -> None:
        """Keep entries: they are on the disk when this returns.

        Raises ``OSError``; then none of them is there.
        """
        if entries:
            with self._lock:
                self._append(entries)

    def _append(self, entries: Sequence[bytes]) -> None:
        if self._open is None or self._end >= self._segment_bytes:
            self._next()
        assert self._open is not None
        data = b"".join(
            part for entry in entries for part in (_HEAD.pack(len(entry), zlib.crc32(entry)), entry)
        )
        try:
            _write_at(self._fd, data, self._end)
            os.fdatasync(self._fd)
        except OSError:
            # What was half written goes, so that the next entry begins where this one did.
            os.ftruncate(self._fd, self._end)
            if not self._end:
                self._drop_open()
            raise
        self._end += len(data)
        self._sizes[self._open] = self._end

    def oldest(self) -> tuple[Path, list[bytes]] | None:
        """Return the oldest file and its entries; nothing more is appended to it."""
        with self._lock:
            return self._oldest()

    def done(self, path: Path) -> None:
        """Remove a file whose entries are in the database."""
        with self._lock:
            path.unlink(missing_ok=True)
            self._sizes.pop(path, None)

    def close(self) -> None:
        """Let go of the file that is written."""
        with self._lock:
            self._close()

    def _oldest(self) -> tuple[Path, list[bytes]] | None:
        if not self._sizes:
            return None
        path = next(iter(self._sizes))
        if path == self._open:
            self._close()
        entries, damaged, torn = _entries(path.read_bytes())
        if damaged or torn > self._segment_bytes:
            self.damaged += damaged
            _link(path, path.with_suffix(_DAMAGED))
        return path, entries

    def _next(self) -> None:
        self._close()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        last = max((int(path.stem) for path in self._sizes), default=0)
        path = self._folder / f"{last + 1:08d}{_SUFFIX}"
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._open, self._end = path, 0
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _close(self) -> None:
        if self._open is not None:
            os.close(self._fd)
            self._open, self._fd = None, -1

    def _drop_open(self) -> None:
        path = self._open
        self._close()
        if path is not None:
            path.unlink(missing_ok=True)


def _write_at(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(fd, view, offset)
        view, offset = view[count:], offset + count


def _entries(data: bytes) -> tuple[list[bytes], int, int]:
    """Return the whole entries, how many were damaged, and how many bytes at the end are no entry.

    A wrong checksum in the midst costs that entry; what cannot be measured ends the file.
    """
    entries, damaged, start = [], 0, 0
    while start + _HEAD.size <= len(data):
        size, checksum = _HEAD.unpack_from(data, start)
        end = start + _HEAD.size + size
        if size > MOST_ENTRY or end > len(data):
            break
        entry = data[start + _HEAD.size : end]
        if zlib.crc32(entry) == checksum:
            entries.append(entry)
        elif end < len(data):
            damaged += 1
        start = end
    return entries, damaged, len(data) - start


def _link(path: Path, beside: Path) -> None:
    beside.unlink(missing_ok=True)
    beside.hardlink_to(path)
