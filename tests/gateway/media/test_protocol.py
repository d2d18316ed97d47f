"""The media socket under uvicorn, over real connections, on both loops and over TLS."""

from collections.abc import Callable
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from gateway.carriers.twilio.stream import MAX_AUDIO, Media, decode
from gateway.media.limits import Limits
from tests.gateway.media.running_server import Caller, Farm, running_farm


def wire(opcode: int, data: bytes, fin: bool = True) -> bytes:
    return Frame(Opcode(opcode), data, fin).serialize(mask=True)


# A call --------------------------------------------------------------------------------------


def test_a_whole_call_is_heard_in_order(farm: Farm) -> None:
    with farm.call() as caller:
        assert caller.status == 101
        caller.start()
        caller.media(b"\x01" * 160)
        caller.say("mark", mark={"name": "greeting"})
        caller.say("dtmf", dtmf={"digit": "#"})
        caller.media(b"\x02")
        caller.say("stop", stop={})
        caller.close(1000, "bye")
        assert farm.calls["1"].until_closed() == [
            ("started", "MZ1", {"a": "b"}),
            ("audio", b"\x01" * 160),
            ("mark", "greeting"),
            ("dtmf", "#"),
            ("audio", b"\x02"),
            ("stopped",),
            ("closed", 1000, "bye"),
        ]
        assert caller.until_end() == 1000
    assert farm.connections() == 0
    (handshake,) = farm.handshakes
    assert (handshake.target, handshake.tls) == ("/call/1", farm.tls)
    assert handshake.client is not None
    assert handshake.client[0] == "127.0.0.1"


def test_what_the_call_plays_reaches_the_carrier(farm: Farm) -> None:
    with farm.call() as caller:
        caller.start()
        call = farm.calls["1"]
        call.next()
        call.play(b"\xff\x00\x7f")
        call.mark("one")
        call.clear()
        call.play(b"")
        call.play(b"\x05" * 160)
        sid = "MZ1"
        assert caller.hear() == {"event": "media", "streamSid": sid, "media": {"payload": "/wB/"}}
        assert caller.hear() == {"event": "mark", "streamSid": sid, "mark": {"name": "one"}}
        assert caller.hear() == {"event": "clear", "streamSid": sid}
        assert caller.hear()["event"] == "media"


