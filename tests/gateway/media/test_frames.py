"""Our frames against websockets' own client, rule by rule, and against arbitrary bytes."""

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from gateway.media.frames import (
    MAX_MESSAGE,
    NO_CODE,
    Binary,
    Close,
    FrameReader,
    Item,
    Ping,
    Pong,
    Violation,
    close_frame,
    ping_frame,
    pong_frame,
    text_frame,
)

MASK = b"\x01\x02\x03\x04"


def client() -> ClientProtocol:
    return ClientProtocol(parse_uri("ws://here/"), state=OPEN, max_size=None)


def wire(opcode: int, data: bytes = b"", fin: bool = True) -> bytes:
    """A frame as websockets' client writes it."""
    return Frame(Opcode(opcode), data, fin).serialize(mask=True)


def raw(head: int, second: int, rest: bytes = b"") -> bytes:
    return bytes((head, second)) + rest


def masked(head: int, payload: bytes) -> bytes:
    """A frame with a first byte that no serializer would write."""
    body = bytes(byte ^ MASK[i % 4] for i, byte in enumerate(payload))
    return raw(head, 0x80 | len(payload), MASK + body)


def read(*chunks: bytes) -> list[Item]:
    reader = FrameReader()
    return [item for chunk in chunks for item in reader.feed(chunk)]


def code_of(items: Sequence[Item]) -> int:
    last = items[-1]
    assert isinstance(last, Violation)
    assert last.reason
    return last.code


# What a well-behaved client sends ------------------------------------------------------------


def fragmented(draw: st.DrawFn, opcode: int, message: bytes) -> Iterator[tuple[bytes, list[Item]]]:
    cuts = sorted(draw(st.lists(st.integers(0, len(message)), max_size=4)))
    parts = [message[a:b] for a, b in zip([0, *cuts], [*cuts, len(message)], strict=True)]
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        items: list[Item] = []
        if last:
            items.append(message if opcode == Opcode.TEXT else Binary(message))
        yield wire(opcode if index == 0 else Opcode.CONT, part, last), items
        if not last and draw(st.booleans()):
            yield from control(draw)


def control(draw: st.DrawFn) -> Iterator[tuple[bytes, list[Item]]]:
    data = draw(st.binary(max_size=125))
    if draw(st.booleans()):
        yield wire(Opcode.PING, data), [Ping(data)]
    else:
        yield wire(Opcode.PONG, data), [Pong(data)]


@st.composite
def conversations(draw: st.DrawFn) -> tuple[bytes, list[Item]]:
    """Everything a client may send, and what should be read of it."""
    stream, expected = b"", []
    for _ in range(draw(st.integers(0, 6))):
        kind = draw(st.sampled_from(["media", "media", "text", "binary", "control"]))
        if kind == "media":
            pieces = fragmented_once(draw(st.binary(min_size=150, max_size=150)).hex().encode())
        elif kind == "text":
            pieces = fragmented(draw, Opcode.TEXT, draw(st.text(max_size=300)).encode())
        elif kind == "binary":
            size = draw(st.sampled_from([0, 1, 125, 126, 127, 65535, 65536]))
            pieces = fragmented(draw, Opcode.BINARY, bytes(size))
        else:
            pieces = control(draw)
        for data, items in pieces:
            stream += data
            expected += items
    if draw(st.booleans()):
        reason = draw(st.text(max_size=30))
        code = draw(st.sampled_from([1000, 1001, 1011, 3000, 4999]))
        stream += wire(Opcode.CLOSE, code.to_bytes(2, "big") + reason.encode())
        expected.append(Close(code, reason))
    return stream, expected


def fragmented_once(message: bytes) -> Iterator[tuple[bytes, list[Item]]]:
    yield wire(Opcode.TEXT, message), [message]


@given(conversations(), st.data())
def test_however_the_network_cuts_it_the_same_messages_are_read(
    conversation: tuple[bytes, list[Item]], data: st.DataObject
) -> None:
    stream, expected = conversation
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert read(*chunks) == expected


