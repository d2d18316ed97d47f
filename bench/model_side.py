"""The stand-in's speech models: what they have in common. They hear by marks and say the same.

    BEGIN ──> a sound; what is still being heard is cut      END ──> the reply, its audio at once

The first audio of a reply is sent at once, the rest at a provider's pace, so that a call is woken
as often as it would be. A wire is each model's own.
"""

import asyncio
from collections import deque

from bench.marker import Sign, marks_in
from bench.provider_door import Door
from bench.provider_ear import Note
from bench.provider_mind import REPLY, Pace
from bench.provider_voice import LETTER_MS
from shared.audio import bytes_of_ms, ms_of_bytes

_SOUND = bytes(range(0x10, 0x20)) + bytes(range(0x90, 0xA0))


class Model:
    """The model's side of one conversation. ``cut`` and ``audio`` are what it notes."""

    def __init__(self, door: Door, note: Note, pace: Pace) -> None:
        self._door, self._note, self._pace = door, note, pace
        self._loop = asyncio.get_running_loop()
        self._pieces: deque[tuple[bytes, str]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._ends_at = 0.0
        """When what was sent has been heard, if it was played as it came."""
        self._loop.call_soon(self.opened)

    # What a wire does ------------------------------------------------------------------------

    def opened(self) -> None:
        """The socket is open."""

    def sounded(self) -> None:
        """The caller makes a sound."""

    def interrupted(self) -> None:
        """What was being heard is cut."""

    def turned(self, said: str) -> None:
        """A turn is over."""

    def begun(self) -> None:
        """Something is about to be said."""

    def piece(self, audio: bytes, text: str) -> None:
        """Some more is said: μ-law, and the text in it."""

    def done(self) -> None:
        """All of it was sent."""

    # Hearing and speaking --------------------------------------------------------------------

    def hear(self, audio: bytes) -> None:
        """Take the caller's μ-law."""
        for sign, call, turn in marks_in(audio):
            if sign is Sign.BEGIN:
                is_heard = self._ends_at > self._loop.time()
                if is_heard:
                    self._note("cut", call, turn)
                self.sounded()
                if is_heard:
                    self._hush()
                    self.interrupted()
            elif sign is Sign.END:
                self.turned(f"Call {call} turn {turn}, a table please")
                self._note("audio", call, turn)
                self.say(REPLY.format(call=call, turn=turn))

    def say(self, text: str) -> None:
        """Say something, from now on."""
        self._hush()
        audio = bytes_of_ms(LETTER_MS * len(text))
        size = bytes_of_ms(self._pace.chunk_ms)
        count = -(-audio // size)
        letters = -(-len(text) // count)
        for at in range(count):
            sound = (_SOUND * (size // len(_SOUND) + 1))[: min(size, audio - at * size)]
            self._pieces.append((sound, text[at * letters : (at + 1) * letters]))
        self.begun()
        self._next()

    def _next(self) -> None:
        self._timer = None
        if not self._pieces:
            self.done()
            return
        audio, text = self._pieces.popleft()
        self._ends_at = max(self._ends_at, self._loop.time()) + ms_of_bytes(len(audio)) / 1000
        self.piece(audio, text)
        self._timer = self._loop.call_later(self._pace.chunk_s, self._next)

    def _hush(self) -> None:
        self._pieces.clear()
        self._ends_at = 0.0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # The door's ------------------------------------------------------------------------------

    def asked(self, path: str, body: bytes) -> None:
        """Nothing is asked on a socket."""

    def heard(self, audio: bytes) -> None:
        """A binary message came."""

    def told(self, text: bytes) -> None:
        """A text message came."""

    def lost(self) -> None:
        """The call is over."""
        self._hush()


class Answer:
    """The side of one HTTP request: answers it with ``body``, whatever it was."""

    def __init__(self, door: Door, status: bytes, body: bytes) -> None:
        self._door, self._status, self._body = door, status, body

    def asked(self, path: str, body: bytes) -> None:
        """Answer."""
        head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self._door.write(head % (self._status, len(self._body)) + self._body)

    def heard(self, audio: bytes) -> None:
        """No audio comes here."""

    def told(self, text: bytes) -> None:
        """Nor messages."""

    def lost(self) -> None:
        """It was answered."""
