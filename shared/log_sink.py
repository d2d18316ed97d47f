"""Where log lines go when their writer must not wait: a bounded queue and a thread that writes.

Standard error may be a pipe that nobody empties; the gateway's loop must not stand still for it.
Lines that find the queue full are dropped and counted, and the count is itself a line as soon as
there is room. For the gateway only: a thread does not survive a fork.
"""

import logging
import queue
import threading
import time
from typing import TextIO

CAPACITY = 10_000
"""Lines that may wait. Twenty calls that log twenty lines a second fill it in half a minute."""

_CLOSE_SECONDS = 2.0


class Sink(logging.Handler):
    """A log handler that never blocks the thread that logs."""

    def __init__(self, stream: TextIO, capacity: int = CAPACITY) -> None:
        super().__init__()
        self._stream = stream
        self._lines: queue.Queue[str | None] = queue.Queue(capacity)
        self._dropped = 0
        self._reported = 0
        self._thread = threading.Thread(target=self._write_all, name="log", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Lines lost so far."""
        return self._dropped

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the record as a finished line, or count it as dropped."""
        try:
            line = self.format(record)
        except Exception:
            self.handleError(record)
            return
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._dropped += 1

    def close(self) -> None:
        """Write what waits, for two seconds at most, and end the thread. May be called twice."""
        deadline = time.monotonic() + _CLOSE_SECONDS
        if self._thread.is_alive():
            try:
                self._lines.put(None, timeout=_CLOSE_SECONDS)
            except queue.Full:  # nobody reads: the thread is a daemon and dies with the process
                pass
            else:
                self._thread.join(max(0.0, deadline - time.monotonic()))
        super().close()

    def _write_all(self) -> None:
        while (line := self._lines.get()) is not None:
            self._write(line)
            lost = self._dropped - self._reported
            if lost:
                self._reported += lost
                self._write(self._notice(lost))

    def _write(self, line: str) -> None:
        try:
            self._stream.write(line + "\n")
            if self._lines.empty():
                self._stream.flush()
        except (OSError, ValueError):  # closed: there is nobody left to tell
            self._dropped += 1

    def _notice(self, lost: int) -> str:
        return self.format(
            logging.LogRecord(
                "callfarm.log", logging.WARNING, __file__, 0, "log lines dropped: %d", (lost,), None
            )
        )
