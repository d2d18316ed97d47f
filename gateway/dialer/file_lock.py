"""The right to dial for an SQLite file: a lock on a file beside it, which the kernel keeps.

It is gone with the process that has it, however that ends. What cannot be told from a lock is who
has it: that is written into the file.
"""

import asyncio
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from gateway.dialer.holder import Holder

_MOST_LETTERS = 200


def lock_file(database: Path) -> Path:
    """Return the file that is locked for ``database``, by whatever name that is called."""
    real = database.resolve()
    return real.with_name(real.name + ".dials")


class FileLock:
    """The lock of an SQLite file."""

    def __init__(self, database: Path) -> None:
        self._path = lock_file(database)
        self._fd = -1

    async def take(self, me: Holder, lost: Callable[[], None]) -> bool:
        """Take it if nobody has it. Raises ``OSError``."""
        return await asyncio.to_thread(self._take, me)

    async def confirm(self) -> bool:
        """Tell whether the file that is locked is still the one that others would lock."""
        return await asyncio.to_thread(self._is_there)

    async def holder(self) -> Holder | None:
        """Return who has it."""
        return await asyncio.to_thread(signed, self._path)

    async def release(self) -> None:
        """Let go of it."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _take(self, me: Holder) -> bool:
        if self._fd >= 0:  # by a call that nobody has waited for
            return self._is_there()
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(fd, 0)
            os.pwrite(fd, me.signature.encode(), 0)
        except BlockingIOError:
            os.close(fd)
            return False
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd
        return self._is_there()

    def _is_there(self) -> bool:
        try:
            return self._fd >= 0 and os.path.samestat(os.fstat(self._fd), self._path.stat())
        except FileNotFoundError:
            return False


def signed(path: Path) -> Holder | None:
    """Return who has signed a lock's file, whether they still have it or not."""
    try:
        with path.open(encoding="ascii", errors="replace") as file:
            return Holder.read(file.read(_MOST_LETTERS))
    except OSError:
        return None


def holder_now(path: Path) -> Holder | str | None:
    """Return who has a lock now; a sentence if it is not known who, ``None`` if nobody has it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return signed(path) or f"a process that has {path.name} locked"
    else:
        return None
    finally:
        os.close(fd)
