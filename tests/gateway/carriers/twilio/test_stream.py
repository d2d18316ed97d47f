"""Twilio's stream messages: as documented, as they might become, and as nobody should send them."""

import base64
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.carriers.twilio.stream import (
    MAX_AUDIO,
    Connected,
    Dtmf,
    Mark,
    Media,
    NotJsonError,
    Outbound,
    Start,
    Stop,
    StreamMessageError,
    Unknown,
    WrongFieldsError,
    decode,
)

SID = "MZ" + "1" * 32


def start(**changes: Any) -> dict[str, Any]:
    return {
        "event": "start",
        "sequenceNumber": "1",
        "streamSid": SID,
        "start": {
            "accountSid": "AC1",
            "streamSid": SID,
            "callSid": "CA1",
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {"agent_id": "42"},
        }
        | changes,
    }


def media(audio: bytes = b"\xff" * 160) -> dict[str, Any]:
    return {
        "event": "media",
        "sequenceNumber": "4",
        "streamSid": SID,
        "media": {
            "track": "inbound",
            "chunk": "2",
            "timestamp": "5",
            "payload": base64.b64encode(audio).decode(),
        },
    }


DOCUMENTED: list[dict[str, Any]] = [
    {"event": "connected", "protocol": "Call", "version": "1.0.0"},
    start(),
    media(),
    {
        "event": "dtmf",
        "streamSid": SID,
        "sequenceNumber": "5",
        "dtmf": {"track": "inbound_track", "digit": "1"},
    },
    {"event": "mark", "sequenceNumber": "4", "streamSid": SID, "mark": {"name": "my label"}},
    {
        "event": "stop",
        "sequenceNumber": "5",
        "streamSid": SID,
        "stop": {"accountSid": "AC1", "callSid": "CA1"},
    },
]


def dumps(message: object) -> bytes:
    return json.dumps(message).encode()


def test_every_documented_message_is_read() -> None:
    connected, begin, audio, dtmf, mark, stop = [decode(dumps(each)) for each in DOCUMENTED]
    assert isinstance(connected, Connected)
    assert isinstance(begin, Start)
    assert (begin.stream_sid, begin.call_sid, begin.account_sid) == (SID, "CA1", "AC1")
    assert begin.parameters == {"agent_id": "42"}
    assert isinstance(audio, Media)
    assert (audio.stream_sid, audio.audio) == (SID, b"\xff" * 160)
    assert isinstance(dtmf, Dtmf)
    assert (dtmf.stream_sid, dtmf.digit) == (SID, "1")
    assert isinstance(mark, Mark)
    assert (mark.stream_sid, mark.name) == (SID, "my label")
    assert isinstance(stop, Stop)
    assert stop.stream_sid == SID


@given(st.binary(max_size=2000), st.permutations(list(media())), st.sampled_from([None, 2]))
def test_audio_is_read_whatever_the_order_and_spacing_of_the_fields(
    audio: bytes, order: list[str], indent: int | None
) -> None:
    message = media(audio)
    event = decode(json.dumps({key: message[key] for key in order}, indent=indent).encode())
    assert isinstance(event, Media)
    assert event.audio == audio


@pytest.mark.parametrize("message", DOCUMENTED, ids=lambda message: str(message["event"]))
def test_new_fields_are_ignored(message: dict[str, Any]) -> None:
    grown = {
        key: value | {"new": [1]} if isinstance(value, dict) else value
        for key, value in message.items()
    }
    assert decode(dumps(grown | {"new": {"x": None}})) == decode(dumps(message))


@given(st.text().filter(lambda name: name not in {m["event"] for m in DOCUMENTED}))
@example("")
@example("Media")
def test_an_event_not_known_is_told_by_its_name(name: str) -> None:
    assert decode(dumps({"event": name, "streamSid": 7})) == Unknown(name)


def test_parameters_and_format_may_be_absent() -> None:
    message = start()
    del message["start"]["customParameters"], message["start"]["mediaFormat"]
    event = decode(dumps(message))
    assert isinstance(event, Start)
    assert event.parameters == {}


