"""Callers of a real gateway: signed webhooks, the media socket of each answer, and its stream.

The other side of `bench.crowd`'s process; it holds plain sockets and blocks. What callers say, and
how they listen, is `bench.callers`'.
"""

import base64
import re
import select
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from bench import callers
from bench import talkers as talkers_
from bench.callers import Caller
from bench.talkers import Talker, Talks
from phone.parameters import Identity
from phone.signature import Signer

_VOICE, _STATUS = "/twilio/voice", "/twilio/status"
_STREAM_URL = re.compile(rb'<Stream[^>]* url="(ws[^"]+)"')
_STOP = (
    b'{"event":"stop","sequenceNumber":"0","streamSid":"MZ%032x",'
    b'"stop":{"accountSid":"%b","callSid":"%b"}}'
)
_PATIENCE_SECONDS = 10.0
_RINGING_SECONDS = 0.3
"""What Twilio takes between the answer to its webhook and the stream's start."""


@dataclass(frozen=True, slots=True)
class Ring:
    """Webhooks that were sent at once. Times on the machine's monotonic clock, in seconds."""

    first: int
    sent_at: float
    answered_at: list[float]
    refused: int


@dataclass(frozen=True, slots=True)
class Talk:
    """What callers heard back: each frame's time there and back in seconds, and frames lost."""

    latencies: list[float]
    lost: int


@dataclass(frozen=True, slots=True)
class Pumped:
    """Frames that went there and back at speed, and frames that did not come back."""

    frames: int
    lost: int
    seconds: float


