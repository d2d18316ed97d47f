"""Looks after a call's process: one that falls silent, talks without end, or does not read."""

import structlog

from gateway.farm.process import CallProcess

MOST_FRAMES = 5000
"""Frames of one process between two looks at it, a second apart; the others wait in its pipe."""


class Vigil:
    """Watches one call's process. ``hang_seconds`` of silence end it."""

    def __init__(self, hang_seconds: float, log: structlog.stdlib.BoundLogger) -> None:
        self._hang_seconds, self._log = hang_seconds, log
        self.heard_at = 0.0
        self._frames = 0
        self._heard = self._dumped = self._lossy = False

    def heard(self, process: CallProcess | None) -> None:
        """A frame came from it."""
        self._heard = True
        self._frames += 1
        if self._frames == MOST_FRAMES and process is not None:
            self._log.warning("call process says too much: it is heard with pauses")
            process.pipe.pause_reading()

    def look(self, process: CallProcess, now: float) -> None:
        """Look at it, about once a second: a hanging one is looked into, then ended."""
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
