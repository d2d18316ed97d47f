"""One side of a recording while it is still in memory: sound in runs, silence between them.

    written │ silence │ run ─────────┤ silence │ run ───┤
            base       start                             end

Positions are samples (8 a millisecond) from the recording's beginning. A run goes on without a
gap; as a whole it can be moved while its beginning is not written, because only later is it known
when it was really heard. Pure: no clock, no file.
"""

from collections import deque
from dataclasses import dataclass

from shared.audio import SILENCE


@dataclass(slots=True, eq=False)
class Run:
    """Sound without a gap from ``start`` on; ``gap`` samples of silence lie before it."""

    start: int
    gap: int


class Track:
    """One side, μ-law."""

    __slots__ = ("_audio", "_runs", "base", "end", "run")

    def __init__(self) -> None:
        self.base = self.end = 0
        """What is taken ends at ``base``, what is known at ``end``."""
        self._audio = bytearray()
        self.run = Run(0, 0)
        """The last one."""
        self._runs: deque[Run] = deque((self.run,))

    def add(self, audio: bytes) -> None:
        """Let the last run go on."""
        self._audio += audio
        self.end += len(audio)

    def begin(self, at: int) -> None:
        """Let a new run begin ``at``, or at the end if that is later."""
        gap = max(0, at - self.end)
        self.add(SILENCE * gap)
        self.run = Run(self.end, gap)
        self._runs.append(self.run)

    def cut(self, at: int) -> None:
        """Forget what lies behind ``at``, as far as it is not taken."""
        keep = max(at, self.base)
        if keep < self.end:
            del self._audio[keep - self.base :]
            self.end = keep
            for run in self._runs:
                if run.start > keep:
                    run.gap = max(0, run.gap - (run.start - keep))
                    run.start = keep

    def silence(self, start: int, until: int) -> None:
        """Silence what lies between the two, as far as it is not taken."""
        start, until = max(start, self.base), min(until, self.end)
        if start < until:
            self._audio[start - self.base : until - self.base] = SILENCE * (until - start)

    def later(self, run: Run, by: int, at: int) -> None:
        """Move a run; if its beginning is taken, only what of it lies behind ``at``."""
        if run.start >= self.base:
            run.gap += by
        else:
            rest = Run(min(max(at, self.base), self.end), by)
            self._runs.append(rest)
            self.run = rest if run is self.run else self.run
            run = rest
        place = run.start - self.base
        self._audio[place:place] = SILENCE * by
        self.end += by
        self._shift(run, by)

    def earlier(self, run: Run, by: int) -> int:
        """Move a run into the silence before it; return by how much that was possible."""
        by = min(by, run.gap, run.start - self.base)
        if by <= 0:
            return 0
        place = run.start - self.base
        del self._audio[place - by : place]
        self.end -= by
        run.gap -= by
        self._shift(run, -by)
        return by

    def _shift(self, moved: Run, by: int) -> None:
        """Whatever lies behind the beginning of ``moved`` has moved with it."""
        start = moved.start
        for run in self._runs:
            if run is moved or run.start > start:
                run.start += by

    def take(self, until: int) -> bytes:
        """Return what lies between the last one taken and ``until``, which is known by now."""
        size = until - self.base
        if until > self.end:
            self.add(SILENCE * (until - self.end))
        taken = bytes(self._audio[:size])
        del self._audio[:size]
        self.base = until
        while len(self._runs) > 1 and self._runs[0].start < until:
            self._runs.popleft()
        return taken
