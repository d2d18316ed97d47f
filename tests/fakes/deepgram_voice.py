"""Speech in audio, and the words that are heard in it: the ears of both recognisers.

Loud audio is speech. Its words are the script's; with no script left, those that the audio itself
says (`tests.fakes.speech`), and none for a mere noise. A word is known after `WORD_MS` of it, and
the next one after as much again; words not known yet when the caller pauses are known then. In a
script ``|`` is a pause: what comes after it is said after it. Pure.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from shared.audio import FRAME_BYTES, FRAME_MS, level_dbfs
from tests.fakes.speech import SpokenWord, heard_in

WORD_MS = 240
PAUSE_MS = 100
LOUD_DBFS = -45.0


@dataclass
class Spoken:
    """One stretch of speech: its words, with times in ms of the connection's audio."""

    words: list[str]
    later: list[list[str]]
    """Words after pauses that have not come yet."""

    start_ms: float
    end_ms: float
    final: int = 0
    """How many of the words were already given as final."""
    audio: bytearray | None = None
    """Where there is no script: what its words are read from."""
    places: list[SpokenWord] = field(default_factory=list)
    """Where in that audio they are."""

    @property
    def known(self) -> int:
        """How many words are known by now, going by the time they take."""
        return min(len(self.words), int((self.end_ms - self.start_ms) / WORD_MS))

    def timed(self, start: int, stop: int) -> list[tuple[str, float, float]]:
        """Return words with start and end in s, none of them after the speech."""
        if self.places:
            return [
                (
                    word.text,
                    (self.start_ms + word.start_ms) / 1000,
                    (self.start_ms + word.end_ms) / 1000,
                )
                for word in self.places[start:stop]
            ]
        each = min(WORD_MS, (self.end_ms - self.start_ms) / max(1, stop))
        return [
            (word, (self.start_ms + at * each) / 1000, (self.start_ms + (at + 1) * each) / 1000)
            for at, word in enumerate(self.words[:stop])
        ][start:]


@dataclass
class Voice:
    """Audio in, 20 ms at a time; knows speech, silence and the script."""

    script: deque[str]
    now_ms: float = 0.0
    silent_ms: float = 0.0
    spoken: Spoken | None = None
    _rest: bytes = field(default=b"")

    def frames(self, audio: bytes) -> Iterator[bool]:
        """Take audio; step through it and tell of each frame whether speech begins or goes on."""
        audio = self._rest + audio
        whole = len(audio) - len(audio) % FRAME_BYTES
        self._rest = audio[whole:]
        for at in range(0, whole, FRAME_BYTES):
            yield self._step(audio[at : at + FRAME_BYTES])

    def _step(self, frame: bytes) -> bool:
        is_loud = level_dbfs(frame) > LOUD_DBFS
        self.now_ms += FRAME_MS
        if self.spoken is not None and self.spoken.audio is not None:
            self.spoken.audio += frame
        if not is_loud:
            self.silent_ms += FRAME_MS
            if self.silent_ms == FRAME_MS:
                self._read()
            return False
        begins = self.spoken is None or self.silent_ms > PAUSE_MS
        if self.spoken is None:
            self.spoken = self._begin(frame)
        elif begins and self.spoken.later:
            self.spoken.words += self.spoken.later.pop(0)
        self.silent_ms = 0.0
        self.spoken.end_ms = self.now_ms
        return begins

    def _begin(self, frame: bytes) -> Spoken:
        start_ms = self.now_ms - FRAME_MS
        if not self.script:
            return Spoken([], [], start_ms, self.now_ms, audio=bytearray(frame))
        words, *later = (part.split() for part in self.script.popleft().split("|"))
        return Spoken(words, later, start_ms, self.now_ms)

    def _read(self) -> None:
        """A word may have ended: read them all again."""
        if self.spoken is not None and self.spoken.audio is not None:
            found = heard_in(bytes(self.spoken.audio))
            self.spoken.places = [word for word in found if word.whole]
            self.spoken.words = [word.text for word in self.spoken.places]