@given(conversations())
def test_a_byte_at_a_time_is_read_like_all_at_once(
    conversation: tuple[bytes, list[Item]],
) -> None:
    stream, expected = conversation
    stream = stream[:3000]
    drip = read(*(stream[i : i + 1] for i in range(len(stream))))
    assert drip == read(stream)
    assert drip == expected[: len(drip)]


@given(st.text(min_size=100, max_size=400))
@example("ü" * 200)
def test_text_beyond_ascii_is_read_whole(text: str) -> None:
    assert read(wire(Opcode.TEXT, text.encode()) * 2) == [text.encode()] * 2


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 300, 65535, 65536])
def test_every_length_is_read_up_to_the_limit(size: int) -> None:
    assert read(wire(Opcode.TEXT, b"x" * size)) == [b"x" * size]


# What it must not send -----------------------------------------------------------------------

ARBITRARY = st.binary(max_size=400)


@given(st.lists(ARBITRARY, max_size=5))
def test_arbitrary_bytes_end_in_messages_or_one_violation(chunks: list[bytes]) -> None:
    items = read(*chunks)
    assert not any(isinstance(item, Violation | Close) for item in items[:-1])


@given(conversations(), st.data())
def test_a_damaged_stream_never_raises_and_its_beginning_is_read(
    conversation: tuple[bytes, list[Item]], data: st.DataObject
) -> None:
    stream = bytearray(conversation[0] or b"\x81")
    at = data.draw(st.integers(0, min(len(stream), 2000) - 1))
    stream[at] ^= data.draw(st.integers(1, 255))
    items = read(bytes(stream))
    before = read(bytes(stream[:at]))
    assert items[: len(before)] == before


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        pytest.param(masked(0xC1, b"a"), 1002, id="RSV1"),
        pytest.param(masked(0xA1, b"a"), 1002, id="RSV2"),
        pytest.param(masked(0x91, b"a"), 1002, id="RSV3"),
        *[pytest.param(masked(0x80 | op, b""), 1002, id=f"opcode {op}") for op in (3, 7, 11, 15)],
        pytest.param(b"\x81\x01a", 1002, id="text without a mask"),
        pytest.param(b"\x89\x00", 1002, id="ping without a mask"),
        pytest.param(b"\x81\x7e\x01\x00" + bytes(256), 1002, id="media without a mask"),
        pytest.param(masked(0x09, b""), 1002, id="fragmented ping"),
        pytest.param(masked(0x08, b""), 1002, id="fragmented close"),
        pytest.param(raw(0x89, 0xFE), 1002, id="ping over 125 bytes"),
        pytest.param(raw(0x88, 0xFF), 1002, id="close over 125 bytes"),
        pytest.param(masked(0x80, b"a"), 1002, id="continuation of nothing"),
        pytest.param(masked(0x01, b"a") + masked(0x81, b"b"), 1002, id="text inside a message"),
        pytest.param(masked(0x02, b"a") + masked(0x82, b"b"), 1002, id="binary inside a message"),
        pytest.param(raw(0x81, 0xFE, b"\x00\x7d" + MASK), 1002, id="16-bit length of 125"),
        pytest.param(raw(0x81, 0xFF, bytes(6) + b"\xff\xff" + MASK), 1002, id="64-bit of 65535"),
        pytest.param(raw(0x81, 0xFF, b"\x80" + bytes(7) + MASK), 1002, id="length over 2^63"),
        pytest.param(masked(0x88, b"\x03"), 1002, id="half a close code"),
        *[
            pytest.param(masked(0x88, code.to_bytes(2, "big")), 1002, id=f"close code {code}")
            for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)
        ],
        pytest.param(masked(0x88, b"\x03\xe8\xff"), 1007, id="close reason not UTF-8"),
        pytest.param(masked(0x81, b"\xff"), 1007, id="text not UTF-8"),
        pytest.param(wire(1, b'{"a":"' + b"\xc3" * 200), 1007, id="long text not UTF-8"),
        pytest.param(masked(0x01, b"\xc3") + masked(0x80, b"\x28"), 1007, id="fragments not UTF-8"),
        pytest.param(masked(0x81, b"\xed\xa0\x80"), 1007, id="surrogate"),
        pytest.param(wire(1, bytes(MAX_MESSAGE + 1)), 1009, id="message over the limit"),
        pytest.param(wire(2, bytes(MAX_MESSAGE + 1)), 1009, id="binary over the limit"),
        pytest.param(
            raw(0x81, 0xFF, (1 << 40).to_bytes(8, "big") + MASK), 1009, id="a terabyte announced"
        ),
        pytest.param(
            wire(1, bytes(MAX_MESSAGE), fin=False) + masked(0x80, b"a"), 1009, id="sum of fragments"
        ),
    ],
)
def test_each_rule_has_its_close_code(stream: bytes, code: int) -> None:
    assert code_of(read(stream)) == code
    assert code_of(read(wire(1, b"x" * 300) + stream)) == code
    drip = [stream[i : i + 1] for i in range(min(len(stream), 400))]
    assert code_of(read(*drip, stream[400:])) == code


