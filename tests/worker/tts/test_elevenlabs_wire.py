"""What ElevenLabs' messages mean, and that none of them breaks anything."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.errors import ProviderLostError, ProviderRefusedError
from worker.tts import Timing
from worker.tts.elevenlabs_wire import ElevenLabsWire
from worker.tts.wire import Audio, Ended, Heard, Said, Trouble, Words

TENTH = base64.b64encode(b"\x55" * 800).decode()
"""100 ms of audio."""


class Talk:
    """A wire with one open context, ``c``."""

    def __init__(self) -> None:
        self.wire = ElevenLabsWire({})
        self.opened: list[Said] = list(self.wire.say("c", "Hello you.", last=False))

    def read(self, message: object) -> list[Heard]:
        return list(self.wire.read(json.dumps(message).encode()))

    def words(self, message: object) -> list[Timing]:
        return [
            it for heard in self.read(message) if isinstance(heard, Words) for it in heard.timings
        ]


def chunk(chars: str, step: float = 10.0, **more: Any) -> dict[str, Any]:
    alignment = {
        "chars": list(chars),
        "charStartTimesMs": [at * step for at in range(len(chars))],
        "charDurationsMs": [step] * len(chars),
    }
    return {"audio": TENTH, "contextId": "c", "alignment": alignment, **more}


def test_words_are_put_together_over_chunks() -> None:
    talk = Talk()
    assert talk.words(chunk("Hello yo")) == [Timing("Hello", 0, 50)]
    assert talk.words(chunk("u. An")) == [Timing("you.", 60, 120)]
    assert talk.words({"contextId": "c", "isFinal": True, "audio": None}) == [
        Timing("An", 130, 150)
    ]


@pytest.mark.parametrize(
    ("starts", "lasts"),
    [
        ("charStartTimesMs", "charDurationsMs"),
        ("charsStartTimesMs", "charsDurationsMs"),
        ("char_start_times_ms", "char_durations_ms"),
    ],
)
@pytest.mark.parametrize("name", ["contextId", "context_id"])
@pytest.mark.parametrize("final", ["isFinal", "is_final"])
def test_every_spelling_is_taken(name: str, final: str, starts: str, lasts: str) -> None:
    alignment = {"chars": ["H", "i"], starts: [0, 50], lasts: [50, 50]}
    message = {"audio": TENTH, name: "c", final: True, "alignment": alignment}
    assert Talk().read(message) == [
        Audio("c", b"\x55" * 800),
        Words("c", [Timing("Hi", 0, 100)]),
        Ended("c"),
    ]


def test_audio_of_a_closed_context_is_dropped_and_its_end_is_told() -> None:
    talk = Talk()
    assert list(talk.wire.cancel("c")) == [{"context_id": "c", "close_context": True}]
    assert talk.read(chunk("Late")) == []
    assert talk.read({"contextId": "c", "isFinal": True}) == [Ended("c")]


def test_a_context_is_closed_once() -> None:
    talk = Talk()
    assert list(talk.wire.end("c")) == [{"context_id": "c", "close_context": True}]
    assert list(talk.wire.end("c")) == []
    assert list(talk.wire.cancel("c")) == []


def test_a_text_ends_with_one_space_and_is_flushed() -> None:
    talk = Talk()
    assert talk.opened == [
        {"text": " ", "context_id": "c"},
        {"text": "Hello you. ", "context_id": "c", "flush": True},
    ]
    assert list(talk.wire.say("c", "So? \n", last=False)) == [
        {"text": "So? ", "context_id": "c", "flush": True}
    ]


def test_other_messages_are_passed_over() -> None:
    for message in ({}, {"type": "flush_done", "contextId": "c"}, chunk("?", contextId="d")):
        assert Talk().read(message) == []


@pytest.mark.parametrize(
    ("error", "code", "kind"),
    [
        ("input_timeout_exceeded", 1008, ProviderLostError),
        ("max_active_conversations", 1008, ProviderLostError),
        ("quota_exceeded", 1008, ProviderRefusedError),
        ("quota_exceeded", None, ProviderRefusedError),
        ("detected_unusual_activity", 1008, ProviderRefusedError),
        ("something_new", 1008, ProviderRefusedError),
        ("something_new", 1011, ProviderLostError),
        ("something_new", None, ProviderLostError),
    ],
)
def test_an_error_is_a_loss_or_a_refusal(
    error: str, code: int | None, kind: type[Exception]
) -> None:
    (heard,) = Talk().read({"message": "m", "error": error, "code": code})
    assert isinstance(heard, Trouble)
    assert heard.context is None
    assert type(heard.error) is kind


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"audio":"?"}', b"\xff"])
def test_what_cannot_be_read_costs_the_socket(raw: bytes) -> None:
    (heard,) = ElevenLabsWire({}).read(raw)
    assert isinstance(heard, Trouble)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "audio": st.just(TENTH) | VALUES,
                "contextId": st.just("c") | VALUES,
                "isFinal": st.booleans() | VALUES,
                "alignment": VALUES
                | st.fixed_dictionaries(
                    {},
                    optional={
                        "chars": st.lists(st.text()),
                        "charStartTimesMs": st.lists(st.floats(allow_nan=False)),
                        "charDurationsMs": st.lists(st.integers()),
                    },
                ),
                "error": VALUES,
            },
        ),
        max_size=4,
    )
)
def test_no_message_breaks_it(messages: list[object]) -> None:
    talk = Talk()
    for message in messages:
        for heard in talk.read(message):
            assert isinstance(heard, Audio | Words | Ended | Trouble)


@given(st.binary())
def test_no_bytes_break_it(raw: bytes) -> None:
    assert list(ElevenLabsWire({}).read(raw)) is not None