def removals(message: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The path of each field of a message."""
    if not isinstance(message, dict):
        return [path]
    return [path, *(p for key in message for p in removals(message[key], (*path, key)))][not path :]


NEEDED = {
    ("event",),
    ("streamSid",),
    ("start",),
    ("start", "accountSid"),
    ("start", "callSid"),
    ("start", "mediaFormat", "encoding"),
    ("start", "mediaFormat", "sampleRate"),
    ("start", "mediaFormat", "channels"),
    ("media",),
    ("media", "payload"),
    ("dtmf",),
    ("dtmf", "digit"),
    ("mark",),
    ("mark", "name"),
}
TYPED = (
    NEEDED
    | {("start", "customParameters"), ("start", "mediaFormat")}
    | {("start", "customParameters", "agent_id")}
)
FIELDS = [(message, path) for message in DOCUMENTED for path in removals(message)]


def changed(message: dict[str, Any], path: tuple[str, ...], value: object) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(dumps(message))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    if value is REMOVED:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return copy


REMOVED = object()


@pytest.mark.parametrize(("message", "path"), FIELDS, ids=str)
def test_a_missing_field_is_refused_exactly_when_it_is_needed(
    message: dict[str, Any], path: tuple[str, ...]
) -> None:
    wire = dumps(changed(message, path, REMOVED))
    if path in NEEDED:
        with pytest.raises(WrongFieldsError):
            decode(wire)
    else:
        decode(wire)


@pytest.mark.parametrize("value", [None, 3.5, True, [], ["x"]], ids=repr)
@pytest.mark.parametrize(("message", "path"), FIELDS, ids=str)
def test_a_wrong_type_is_refused_exactly_where_the_field_is_read(
    message: dict[str, Any], path: tuple[str, ...], value: object
) -> None:
    wire = dumps(changed(message, path, value))
    if path in TYPED:
        with pytest.raises(WrongFieldsError):
            decode(wire)
    else:
        decode(wire)


@pytest.mark.parametrize(
    "payload", ["a", "abc", "====", "ab!d", "ab\\ncd", "YQ==YQ==", "-_-_", "ü"]
)
def test_a_payload_that_is_not_base64_is_refused(payload: str) -> None:
    message = changed(media(), ("media", "payload"), payload)
    with pytest.raises(WrongFieldsError):
        decode(dumps(message))


@pytest.mark.parametrize(
    "other",
    [{"encoding": "audio/x-l16"}, {"sampleRate": 16000}, {"channels": 2}],
    ids=str,
)
def test_another_audio_format_is_refused(other: dict[str, object]) -> None:
    plain = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
    with pytest.raises(WrongFieldsError, match="mediaFormat"):
        decode(dumps(start(mediaFormat=plain | other)))


@pytest.mark.parametrize("content", [[], "media", 1, None, True, {}, [{"event": "media"}]], ids=str)
def test_json_of_another_shape_is_refused(content: object) -> None:
    with pytest.raises(WrongFieldsError):
        decode(dumps(content))


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b" ",
        b"{",
        b"nul",
        b"[[",
        b'{"event":"media"',
        b"\xef\xbb\xbf{}",
        dumps(media()) + b"x",
        b'{"event":"x\xff"}',
        b"event=media",
        dumps(media())[:-1],
    ],
)
def test_what_is_not_json_is_told_apart(message: bytes) -> None:
    with pytest.raises(NotJsonError) as caught:
        decode(message)
    assert "not JSON" in str(caught.value)


@pytest.mark.parametrize(
    "inside", [b"[" * 30_000 + b"]" * 30_000, b'{"a":' * 9_000 + b"1" + b"}" * 9_000]
)
def test_deep_nesting_is_refused(inside: bytes) -> None:
    with pytest.raises(WrongFieldsError):
        decode(b'{"event":"media","x":' + inside + b"}")


@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_nothing_else(message: bytes) -> None:
    with suppress(StreamMessageError):
        decode(message)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["event", "streamSid", "media", "payload", "start"]), inner
        )
    ),
    max_leaves=10,
)


@given(st.sampled_from(FIELDS), json_values)
def test_any_json_in_any_field_raises_nothing_else(
    field: tuple[dict[str, Any], tuple[str, ...]], value: object
) -> None:
    message, path = field
    with suppress(StreamMessageError):
        decode(dumps(changed(message, path, value)))


# What we send --------------------------------------------------------------------------------


@given(st.binary(max_size=2000))
def test_media_has_exactly_the_allowed_fields(audio: bytes) -> None:
    message = json.loads(Outbound(SID).media(audio))
    payload = base64.b64encode(audio).decode()
    assert message == {"event": "media", "streamSid": SID, "media": {"payload": payload}}


@given(st.text(), st.text())
def test_mark_and_clear_have_exactly_the_allowed_fields(sid: str, name: str) -> None:
    outbound = Outbound(sid)
    mark = json.loads(outbound.mark(name))
    assert mark == {"event": "mark", "streamSid": sid, "mark": {"name": name}}
    assert json.loads(outbound.clear()) == {"event": "clear", "streamSid": sid}


def test_the_largest_media_message_stays_below_100_kb() -> None:
    assert len(Outbound(SID).media(bytes(MAX_AUDIO))) < 100_000
