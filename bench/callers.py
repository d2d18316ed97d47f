"""Many callers on one plain thread: Twilio's side of media sockets, as cheap as Python can be.

Each caller sends 160 bytes of μ-law every 20 ms, all of them evenly out of step as telephones
are, expects the same bytes back, and notes how long that took. Frames are masked with a key of
zeros, which saves this side the masking and the server nothing.
"""

import base64
import os
import select
import socket
import time
from collections import deque
from dataclasses import dataclass, field

FRAME_SECONDS = 0.02
_MASK = bytes(4)


def account_sid() -> str:
    """Return the account that all callers belong to."""
    return "AC" + "0" * 32


def call_sid(index: int) -> str:
    """Return the call of caller ``index``."""
    return f"CA{index:032x}"


@dataclass(slots=True)
class Caller:
    """One connection, its stream started."""

    index: int
    socket: socket.socket
    sent: int = 0
    lost: int = 0
    waiting: deque[tuple[float, bytes]] = field(default_factory=deque)
    rest: bytes = b""

    def speak(self, now: float) -> None:
        """Send the next 20 ms, different from everyone else's."""
        self.sent += 1
        audio = self.index.to_bytes(4, "big") + self.sent.to_bytes(4, "big") + _TAIL
        payload = base64.b64encode(audio)
        message = b'{"event":"media","sequenceNumber":"%d","streamSid":"MZ%032x",' % (
            self.sent + 1,
            self.index,
        ) + b'"media":{"track":"inbound","chunk":"%d","timestamp":"%d","payload":"%b"}}' % (
            self.sent,
            self.sent * 20,
            payload,
        )
        self.waiting.append((now, payload))
        self.socket.sendall(masked_text(message))

    def hear(self, latencies: list[float]) -> None:
        """Read what came back; add each frame's time there and back, in seconds.

        Frames that were skipped are counted as lost. Raises ``AssertionError`` when a frame is not
        what this caller said.
        """
        frames = self.receive()
        now = time.perf_counter()
        for frame in frames:
            while self.waiting:
                at, payload = self.waiting.popleft()
                if payload in frame:
                    latencies.append(now - at)
                    break
                self.lost += 1
            else:
                raise AssertionError("another caller's audio")

    def receive(self) -> list[bytes]:
        """Read once; return the whole media messages among it."""
        received = self.socket.recv(65536)
        assert received, "the server hung up"
        data = self.rest + received
        frames = []
        start = 0
        while len(data) - start > 4:
            if data[start : start + 2] == _PING:  # heard: this side never falls silent
                start += 2
                continue
            assert data[start : start + 2] == b"\x81\x7e", data[start : start + 2]
            end = start + 4 + int.from_bytes(data[start + 2 : start + 4], "big")
            if end > len(data):
                break
            frames.append(data[start:end])
            start = end
        self.rest = data[start:]
        return frames


_TAIL = os.urandom(152)
_PING = b"\x89\x00"


def masked_text(message: bytes) -> bytes:
    """Return the frame of a text message of up to 65535 bytes, as a client sends it."""
    size = len(message)
    head = b"\x81\xfe" + size.to_bytes(2, "big") if size > 125 else bytes((0x81, 0x80 | size))
    return head + _MASK + message


def texts_in(data: bytes) -> tuple[list[bytes], bytes]:
    """Return the whole text messages in what a server sent, and what is left; pings are skipped."""
    texts = []
    start, have = 0, len(data)
    while have - start >= 2:
        size, body = data[start + 1], start + 2
        if size == 126:
            size, body = int.from_bytes(data[body : body + 2], "big"), body + 2
        elif size == 127:
            size, body = int.from_bytes(data[body : body + 8], "big"), body + 8
        if body + size > have:
            break
        if data[start] == 0x81:
            texts.append(data[body : body + size])
        else:
            assert data[start] == _PING[0], data[start : start + 4]
        start = body + size
    return texts, data[start:]


def media_head(index: int) -> bytes:
    """Return a media message of call ``index`` up to its payload."""
    return b'{"event":"media","streamSid":"MZ%032x","media":{"track":"inbound","payload":"' % index


def payload_size(message: bytes) -> int:
    """Return how many bytes of audio are in a media message."""
    encoded = message[message.rindex(b":") + 2 : message.rindex(b'"')]
    return len(encoded) * 3 // 4 - encoded[-2:].count(b"=")


def connect(port: int, index: int) -> Caller:
    """Open the media socket of call ``index`` at ``/media/INDEX`` and start its stream."""
    connection = open_socket(port, f"/media/{index}")
    return start(connection, index)


def open_socket(port: int, target: str, headers: str = "") -> socket.socket:
    """Open the WebSocket at ``target``; ``headers`` are whole lines."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    key = base64.b64encode(os.urandom(16)).decode()
    connection.sendall(
        f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
        f"Sec-WebSocket-Version: 13\r\n{headers}\r\n".encode()
    )
    response = connection.recv(4096)
    assert response.startswith(b"HTTP/1.1 101 "), response
    return connection


def start(connection: socket.socket, index: int) -> Caller:
    """Start the stream of call ``index``."""
    connection.sendall(
        masked_text(
            b'{"event":"start","sequenceNumber":"1","streamSid":"MZ%032x","start":'
            b'{"accountSid":"%b","callSid":"%b","tracks":["inbound"],"mediaFormat":{"encoding":'
            b'"audio/x-mulaw","sampleRate":8000,"channels":1},"customParameters":{}}}'
            % (index, account_sid().encode(), call_sid(index).encode())
        )
    )
    return Caller(index, connection)


def converse(callers: list[Caller], seconds: float) -> list[float]:
    """Have everybody speak and listen for ``seconds``; return each frame's time there and back.

    What has not come back a second after the last word is lost; each caller counts its own.
    Raises ``AssertionError`` when a frame comes to the wrong caller.
    """
    latencies: list[float] = []
    by_fd = {caller.socket.fileno(): caller for caller in callers}
    step = FRAME_SECONDS / len(callers)
    begin = time.perf_counter()
    turns = int(seconds / FRAME_SECONDS) * len(callers)
    turn = 0
    while turn < turns or any(caller.waiting for caller in callers):
        now = time.perf_counter()
        while turn < turns and begin + turn * step <= now:
            callers[turn % len(callers)].speak(now)
            turn += 1
        wait = max(0.0, begin + turn * step - now) if turn < turns else 1.0
        # Not epoll: its time-out is in whole milliseconds.
        ready, _, _ = select.select(by_fd, (), (), wait)
        if not ready and turn >= turns:
            break
        for fd in ready:
            by_fd[fd].hear(latencies)
    for caller in callers:
        caller.lost += len(caller.waiting)
        caller.waiting.clear()
    return latencies
