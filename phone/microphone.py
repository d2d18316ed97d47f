"""What the caller says and presses, in order, 20 ms at a time.

Phrases and keys wait in one queue, so a key pressed after a phrase comes after it. While no frame
is asked for (no stream), everything waits. A key takes 200 ms: Twilio sends one ``dtmf`` message
a press and the phone puts no tone into the audio. ``w`` and ``W`` are half a second and a second
of silence, as in ``<Play digits>``. It knows neither clock nor socket.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from shared.audio import FRAME_BYTES, SILENCE

KEYS = frozenset("0123456789*#ABCD")
_KEY_FRAMES = 10
_PAUSE_FRAMES = {"w": 25, "W": 50}


def check_keys(keys: str) -> None:
    """Raise ``ValueError`` for a key that no telephone has."""
    for key in keys:
        if key not in KEYS and key not in _PAUSE_FRAMES:
            raise ValueError(f"{key!r} is no key: use 0-9, A-D, *, #, or w and W to wait")


@dataclass(frozen=True, slots=True, eq=False)
class Phrase:
    """μ-law audio with a label for the report; ``finished`` is called after its last frame."""

    audio: bytes
    label: str
    finished: Callable[[], None]


@dataclass(frozen=True, slots=True, eq=False)
class Press:
    """A key to press, or ``w``/``W`` to wait; ``finished`` is called when it is sent, or over."""

    key: str
    finished: Callable[[], None]


class Microphone:
    """The queue of one call. Ask `frame` every 20 ms, then look at `began`, `ended`, `key`."""

    def __init__(self) -> None:
        self._queue: deque[Phrase | Press] = deque()
        self._current: Phrase | Press | None = None
        self._sent = 0
        self._rest = 0
        self.began: Phrase | None = None
        self.ended: Phrase | Press | None = None
        self.key: str | None = None

    def add(self, item: Phrase | Press) -> None:
        """Queue ``item``."""
        self._queue.append(item)

    def frame(self) -> bytes | None:
        """Return the next 160 bytes, ``None`` when the caller is silent.

        `began`, `ended` and `key` then say what happened with this frame: at most one of each.
        """
        self.began = self.ended = self.key = None
        if self._current is None and not self._take():
            return None
        if isinstance(self._current, Phrase):
            return self._speak(self._current)
        self._rest -= 1
        if self._rest == 0:
            pause = self._current if self._current and self._current.key in _PAUSE_FRAMES else None
            self.ended, self._current = pause or self.ended, None
        return None

    def _take(self) -> bool:
        if not self._queue:
            return False
        item = self._current = self._queue.popleft()
        self._sent = 0
        if isinstance(item, Phrase):
            self.began = item
        else:
            self._rest = _PAUSE_FRAMES.get(item.key, _KEY_FRAMES)
            if item.key in KEYS:
                self.key, self.ended = item.key, item
        return True

    def _speak(self, phrase: Phrase) -> bytes:
        frame = phrase.audio[self._sent : self._sent + FRAME_BYTES]
        self._sent += FRAME_BYTES
        if self._sent >= len(phrase.audio):
            self._finish()
        return frame.ljust(FRAME_BYTES, SILENCE)

    def _finish(self) -> None:
        self.ended, self._current = self._current, None
