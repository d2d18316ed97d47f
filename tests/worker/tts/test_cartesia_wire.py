"""What Cartesia's messages mean, and that none of them breaks anything."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.errors import ProviderLostError, ProviderRefusedError
from worker.tts import Timing
from worker.tts.cartesia_wire import CartesiaWire
from worker.tts.wire import Audio, Ended, Heard, Trouble, Words


def read(event: object) -> list[Heard]:
    return list(CartesiaWire({}).read(json.dumps(event).encode()))


def error(**fields: Any) -> Exception:
    (heard,) = read({"type": "error", "done": True, **fields})
    assert isinstance(heard, Trouble)
    return heard.error


def test_events_are_read() -> None:
    assert read({"type": "chunk", "context_id": "c", "data": "AAEC", "done": False}) == [
        Audio("c", b"\x00\x01\x02")
    ]
    words = {"words": ["Hi", "you"], "start": [0, 0.5], "end": [0.25, 1]}
    assert read({"type": "timestamps", "context_id": "c", "word_timestamps": words}) == [
        Words("c", [Timing("Hi", 0, 250), Timing("you", 500, 1000)])
    ]
    assert read({"type": "done", "context_id": "c", "done": True}) == [Ended("c")]
    assert read({"type": "chunk", "context_id": "c", "data": ""}) == []


def test_an_error_is_no_end_though_it_says_done() -> None:
    (heard,) = read({"type": "error", "context_id": "c", "done": True, "status_code": 500})
    assert isinstance(heard, Trouble)
    assert heard.context == "c"


@pytest.mark.parametrize(
    "event",
    [
        {"type": "flush_done", "context_id": "c", "flush_id": 1},
        {"type": "phoneme_timestamps", "context_id": "c", "phoneme_timestamps": {}},
        {"type": "weather", "data": {"sun": 1}, "context_id": 7},
        {"type": "done"},
        {},
    ],
)
def test_other_events_are_passed_over(event: object) -> None:
    assert read(event) == []


@pytest.mark.parametrize("status", [429, 408, 500, 503, None])
def test_what_may_pass_is_a_loss(status: int | None) -> None:
    assert isinstance(error(status_code=status), ProviderLostError)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 422])
def test_what_will_not_pass_is_a_refusal(status: int) -> None:
    assert isinstance(error(status_code=status), ProviderRefusedError)


def test_an_error_that_may_quote_the_text_is_told_without_its_message() -> None:
    fields = {"error_code": "invalid", "title": "Bad request", "message": "in 'Hello, Ann'"}
    assert str(error(status_code=400, **fields)) == "cartesia: invalid: Bad request (400)"
    assert "Hello, Ann" in str(error(status_code=404, **fields))


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"type":"chunk","data":"?"}', b"\xff"])
def test_what_cannot_be_read_costs_the_socket(raw: bytes) -> None:
    (heard,) = CartesiaWire({}).read(raw)
    assert isinstance(heard, Trouble)
    assert heard.context is None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["chunk", "timestamps", "done", "error", "other"]) | VALUES,
            "context_id": st.text() | VALUES,
            "data": st.text() | VALUES,
            "word_timestamps": VALUES
            | st.fixed_dictionaries({"words": VALUES, "start": VALUES, "end": VALUES}),
            "status_code": st.integers() | VALUES,
            "message": VALUES,
        },
    )
)
def test_no_event_breaks_it(event: object) -> None:
    assert all(isinstance(it, Audio | Words | Ended | Trouble) for it in read(event))


@given(st.binary())
def test_no_bytes_break_it(raw: bytes) -> None:
    assert list(CartesiaWire({}).read(raw)) is not None
