"""ElevenLabs' spelling of a voice's wire (``multi-stream-input``). Pure.

A context is opened by a single space, which may carry the voice's settings (never again later);
texts are flushed one by one; an empty text without a context keeps the socket. What comes has two
spellings of nearly every name, and all are taken. Times are of single characters, in ms from the
beginning of the chunk that they came with: words are put together here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from shared.audio import ms_of_bytes
from worker.errors import ProviderError, ProviderLostError, ProviderRefusedError
from worker.tts import Timing
from worker.tts.wire import Audio, Ended, Heard, Said, Trouble, Words

PROVIDER = "elevenlabs"
_MOST_REASON = 200

_PASSING = (
    "input_timeout_exceeded",
    "max_active_conversations",
    "system_busy",
    "too_many_concurrent_requests",
    # As the reasons of close frames say it.
    "new text input within",
    "simultaneous contexts",
)
"""Errors that a new socket does away with."""

_LASTING = ("quota_exceeded", "detected_unusual_activity", "invalid_api_key", "not_found")
"""Errors that come again, whatever their code; so do others by which a socket is closed (1008)."""


class _Alignment(msgspec.Struct):
    chars: list[str] = []
    starts: list[float] | None = msgspec.field(default=None, name="charStartTimesMs")
    starts_too: list[float] | None = msgspec.field(default=None, name="charsStartTimesMs")
    starts_snake: list[float] | None = msgspec.field(default=None, name="char_start_times_ms")
    lasts: list[float] | None = msgspec.field(default=None, name="charDurationsMs")
    lasts_too: list[float] | None = msgspec.field(default=None, name="charsDurationsMs")
    lasts_snake: list[float] | None = msgspec.field(default=None, name="char_durations_ms")

    def letters(self) -> Iterable[tuple[str, float, float]]:
        """Return each character with its start and its end."""
        starts = self.starts or self.starts_too or self.starts_snake or ()
        lasts = self.lasts or self.lasts_too or self.lasts_snake or ()
        for char, start, last in zip(self.chars, starts, lasts, strict=False):
            yield char, start, start + last


class _Message(msgspec.Struct, rename="camel"):
    audio: bytes | None = None  # base64 on the wire
    context_id: str | None = None
    context: str | None = msgspec.field(default=None, name="context_id")
    is_final: bool | None = None
    final: bool | None = msgspec.field(default=None, name="is_final")
    alignment: _Alignment | None = None
    error: str | None = None
    message: str | None = None
    code: int | None = None


_decoder = msgspec.json.Decoder(_Message)


@dataclass(slots=True)
class _Spelling:
    """A context's words as their characters come."""

    came_ms: float = 0.0
    word: str = ""
    start_ms: float = 0.0
    end_ms: float = 0.0
    closed: bool = False
    """It was told to close."""

    def spell(self, alignment: _Alignment) -> list[Timing]:
        """Take the characters of a chunk; return the words that are complete with them."""
        words = []
        for char, start_ms, end_ms in alignment.letters():
            if char.isspace():
                words += self.rest()
                continue
            if not self.word:
                self.start_ms = self.came_ms + start_ms
            self.word += char
            self.end_ms = self.came_ms + end_ms
        return words

    def rest(self) -> list[Timing]:
        """Return the word that is being spelled, if any."""
        word, self.word = self.word, ""
        return [Timing(word, self.start_ms, self.end_ms)] if word else []


class ElevenLabsWire:
    """One connection; ``voice_settings`` go with the first message of each context, if any."""

    def __init__(self, voice_settings: Mapping[str, float]) -> None:
        self._opening: Said = {"voice_settings": voice_settings} if voice_settings else {}
        self._spellings: dict[str, _Spelling] = {}

    def say(self, context: str, text: str, *, last: bool) -> Iterable[Said]:
        """Speak ``text`` at once; texts end with a space, or the next one would be run into it."""
        if context not in self._spellings:
            self._spellings[context] = _Spelling()
            yield {"text": " ", "context_id": context, **self._opening}
        yield {"text": f"{text.rstrip()} ", "context_id": context, "flush": True}
        if last:
            yield from self.end(context)

    def end(self, context: str) -> Iterable[Said]:
        """Close a context: what was flushed is spoken, then it is final."""
        spelling = self._spellings.get(context)
        if spelling is not None and not spelling.closed:
            spelling.closed = True
            yield {"context_id": context, "close_context": True}

    def cancel(self, context: str) -> Iterable[Said]:
        """Close a context if it is not; what was flushed still comes and is not listened to."""
        yield from self.end(context)
        self._spellings.pop(context, None)

    def keep_alive(self) -> Iterable[Said]:
        """An empty text without a context: one that named a context would open it."""
        return ({"text": ""},)

    def read(self, raw: bytes) -> Iterable[Heard]:
        """Return what a message says."""
        try:
            message = _decoder.decode(raw)
        except msgspec.MsgspecError:
            sentence = "sent what cannot be read as a message"
            return [Trouble(None, ProviderLostError(PROVIDER, sentence))]
        if message.error:
            sentence = f"{message.error}: {message.message}" if message.message else message.error
            return [Trouble(None, fault_of(sentence, message.code))]
        name = message.context_id or message.context
        return self._of_context(name, message) if name else []

    def _of_context(self, name: str, message: _Message) -> list[Heard]:
        heard: list[Heard] = []
        spelling, words = self._spellings.get(name), list[Timing]()
        is_final = bool(message.is_final or message.final)
        if spelling is not None:
            if message.alignment is not None:
                words += spelling.spell(message.alignment)
            if message.audio:
                spelling.came_ms += ms_of_bytes(len(message.audio))
                heard.append(Audio(name, message.audio))
            if is_final:
                words += spelling.rest()
                del self._spellings[name]
            if words:
                heard.append(Words(name, words))
        if is_final:
            heard.append(Ended(name))
        return heard


def fault_of(sentence: str, code: int | None) -> ProviderError:
    """Return the error for what ElevenLabs says and the close code that it names."""
    said = sentence[:_MOST_REASON]
    lasts = code == 1008 or any(word in sentence for word in _LASTING)
    if lasts and not any(word in sentence for word in _PASSING):
        return ProviderRefusedError(PROVIDER, said, code)
    return ProviderLostError(PROVIDER, said, code)
