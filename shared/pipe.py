"""One end of the duplex pipe between the gateway and a call process.

Both ends keep the framing of `multiprocessing.connection.Connection` (a 4-byte big-endian length,
then the payload), so a plain ``Connection`` can stand at the other end. What the payload means is
`shared.messages`' business.

Writing goes straight to the socket. What the socket does not take waits in a bounded ring: when
the reader is too slow the oldest *droppable* frames (audio) go first, counted; frames that may
not be dropped are kept up to a limit, beyond which the pipe is given up. Kernel buffers are small
on purpose (`SOCKET_BUFFER`): what lies in them cannot be taken back.
"""

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

from shared.messages import MAX_FRAME

SOCKET_BUFFER = 10 * 1024
"""Bytes asked of the kernel for each direction (it takes twice that and counts its own overhead,
768 bytes for a frame of 20 ms): half a second of audio, 1.3 s in batches. The default: 5.6 s."""

RING_BYTES = 25_000
"""Droppable frames that wait for a slow reader, in bytes: 3 s of audio."""

KEPT_FRAMES = 2000
"""Frames that may not be dropped and wait for a slow reader."""

_READ_SIZE = 64 * 1024
_LAST_READS = 64  # 4 MB: more than any socket buffer holds
_LENGTH = 4


class PipeProtocolError(Exception):
    """The other side broke the framing. ``size`` is the length it claimed."""

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__(size)

    def __str__(self) -> str:
        return f"a frame of {self.size} bytes on the pipe; the most is {MAX_FRAME}"


class Frames:
    """The framing without the socket: bytes in, payloads out."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the payloads that ``data`` completes.

        Raises `PipeProtocolError` at a length beyond `MAX_FRAME`; the pipe is then useless.
        """
        if self._rest:
            data = self._rest + data
        elif len(data) == _LENGTH + int.from_bytes(data[:_LENGTH], "big") <= MAX_FRAME:
            # One whole frame a read: what audio at its own pace looks like.
            return [data[_LENGTH:]]
        out: list[bytes] = []
        start, end = 0, len(data)
        while end - start >= _LENGTH:
            size = int.from_bytes(data[start : start + _LENGTH], "big")
            if size > MAX_FRAME:
                raise PipeProtocolError(size)
            stop = start + _LENGTH + size
            if stop > end:
                break
            out.append(data[start + _LENGTH : stop])
            start = stop
        self._rest = data[start:] if start < end else b""
        return out


@dataclass(frozen=True, slots=True)
class PipeStatistics:
    """What a pipe has done so far, in frames; ``waiting`` now."""

    sent: int
    received: int
    dropped: int
    waiting: int


