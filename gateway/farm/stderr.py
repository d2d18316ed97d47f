"""A process's standard error: drained, logged line by line, and its last words kept."""

import asyncio
import os
from collections.abc import Callable

_KEPT = 16 * 1024
_READ = 16 * 1024


class StderrTail:
    """Reads one pipe until its last writer is gone; keeps the last 16 kB.

    ``on_line`` gets each complete line; a flood of them costs one call a line and no memory.
    """

    def __init__(self, fd: int, on_line: Callable[[str], None]) -> None:
        self._fd, self._on_line = fd, on_line
        self._tail = b""
        self._line = b""
        self._loop = asyncio.get_running_loop()
        os.set_blocking(fd, False)
        self._loop.add_reader(fd, self._readable)

    @property
    def text(self) -> str:
        """The last words so far."""
        return self._tail.decode(errors="replace")

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, _READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._take(data)
        else:
            self.close()

    def _take(self, data: bytes) -> None:
        self._tail = (self._tail + data)[-_KEPT:]
        *lines, rest = (self._line + data).split(b"\n")
        self._line = rest[-_KEPT:]
        for line in lines:
            if line.strip():
                self._on_line(line.decode(errors="replace").rstrip())

    def close(self) -> None:
        """Read what is there, then stop. May be called twice."""
        if self._fd < 0:
            return
        fd, self._fd = self._fd, -1
        self._loop.remove_reader(fd)
        try:
            while data := os.read(fd, _READ):
                self._take(data)
        except OSError:  # nothing more is there now, and a writer may outlive its call
            pass
        finally:
            os.close(fd)
