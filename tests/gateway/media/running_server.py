"""uvicorn with our media socket, on a loop and thread of its own, and a caller for it.

The caller is websockets' own sans-I/O client over a blocking socket, so that a test can send
what no library would, and lose the connection in any way there is.
"""

import asyncio
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Literal

import msgspec
import uvicorn
import uvloop
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.uri import parse_uri

from gateway.media.limits import Limits
from gateway.media.listener import Admission, Handshake, Refusal
from gateway.media.protocol import media_protocol
from tests.fakes.certificates import LOCALHOST
from tests.gateway.media.recorder import Heard, Recorder

Loop = Literal["uvloop", "asyncio"]
PATIENCE = 10.0
"""Seconds until a test that waits in vain fails."""


class Call(Recorder):
    """A call that hands what it hears to the test's thread, and obeys it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fails_at: str = "") -> None:
        super().__init__()
        self._loop, self._fails_at = loop, fails_at
        self._events: SimpleQueue[Heard] = SimpleQueue()

    def write_down(self, *event: object) -> None:
        super().write_down(*event)
        self._events.put(event)
        if event[0] == self._fails_at:
            raise RuntimeError("the listener has a bug")

    def next(self) -> Heard:
        return self._events.get(timeout=PATIENCE)

    def until_closed(self) -> list[Heard]:
        """Wait for the end and return everything ever heard."""
        while self.next()[0] != "closed":
            pass
        return self.heard

    def play(self, audio: bytes) -> None:
        self._do("play", audio)

    def mark(self, name: str) -> None:
        self._do("mark", name)

    def clear(self) -> None:
        self._do("clear")

    def close(self, code: int = 1000, reason: str = "") -> None:
        self._do("close", code, reason)

    def _do(self, what: str, *args: object) -> None:
        """Do it on the server's thread, and return when it is done."""
        done = threading.Event()

        def act() -> None:
            getattr(self.socket, what)(*args)
            done.set()

        self._loop.call_soon_threadsafe(act)
        assert done.wait(PATIENCE)


@dataclass
class Farm:
    """A running server. It admits ``/call/N`` as call ``CAN`` of account ``AC``."""

    port: int
    loop: asyncio.AbstractEventLoop
    server: uvicorn.Server
    tls: bool
    start_timeout: float = PATIENCE
    fails_at: str = ""
    calls: dict[str, Call] = field(default_factory=dict)
    handshakes: list[Handshake] = field(default_factory=list)

    def admit(self, handshake: Handshake) -> Admission | Refusal:
        self.handshakes.append(handshake)
        _, kind, name = handshake.target.split("/")
        if kind != "call":
            return Refusal(404, "No such path.")
        call = self.calls[name] = Call(self.loop, self.fails_at)
        return Admission(call, f"CA{name}", "AC", self.start_timeout)

    def forget(self) -> None:
        """Be as new, for the next test."""
        self.start_timeout, self.fails_at = PATIENCE, ""
        self.calls.clear()
        self.handshakes.clear()

    def call(self, name: str = "1", kind: str = "call") -> "Caller":
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls:
            context = ssl.create_default_context(cadata=LOCALHOST.chain)
            connection = context.wrap_socket(connection, server_hostname="localhost")
        return Caller(connection, name, kind)

    def connections(self) -> int:
        """How many connections uvicorn knows of, once none is about to leave."""
        deadline = time.monotonic() + PATIENCE
        while self.server.server_state.connections and time.monotonic() < deadline:
            time.sleep(0.001)
        return len(self.server.server_state.connections)

    def shut_down(self) -> None:
        self.loop.call_soon_threadsafe(setattr, self.server, "should_exit", True)