def test_a_character_cut_between_fragments_is_whole_again() -> None:
    assert read(masked(0x01, b"\xc3"), masked(0x80, b"\xbc")) == ["ü".encode()]


def test_empty_fragments_cost_nothing_and_are_no_violation() -> None:
    reader = FrameReader()
    assert not reader.feed(masked(0x01, b""))
    for _ in range(5000):
        assert not reader.feed(masked(0x00, b""))
    assert reader.feed(masked(0x80, b"end")) == [b"end"]


def test_messages_before_a_violation_are_read_and_nothing_after_it() -> None:
    text = wire(1, b"x" * 300)
    reader = FrameReader()
    *before, last = reader.feed(text + text + b"\xff\xff" + text)
    assert before == [b"x" * 300] * 2
    assert isinstance(last, Violation)
    assert not reader.feed(text)


def test_nothing_is_read_after_a_close() -> None:
    reader = FrameReader()
    assert reader.feed(wire(8) + wire(1, b"late")) == [Close(NO_CODE, "")]
    assert not reader.feed(wire(1, b"x" * 300))


def test_an_oversized_message_is_refused_at_its_announcement() -> None:
    head = wire(1, bytes(MAX_MESSAGE + 1))[:14]
    assert code_of(read(head)) == 1009


# What we send --------------------------------------------------------------------------------


@given(st.text(max_size=200))
@example("x" * 125)
@example("x" * 126)
@example("x" * 65535)
@example("x" * 65536)
def test_websockets_client_reads_our_text(text: str) -> None:
    peer = client()
    peer.receive_data(text_frame(text.encode()))
    (frame,) = peer.events_received()
    assert isinstance(frame, Frame)
    assert (frame.opcode, bytes(frame.data), frame.fin) == (Opcode.TEXT, text.encode(), True)
    assert peer.parser_exc is None


@given(st.binary(max_size=125))
def test_websockets_client_takes_our_pong_for_the_answer_and_answers_our_ping(data: bytes) -> None:
    peer = client()
    peer.receive_data(pong_frame(data) + ping_frame(data))
    pong, _ = peer.events_received()
    assert isinstance(pong, Frame)
    assert (pong.opcode, bytes(pong.data)) == (Opcode.PONG, data)
    assert read(b"".join(peer.data_to_send())) == [Pong(data)]


@given(st.sampled_from([1000, 1001, 1002, 1007, 1008, 1009, 1011, 4000]), st.text(max_size=200))
@example(1008, "ü" * 100)
def test_websockets_client_reads_our_close_and_we_read_its_echo(code: int, reason: str) -> None:
    peer = client()
    peer.receive_data(close_frame(code, reason))
    assert peer.close_rcvd is not None
    assert peer.close_rcvd.code == code
    assert reason.startswith(peer.close_rcvd.reason)
    assert len(peer.close_rcvd.reason.encode()) >= min(len(reason.encode()), 120)
    (echo,) = read(b"".join(peer.data_to_send()))
    assert echo == Close(code, peer.close_rcvd.reason)


def test_a_close_without_a_code_is_sent_empty() -> None:
    assert close_frame(NO_CODE) == b"\x88\x00"
