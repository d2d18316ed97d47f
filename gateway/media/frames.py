"""WebSocket frames as a server reads and writes them (RFC 6455): bytes in, messages out.

No socket, no clock, no extensions, and no idea what a message says. Nothing here raises on what
a peer sent: the last thing a reader returns for a broken stream is a `Violation`.

    FrameReader.feed(bytes) -> text as `bytes` | Binary | Ping | Pong | Close | Violation

A text message is plain `bytes` (its UTF-8 already checked) because it is what arrives fifty
times a second on each call; everything else says what it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final, TypeAlias

try:
    from websockets.speedups import apply_mask
except ImportError:  # no compiled wheel for this platform
    from websockets.utils import apply_mask

MAX_MESSAGE: Final = 64 * 1024
"""Bytes of the largest message that is read; a carrier's messages are under 1 kB."""

NORMAL, GOING_AWAY, PROTOCOL_ERROR, NO_CODE, LOST = 1000, 1001, 1002, 1005, 1006
BAD_DATA, POLICY, TOO_BIG, INTERNAL_ERROR = 1007, 1008, 1009, 1011
"""Close codes (RFC 6455 §7.4.1). 1005 and 1006 are never on the wire."""

_FIN, _MASKED, _RESERVED = 0x80, 0x80, 0x70
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_MAX_CONTROL = 125
_HEAD_16 = Struct("!BBH")
_HEAD_64 = Struct("!BBQ")
_COMMON = Struct("!BBH4s").unpack_from
"""First byte, second byte, 16-bit length, mask: the head of a frame of 126 to 65,535 bytes."""

_WIRE_CODES: Final = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011})
_WIRE_CODES_REGISTERED: Final = frozenset({1012, 1013, 1014})


@dataclass(frozen=True, slots=True)
class Binary:
    """A binary message."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Ping:
    """The peer asks for a pong with the same ``data``."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    """The peer answers a ping, or says that it lives."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """The peer's close frame; `NO_CODE` when it carried none. Nothing follows it."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Violation:
    """The peer broke the protocol: close with ``code``. Nothing follows it."""

    code: int
    reason: str


Item: TypeAlias = bytes | Binary | Ping | Pong | Close | Violation