class Pipe:
    """A pipe end on the running event loop.

    ``on_frame`` gets each payload in order; ``on_closed`` is called exactly once, with ``None``
    when the other side went away, or with what broke the pipe.
    """

    def __init__(
        self,
        connection: Connection,
        on_frame: Callable[[bytes], None],
        on_closed: Callable[[Exception | None], None],
        ring_bytes: int = RING_BYTES,
        kept_frames: int = KEPT_FRAMES,
    ) -> None:
        self._socket = socket_of(connection)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)
        self._loop = asyncio.get_running_loop()
        self._on_frame, self._on_closed = on_frame, on_closed
        self._ring_bytes, self._kept_frames = ring_bytes, kept_frames
        self._frames = Frames()
        self._backlog: deque[tuple[bytes, bool]] = deque()
        self._droppable = self._kept = 0
        """What of the backlog may be dropped, in bytes, and what may not, in frames."""
        self._sent = self._received = self._dropped = 0
        self._flushed: asyncio.Future[None] | None = None
        self._open = True
        self._reading = True
        self._loop.add_reader(self._socket.fileno(), self._readable)

    def statistics(self) -> PipeStatistics:
        """Return the counters."""
        return PipeStatistics(self._sent, self._received, self._dropped, len(self._backlog))

    # Writing -----------------------------------------------------------------------------

    def send(self, frame: bytes, droppable: bool = False) -> None:
        """Write a frame, or queue it. Does nothing once the pipe is closed."""
        if not self._open:
            return
        wire = len(frame).to_bytes(_LENGTH, "big") + frame
        if self._backlog:
            self._queue(wire, droppable)
            return
        try:
            sent = self._socket.send(wire)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except ConnectionError as error:
            self._unheard(error)
            return
        except OSError as error:
            self._lost(error)
            return
        if sent == len(wire):
            self._sent += 1
        else:
            # A frame that has begun to go out must end: it is no longer droppable.
            self._queue(wire[sent:], droppable and not sent)
            self._loop.add_writer(self._socket.fileno(), self._writable)

    def _queue(self, wire: bytes, droppable: bool) -> None:
        if droppable:
            while self._droppable and self._droppable + len(wire) > self._ring_bytes:
                self._drop_oldest()
            self._droppable += len(wire)
        elif self._kept >= self._kept_frames:
            self._lost(BufferError(f"{self._kept_frames} frames wait for a reader that stopped"))
            return
        else:
            self._kept += 1
        self._backlog.append((wire, droppable))

    def _drop_oldest(self) -> None:
        for index, (wire, droppable) in enumerate(self._backlog):
            if droppable:
                del self._backlog[index]
                self._droppable -= len(wire)
                break
        self._dropped += 1

    def _writable(self) -> None:
        backlog = self._backlog
        while backlog:
            wire, droppable = backlog[0]
            try:
                sent = self._socket.send(wire)
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionError as error:
                backlog.clear()
                self._droppable = self._kept = 0
                self._unheard(error)
                break
            except OSError as error:
                self._lost(error)
                return
            if droppable:  # it has begun to go out
                self._droppable, self._kept = self._droppable - len(wire), self._kept + 1
            if sent < len(wire):
                backlog[0] = (wire[sent:], False)
                return
            self._kept -= 1
            backlog.popleft()
            self._sent += 1
        if self._open:
            self._loop.remove_writer(self._socket.fileno())
            self._release_waiters()

    def _unheard(self, error: ConnectionError) -> None:
        """The other side is gone: what it said last is read first, then its end is found."""
        if not self._reading:
            self._lost(error)

    def _release_waiters(self) -> None:
        if self._flushed is not None:
            self._flushed.set_result(None)
            self._flushed = None

    # Reading -----------------------------------------------------------------------------

    def _readable(self) -> None:
        self._read()

    def _read(self) -> bool:
        """Read once; tell whether there was anything."""
        try:
            data = self._socket.recv(_READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return False
        except ConnectionError:  # it went away without reading everything: an end like any other
            data = b""
        except OSError as error:
            self._lost(error)
            return False
        if not data:
            self._lost(None)
            return False
        try:
            frames = self._frames.feed(data)
        except PipeProtocolError as error:
            self._lost(error)
            return False
        self._received += len(frames)
        for frame in frames:
            self._on_frame(frame)
            if not self._open:
                return False
        return True

    @property
    def reading(self) -> bool:
        """Whether the other side is being read."""
        return self._open and self._reading

    def pause_reading(self) -> None:
        """Stop reading: the other side's writes then wait in its own process."""
        if self._open and self._reading:
            self._reading = False
            self._loop.remove_reader(self._socket.fileno())

    def resume_reading(self) -> None:
        """Read again."""
        if self._open and not self._reading:
            self._reading = True
            self._loop.add_reader(self._socket.fileno(), self._readable)

    def finish(self) -> None:
        """Read everything that is there now: the other side is dead, or has said its last.

        Whoever inherited its end and goes on writing is not read for ever.
        """
        for _ in range(_LAST_READS):
            if not (self._open and self._read()):
                return

    # The end -------------------------------------------------------------------------------

    def _lost(self, error: Exception | None) -> None:
        if self._open:
            self.close()
            self._on_closed(error)

    def close(self) -> None:
        """Close this end; ``on_closed`` is not called. May be called twice."""
        if not self._open:
            return
        self._open = False
        fd = self._socket.fileno()
        self._loop.remove_reader(fd)
        self._loop.remove_writer(fd)
        self._backlog.clear()
        self._socket.close()
        self._release_waiters()

    async def drained(self) -> None:
        """Return when everything written has gone to the socket, or the pipe is closed."""
        if self._backlog and self._open:
            self._flushed = self._flushed or self._loop.create_future()
            await asyncio.shield(self._flushed)


def socket_of(connection: Connection) -> socket.socket:
    """Return the socket inside one end of a duplex pipe, and close the ``Connection``."""
    with connection:
        return socket.socket(fileno=os.dup(connection.fileno()))
