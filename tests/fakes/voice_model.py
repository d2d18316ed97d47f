"""What the fakes of speech-to-speech models have in common: ears, a mind and a mouth.

    caller's audio ──> Ears ──Began, Ended(words)──> the fake ──> Script.reply ──> Mouth ──> audio

Everybody speaks in `tests.fakes.speech`, so a fake understands what is really in the audio that it
gets, and what it says can be read back from what the phone played. A wire, its refusals and its
order of events are each fake's own.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from shared.audio import FRAME_BYTES, SAMPLE_RATE, level_dbfs
from shared.speech.endpointing import Endpointing, Endpoints, SpeechEnded, SpeechStarted
from tests.fakes.openai_chat import Reply, Wants
from tests.fakes.speech import speech, words_in

CHUNK_BYTES = SAMPLE_RATE // 10
"""100 ms of audio: as much as a model sends at a time."""


@dataclass(frozen=True, slots=True)
class Began:
    """The caller makes a sound, ``at_ms`` of the audio so far."""

    at_ms: float


@dataclass(frozen=True, slots=True)
class Ended:
    """The caller has stopped, and said this (nothing, if it was a noise)."""

    text: str
    at_ms: float


class Ears:
    """Hears turns in μ-law 8 kHz of any sizes."""

    def __init__(self, silence_ms: int = 200) -> None:
        self._endpointing = Endpointing(Endpoints(end_silence_ms=silence_ms, longest_ms=3_600_000))
        self.audio = bytearray()
        self._read = self._began = self._ended = 0

    def feed(self, audio: bytes) -> Iterator[Began | Ended]:
        """Take audio; yield what is heard."""
        self.audio += audio
        while self._read + FRAME_BYTES <= len(self.audio):
            frame = bytes(self.audio[self._read : self._read + FRAME_BYTES])
            self._read += FRAME_BYTES
            match self._endpointing.frame(level_dbfs(frame)):
                case SpeechStarted(at_ms):
                    self._began = max(self._ended, at_ms * 8 - 8 * 300)
                    yield Began(at_ms)
                case SpeechEnded():
                    said = " ".join(words_in(bytes(self.audio[self._began : self._read])))
                    self._ended = self._read
                    yield Ended(said, self._read / 8)


@dataclass(slots=True)
class Script:
    """What a model answers, and what it was told.

    ``replies`` by the caller's words, or by how a tool's answer begins; or a function of either.
    A reply is a text, or a list of texts and `Wants` (calls of tools).
    """

    replies: Mapping[str, Reply] | Callable[[str], Reply] = field(default_factory=dict)
    otherwise: Reply = "Pardon?"
    think_s: float = 0.0
    """From the end of a turn to the first audio of the answer."""
    letter_ms: float = 15.0
    """How long a letter of the model's speech takes."""
    heard: list[str] = field(default_factory=list)
    """The caller's turns, as understood."""
    returned: list[tuple[str, str]] = field(default_factory=list)
    """The tools' answers: the tool's name, the text."""

    def reply(self, line: str) -> Reply:
        """Return the answer to a turn or to a tool's answer."""
        if callable(self.replies):
            return self.replies(line)
        if line in self.replies:
            return self.replies[line]
        starts = (self.replies[key] for key in self.replies if key and line.startswith(key))
        return next(starts, self.otherwise)

    def voice(self, text: str) -> bytes:
        """Return ``text`` spoken, μ-law 8 kHz."""
        return speech(text, self.letter_ms)


def words_of(reply: Reply) -> str:
    """Return what is said in a reply."""
    if isinstance(reply, str):
        return reply
    return " ".join(part for part in reply if isinstance(part, str))


def calls_of(reply: Reply) -> list[Wants]:
    """Return the tools that a reply wants called."""
    return [] if isinstance(reply, str) else [part for part in reply if isinstance(part, Wants)]


def chunks(audio: bytes, size: int = CHUNK_BYTES) -> Iterator[bytes]:
    """Yield audio as a model sends it."""
    for start in range(0, len(audio), size):
        yield audio[start : start + size]
