"""The media socket: a `MediaSession` on a WebSocket, as Twilio's client opens, uses and ends it.

The handshake carries ``x-twilio-signature`` and the user agent ``Twilio.TmeWs/1.0``, no Origin,
no subprotocol, no compression, and follows no redirect. Sending never waits: when the server does
not read, the caller's audio is discarded (31930), as Twilio does. The socket's end says how the
stream ended; what the call does then is decided elsewhere.
"""

import asyncio
import secrets
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.connection import broadcast
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.protocol import State as SocketState

from phone.events import StreamEnding
from phone.problem import Problem
from phone.session import MediaSession
from phone.signature import Signer
from phone.ticker import Ticker
from phone.verbs import Stream

_CLOSE_S = 2.0
_MAX_MESSAGE = 16 * 2**20
_MAX_UNSENT = 64 * 1024
"""About four seconds of frames that the server has not read."""


class _Connect(connect):
    """Twilio follows no redirect of a handshake."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class Phase(Enum):
    """How far a stream has come."""

    OPENING = "opening"
    OPEN = "open"
    STOPPED = "stopped"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class StreamOutcome:
    """How a stream ended. With a ``problem`` Twilio reports ``stream-error``."""

    how: StreamEnding
    code: int | None = None
    problem: Problem | None = None


_CONNECT_ERRORS: tuple[tuple[type[Exception], int, str], ...] = (
    (TimeoutError, 31901, "the media socket did not open in time"),
    (ConnectionRefusedError, 31902, "connection refused; is the server up, the port right"),
    (ssl.SSLError, 31910, "TLS failed"),
    (InvalidURI, 31923, "malformed URL"),
    (InvalidHandshake, 31920, "the server refused the handshake"),
    (EOFError, 31920, "the server closed during the handshake"),
)


def _connect_problem(error: Exception) -> Problem:
    """Return what Twilio reports for a socket that did not open."""
    for kind, code, text in _CONNECT_ERRORS:
        if isinstance(error, kind):
            return Problem(code, f"{text}: {error}")
    return Problem(31904, f"the server cannot be reached: {error}")


def _outcome(closed: ConnectionClosed) -> StreamOutcome:
    """Say how a socket ended that the phone did not end itself."""
    if closed.rcvd is None and closed.sent is None:
        problem = Problem(31903, "the connection broke without a closing handshake")
        return StreamOutcome(StreamEnding.LOST, 1006, problem)
    if closed.rcvd is None or (closed.sent is not None and not closed.rcvd_then_sent):
        problem = Problem(31924, f"protocol error by the server: {closed.sent}")
        return StreamOutcome(StreamEnding.FAILED, None, problem)
    code = closed.rcvd.code
    if code in (1000, 1005):
        return StreamOutcome(StreamEnding.SERVER_CLOSED, code)
    problem = Problem(31921, f"the server closed with code {closed.rcvd}")
    return StreamOutcome(StreamEnding.SERVER_CLOSED, code, problem)


class MediaStream:
    """One stream. `run` it; meanwhile `hang up` by `stop` and `close`, or `drop` it."""

    def __init__(
        self,
        session: MediaSession,
        ticker: Ticker,
        stream: Stream,
        url: str,
        *,
        sid: str,
        on_start: Callable[[], None],
    ) -> None:
        self._session, self._ticker, self._stream, self._url = session, ticker, stream, url
        self._socket: ClientConnection | None = None
        self._left: StreamEnding | None = None
        self._error: Exception | None = None
        self._on_start = on_start
        self.sid = sid
        self.phase = Phase.OPENING

    @staticmethod
    def new_sid() -> str:
        """Return a fresh ``MZ`` id."""
        return "MZ" + secrets.token_hex(16)

    @property
    def unplayed_ms(self) -> float:
        """Audio of the agent that the caller has not heard (yet)."""
        return self._session.unplayed_ms

    async def run(
        self, signer: Signer, context: ssl.SSLContext | None, limit_s: float
    ) -> StreamOutcome:
        """Open the socket, speak and listen until it has ended. ``limit_s`` is for opening it."""
        try:
            self._socket = await _Connect(
                self._url,
                ssl=context,
                additional_headers={"x-twilio-signature": signer.socket(self._url)},
                user_agent_header="Twilio.TmeWs/1.0",
                origin=None,
                compression=None,
                proxy=None,
                open_timeout=limit_s,
                close_timeout=_CLOSE_S,
                ping_interval=None,
                max_size=_MAX_MESSAGE,
                max_queue=None,
            )
        except (OSError, InvalidHandshake, InvalidURI, ConnectionClosed) as error:
            self.phase = Phase.CLOSED
            return StreamOutcome(StreamEnding.FAILED, None, _connect_problem(error))
        try:
            return await self._converse(self._socket)
        finally:
            self._leave(Phase.CLOSED)
            self._socket.transport.abort()
            self._session.end()

    async def _converse(self, socket: ClientConnection) -> StreamOutcome:
        self.phase = Phase.OPEN
        self._send(self._session.begin(self._stream, self._url))
        self._on_start()
        self._ticker.join(self._tick)
        try:
            while True:
                self._send(self._session.receive(await socket.recv()))
        except ConnectionClosed as closed:
            if self._error is not None:
                raise self._error from None
            if self._left is StreamEnding.LOST:
                problem = Problem(31903, "the connection was lost")
                return StreamOutcome(self._left, 1006, problem)
            if self._left is not None:
                return StreamOutcome(self._left)
            return _outcome(closed)

    def _send(self, messages: Iterable[str]) -> None:
        if self._socket is None or self.phase not in (Phase.OPEN, Phase.STOPPED):
            return
        for message in messages:
            broadcast((self._socket,), message)

    def _tick(self) -> None:
        # An error here is the program's: it ends this stream, not the beat of all others.
        try:
            self._send(self._session.tick(congested=self._congested()))
        except Exception as error:
            self._error = error
            self._abort()

    def _congested(self) -> bool:
        return (
            self._socket is not None
            and self._socket.state is SocketState.OPEN
            and self._socket.transport.get_write_buffer_size() > _MAX_UNSENT
        )

    def _leave(self, phase: Phase) -> None:
        self._ticker.leave(self._tick)
        self.phase = phase

    def stop(self) -> None:
        """Send ``stop``: the stream's last message. Harmless when the stream is not open."""
        if self.phase is Phase.OPEN:
            self._send(self._session.stop())
            self._leave(Phase.STOPPED)

    async def close(self, how: StreamEnding = StreamEnding.CALLER_HUNG_UP) -> None:
        """Close the socket as Twilio does after a hang-up; return when it is closed."""
        self._left = self._left or how
        if self._socket is not None:
            self._leave(Phase.CLOSED)
            try:
                async with asyncio.timeout(2 * _CLOSE_S):
                    await self._socket.close()
            except TimeoutError:  # a server that does not read keeps the close frame waiting
                self._socket.transport.abort()

    def drop(self) -> None:
        """Lose the network: the TCP connection is gone without a closing handshake."""
        self._left = StreamEnding.LOST
        self._abort()

    def _abort(self) -> None:
        if self._socket is not None:
            self._leave(Phase.CLOSED)
            self._socket.transport.abort()
