import base64
import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phone.messages import Clear, InvalidMessageError, Mark, Media, Writer, decode
from shared.audio import SILENT_FRAME

SID = "MZ1"


def message(**fields: Any) -> str:
    return json.dumps({"streamSid": SID} | fields)


def test_the_three_messages_of_a_server_are_read() -> None:
    audio = base64.b64encode(b"\x00\xff").decode()
    media = decode(message(event="media", media={"payload": audio}), SID)
    assert isinstance(media, Media)
    assert media.media.payload == b"\x00\xff"
    mark = decode(message(event="mark", mark={"name": "a"}), SID)
    assert isinstance(mark, Mark)
    assert mark.mark.name == "a"
    assert isinstance(decode(message(event="clear"), SID), Clear)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "null",
        message(),
        message(event="hello"),
        message(event="media"),
        message(event="media", media={}),
        message(event="media", media={"payload": "%%%"}),
        message(event="media", media={"payload": 5}),
        message(event="media", media={"payload": "AAAA", "track": "outbound"}),
        message(event="media", media={"payload": "AAAA"}, sequenceNumber="1"),
        message(event="mark", mark={"name": 1}),
        message(event="mark", name="a"),
        message(event="clear", extra=None),
        message(event="clear", streamSid="MZ2"),
        '{"event":"clear","stream_sid":"MZ1"}',
        '{"event":"clear"}',
        "[" * 100_000,
    ],
)
def test_anything_else_is_invalid(text: str) -> None:
    with pytest.raises(InvalidMessageError):
        decode(text, SID)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
hostile = st.one_of(
    st.text(),
    json_values.map(json.dumps),
    st.fixed_dictionaries(
        {"event": st.sampled_from(["media", "mark", "clear", "stop"])},
        optional={"streamSid": json_values, "media": json_values, "mark": json_values},
    ).map(json.dumps),
)


@given(hostile)
def test_no_text_raises_anything_but_invalid(text: str) -> None:
    with contextlib.suppress(InvalidMessageError):
        assert decode(text, SID).stream_sid == SID


@given(st.text(st.characters(exclude_categories=["Cs"])), st.binary(min_size=160, max_size=160))
def test_what_is_written_is_json_with_string_numbers_in_one_sequence(
    name: str, frame: bytes
) -> None:
    writer = Writer("AC1", "CA1", SID)
    texts = [
        writer.start({"p": name}),
        writer.media(frame, 0),
        writer.media(SILENT_FRAME, 20),
        writer.dtmf("#"),
        writer.mark(name),
        writer.stop(),
    ]
    messages = [json.loads(text) for text in texts]
    assert [m["sequenceNumber"] for m in messages] == ["1", "2", "3", "4", "5", "6"]
    assert all(m["streamSid"] == SID for m in messages)
    assert messages[0]["start"]["customParameters"] == {"p": name}
    assert base64.b64decode(messages[1]["media"]["payload"]) == frame
    assert base64.b64decode(messages[2]["media"]["payload"]) == SILENT_FRAME
    assert messages[2]["media"]["chunk"] == "2"
    assert messages[2]["media"]["timestamp"] == "20"
    assert messages[4]["mark"] == {"name": name}
    assert messages[5]["stop"] == {"accountSid": "AC1", "callSid": "CA1"}
