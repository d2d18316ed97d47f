"""The media socket: uvicorn's WebSocket protocol, from a call's upgrade request to its end.

The only WebSocket the gateway serves, so there is no ASGI between the transport and the call: a
read goes through `FrameReader` and the carrier's `decode` straight to the listener, and
``play()`` straight to the transport. Nothing is queued, no task and no future is made.

    upgrade request --refused--> HTTP response, closed
          |
       admitted --> open --either side closes, or a limit runs out--> closing --> lost

It knows neither calls nor processes, and of the carrier only the events of its stream.
uvicorn drops what a client sends together with its upgrade request; a client must wait for the
response (RFC 6455 §4.1), so only one that breaks the protocol loses anything.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import structlog
from uvicorn.config import Config
from uvicorn.server import ServerState

from gateway.carriers.twilio.stream import (
    MAX_AUDIO,
    Dtmf,
    Mark,
    Media,
    NotJsonError,
    Outbound,
    Start,
    Stop,
    StreamEvent,
    WrongFieldsError,
    decode,
)
from gateway.media import frames, handshake
from gateway.media.frames import Binary, Close, FrameReader, Item, Ping, Violation, text_frame
from gateway.media.limits import DEFAULT_LIMITS, Limits
from gateway.media.listener import Admission, Gatekeeper, StreamStart
from gateway.media.order import OutOfOrderError, StreamOrder
from gateway.media.pacing import Pacing

_log = structlog.get_logger(__name__)
_PING = frames.ping_frame()


def _unheard(audio: bytes) -> None:
    """Where audio goes while no stream runs."""


class MediaProtocol(asyncio.Protocol):
    """One media socket; its listener's `MediaSocket`."""

    def __init__(
        self,
        gatekeeper: Gatekeeper,
        server_state: ServerState,
        limits: Limits = DEFAULT_LIMITS,
        pacing: Pacing | None = None,
    ) -> None:
        """Stand for a connection of the server whose state is ``server_state``.

        ``pacing`` is shared by the server's connections.
        """
        self._gatekeeper, self._limits = gatekeeper, limits
        self._pacing = pacing if pacing is not None else Pacing()
        self._connections: set[Any] = server_state.connections
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._reader = FrameReader()
        self._admission: Admission | None = None  # None until admitted, for good when refused
        self._order: StreamOrder
        # Three that are set only while the stream runs: being set is what they are asked for.
        self._stream_sid: str | None = None
        self._outbound: Outbound | None = None
        self._on_audio: Callable[[bytes], None] = _unheard
        self._heard = True
        self._end: tuple[int, str] | None = None  # code and reason, once it is closing
        self._deadline: asyncio.TimerHandle | None = None
        self._pinger: asyncio.TimerHandle | None = None

    # The connection ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over the connection; the upgrade request comes next, as data."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=self._limits.unread_bytes)
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Hear what the peer says."""
        if self._admission is None:
            self._upgrade(data)
            return
        self._heard = True
        for item in self._reader.feed(data):
            try:
                if type(item) is bytes:
                    event = decode(item)
                    if type(event) is Media and event.stream_sid == self._stream_sid:
                        self._on_audio(event.audio)
                    else:
                        self._take_event(event)
                else:
                    self._take_control(item)
            except NotJsonError as error:
                self._refuse(frames.BAD_DATA, str(error))
            except (WrongFieldsError, OutOfOrderError) as error:
                self._refuse(frames.POLICY, str(error))
            except Exception:
                _log.exception("media socket's listener failed", call=self._call_sid())
                self.close(frames.INTERNAL_ERROR, "internal error")

    def pause_writing(self) -> None:
        """Give up a peer that does not read: what waits for it has reached the limit."""
        unread = self._limits.unread_bytes
        self._leave(frames.INTERNAL_ERROR, f"over {unread} bytes wait for the peer to read")
        # Not at once: the transport is in the middle of a write.
        self._loop.call_soon(self._transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the listener that it is over."""
        self._connections.discard(self)
        self._leave(frames.LOST, "connection lost" if exc is None else f"connection lost: {exc}")
        self._drop_deadline()
        if self._admission is None or self._end is None:
            return
        try:
            self._admission.listener.stream_closed(*self._end)
        except Exception:
            _log.exception("media socket's listener failed", call=self._call_sid())

    def shutdown(self) -> None:
        """Close because the server ends (uvicorn calls this on each connection)."""
        if self._admission is None:
            self._transport.close()
        else:
            self.close(frames.GOING_AWAY, "server is shutting down")

    # The way back: `MediaSocket` -------------------------------------------------------------

    def play(self, audio: bytes) -> None:
        """Queue ``audio`` of any length behind what the carrier has yet to play."""
        outbound = self._outbound
        if outbound is None or not audio:
            return
        if len(audio) <= MAX_AUDIO:
            self._transport.write(text_frame(outbound.media(audio)))
            return
        for start in range(0, len(audio), MAX_AUDIO):
            self.play(audio[start : start + MAX_AUDIO])

    def mark(self, name: str) -> None:
        """Have ``name`` come back when all audio before it was played, or cleared."""
        if self._outbound is not None:
            self._transport.write(text_frame(self._outbound.mark(name)))

    def clear(self) -> None:
        """Drop what the carrier has yet to play; its pending marks come back at once."""
        if self._outbound is not None:
            self._transport.write(text_frame(self._outbound.clear()))

    def close(self, code: int = frames.NORMAL, reason: str = "") -> None:
        """Close the socket; a peer that does not follow in time is cut off."""
        if self._leave(code, reason):
            self._transport.write(frames.close_frame(code, reason))
            self._set_deadline(self._limits.close_seconds, self._transport.abort)

    # What is heard ---------------------------------------------------------------------------

    def _upgrade(self, head: bytes) -> None:
        transport = self._transport
        if transport.is_closing():  # it was refused, or cut off before it asked
            return
        client = transport.get_extra_info("peername")
        answer = handshake.answer(
            head,
            self._gatekeeper,
            (str(client[0]), int(client[1])) if isinstance(client, tuple) else None,
            bool(transport.get_extra_info("sslcontext")),
        )
        transport.write(answer.response)
        if answer.admission is None:
            transport.close()
            return
        admission = self._admission = answer.admission
        self._order = StreamOrder(admission.call_sid, admission.account_sid)
        seconds = admission.start_timeout
        self._set_deadline(seconds, self._refuse, frames.POLICY, f"no start within {seconds:g} s")
        self._pinger = self._loop.call_later(self._limits.ping_seconds, self._ping)

    def _take_event(self, event: StreamEvent) -> None:
        """Take any event but audio of the running stream."""
        if self._end is not None or self._admission is None or not self._order.take(event):
            return
        listener = self._admission.listener
        if isinstance(event, Start):
            self._drop_deadline()
            self._stream_sid = event.stream_sid
            self._pacing.join()
            self._outbound = Outbound(event.stream_sid)
            self._on_audio = listener.stream_audio
            listener.stream_started(self, StreamStart(event.stream_sid, event.parameters))
        elif isinstance(event, Mark):
            listener.stream_mark(event.name)
        elif isinstance(event, Dtmf):
            listener.stream_dtmf(event.digit)
        elif isinstance(event, Stop):
            self._mute()
            self._set_deadline(self._limits.close_seconds, self.close)
            listener.stream_stopped()

    def _take_control(self, item: Item) -> None:
        if isinstance(item, Ping):
            if self._end is None:
                self._transport.write(frames.pong_frame(item.data))
        elif isinstance(item, Close):
            if self._leave(item.code, item.reason):
                self._transport.write(frames.close_frame(item.code))
                self._set_deadline(self._limits.close_seconds, self._transport.abort)
            self._transport.close()
        elif isinstance(item, Violation):
            self._refuse(item.code, item.reason)
            self._hang_up()
        elif isinstance(item, Binary):
            self._refuse(frames.POLICY, "binary message")

    # The end ---------------------------------------------------------------------------------

    def _refuse(self, code: int, reason: str) -> None:
        """Close because of what the peer did."""
        if self._end is None:
            _log.warning("media socket refused", call=self._call_sid(), code=code, reason=reason)
            self.close(code, reason)

    def _leave(self, code: int, reason: str) -> bool:
        """Neither hear nor play any more; return whether this, and not something before, did it."""
        if self._end is not None:
            return False
        self._end = (code, reason)
        self._mute()
        if self._pinger is not None:
            self._pinger.cancel()
        return True

    def _mute(self) -> None:
        if self._stream_sid is not None:
            self._pacing.leave()
        self._stream_sid = self._outbound = None
        self._on_audio = _unheard

    def _hang_up(self) -> None:
        """End our direction: the peer can read the close frame, and its end is waited for.

        Closing outright with unread bytes would reset the connection before the peer read why.
        """
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()

    def _ping(self) -> None:
        if not self._heard:
            self._leave(frames.LOST, f"nothing heard for {self._limits.ping_seconds:g} s")
            self._transport.abort()
            return
        self._heard = False
        self._transport.write(_PING)
        self._pinger = self._loop.call_later(self._limits.ping_seconds, self._ping)

    def _set_deadline(self, seconds: float, act: Callable[..., object], *args: object) -> None:
        """Have ``act`` called after ``seconds``, instead of what the last deadline would do."""
        self._drop_deadline()
        self._deadline = self._loop.call_later(seconds, act, *args)

    def _drop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _call_sid(self) -> str | None:
        return self._admission.call_sid if self._admission is not None else None


def media_protocol(
    gatekeeper: Gatekeeper, limits: Limits = DEFAULT_LIMITS
) -> type[asyncio.Protocol]:
    """Return what uvicorn's ``ws=`` takes: it makes a `MediaProtocol` for each upgrade request."""

    pacing = Pacing()

    class GuardedMediaProtocol(MediaProtocol):
        def __init__(self, config: Config, server_state: ServerState, **_: object) -> None:
            super().__init__(gatekeeper, server_state, limits, pacing)

    return GuardedMediaProtocol