class People:
    """All callers of one gateway at ``url``. Calls are numbered from 0."""

    def __init__(self, url: str, auth_token: str) -> None:
        port = urlsplit(url).port
        assert port is not None
        self._port, self._url = port, url
        self._signer = Signer(auth_token)
        self._rung: dict[int, str] = {}
        self._callers: dict[int, Caller] = {}
        self._next = 0

    # Webhooks --------------------------------------------------------------------------------

    def ring(self, count: int) -> Ring:
        """Send ``count`` voice webhooks, a connection each, all at once; read every answer."""
        first, self._next = self._next, self._next + count
        wanted = range(first, first + count)
        requests = [self._request(_VOICE, _identity(i).standard("ringing")) for i in wanted]
        sent_at = time.monotonic()
        waiting: dict[socket.socket, tuple[int, bytearray]] = {}
        for index, request in zip(wanted, requests, strict=True):
            waiting[_ask(self._port, request)] = (index, bytearray())
        answered_at = []
        while waiting:
            ready, _, _ = select.select(list(waiting), (), (), _PATIENCE_SECONDS)
            assert ready, f"{len(waiting)} webhooks were not answered"
            for connection in ready:
                index, answer = waiting[connection]
                data = connection.recv(65536)
                answer += data
                if not data:
                    answered_at.append(time.monotonic())
                    self._take(index, bytes(answer))
                    del waiting[connection]
                    connection.close()
        refused = sum(index not in self._rung for index in wanted)
        return Ring(first, sent_at, answered_at, refused)

    def _request(self, path: str, form: Mapping[str, str]) -> bytes:
        body = urlencode(form)
        return (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nConnection: close\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\n"
            f"X-Twilio-Signature: {self._signer.http(self._url + path, form)}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()

    def _take(self, index: int, answer: bytes) -> None:
        found = _STREAM_URL.search(answer)
        if answer.startswith(b"HTTP/1.1 200 ") and found:
            self._rung[index] = found[1].decode()

    # Media -----------------------------------------------------------------------------------

    def connect(self) -> None:
        """Open the media socket of every call that was answered and start its stream."""
        for index, url in self._rung.items():
            self._callers[index] = callers.start(self._open(url), index)
        self._rung.clear()

    def _open(self, url: str) -> socket.socket:
        signature = f"x-twilio-signature: {self._signer.socket(url)}\r\n"
        return callers.open_socket(self._port, urlsplit(url).path, signature)

    def greetings(self) -> list[float]:
        """As `connect`, one call after the other; return ms from ``start`` to the first audio."""
        taken = []
        for index, url in self._rung.items():
            connection = self._open(url)
            time.sleep(_RINGING_SECONDS)
            began = time.perf_counter()
            caller = callers.start(connection, index)
            assert b'"media"' in caller.socket.recv(65536), "something came before the greeting"
            taken.append((time.perf_counter() - began) * 1000)
            self._callers[index] = caller
        self._rung.clear()
        return taken

    def talk(self, seconds: float) -> Talks:
        """Open the media sockets, start the streams within a second, and hold conversations.

        They last ``seconds``; then everybody presses a key.
        """
        talks = Talks()
        talkers = []
        for at, (index, url) in enumerate(self._rung.items()):
            connection = self._open(url)
            self._callers[index] = Caller(index, connection)
            talkers.append(Talker(index, connection, talks, at / len(self._rung)))
        self._rung.clear()
        talkers_.talk(talkers, time.monotonic() + seconds)
        for talker in talkers:
            talker.press("1")
        return talks

    def converse(self, seconds: float, go_on: Callable[[], bool] = lambda: False) -> Talk:
        """Have all callers speak for ``seconds``, and again as long as ``go_on`` says so."""
        latencies: list[float] = []
        everybody = list(self._callers.values())
        before = sum(caller.lost for caller in everybody)
        while True:
            latencies += callers.converse(everybody, seconds)
            if not go_on():
                return Talk(latencies, sum(caller.lost for caller in everybody) - before)

    def pump(self, frames: int, window: int) -> Pumped:
        """Have each caller send ``frames`` as fast as they come back, ``window`` under way."""
        began = time.perf_counter()
        pumps = {c.socket.fileno(): _Pump(c, frames, window) for c in self._callers.values()}
        for pump in pumps.values():
            pump.push()
        busy = dict(pumps)
        while busy:
            ready, _, _ = select.select(busy, (), (), _PATIENCE_SECONDS)
            if not ready:
                break
            for fd in ready:
                if busy[fd].take():
                    del busy[fd]
        lost = sum(pump.under_way for pump in pumps.values())
        done = frames * len(pumps) - lost
        return Pumped(done, lost, time.perf_counter() - began)

    # The end ---------------------------------------------------------------------------------

    def hang_up(self) -> None:
        """End every call: stop and close of its stream, then the final status callback."""
        for caller in self._callers.values():
            sids = callers.account_sid().encode(), callers.call_sid(caller.index).encode()
            caller.socket.sendall(callers.masked_text(_STOP % (caller.index, *sids)))
            caller.socket.close()
        for index in [*self._callers, *self._rung]:
            form = _identity(index).progress("completed", 3)
            with _ask(self._port, self._request(_STATUS, form)) as connection:
                while connection.recv(65536):
                    pass
        self._callers.clear()
        self._rung.clear()


class _Pump:
    """One caller at speed: the next batch goes when the last has come back whole."""

    __slots__ = ("_batch", "_caller", "_left", "_window", "under_way")

    def __init__(self, caller: Caller, frames: int, window: int) -> None:
        audio = base64.b64encode(caller.index.to_bytes(4, "big") * 40)
        message = b'{"event":"media","streamSid":"MZ%032x","media":{"payload":"%b"}}'
        self._batch = callers.masked_text(message % (caller.index, audio)) * window
        self._caller, self._left, self._window = caller, frames, window
        self.under_way = 0

    def push(self) -> None:
        count = min(self._window, self._left)
        size = len(self._batch) // self._window * count
        self._caller.socket.sendall(self._batch[:size])
        self._left -= count
        self.under_way = count

    def take(self) -> bool:
        """Read what came back and go on; tell whether this caller is done."""
        self.under_way -= len(self._caller.receive())
        if self.under_way == 0 and self._left:
            self.push()
        return self.under_way == 0


def _identity(index: int) -> Identity:
    sid = callers.call_sid(index)
    return Identity(callers.account_sid(), sid, "+14155550100", "+14155550199", {})


def _ask(port: int, request: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_SECONDS)
    connection.sendall(request)
    return connection
