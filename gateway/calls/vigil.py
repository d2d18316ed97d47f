"""Looks after a call's process, which may fall silent, talk without end, not read, or grow."""

import asyncio

import structlog

from gateway.farm.process import CallProcess

MOST_FRAMES = 5000
"""Frames of one process between two looks at it, a second apart; the others wait in its pipe."""


class Vigil:
    """Watches one call's process. ``hang_seconds`` of silence end it."""

    def __init__(self, hang_seconds: float, log: structlog.stdlib.BoundLogger) -> None:
        self._hang_seconds, self._log = hang_seconds, log
        self._process: CallProcess | None = None
        self.heard_at = 0.0
        self._frames = 0
        self._heard = self._dumped = self._lossy = False

    def begin(self, process: CallProcess | None, now: float) -> None:
        """Watch ``process`` from now on."""
        self._process, self.heard_at = process, now

    def over(self) -> None:
        """It is gone."""
        self._process = None

    def heard(self) -> None:
        """A frame came from it."""
        self._heard = True
        self._frames += 1
        if self._frames == MOST_FRAMES and self._process is not None:
            self._log.warning("call process says too much: it is heard with pauses")
            self._process.pipe.pause_reading()

    def look(self, now: float) -> None:
        """Look at it, about once a second: a hanging one is looked into, then ended."""
        process = self._process
        if process is None:
            return
        self._look_at_pipe(process)
        if self._heard or process.pid is None:
            self._heard, self.heard_at = False, now
        silent = now - self.heard_at
        if silent < self._hang_seconds / 3:
            self._dumped = False
        elif silent >= self._hang_seconds:
            self._log.error("call process hangs: killed", silent_seconds=round(silent, 1))
            process.kill()
        elif not self._dumped:
            self._dumped = True
            self._log.warning("call process is silent: its stacks follow", process=process.title)
            process.dump_stacks()

    def _look_at_pipe(self, process: CallProcess) -> None:
        if self._frames >= MOST_FRAMES:
            process.pipe.resume_reading()
        self._frames = 0
        if not self._lossy and process.pipe.statistics().dropped:
            self._lossy = True
            self._log.warning("call process does not read: it loses the caller's oldest audio")

    async def weigh(self, most: int) -> None:
        """End it if more than ``most`` bytes are its own."""
        process = self._process
        if process is None or process.pid is None:
            return
        try:
            if process.resident_bytes() <= most:
                return  # what is its own is a part of that
            size = await asyncio.to_thread(process.private_bytes)
        except OSError:
            return
        if size > most:
            self._log.error(
                "call process killed: over its memory (CALL_MEMORY_MB)",
                private_mb=size >> 20,
                limit_mb=most >> 20,
            )
            process.kill()