class FrameReader:
    """Turns what a client sends into messages, however the network cut it."""

    __slots__ = ("_ended", "_kind", "_max", "_message", "_need", "_rest")

    def __init__(self, max_message: int = MAX_MESSAGE) -> None:
        """Read messages of at most ``max_message`` bytes."""
        self._max = max_message
        self._rest = bytearray()  # the beginning of a frame
        self._need = 0  # bytes that ``_rest`` must have before it is worth a look
        self._kind = _CONTINUATION  # opcode of the message whose fragments are in ``_message``
        self._message = bytearray()
        self._ended = False

    def feed(self, data: bytes) -> Sequence[Item]:
        """Take what was read from the peer and return what it completes, in order.

        After a `Close` or a `Violation` whatever else arrives is dropped.
        """
        if self._rest or self._kind or self._ended:
            return self._feed(data)
        # Whole, unfragmented, masked text frames with a 16-bit length: nearly every read of a
        # call is one of them. The first frame that is anything else goes the long way.
        items: list[Item] = []
        start, size = 0, len(data)
        while size - start > 8:
            head, second, length, mask = _COMMON(data, start)
            end = start + 8 + length
            if head != 0x81 or second != 0xFE or end > size or not 126 <= length <= self._max:
                break
            text = apply_mask(data[start + 8 : end], mask)
            if not text.isascii():
                break
            items.append(text)
            start = end
        if start < size:
            items += self._feed(data[start:])
        return items

    def _feed(self, data: bytes) -> list[Item]:
        items: list[Item] = []
        if self._ended:
            return items
        rest = self._rest
        rest += data
        start = 0
        try:
            while not self._ended and len(rest) - start >= self._need:
                taken = self._frame(rest, start, items)
                if not taken:
                    break
                start += taken
                self._need = 0
        except _BrokenError as broken:
            items.append(Violation(broken.code, broken.reason))
            self._ended = True
        if self._ended:
            start = len(rest)
        del rest[:start]
        return items

    def _frame(self, rest: bytearray, start: int, items: list[Item]) -> int:
        """Read the frame at ``start`` into ``items``; return its size, 0 while incomplete."""
        have = len(rest) - start
        if have < 2:
            self._need = 2
            return 0
        head, second = rest[start], rest[start + 1]
        opcode = self._check_head(head, second)
        extended = {126: 2, 127: 8}.get(second & 0x7F, 0)
        body = start + 2 + extended + 4
        if len(rest) < body:
            self._need = body - start
            return 0
        length = self._length(rest, start, second & 0x7F, extended)
        self._check_size(opcode, length)
        end = body + length
        if len(rest) < end:
            self._need = end - start
            return 0
        payload = apply_mask(rest[body:end], rest[body - 4 : body])
        self._take(opcode, bool(head & _FIN), payload, items)
        return end - start

    def _check_head(self, head: int, second: int) -> int:
        opcode = head & 0x0F
        if head & _RESERVED:
            raise _BrokenError(PROTOCOL_ERROR, "reserved bits set")
        if not second & _MASKED:
            raise _BrokenError(PROTOCOL_ERROR, "frame not masked")
        if opcode in (_CLOSE, _PING, _PONG):
            if not head & _FIN:
                raise _BrokenError(PROTOCOL_ERROR, "fragmented control frame")
            if second & 0x7F > _MAX_CONTROL:
                raise _BrokenError(PROTOCOL_ERROR, "control frame too long")
        elif opcode == _CONTINUATION:
            if self._kind == _CONTINUATION:
                raise _BrokenError(PROTOCOL_ERROR, "continuation of nothing")
        elif opcode not in (_TEXT, _BINARY):
            raise _BrokenError(PROTOCOL_ERROR, f"unknown opcode {opcode}")
        elif self._kind != _CONTINUATION:
            raise _BrokenError(PROTOCOL_ERROR, "message inside a fragmented message")
        return opcode

    def _length(self, rest: bytearray, start: int, short: int, extended: int) -> int:
        if not extended:
            return short
        length = int.from_bytes(rest[start + 2 : start + 2 + extended], "big")
        if length < (126 if extended == 2 else 1 << 16):
            raise _BrokenError(PROTOCOL_ERROR, "length not minimal")
        if length >> 63:
            raise _BrokenError(PROTOCOL_ERROR, "length out of range")
        return length

    def _check_size(self, opcode: int, length: int) -> None:
        if opcode < _CLOSE and len(self._message) + length > self._max:
            raise _BrokenError(TOO_BIG, f"message over {self._max} bytes")

    def _take(self, opcode: int, final: bool, payload: bytes, items: list[Item]) -> None:
        if opcode == _PING:
            items.append(Ping(payload))
        elif opcode == _PONG:
            items.append(Pong(payload))
        elif opcode == _CLOSE:
            items.append(_read_close(payload))
            self._ended = True
        else:
            self._take_data(opcode, final, payload, items)

    def _take_data(self, opcode: int, final: bool, payload: bytes, items: list[Item]) -> None:
        if opcode != _CONTINUATION:
            self._kind = opcode
        if not final or opcode == _CONTINUATION:
            self._message += payload
        if not final:
            return
        if opcode == _CONTINUATION:
            payload = bytes(self._message)
            self._message.clear()
        kind, self._kind = self._kind, _CONTINUATION
        if kind == _BINARY:
            items.append(Binary(payload))
        elif _is_utf8(payload):
            items.append(payload)
        else:
            raise _BrokenError(BAD_DATA, "text is not UTF-8")


class _BrokenError(Exception):
    """Carries a violation out of the parsing of one frame; never leaves this module."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code, self.reason = code, reason


def text_frame(message: bytes) -> bytes:
    """Return the frame of a text message (UTF-8)."""
    size = len(message)
    if 125 < size < 65536:
        return _HEAD_16.pack(0x81, 126, size) + message
    return _frame(_TEXT, message)


def ping_frame(data: bytes = b"") -> bytes:
    """Return a ping with at most 125 bytes of ``data``."""
    return _frame(_PING, data)


def pong_frame(data: bytes) -> bytes:
    """Return the answer to a `Ping` that carried ``data``."""
    return _frame(_PONG, data)


def close_frame(code: int, reason: str = "") -> bytes:
    """Return a close frame; a long ``reason`` is cut between characters, `NO_CODE` sends none."""
    if code == NO_CODE:
        return _frame(_CLOSE, b"")
    text = reason.encode()[: _MAX_CONTROL - 2].decode(errors="ignore").encode()
    return _frame(_CLOSE, code.to_bytes(2, "big") + text)


def _frame(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    if size <= 125:
        head = bytes((_FIN | opcode, size))
    elif size < 65536:
        head = _HEAD_16.pack(_FIN | opcode, 126, size)
    else:
        head = _HEAD_64.pack(_FIN | opcode, 127, size)
    return head + payload


def _read_close(payload: bytes) -> Close:
    if not payload:
        return Close(NO_CODE, "")
    if len(payload) == 1:
        raise _BrokenError(PROTOCOL_ERROR, "close code cut short")
    code = int.from_bytes(payload[:2], "big")
    if code not in _WIRE_CODES | _WIRE_CODES_REGISTERED and not 3000 <= code < 5000:
        raise _BrokenError(PROTOCOL_ERROR, f"close code {code} is reserved")
    if not _is_utf8(payload[2:]):
        raise _BrokenError(BAD_DATA, "close reason is not UTF-8")
    return Close(code, payload[2:].decode())


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