def test_long_audio_goes_out_in_messages_of_bounded_size(farm: Farm) -> None:
    audio = bytes(range(256)) * 1000
    with farm.call() as caller:
        caller.start()
        farm.calls["1"].next()
        farm.calls["1"].play(audio)
        farm.calls["1"].close()
        frames = []
        while True:
            frame = caller._next()
            assert isinstance(frame, Frame)
            if frame.opcode is not Opcode.TEXT:
                break
            frames.append(bytes(frame.data))
    assert len(frames) == -(-len(audio) // MAX_AUDIO)
    assert b"".join(cast("Media", decode(frame)).audio for frame in frames) == audio


def test_calls_do_not_hear_each_other(farm: Farm) -> None:
    callers = [farm.call(str(n)) for n in range(20)]
    for caller in callers:
        caller.start()
        assert farm.calls[caller.name].next()[0] == "started"
    for turn in range(10):
        for n, caller in enumerate(callers):
            caller.media(bytes((n, turn)) * 80)
            farm.calls[caller.name].play(bytes((turn, n)) * 80)
    for n, caller in enumerate(callers):
        caller.close()
        audio = [event[1] for event in farm.calls[caller.name].until_closed()[1:-1]]
        assert audio == [bytes((n, turn)) * 80 for turn in range(10)]
        caller.socket.close()
    assert farm.connections() == 0


def test_pings_are_answered_and_sent() -> None:
    with running_farm(limits=Limits(ping_seconds=0.3)) as farm, farm.call() as caller:
        caller.raw(wire(Opcode.PING, b"payload"))
        pong = caller.control()
        assert (pong.opcode, bytes(pong.data)) == (Opcode.PONG, b"payload")
        for _ in range(2):
            assert caller.control().opcode is Opcode.PING
            caller.flush()
        caller.close()
        assert farm.calls["1"].until_closed()[-1] == ("closed", 1000, "")


@pytest.mark.parametrize("cut", [1, 7, 100])
def test_messages_cut_anywhere_and_fragmented_are_heard(farm: Farm, cut: int) -> None:
    with farm.call() as caller:
        caller.start()
        message = b'{"event":"media","streamSid":"MZ1","media":{"payload":"' + b"ABCD" * 60 + b'"}}'
        stream = wire(Opcode.TEXT, message[:50], fin=False)
        stream += wire(Opcode.PING, b"between")
        stream += wire(Opcode.CONT, message[50:]) + wire(Opcode.TEXT, message) * 2
        for start in range(0, len(stream), cut):
            caller.raw(stream[start : start + cut])
        call = farm.calls["1"]
        assert [call.next()[0] for _ in range(4)] == ["started", "audio", "audio", "audio"]
        assert caller.control().data == b"between"


# What is not let in --------------------------------------------------------------------------


def test_a_refused_handshake_gets_its_status_and_sentence(farm: Farm) -> None:
    with farm.call(kind="nothing") as caller:
        assert (caller.status, caller.body) == (404, b"No such path.\n")
        assert caller.read() == b""
    assert not farm.calls
    assert farm.connections() == 0


MEDIA = b'{"event":"media","streamSid":"MZ1","media":{"payload":"AAAA"}}'


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(wire(Opcode.TEXT, b"{"), 1007, id="not JSON"),
        pytest.param(wire(Opcode.TEXT, b'{"event":"\xff"}'), 1007, id="not UTF-8"),
        pytest.param(wire(Opcode.TEXT, b"[]"), 1008, id="no object"),
        pytest.param(wire(Opcode.TEXT, b'{"event":"media"}'), 1008, id="fields missing"),
        pytest.param(wire(Opcode.TEXT, MEDIA.replace(b"AAAA", b"A")), 1008, id="not base64"),
        pytest.param(wire(Opcode.TEXT, MEDIA.replace(b"MZ1", b"MZ2")), 1008, id="another stream"),
        pytest.param(wire(Opcode.BINARY, MEDIA), 1008, id="binary"),
        pytest.param(wire(Opcode.TEXT, b" " * 65537), 1009, id="too big"),
        pytest.param(wire(Opcode.TEXT, MEDIA)[:1] + b"\x05" + MEDIA, 1002, id="not masked"),
        pytest.param(b"\xff" * 300, 1002, id="no frame at all"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", 1002, id="HTTP"),
    ],
)
def test_a_malformed_message_ends_that_socket_alone(farm: Farm, data: bytes, code: int) -> None:
    with farm.call("other") as other, farm.call() as caller:
        other.start()
        caller.start()
        caller.media(b"before")
        caller.raw(data + wire(Opcode.TEXT, MEDIA))
        assert caller.until_end() == code
        heard = farm.calls["1"].until_closed()
        assert [event[0] for event in heard] == ["started", "audio", "closed"]
        assert heard[-1][1] == code
        other.media(b"x")
        assert [farm.calls["other"].next()[0] for _ in range(2)] == ["started", "audio"]


@pytest.mark.parametrize(
    "before_start",
    [
        lambda caller: caller.media(b"x"),
        lambda caller: caller.say("mark", mark={"name": "m"}),
        lambda caller: caller.say("stop"),
        lambda caller: caller.start(call="CA2"),
        lambda caller: caller.start(account="AC2"),
        lambda caller: (caller.start(), caller.start()),
    ],
    ids=["media", "mark", "stop", "another call", "another account", "started twice"],
)
def test_what_may_not_come_now_is_closed_with_1008(
    farm: Farm, before_start: Callable[[Caller], object]
) -> None:
    with farm.call() as caller:
        before_start(caller)
        assert caller.until_end() == 1008
        assert farm.calls["1"].until_closed()[-1][:2] == ("closed", 1008)
    assert farm.connections() == 0


def test_a_fault_and_a_close_in_one_read_end_at_once(shared_farm: Farm) -> None:
    with shared_farm.call("both") as caller:
        caller.raw(wire(Opcode.TEXT, b"{") + wire(Opcode.CLOSE, b"\x03\xe8"))
        assert caller.until_end() == 1007
        assert [event[:2] for event in shared_farm.calls["both"].until_closed()] == [
            ("closed", 1007)
        ]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(max_size=300), st.booleans())
def test_arbitrary_bytes_only_ever_close_that_socket(
    shared_farm: Farm, data: bytes, started: bool
) -> None:
    with shared_farm.call("hostile") as caller:
        if started:
            caller.start()
        caller.raw(data)
        caller.hang_up()
        heard = shared_farm.calls["hostile"].until_closed()
    assert [event[0] for event in heard].count("closed") == 1


def test_the_server_outlived_all_of_it(shared_farm: Farm) -> None:
    assert shared_farm.connections() == 0
    with shared_farm.call("last") as caller:
        assert caller.status == 101
