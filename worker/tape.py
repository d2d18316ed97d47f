"""The last of the caller's audio, and which stretch of it a turn is: for a model that hears.

    posted  ▁▁▁▁▁▁▇▇▇▇▁▁▁▁▁▁▁▁▁▁▁▁▁▇▇▇▇▇▇▇▁▁▁▁▁▁▁▁▁
            │     │        │    ├──┤           ├─┤
            │     │        │    LEAD_MS        TAIL_MS   both are part of the turn
            │     └────────┘ a turn before: its audio is not given out again
            └ KEPT_MS

Recognisers tell that a turn began some time after it did, so a stretch begins early: a model does
not mind the noise of the line. It knows no events and no words.
"""

import math
from collections import deque

from shared.audio import FRAME_BYTES, SAMPLE_RATE, bytes_of_ms

KEPT_MS = 31_000
"""How much is kept: the longest turn that a model hears, and some more."""

LEAD_MS = 1000
TAIL_MS = 200

_SLACK_MS = 2000
_EVERY_BYTES = bytes_of_ms(500)


class Tape:
    """One call's audio, μ-law 8 kHz. Times are seconds on the call's clock."""

    def __init__(self) -> None:
        self._audio = bytearray()
        self._posted = 0
        """Bytes since the beginning; `_audio` is the last of them."""
        self._origin = self._given = 0
        """Where the ears of now began to hear, and how far turns were given out."""
        self._known: deque[tuple[int, float]] = deque(maxlen=KEPT_MS // 500 + 2)
        """Places in the audio, and when it came."""

    def restart(self) -> None:
        """Other ears hear from here on, and count from 0."""
        self._origin = self._posted

    def posted(self, audio: bytes, now: float) -> None:
        """Keep audio."""
        if not self._known or self._posted - self._known[-1][0] >= _EVERY_BYTES:
            began = now - max(0, len(audio) - FRAME_BYTES) / SAMPLE_RATE
            self._known.append((self._posted, began))
        self._audio += audio
        self._posted += len(audio)
        if len(self._audio) > bytes_of_ms(KEPT_MS + _SLACK_MS):
            del self._audio[: len(self._audio) - bytes_of_ms(KEPT_MS)]

    def turn(self, began: float, at_ms: float | None) -> bytes:
        """Return the audio of a turn; what stands before its end is not given out again.

        ``began`` is when it was known to begin, ``at_ms`` where its last word ended in what the
        ears of now were given, if that is known.
        """
        audio, end = self._stretch(began, at_ms)
        self._given = max(self._given, end)
        return audio

    def so_far(self, began: float) -> bytes:
        """Return the audio of a turn that has probably ended; it can be had again."""
        return self._stretch(began, None)[0]

    def _stretch(self, began: float, at_ms: float | None) -> tuple[bytes, int]:
        end = self._posted
        if at_ms is not None:
            end = min(end, self._origin + bytes_of_ms(at_ms + TAIL_MS))
        first = max(self._posted - len(self._audio), end - bytes_of_ms(KEPT_MS), self._given)
        start = max(first, self._place_of(began) - bytes_of_ms(LEAD_MS))
        base = self._posted - len(self._audio)
        return bytes(self._audio[start - base : max(start, end) - base]), end

    def _place_of(self, when: float) -> int:
        """Return where the audio of a moment is, or something before it: audio may come late."""
        place = 0
        for at, came in (*self._known, (self._posted, math.inf)):
            place = min(place, at)
            if came >= when:
                break
            place = at + int((when - came) * SAMPLE_RATE)
        return place
