"""An ElevenLabs agent's wire as events, without a socket; hostile input included."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.errors import ProviderLostError, ProviderRefusedError
from worker.llm import Brief, Returned, Said
from worker.speech import CallerSaid, CallerStarted, CallerStopped, ToolsWanted
from worker.speech import elevenlabs_wire as wire
from worker.speech.elevenlabs_audio import Down
from worker.speech.elevenlabs_conversation import Audio, Conversation, Reply
from worker.speech.elevenlabs_opening import so_far

KINDS = {
    "audio": "audio_event",
    "agent_response": "agent_response_event",
    "agent_response_correction": "agent_response_correction_event",
    "interruption": "interruption_event",
    "user_transcript": "user_transcription_event",
    "tentative_user_transcript": "tentative_user_transcription_event",
    "vad_score": "vad_score_event",
    "ping": "ping_event",
    "client_tool_call": "client_tool_call",
    "error": "error_event",
}
FIELDS = [
    "audio_base_64", "event_id", "alignment", "agent_response", "original_agent_response",
    "corrected_agent_response", "user_transcript", "vad_score", "ping_ms", "tool_name",
    "tool_call_id", "parameters", "code", "message", "error_type", "chars", "charStartTimesMs",
    "char_durations_ms",
]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=8,
)


def fresh() -> Conversation:
    return Conversation(Down("ulaw_8000"))


def event(kind: str, **fields: Any) -> bytes:
    return json.dumps({"type": kind, KINDS[kind]: fields}).encode()


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_whatever_comes_is_read_or_passed_over(raw: bytes | str) -> None:
    fresh().read(raw, 0.0)


@given(st.lists(st.tuples(st.sampled_from(sorted(KINDS)), JSON), max_size=6))
def test_events_with_any_content_do_no_harm(events: list[tuple[str, Any]]) -> None:
    conversation = fresh()
    for at, (kind, content) in enumerate(events):
        raw = json.dumps({"type": kind, KINDS[kind]: content})
        for heard in conversation.read(raw, at / 10):
            if isinstance(heard, Audio):
                assert heard.audio
            if isinstance(heard, Reply):
                assert json.loads(heard.message)["type"] == "pong"
    conversation.close()


def test_letters_of_a_shape_that_nobody_knows_take_no_audio_away() -> None:
    wrong: list[object] = [None, [], {"chars": "a"}, {"chars": ["a"], "char_start_times_ms": ["x"]}]
    for alignment in wrong:
        raw = event("audio", audio_base_64="/////w==", event_id=1, alignment=alignment)
        assert fresh().read(raw, 0.0) == [Audio("agent-1", b"\xff" * 4)]


def test_numbers_in_quotes_are_numbers() -> None:
    conversation = fresh()
    conversation.read(event("interruption", event_id="5"), 0.0)
    assert conversation.read(event("audio", audio_base_64="//8=", event_id="5"), 0.0) == []


@pytest.mark.parametrize("ping_ms", [None, 40])
def test_a_ping_is_answered_with_its_number(ping_ms: int | None) -> None:
    (reply,) = fresh().read(event("ping", event_id=7, ping_ms=ping_ms), 0.0)
    assert isinstance(reply, Reply)
    assert json.loads(reply.message) == {"type": "pong", "event_id": 7}
    assert fresh().read(event("ping", ping_ms=ping_ms), 0.0) == []


def test_voice_scores_say_when_the_caller_begins_and_ends() -> None:
    conversation = fresh()
    heard = [
        what
        for score in (0.1, 0.7, 0.4, 0.9, 0.2, 0.1, 0.5)
        for what in conversation.read(event("vad_score", vad_score=score), 0.0)
    ]
    assert heard == [CallerStarted(), CallerStopped()]


def test_without_scores_first_words_say_it() -> None:
    conversation = fresh()
    tentative = event("tentative_user_transcript", user_transcript="two")
    assert conversation.read(tentative, 0.0) == [CallerStarted()]
    assert conversation.read(tentative, 0.0) == []
    assert conversation.read(event("user_transcript", user_transcript=" two "), 0.0) == [
        CallerStopped(),
        CallerSaid("caller-1", "two"),
    ]
    conversation.read(event("vad_score", vad_score=0.0), 0.0)
    assert conversation.read(tentative, 0.0) == []


def test_what_was_said_in_the_callers_name_is_not_heard_from_the_caller() -> None:
    conversation = fresh()
    (message,) = conversation.tell("The caller pressed 1.")
    echo = event("user_transcript", user_transcript=json.loads(message)["text"])
    assert conversation.read(echo, 0.0) == []
    assert conversation.read(echo, 0.0) == [CallerSaid("caller-1", "The caller pressed 1.")]


def test_a_tool_without_parameters_has_empty_ones() -> None:
    (wanted,) = fresh().read(event("client_tool_call", tool_name="x", tool_call_id="1"), 0.0)
    assert isinstance(wanted, ToolsWanted)
    assert wanted.calls[0].arguments == "{}"


def test_instructions_that_are_empty_change_nothing() -> None:
    assert fresh().brief(Brief(" ", ())) == []


@pytest.mark.parametrize(
    ("code", "reason", "told", "kind", "sentence"),
    [
        (None, "", None, ProviderLostError, "the connection dropped"),
        (1002, "x\ny", wire.Told(1002, "llm_timeout", "my name is Ann"), ProviderLostError,
         "closed the connection: 1002 llm_timeout: x y"),
        (1011, "", wire.Told(error_type="unknown_websocket_crash"), ProviderLostError, "crash"),
        (1008, "", wire.Told(1008, "missing_dynamic_variable", "Missing: name"),
         ProviderRefusedError, "Missing: name; give it in dynamic_variables"),
        (None, "", wire.Told(1008, "override_error", None, "prompt"), ProviderRefusedError,
         "1008 override_error: prompt; allow it in the agent's security settings"),
        (3000, "does not exist", None, ProviderRefusedError, "does not exist"),
        (1002, "This request exceeds your quota limit", None, ProviderRefusedError, "quota"),
        (1001, "", None, ProviderLostError, "closed the connection: 1001"),
    ],
)  # fmt: skip
def test_each_end_has_its_error(
    code: int | None, reason: str, told: wire.Told | None, kind: type[Exception], sentence: str
) -> None:
    error = wire.fault(code, reason, told)
    assert type(error) is kind
    assert sentence in str(error)
    assert "Ann" not in str(error)


def test_a_call_so_far_is_told_without_the_line_to_be_answered() -> None:
    assert so_far(()) == ""
    assert so_far((Said("user", "hello"),)) == ""
    told = so_far((Said("assistant", "Hi."), Returned("c", "done"), Said("user", "and?")))
    assert told.splitlines()[2:] == ["You: Hi.", "Result: done"]
