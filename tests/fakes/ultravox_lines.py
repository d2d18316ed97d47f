"""The two lines on which a call at the fake Ultravox talks: raw PCM16, or Twilio's media stream.

A line turns a socket into μ-law in and out, and checks what the service checks of it: how much
audio comes for the time that has passed, and that nobody is silent for too long.
"""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

from aiohttp import WSMsgType, web

from shared.audio import SAMPLE_RATE, Resampler, pcm16_to_ulaw, ulaw_to_pcm16

Heard = bytes | dict[str, Any]
"""μ-law of the caller's, or a data message."""


class BadMessageError(Exception):
    """What came is nothing that the protocol knows."""


class Line(Protocol):
    """A call's line."""

    warnings: list[str]
    buffer_ms: float
    """How far ahead of time audio is sent."""

    def heard(self) -> AsyncIterator[Heard]:
        """Yield what comes, until the socket ends; ``TimeoutError`` if nothing does for long."""

    async def audio(self, audio: bytes) -> None:
        """Send μ-law."""

    async def data(self, text: str) -> None:
        """Send a data message, if there is a way."""

    async def clear(self) -> None:
        """Have what was not played dropped."""

    async def close(self, code: int, reason: str = "") -> None:
        """End the socket."""

    def drop(self) -> None:
        """Cut the connection without a close."""


class _Socket:
    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self._socket, self._request = socket, request
        self.warnings: list[str] = []

    async def close(self, code: int, reason: str = "") -> None:
        await self._socket.close(code=code, message=reason.encode())

    def drop(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()

    async def _send(self, message: str | bytes) -> None:
        with contextlib.suppress(ConnectionError, RuntimeError):
            if isinstance(message, bytes):
                await self._socket.send_bytes(message)
            else:
                await self._socket.send_str(message)


class PcmLine(_Socket):
    """``serverWebSocket``: binary frames are PCM16, text frames data messages."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        request: web.Request,
        medium: Mapping[str, Any],
        *,
        idle_s: float | None,
        tolerance_s: float,
        odd: bool,
    ) -> None:
        super().__init__(socket, request)
        rate = medium["inputSampleRate"]
        self._bytes_a_second = 2 * rate
        self._in = Resampler(rate)
        self._out = Resampler(SAMPLE_RATE, medium.get("outputSampleRate", rate))
        self.buffer_ms = float(medium.get("clientBufferSizeMs", 60))
        self._idle_s, self._tolerance_s, self._odd = idle_s, tolerance_s, odd
        self._rest = self._owed = b""
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._received = 0
        self.frames = 0

    async def heard(self) -> AsyncIterator[Heard]:
        while True:
            async with asyncio.timeout(self._idle_s):
                message = await self._socket.receive()
            if message.type is WSMsgType.BINARY:
                self.frames += 1
                self._received += len(message.data)
                self.check()
                pcm = self._rest + message.data
                whole = len(pcm) // 2 * 2
                self._rest = pcm[whole:]
                yield pcm16_to_ulaw(self._in.feed(pcm[:whole]))
            elif message.type is WSMsgType.TEXT:
                yield _object(message.data)
            else:
                self.check()
                return

    def check(self) -> None:
        """Warn when there is too much audio for the time that has passed, or too little."""
        late_s = self._loop.time() - self._began - self._received / self._bytes_a_second
        for what, is_so in (
            ("underflow", late_s > self._tolerance_s),
            ("overflow", -late_s > self._tolerance_s),
        ):
            if is_so and what not in self.warnings:
                self.warnings.append(what)

    async def audio(self, audio: bytes) -> None:
        pcm = self._owed + self._out.feed(ulaw_to_pcm16(audio))
        self._owed = b""
        if self._odd and len(pcm) % 2 == 0:
            pcm, self._owed = pcm[:-1], pcm[-1:]
        await self._send(pcm)

    async def data(self, text: str) -> None:
        await self._send(text)

    async def clear(self) -> None:
        self._owed = b""
        await self._send(json.dumps({"type": "playback_clear_buffer"}))


class TwilioLine(_Socket):
    """``twilio``: Twilio's media stream, of which this is the server's side.

    Source: Twilio, Media Streams, WebSocket messages. ``start`` is its start message.
    """

    buffer_ms = 30_000.0

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        super().__init__(socket, request)
        self.start: dict[str, Any] = {}
        self.marks: list[str] = []
        self._sid = ""
        self._spoken = 0

    async def heard(self) -> AsyncIterator[Heard]:
        async for message in self._socket:
            if message.type is not WSMsgType.TEXT:
                raise BadMessageError("binary")
            said = _object(message.data)
            match said.get("event"):
                case "connected":
                    pass
                case "start":
                    self.start, self._sid = said["start"], said["streamSid"]
                    media = self.start["mediaFormat"]
                    if media["encoding"] != "audio/x-mulaw" or media["sampleRate"] != SAMPLE_RATE:
                        raise BadMessageError("mediaFormat")
                    yield {"type": "_started"}
                case "media":
                    if not self._sid:
                        raise BadMessageError("media before start")
                    yield base64.b64decode(said["media"]["payload"], validate=True)
                case "dtmf":
                    yield {"type": "_digit", "digit": said["dtmf"]["digit"]}
                case "mark":
                    self.marks.append(said["mark"]["name"])
                case "stop":
                    return
                case _:
                    raise BadMessageError(str(said.get("event")))

    async def audio(self, audio: bytes) -> None:
        payload = base64.b64encode(audio).decode()
        await self._say({"event": "media", "media": {"payload": payload}})

    async def data(self, text: str) -> None:
        del text  # there is no way for it

    async def clear(self) -> None:
        await self._say({"event": "clear"})

    async def mark(self, name: str) -> None:
        """Ask to be told when what was sent is played."""
        await self._say({"event": "mark", "mark": {"name": name}})

    async def _say(self, message: dict[str, Any]) -> None:
        await self._send(json.dumps({**message, "streamSid": self._sid}))


def _object(text: str) -> dict[str, Any]:
    try:
        said = json.loads(text)
    except ValueError:
        raise BadMessageError("no JSON") from None
    if not isinstance(said, dict):
        raise BadMessageError("no object")
    return said
