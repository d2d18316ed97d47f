"""Cartesia's spelling of a voice's wire (TTS WebSocket, version 2026-08-14). Pure.

Each text is a generation request that repeats all settings, ``continue`` says that more follows.
Timestamps are in seconds from the beginning of the context's audio. ``done`` is also true on
errors, so it is ``type`` that counts; events of other types are passed over.
"""

from collections.abc import Iterable, Mapping
from typing import ClassVar

import msgspec

from worker.errors import ProviderError, ProviderLostError, ProviderRefusedError
from worker.tts import Timing
from worker.tts.wire import Audio, Ended, Heard, Said, Trouble, Words

PROVIDER = "cartesia"
_MOST_REASON = 200
_ABOUT_THE_ACCOUNT = frozenset({401, 402, 403, 404})
"""Errors whose message is told: those of other ones may quote what was to be spoken."""

_AGAIN = frozenset({408, 409, 425, 429})


class _Words(msgspec.Struct):
    words: list[str]
    start: list[float]
    end: list[float]


class _Event(msgspec.Struct):
    type: str = ""
    context_id: str | None = None
    data: bytes = b""  # base64 on the wire
    word_timestamps: _Words | None = None
    status_code: int | None = None
    error_code: str | None = None
    title: str | None = None
    message: str | None = None


class _Kind(msgspec.Struct):
    type: str = ""


_event = msgspec.json.Decoder(_Event)
_kind = msgspec.json.Decoder(_Kind)


class CartesiaWire:
    """One connection; ``settings`` are the fields of every request but its text."""

    _KNOWN: ClassVar = frozenset({"chunk", "timestamps", "done", "error"})

    def __init__(self, settings: Mapping[str, object]) -> None:
        self._settings = settings

    def say(self, context: str, text: str, *, last: bool) -> Iterable[Said]:
        """Speak ``text`` as it is: inputs are put together verbatim."""
        more = not last
        return ({**self._settings, "context_id": context, "transcript": text, "continue": more},)

    def end(self, context: str) -> Iterable[Said]:
        """End a context with an empty text."""
        return self.say(context, "", last=True)

    def cancel(self, context: str) -> Iterable[Said]:
        """Cancel; a generation that already runs goes on sending, and is not listened to."""
        return ({"context_id": context, "cancel": True},)

    def keep_alive(self) -> Iterable[Said]:
        """There is none: an idle socket is closed after 5 minutes, and another is opened."""
        return ()

    def read(self, raw: bytes) -> Iterable[Heard]:
        """Return what an event says."""
        try:
            event = _event.decode(raw)
        except msgspec.MsgspecError:
            return self._unreadable(raw)
        context = event.context_id
        if event.type == "error":
            return (Trouble(context, _fault(event)),)
        if context is None:
            return ()
        if event.type == "chunk" and event.data:
            return (Audio(context, event.data),)
        if event.type == "timestamps" and event.word_timestamps is not None:
            return (Words(context, _timings(event.word_timestamps)),)
        return (Ended(context),) if event.type == "done" else ()

    def _unreadable(self, raw: bytes) -> Iterable[Heard]:
        """A kind that is not known may look as it likes; what cannot be read of ours is a fault."""
        try:
            if _kind.decode(raw).type not in self._KNOWN:
                return ()
        except msgspec.MsgspecError:
            pass
        sentence = "sent what cannot be read as an event"
        return (Trouble(None, ProviderLostError(PROVIDER, sentence)),)


def _timings(words: _Words) -> list[Timing]:
    return [
        Timing(word, start * 1000, end * 1000)
        for word, start, end in zip(words.words, words.start, words.end, strict=False)
    ]


def _fault(event: _Event) -> ProviderError:
    """429 and 5xx may pass, other 4xx will not (Cartesia, API errors)."""
    status = event.status_code
    sentence = ": ".join(it for it in (event.error_code, event.title) if it)
    if event.message and status in _ABOUT_THE_ACCOUNT:
        sentence = f"{sentence}: {event.message}"
    sentence = sentence[:_MOST_REASON] or "an error without a name"
    sentence += f" ({status})" if status is not None else ""
    if status is not None and 400 <= status < 500 and status not in _AGAIN:
        return ProviderRefusedError(PROVIDER, sentence, status)
    return ProviderLostError(PROVIDER, sentence, status)
