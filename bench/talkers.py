"""Callers who hold a conversation: they speak for a second, and interrupt every other reply.

Plain sockets on one thread like `bench.callers`, but these play what they hear as the carrier does:
audio in real time, marks echoed when they are reached, everything dropped at a ``clear``. What was
heard when is on the machine's monotonic clock.
"""

import base64
import select
import socket
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from bench import callers, marker
from bench.callers import FRAME_SECONDS
from bench.marker import Sign, marked
from shared.audio import SAMPLE_RATE

SPEECH_FRAMES = 50
_SIGNS = {0: Sign.BEGIN, SPEECH_FRAMES // 2: Sign.WORDS, SPEECH_FRAMES - 1: Sign.END}

INTERRUPT_SECONDS = 1.0
"""How much of every other reply is listened to."""

PAUSE_SECONDS = 0.3
"""From the end of a reply to the caller's next word."""

_FIRST_WORD_SECONDS = 2.5
_START_SPREAD_SECONDS = 1.0
"""Within so long all streams start."""

_SPEECH_SPREAD_SECONDS = 3.5
"""Within so long all callers say their first word: about what a turn lasts."""

_PATIENCE_SECONDS = 6.0
_GAP_SECONDS = 0.02


class Heard(NamedTuple):
    """``what`` a caller did or heard in a turn at ``at`` seconds.

    ``began`` and ``asked``: the first and the last frame of the caller's words were sent;
    ``first``: the first audio of the reply came; ``cleared``: the carrier was told to drop all.
    """

    what: str
    call: int
    turn: int
    at: float


@dataclass(slots=True)
class Talks:
    """What all callers heard. Times in seconds."""

    moments: list[Heard] = field(default_factory=list)
    greetings: list[float] = field(default_factory=list)
    """From each ``start`` to the greeting's first audio."""

    gaps: list[float] = field(default_factory=list)
    """Silences in the middle of a reply."""

    speech: float = 0.0
    """How much of the agents' speech was played."""

    unanswered: int = 0
    late: int = 0
    """Audio that came while the caller spoke, after the ``clear``."""


class Talker:
    """One caller with an open socket.

    ``place`` among all callers, 0 to 1, says how much later than the first one this one begins:
    callers do not ring and speak in chorus.
    """

    def __init__(self, index: int, connection: socket.socket, talks: Talks, place: float) -> None:
        self._index, self.socket, self._talks = index, connection, talks
        self._place = place
        self._starts_at = self._started_at = 0.0
        self._head = callers.media_head(index)
        self._turn = 0
        self._frame: int | None = None
        self._speaks_at = 0.0
        self._is_greeted = self._is_awaiting = self._is_cutting = False
        self._ends_at = 0.0
        """When the carrier has played everything."""
        self._marks: deque[tuple[float, bytes]] = deque()
        self._rest = b""

    def tick(self, now: float) -> None:
        """Send the next 20 ms, and echo the marks that are due."""
        if not self._started_at:
            self._start(now)
            return
        while self._marks and self._marks[0][0] <= now:
            self._say(self._marks.popleft()[1])
        if self._frame is None and now >= self._speaks_at:
            self._begin(now)
        audio = marker.SILENCE if self._frame is None else self._speech(self._frame)
        self._say(self._head + base64.b64encode(audio) + b'"}}')
        if self._frame == SPEECH_FRAMES:
            self._frame, self._speaks_at = None, now + _PATIENCE_SECONDS
            self._note("asked", time.monotonic())

    def _start(self, now: float) -> None:
        self._starts_at = self._starts_at or now + self._place * _START_SPREAD_SECONDS
        if now >= self._starts_at:
            callers.start(self.socket, self._index)
            self._started_at = time.monotonic()
            self._speaks_at = now + _FIRST_WORD_SECONDS + self._place * _SPEECH_SPREAD_SECONDS

    def press(self, key: str) -> None:
        """Press a key."""
        message = b'{"event":"dtmf","streamSid":"MZ%032x","dtmf":{"digit":"%b"}}'
        self._say(message % (self._index, key.encode()))

    def _begin(self, now: float) -> None:
        self._talks.unanswered += self._is_awaiting
        self._is_awaiting, self._is_cutting = True, now < self._ends_at
        self._turn, self._frame = self._turn + 1, 0
        self._note("began", time.monotonic())

    def _speech(self, frame: int) -> bytes:
        self._frame = frame + 1
        sign = _SIGNS.get(frame)
        return marker.TONE if sign is None else marked(sign, self._index, self._turn)

    def _note(self, what: str, at: float) -> None:
        self._talks.moments.append(Heard(what, self._index, self._turn, at))

    def _say(self, message: bytes) -> None:
        self.socket.sendall(callers.masked_text(message))

    def hear(self) -> None:
        """Read once and play what came."""
        received = self.socket.recv(65536)
        now = time.monotonic()
        assert received, "the server hung up"
        messages, self._rest = callers.texts_in(self._rest + received)
        for message in messages:
            if message.startswith(b'{"event":"media"'):
                self._play(callers.payload_size(message), now)
            elif message.startswith(b'{"event":"mark"'):
                self._marks.append((max(now, self._ends_at), message))
            else:
                self._clear(now)

    def _play(self, size: int, now: float) -> None:
        if not self._is_greeted:
            self._is_greeted = True
            self._talks.greetings.append(now - self._started_at)
        elif self._frame is not None:
            self._talks.late += not self._is_cutting
        elif self._is_awaiting:
            self._first(now)
        elif now - self._ends_at > _GAP_SECONDS:
            self._talks.gaps.append(now - self._ends_at)
        self._ends_at = max(now, self._ends_at) + size / SAMPLE_RATE
        self._talks.speech += size / SAMPLE_RATE
        if self._turn and not self._turn % 2:
            self._speaks_at = self._ends_at + PAUSE_SECONDS

    def _first(self, now: float) -> None:
        self._is_awaiting = False
        self._note("first", now)
        if self._turn % 2:
            self._speaks_at = now + INTERRUPT_SECONDS

    def _clear(self, now: float) -> None:
        self._talks.speech -= max(0.0, self._ends_at - now)
        self._ends_at = min(self._ends_at, now)
        if self._is_cutting:
            self._is_cutting = False
            self._note("cleared", now)
        while self._marks:
            self._say(self._marks.popleft()[1])


def talk(talkers: Sequence[Talker], until: float) -> None:
    """Have everybody talk until then, evenly out of step as telephones are."""
    by_fd = {talker.socket.fileno(): talker for talker in talkers}
    begin, step, turn = time.monotonic(), FRAME_SECONDS / len(talkers), 0
    while (now := time.monotonic()) < until:
        while begin + turn * step <= now:
            talkers[turn % len(talkers)].tick(now)
            turn += 1
        # Not epoll: its time-out is in whole milliseconds.
        ready, _, _ = select.select(by_fd, (), (), max(0.0, begin + turn * step - now))
        for fd in ready:
            by_fd[fd].hear()
