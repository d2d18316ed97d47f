"""The stand-in's voice: Cartesia's ``/tts/websocket``, a context an utterance.

The first chunk of a clause comes at once, the others at their pace. What is being spoken when its
context is cancelled goes on to its end, as the documentation says.
"""

import asyncio
import base64
from collections import deque
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from bench.provider_door import Door
from bench.provider_ear import Note
from bench.provider_mind import WHO, Pace
from shared.audio import bytes_of_ms

LETTER_MS = 65.0
"""How long the voice takes for a letter."""

_SOUND = bytes(range(0x10, 0x20)) + bytes(range(0x90, 0xA0))
_encode = msgspec.json.Encoder().encode


class _Context:
    """What is still to be sent of a context: groups of messages, each with its clause's number."""

    def __init__(self) -> None:
        self.groups: deque[tuple[int, list[bytes]]] = deque()
        self.clauses = 0
        self.spoken_ms = 0.0
        self.is_whole = self.is_cancelled = False
        self.timer: asyncio.TimerHandle | None = None


class Voice:
    """One connection."""

    def __init__(self, door: Door, note: Note, pace: Pace) -> None:
        self._door, self._note, self._pace = door, note, pace
        self._loop = asyncio.get_running_loop()
        self._contexts: dict[str, _Context] = {}

    def asked(self, path: str, body: bytes) -> None:
        """Nothing is asked here."""

    def heard(self, audio: bytes) -> None:
        """No audio comes here."""

    def told(self, text: bytes) -> None:
        """Take a request."""
        request = msgspec.json.decode(text)
        name = request["context_id"]
        if request.get("cancel"):
            self._cancel(name)
            return
        transcript = request["transcript"]
        who = WHO.search(transcript.encode())
        if who is not None:
            self._note("text", int(who[1]), int(who[2]))
        context = self._contexts.setdefault(name, _Context())
        context.is_whole = not request.get("continue", False)
        if transcript:
            context.clauses += 1
            speech = self._speech(context, name, transcript)
            context.groups.extend((context.clauses, group) for group in speech)
        if who is not None:
            self._note("audio", int(who[1]), int(who[2]))
        if context.timer is None:
            self._next(name, context)

    def _cancel(self, name: str) -> None:
        context = self._contexts.get(name)
        if context is None:
            return
        context.is_whole = context.is_cancelled = True
        if context.groups:
            current = context.groups[0][0]
            context.groups = deque(it for it in context.groups if it[0] == current)

    def _speech(self, context: _Context, name: str, text: str) -> Iterator[list[bytes]]:
        """Yield a clause: its chunks, its words' times behind the first, its end."""
        most, left = bytes_of_ms(self._pace.chunk_ms), bytes_of_ms(LETTER_MS * len(text))
        timed = _timed(text.split(), context.spoken_ms, LETTER_MS * len(text))
        context.spoken_ms += LETTER_MS * len(text)
        extra = [_event("timestamps", name, word_timestamps=timed)]
        while left > 0:
            audio = (_SOUND * (most // len(_SOUND) + 1))[: min(most, left)]
            left -= most
            data = base64.b64encode(audio).decode()
            chunk = _event("chunk", name, data=data, step_time=12.5, flush_id=context.clauses)
            if left <= 0:
                extra.append(_event("flush_done", name, flush_id=context.clauses))
            yield [chunk, *extra]
            extra = []

    def _next(self, name: str, context: _Context) -> None:
        context.timer = None
        if context.groups:
            self._door.tell(*context.groups.popleft()[1])
            context.timer = self._loop.call_later(self._pace.chunk_s, self._next, name, context)
        elif context.is_whole:
            del self._contexts[name]
            if not context.is_cancelled:
                self._door.tell(_event("done", name, done=True))

    def lost(self) -> None:
        """The call is over."""
        for context in self._contexts.values():
            if context.timer is not None:
                context.timer.cancel()


def _timed(words: Sequence[str], begin_ms: float, whole_ms: float) -> Mapping[str, object]:
    step = whole_ms / max(1, len(words))
    starts = [(begin_ms + step * at) / 1000 for at in range(len(words) + 1)]
    return {"words": words, "start": starts[:-1], "end": starts[1:]}


def _event(kind: str, name: str, *, done: bool = False, **fields: object) -> bytes:
    event = {"type": kind, "context_id": name, "done": done, "status_code": 206, **fields}
    return _encode(event)