class Caller:
    """The carrier's side of one media socket."""

    def __init__(self, connection: socket.socket, name: str, kind: str = "call") -> None:
        self.socket, self.name = connection, name
        self.protocol = ClientProtocol(parse_uri(f"ws://localhost/{kind}/{name}"), max_size=None)
        self._events: list[object] = []
        self.protocol.send_request(self.protocol.connect())
        self.flush()
        response = self._next()
        assert isinstance(response, Response)
        self.status, self.body = response.status_code, bytes(response.body)

    def flush(self) -> None:
        """Write what websockets' client wants to write."""
        self.socket.sendall(b"".join(self.protocol.data_to_send()))

    def _next(self) -> object | None:
        while not self._events:
            data = self.read()
            if data:
                self.protocol.receive_data(data)
            else:
                self.protocol.receive_eof()
            self._events += self.protocol.events_received()
            if not data and not self._events:
                return None
        return self._events.pop(0)

    def read(self) -> bytes:
        try:
            return self.socket.recv(65536)
        except (ConnectionResetError, ssl.SSLEOFError):
            return b""

    def hear(self) -> dict[str, object]:
        """Return the next message of the server."""
        frame = self._next()
        assert isinstance(frame, Frame), frame
        assert frame.opcode is Opcode.TEXT, frame
        message: dict[str, object] = msgspec.json.decode(bytes(frame.data))
        return message

    def control(self) -> Frame:
        """Return the next frame of the server, which is a control frame."""
        frame = self._next()
        assert isinstance(frame, Frame), frame
        assert frame.opcode in (Opcode.PING, Opcode.PONG, Opcode.CLOSE), frame
        return frame

    def until_end(self) -> int | None:
        """Read to the end, answering as a client must; return the server's close code, if any."""
        while self._next() is not None:
            with suppress(OSError):
                self.flush()
        return self.protocol.close_rcvd.code if self.protocol.close_rcvd else None

    def say(self, event: str, **fields: object) -> None:
        self.text(msgspec.json.encode({"event": event, "streamSid": f"MZ{self.name}"} | fields))

    def start(self, call: str | None = None, account: str = "AC") -> None:
        self.say("connected", protocol="Call", version="1.0.0")
        sid = f"CA{self.name}" if call is None else call
        body = {"callSid": sid, "accountSid": account, "customParameters": {"a": "b"}}
        self.say("start", start=body)

    def media(self, audio: bytes) -> None:
        self.say("media", media={"payload": audio})

    def text(self, message: bytes) -> None:
        self.protocol.send_text(message)
        self.flush()

    def raw(self, data: bytes) -> None:
        self.socket.sendall(data)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a close frame."""
        self.protocol.send_close(code, reason)
        self.flush()

    def vanish(self) -> None:
        """Reset the connection."""
        linger = struct.pack("ii", 1, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.hang_up()

    def hang_up(self) -> None:
        """End the connection without a word."""
        self.socket.close()

    def __enter__(self) -> "Caller":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


async def _no_http(scope: object, receive: object, send: object) -> None:
    raise AssertionError("only media sockets here")


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, started: threading.Event) -> None:
        super().__init__(config)
        self._event = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._event.set()


@contextmanager
def running_farm(
    loop_kind: Loop = "uvloop", limits: Limits | None = None, tls: Path | None = None
) -> Iterator[Farm]:
    """Run a server in a thread; ``tls`` is a folder for its certificate."""
    files = LOCALHOST.write(tls) if tls else (None, None)
    loop = uvloop.new_event_loop() if loop_kind == "uvloop" else asyncio.new_event_loop()
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        _no_http,
        http="httptools",
        loop="none",
        lifespan="off",
        log_config=None,
        ssl_certfile=files[0],
        ssl_keyfile=files[1],
    )
    started = threading.Event()
    farm = Farm(listening.getsockname()[1], loop, _Server(config, started), tls is not None)
    config.ws = media_protocol(farm, limits or Limits())
    thread = threading.Thread(
        target=loop.run_until_complete, args=[farm.server.serve(sockets=[listening])]
    )
    thread.start()
    try:
        assert started.wait(PATIENCE)
        yield farm
    finally:
        farm.server.force_exit = True
        farm.shut_down()
        thread.join(PATIENCE)
        loop.close()
        listening.close()
