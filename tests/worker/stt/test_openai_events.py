import base64
import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker import openai_socket
from worker.errors import ProviderLostError
from worker.stt import openai_events as wire


def test_audio_is_appended_as_base64() -> None:
    event = json.loads(openai_socket.append(b"\xff\x00\x7f"))
    assert event["type"] == "input_audio_buffer.append"
    assert base64.b64decode(event["audio"]) == b"\xff\x00\x7f"


def test_what_is_off_is_said_to_be_null() -> None:
    event = json.loads(wire.session_update("audio/pcm", {"model": "m"}, None, None))
    assert event == {
        "type": "session.update",
        "session": {
            "type": "transcription",
            "audio": {
                "input": {
                    "format": {"type": "audio/pcm", "rate": 24000},
                    "transcription": {"model": "m"},
                    "turn_detection": None,
                    "noise_reduction": None,
                }
            },
        },
    }


def test_an_event_that_does_not_fit_is_left_out() -> None:
    assert wire.read('{"type": 7}') is None
    assert wire.read("[]") is None
    assert wire.read('{"type": "x", "delta": {"a": 1}}') is None


@pytest.mark.parametrize("text", ["", "{", b"\xff", '{"a":' + "[" * 100_000])
def test_what_is_no_json_is_a_lost_provider(text: str | bytes) -> None:
    with pytest.raises(ProviderLostError):
        wire.read(text)


@given(st.binary(max_size=200))
def test_hostile_bytes_raise_nothing_else(received: bytes) -> None:
    with contextlib.suppress(ProviderLostError):
        wire.read(received)
    assert isinstance(openai_socket.read_refusal(received), openai_socket.Fault)
