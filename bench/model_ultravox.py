"""The stand-in's Ultravox: calls by REST, PCM16 8 kHz and data messages on their sockets.

The messages are those of `tests.fakes.ultravox`.
"""

from itertools import count
from typing import Any

import msgspec

from bench.model_side import Answer, Model
from bench.provider_door import Door
from shared.audio import pcm16_to_ulaw, ulaw_to_pcm16

GREETING = "Hello, how can I help you?"
_ids = count(1)
_encode = msgspec.json.Encoder().encode


def call(door: Door, port: int) -> Answer:
    """Return who answers a request for a call, or for what became of one."""
    number = next(_ids)
    body = {
        "callId": f"call-{number}",
        "joinUrl": f"ws://127.0.0.1:{port}/join/{number}",
        "ended": None,
        "endReason": None,
    }
    return Answer(door, b"201 Created", _encode(body))


class Ultravox(Model):
    """One call's socket."""

    _ordinal = 0
    _text = ""

    def _data(self, kind: str, **fields: Any) -> None:
        self._door.tell(_encode({"type": kind, **fields}))

    def opened(self) -> None:
        """Greet."""
        self._data("call_started", callId="call")
        self.say(GREETING)

    def heard(self, audio: bytes) -> None:
        """Take the caller's audio."""
        self.hear(pcm16_to_ulaw(audio))

    def told(self, text: bytes) -> None:
        """Answer pings."""
        message = msgspec.json.decode(text)
        if message["type"] == "ping":
            self._data("pong", timestamp=message["timestamp"])

    def sounded(self) -> None:
        """The caller makes a sound."""
        self._data("user_started_speaking")

    def interrupted(self) -> None:
        """Have what was not played dropped."""
        self._data("playback_clear_buffer")
        self._words("agent", text=self._text, final=True)
        self._data("state", state="listening")

    def turned(self, said: str) -> None:
        """Tell the caller's words."""
        self._data("user_stopped_speaking")
        self._data("state", state="thinking")
        self._ordinal += 1
        self._words("user", text=said, final=True)

    def begun(self) -> None:
        """Begin to speak."""
        self._ordinal += 1
        self._text = ""
        self._data("state", state="speaking")

    def piece(self, audio: bytes, text: str) -> None:
        """Send audio, and the text in it."""
        self._door.send(ulaw_to_pcm16(audio))
        self._text += text
        self._words("agent", delta=text)

    def done(self) -> None:
        """Listen again."""
        self._words("agent", text=self._text, final=True)
        self._data("state", state="listening")

    def _words(
        self, role: str, *, text: str | None = None, delta: str | None = None, final: bool = False
    ) -> None:
        self._data(
            "transcript",
            role=role,
            medium="voice",
            text=text,
            delta=delta,
            final=final,
            ordinal=self._ordinal,
        )
