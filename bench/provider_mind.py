"""The stand-in's mind: OpenAI's ``/v1/chat/completions``, which says the same to everybody.

Which turn a request is of it reads in the caller's last words, and says so in its first ones.
"""

import asyncio
import re
from collections import deque
from dataclasses import dataclass
from typing import Any

import msgspec

from bench.provider_door import Door
from bench.provider_ear import Note

REPLY = "Call {call} turn {turn}, that is a table for four. See you at eight then."
"""Some 4.5 s of speech in two sentences."""

WHO = re.compile(rb"[Cc]all (\d+) turn (\d+)")
"""How words say which call's and turn's they are."""

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast what nobody waits for comes, in seconds."""

    token_s: float = 0.02
    """Between two tokens of a model, some four letters each."""

    chunk_s: float = 0.025
    """Between two chunks of a voice."""

    chunk_ms: float = 100.0
    """How much speech is in a chunk."""


class Mind:
    """OpenAI's ``/v1/chat/completions``: the first clause at once, the rest token by token."""

    _HEAD = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    _MODELS = b'{"object":"list","data":[]}'

    def __init__(self, door: Door, note: Note, pace: Pace) -> None:
        self._door, self._note, self._pace = door, note, pace
        self._loop = asyncio.get_running_loop()
        self._tokens: deque[str] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def asked(self, path: str, body: bytes) -> None:
        """Answer a request."""
        if path != "/v1/chat/completions":
            head = (
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            )
            self._door.write(head % len(self._MODELS) + self._MODELS)
            return
        who = WHO.findall(body)
        call, turn = map(int, who[-1]) if who else (0, 0)
        self._note("asked", call, turn)
        reply = REPLY.format(call=call, turn=turn)
        first = reply.index(",") + 6
        self._tokens.extend(_tokens(reply[first:]))
        begin = [{"role": "assistant", "content": "", "refusal": None}]
        begin += [{"content": token} for token in _tokens(reply[:first])]
        answer = self._HEAD + b"".join(map(_event, begin))
        self._note("clause", call, turn)
        self._door.write(answer)
        self._timer = self._loop.call_later(self._pace.token_s, self._next)

    def _next(self) -> None:
        if self._tokens:
            self._door.write(_event({"content": self._tokens.popleft()}))
            self._timer = self._loop.call_later(self._pace.token_s, self._next)
            return
        usage = {"prompt_tokens": 300, "completion_tokens": 17, "total_tokens": 317}
        last = _event({}, "stop") + _chunk(_data({"choices": [], "usage": usage}))
        self._door.write(last + _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")

    def heard(self, audio: bytes) -> None:
        """No audio comes here."""

    def told(self, text: bytes) -> None:
        """Nor messages."""

    def lost(self) -> None:
        """The request was cancelled, or the call is over."""
        if self._timer is not None:
            self._timer.cancel()


def _tokens(text: str) -> list[str]:
    return [text[at : at + 4] for at in range(0, len(text), 4)]


def _event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return _chunk(_data({"choices": [choice], "usage": None}))


def _data(fields: dict[str, Any]) -> bytes:
    head = {
        "id": "chatcmpl-C0000000000000000000000000000",
        "object": "chat.completion.chunk",
        "created": 1764244387,
        "model": "gpt-4.1-mini-2025-04-14",
        "service_tier": "default",
        "system_fingerprint": "fp_0000000000",
    }
    return b"data: " + _encode(head | fields) + b"\n\n"


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
