"""A call as it was heard: the caller's side and the agent's, laid down by the time of the carrier.

    caller   frames go on without a gap; one that is later than `MOST_LATE` begins a new run after
             silence, and what then comes in a burst takes that silence back
    agent    sent ahead of real time; lies where the carrier plays it

                 play           clear                echo of a mark
        sent      ├─────────────────┤ x x x x             │
        track  ...│.lag.├───────────────┤ (cut)           ├── before it all was played by now:
                                                              the run is moved, the lag is learned

What we send is played, and heard of, one way there and one way back later: the *lag*, which the
echoes of marks show. The caller's frames have come the way back already, so that both sides stand
as they did at the carrier.

Pure: no I/O, and ``now`` (monotonic seconds) is given. `take` gives out what nothing can move any
more. Positions are samples from the beginning.
"""

from collections import deque
from dataclasses import dataclass

from gateway.recording.track import Run, Track
from shared.audio import FRAME_BYTES, SAMPLE_RATE, ulaw_to_pcm16

HOLD_SECONDS = 0.5
"""How long what is past can still be moved, and is kept in memory for it."""

MOST_LATE = SAMPLE_RATE // 10
"""A caller's frame that comes later than this (100 ms) comes after a gap."""

MOST_EARLY = 3 * FRAME_BYTES
"""Frames that are further ahead than this (60 ms) are left out where they are silent."""

MOST_AHEAD = SAMPLE_RATE
"""And those that are a second ahead in any case: more came than time has passed."""

MOST_UNPLAYED = 300 * SAMPLE_RATE
"""What an agent sends further ahead than this (5 min) is not recorded."""

JITTER = FRAME_BYTES
"""Less than this (20 ms) between two pieces of the agent's audio is no gap."""

ECHO_JITTER = 2 * FRAME_BYTES
"""An echo, but the first one, may be so much late (40 ms) and mean nothing."""

MOST_LAG = SAMPLE_RATE // 2

MOST_BACK = SAMPLE_RATE // 10
"""A recording begins at the last mark, if that came back less than this (100 ms) ago."""

MOST_TAKEN = 10 * SAMPLE_RATE
"""The most that `Tape.take` gives at a time."""

_MOST_MARKS = 1000
_QUIET_PEAK = 256
"""Of 32768: -42 dBFS."""


@dataclass(slots=True)
class _Mark:
    name: str
    at: int
    run: Run | None
    """The run in which it lies; none if nothing was being played."""


