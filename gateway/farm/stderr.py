"""A process's standard error: drained, logged line by line, and its last words kept."""

import asyncio
import os
import time
from collections.abc import Callable

from gateway.allowance import LineAllowance

_KEPT = 16 * 1024
_READ = 16 * 1024
_LAST_READS = 64  # 1 MB: more than a pipe holds, however much a writer that lives on adds
_REST_SECONDS = 0.05


class StderrTail:
    """Reads one pipe until its last writer is gone; keeps the last 16 kB.

    ``on_line`` gets each complete line while ``allowance`` lasts. Who writes more than that is
    read a piece at a time: a flood fills its own pipe, and takes neither memory nor the loop.
    """

    def __init__(
        self, fd: int, on_line: Callable[[str], None], allowance: LineAllowance | None = None
    ) -> None:
        self._fd, self._on_line = fd, on_line
        self._allowance = LineAllowance(time.monotonic) if allowance is None else allowance
        self._rest: asyncio.TimerHandle | None = None
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
        if not data:
            self.close()
            return
        self._take(data)
        if self._allowance.left_out:
            self._loop.remove_reader(self._fd)
            self._rest = self._loop.call_later(_REST_SECONDS, self._read_on)

    def _read_on(self) -> None:
        self._loop.add_reader(self._fd, self._readable)

    def _take(self, data: bytes) -> None:
        self._tail = (self._tail + data)[-_KEPT:]
        *lines, rest = (self._line + data).split(b"\n")
        self._line = rest[-_KEPT:]
        for index, line in enumerate(lines):
            if not line.strip():
                continue
            left_out = self._allowance.left_out
            if not self._allowance.take():
                # The others would fare no better now, and are many.
                self._allowance.left_out += len(lines) - index - 1
                return
            if left_out:
                self._allowance.left_out = 0
                self._on_line(f"... {left_out} lines left out: too many in too short a time")
            self._on_line(line.decode(errors="replace").rstrip())

    def close(self) -> None:
        """Read what is there, then stop. May be called twice."""
        if self._fd < 0:
            return
        fd, self._fd = self._fd, -1
        self._loop.remove_reader(fd)
        if self._rest is not None:
            self._rest.cancel()
        try:
            for _ in range(_LAST_READS):
                data = os.read(fd, _READ)
                if not data:
                    break
                self._take(data)
        except OSError:  # nothing more is there now, and a writer may outlive its call
            pass
        finally:
            os.close(fd)