class Tape:
    """Both sides of one call from ``began`` on, in monotonic seconds."""

    def __init__(self, began: float) -> None:
        self._began = began
        self._left, self._right = Track(), Track()
        self._marks: deque[_Mark] = deque(maxlen=_MOST_MARKS)
        self._lag = 0
        self._has_echo = False
        self._muted_from: int | None = None
        self._echoed = -MOST_BACK - 1
        """Where the mark lies that came back last: all before it was heard."""
        self._stopped: int | None = None
        """Where the stream has ended, while there is none."""

    def _at(self, now: float) -> int:
        return round((now - self._began) * SAMPLE_RATE)

    def _heard_by(self, at: int) -> int:
        """Return ``at``, or a moment more if a mark has told that all of it was heard."""
        return max(at, min(self._echoed, at + MOST_LAG))

    # The stream ------------------------------------------------------------------------------

    def opened(self, now: float) -> None:
        """There is a stream: another, or the first one, with which the recording begins."""
        self._stopped = None
        if not self._left.end and not self._right.end:
            self._began = now

    def closed(self, now: float) -> None:
        """The stream is gone: what the carrier had not played was not heard."""
        if self._stopped is not None:
            return
        at = self._heard_by(self._at(now))
        self._right.cut(at)
        self._marks.clear()
        self._stopped = max(at, self._left.end)

    def mute(self, now: float, muted: bool) -> None:
        """What is heard from now on is silence in the recording, or is kept again."""
        if not muted:
            self._silence(self._at(now))
            self._muted_from = None
        elif self._muted_from is None:
            self._muted_from = self._at(now)

    def skip(self, now: float) -> None:
        """The recording begins now; what is on its way to the caller is part of it.

        If a mark has just come back, it begins there: what was behind it may be recorded.
        """
        until = self._at(now)
        if 0 <= until - self._echoed <= MOST_BACK:
            until = self._echoed
        for track in (self._left, self._right):
            track.take(max(until, track.base))
        self._muted_from = None

    def _silence(self, until: int) -> None:
        if self._muted_from is not None:
            for track in (self._left, self._right):
                track.silence(self._muted_from, until)

    # The caller ------------------------------------------------------------------------------

    def caller(self, audio: bytes, now: float) -> None:
        """A frame of the caller's came."""
        left = self._left
        late = round((now - self._began) * SAMPLE_RATE) - left.end - len(audio)
        if late > MOST_LATE:
            left.begin(left.end + late)
        elif late < 0:
            ahead = -late - left.earlier(left.run, -late)
            if ahead > MOST_AHEAD or (ahead > MOST_EARLY and _is_quiet(audio)):
                return
        left.add(audio)

    # The agent -------------------------------------------------------------------------------

    def agent(self, audio: bytes, now: float) -> None:
        """Audio was handed to the carrier."""
        right, at = self._right, self._at(now) + self._lag
        if at - right.end >= JITTER:
            right.begin(at)
        if right.end - at <= MOST_UNPLAYED:
            right.add(audio)

    def queued(self, now: float, ahead_ms: float) -> None:
        """The carrier has still so much to play that was sent before anybody listened.

        It is silence here, and what comes next lies behind it.
        """
        ahead = min(round(ahead_ms * SAMPLE_RATE / 1000), MOST_UNPLAYED)
        if ahead > 0:
            self._right.begin(self._at(now) + self._lag + ahead)

    def clear(self, now: float) -> None:
        """The carrier was told to drop what it has not played; it hears of it in a moment."""
        self._right.cut(self._heard_by(self._at(now) + self._lag))
        self._marks.clear()

    def mark(self, name: str, now: float) -> None:
        """A mark was set behind all audio so far."""
        at, right = self._at(now) + self._lag, self._right
        idle = right.end <= at
        self._marks.append(_Mark(name, at if idle else right.end, None if idle else right.run))

    def echo(self, name: str, now: float) -> None:
        """The carrier has played all audio before a mark."""
        if not any(mark.name == name for mark in self._marks):
            return
        while (mark := self._marks.popleft()).name != name:
            pass
        late = self._at(now) - mark.at
        self._echoed = mark.at
        if 0 <= late <= ECHO_JITTER and self._has_echo:
            return
        self._has_echo = True
        self._lag = min(max(self._lag + late, 0), MOST_LAG)
        if mark.run is None:
            moved = late
        elif late > 0:
            moved = min(late, MOST_LAG)
            self._right.later(mark.run, moved, mark.at)
        else:
            moved = -self._right.earlier(mark.run, -late)
        self._echoed += moved
        for later in self._marks:
            later.at += moved

    # What is given out -----------------------------------------------------------------------

    def take(self, now: float) -> tuple[bytes, bytes]:
        """Return what both sides have said since the last time, and nothing can change any more.

        Both are of one length, and at most `MOST_TAKEN`.
        """
        return self._take(self._at(now - HOLD_SECONDS))

    def finish(self, now: float) -> tuple[bytes, bytes]:
        """Return the next part of what is left; after an empty one there is no more.

        The recording ends with the last stream.
        """
        return self._take(self._at(now) if self._stopped is None else self._stopped)

    def _take(self, until: int) -> tuple[bytes, bytes]:
        if self._stopped is not None:
            until = min(until, self._stopped)
        until = min(until, self._left.base + MOST_TAKEN)
        if until <= self._left.base:
            return b"", b""
        self._silence(until)
        return self._left.take(until), self._right.take(until)


def _is_quiet(audio: bytes) -> bool:
    pcm = memoryview(ulaw_to_pcm16(audio)).cast("h")
    return max(pcm, default=0) < _QUIET_PEAK and min(pcm, default=0) > -_QUIET_PEAK
