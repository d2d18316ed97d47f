"""What an Ultravox call is created with."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from tests.fakes.ultravox_body import check_call, check_stage
from worker.llm import Brief, Call, Returned, Said, ToolSpec
from worker.speech import Opening, Reminder
from worker.speech.ultravox import Ultravox
from worker.speech.ultravox_call import (
    LOST_PROMPT,
    OWED_PROMPT,
    call_body,
    initial_messages,
    path_of,
    resuming_body,
    server_web_socket,
    stage_of,
)
from worker.speech.ultravox_tools import duration, selected_tools, whole

BOOK = ToolSpec(
    "book",
    "Book a table.",
    {
        "type": "object",
        "properties": {
            "people": {"type": "integer", "minimum": 1},
            "at": {"$ref": "#/$defs/Time", "description": "When."},
        },
        "required": ["people"],
        "$defs": {"Time": {"type": "string", "format": "date-time"}},
    },
)
BRIEF = Brief("You are kind.", (BOOK,), {"book": 5.0})
MEDIUM: Mapping[str, Any] = {"twilio": {}}


def body_of(settings: Ultravox, opening: Opening | None = None) -> dict[str, Any]:
    body = call_body(settings, opening or Opening(BRIEF), MEDIUM)
    check_call(body, of_agent=settings.agent_id is not None)
    return body


def test_a_call_says_what_belongs_to_it_and_no_more() -> None:
    assert body_of(Ultravox()) == {
        "systemPrompt": "You are kind.",
        "model": "ultravox-v0.7",
        "medium": {"twilio": {}},
        "firstSpeakerSettings": {"user": {}},
        "joinTimeout": "15s",
        "recordingEnabled": False,
        "selectedTools": [
            {
                "temporaryTool": {
                    "modelToolName": "book",
                    "description": "Book a table.",
                    "timeout": "6s",
                    "dynamicParameters": [
                        {
                            "name": "people",
                            "location": "PARAMETER_LOCATION_BODY",
                            "schema": {"type": "integer", "minimum": 1},
                            "required": True,
                        },
                        {
                            "name": "at",
                            "location": "PARAMETER_LOCATION_BODY",
                            "schema": {
                                "type": "string",
                                "format": "date-time",
                                "description": "When.",
                            },
                            "required": False,
                        },
                    ],
                    "client": {},
                }
            }
        ],
    }


def test_every_option_is_said_as_ultravox_says_it() -> None:
    settings = Ultravox(
        model="ultravox-v0.6",
        voice="Mark",
        temperature=0.3,
        language_hint="de",
        turn_endpoint_delay_s=0.384,
        minimum_turn_s=0,
        minimum_interruption_s=0.09,
        frame_activation_threshold=0.5,
        recording=True,
        max_duration_s=90,
        time_exceeded_message="Time is up.",
        extra={"initialState": {"x": 1}},
    )
    opening = Opening(
        BRIEF,
        reminders=(Reminder(10, "Still there?"), Reminder(7.5, "Goodbye.", hangs_up=True)),
        metadata={"call_sid": "CA1", "from": "+1", "to": ""},
    )
    body = body_of(settings, opening)
    del body["selectedTools"], body["systemPrompt"], body["medium"], body["joinTimeout"]
    assert body == {
        "model": "ultravox-v0.6",
        "voice": "Mark",
        "temperature": 0.3,
        "languageHint": "de",
        "vadSettings": {
            "turnEndpointDelay": "0.384s",
            "minimumTurnDuration": "0s",
            "minimumInterruptionDuration": "0.09s",
            "frameActivationThreshold": 0.5,
        },
        "recordingEnabled": True,
        "maxDuration": "90s",
        "timeExceededMessage": "Time is up.",
        "firstSpeakerSettings": {"user": {}},
        "inactivityMessages": [
            {"duration": "10s", "message": "Still there?"},
            {
                "duration": "7.5s",
                "message": "Goodbye.",
                "endBehavior": "END_BEHAVIOR_HANG_UP_SOFT",
            },
        ],
        "metadata": {"call_sid": "CA1", "from": "+1"},
        "initialState": {"x": 1},
    }


@pytest.mark.parametrize(
    ("settings", "opening", "first"),
    [
        (Ultravox(), Opening(BRIEF, "Hello."), {"agent": {"text": "Hello."}}),
        (
            Ultravox(speaks_first=True),
            Opening(BRIEF, "Hello.", greeting_interruptible=False),
            {"agent": {"text": "Hello.", "uninterruptible": True}},
        ),
        (Ultravox(), Opening(BRIEF), {"user": {}}),
        (Ultravox(speaks_first=True), Opening(BRIEF), {"agent": {}}),
        (
            Ultravox(speaks_first=True),
            Opening(BRIEF, "Hello.", items=(Said("user", "Hi"), Said("assistant", "Hello."))),
            {"user": {}},
        ),
        (
            Ultravox(),
            Opening(BRIEF, "Hello.", items=(Said("user", "Hi"),)),
            {"agent": {"prompt": OWED_PROMPT}},
        ),
    ],
)
def test_who_speaks_first_follows_from_the_greeting(
    settings: Ultravox, opening: Opening, first: Mapping[str, Any]
) -> None:
    assert body_of(settings, opening)["firstSpeakerSettings"] == first


def test_a_conversation_that_goes_on_is_handed_over_with_its_tools() -> None:
    items = (
        Said("assistant", "Hello."),
        Said("user", "A table for two."),
        Said("assistant", "One moment.", (Call("c1", "book", '{"people": 2}'),)),
        Returned("c1", "Booked."),
        Said("system", "It is late."),
        Said("assistant", "", (Call("c2", "book", ""),)),
        Returned("c9", "Of nobody."),
    )
    assert initial_messages(items) == [
        {"role": "MESSAGE_ROLE_AGENT", "text": "Hello."},
        {"role": "MESSAGE_ROLE_USER", "text": "A table for two."},
        {"role": "MESSAGE_ROLE_AGENT", "text": "One moment."},
        {
            "role": "MESSAGE_ROLE_TOOL_CALL",
            "invocationId": "c1",
            "toolName": "book",
            "text": '{"people": 2}',
        },
        {
            "role": "MESSAGE_ROLE_TOOL_RESULT",
            "invocationId": "c1",
            "toolName": "book",
            "text": "Booked.",
        },
        {"role": "MESSAGE_ROLE_USER", "text": "<instruction>It is late.</instruction>"},
    ]
    body_of(Ultravox(), Opening(BRIEF, items=items))


def test_a_stored_agent_keeps_its_own_prompt_and_gets_our_tools() -> None:
    settings = Ultravox(
        agent_id="a/1", template_context={"name": "Ann"}, temperature=0.5, voice="Mark"
    )
    opening = Opening(BRIEF, "Hello.", reminders=(Reminder(10, "Still there?"),))
    body = body_of(settings, opening)
    assert path_of(settings) == "/api/agents/a%2F1/calls"
    assert path_of(Ultravox()) == "/api/calls"
    assert body["templateContext"] == {"name": "Ann"}
    assert body["voice"] == "Mark"
    (tool,) = body["toolOverrides"]["add"]
    assert tool["temporaryTool"]["modelToolName"] == "book"
    assert not {"systemPrompt", "model", "temperature", "inactivityMessages"} & set(body)


def test_a_stages_own_voice_goes_before_the_others() -> None:
    brief = Brief("x", (), voice="Anna")
    assert body_of(Ultravox(voice="Mark"), Opening(brief))["voice"] == "Anna"
    assert stage_of(Ultravox(voice="Mark"), brief)["voice"] == "Anna"
    assert "voice" not in stage_of(Ultravox(voice="Mark"), BRIEF)
    other = Ultravox(external_voice={"cartesia": {"voiceId": "v"}})
    assert "voice" not in body_of(other, Opening(brief))
    assert "voice" not in stage_of(other, brief)
    check_stage(stage_of(other, brief))


def test_a_call_that_goes_on_says_what_holds_now_and_what_the_caller_waits_for() -> None:
    medium = server_web_socket(Ultravox(client_buffer_ms=200), 16_000)
    socket = medium["serverWebSocket"]
    assert (socket["inputSampleRate"], socket["outputSampleRate"]) == (16_000, 16_000)
    assert socket["clientBufferSizeMs"] == 200
    for owed, first in ((False, {"user": {}}), (True, {"agent": {"prompt": LOST_PROMPT}})):
        body = resuming_body(Ultravox(), BRIEF, medium, owed=owed)
        check_call(body)
        assert body["systemPrompt"] == "You are kind."
        assert body["firstSpeakerSettings"] == first


# Tools -------------------------------------------------------------------------------------------


def test_the_services_own_tools_are_there_by_name_and_ours_go_before_them() -> None:
    settings = Ultravox(
        builtin_tools=("hangUp", "book"), corpus_id="c1", corpus_results=3, corpus_score=0.8
    )
    tools = selected_tools(settings, BRIEF)
    assert tools[1:] == [
        {"toolName": "hangUp"},
        {
            "toolName": "queryCorpus",
            "parameterOverrides": {"corpus_id": "c1", "max_results": 3, "minimum_score": 0.8},
        },
    ]
    check_stage({"selectedTools": tools})


@pytest.mark.parametrize(
    ("limits", "timeout"), [({}, "16s"), ({"book": 0.5}, "1.5s"), ({"book": 120}, "40s")]
)
def test_a_tool_gets_its_time_as_far_as_ultravox_gives_any(
    limits: dict[str, float], timeout: str
) -> None:
    (tool,) = selected_tools(Ultravox(), Brief("x", (BOOK,), limits))
    assert tool["temporaryTool"]["timeout"] == timeout


def test_somebody_else_may_run_the_tools() -> None:
    def by_http(spec: ToolSpec) -> Mapping[str, Any]:
        url = f"https://example.org/{spec.name}"
        return {"http": {"baseUrlPattern": url, "httpMethod": "POST"}}

    body = call_body(Ultravox(), Opening(BRIEF), MEDIUM, by_http)
    check_call(body)
    (tool,) = body["selectedTools"]
    assert tool["temporaryTool"]["http"]["baseUrlPattern"] == "https://example.org/book"
    assert "client" not in tool["temporaryTool"]


class Guest(BaseModel):
    name: str
    diet: Literal["none", "vegan"] = "none"
    likes: "list[Guest]" = []


class Party(BaseModel):
    host: Annotated[Guest, Field(description="Who pays.")]
    guests: list[Guest]


def test_a_schema_stands_alone_even_if_it_contains_itself() -> None:
    spec = ToolSpec("invite", "Invite.", Party.model_json_schema())
    (tool,) = selected_tools(Ultravox(), Brief("x", (spec,)))
    host, guests = tool["temporaryTool"]["dynamicParameters"]
    assert "$ref" not in str(tool)
    assert host["schema"]["description"] == "Who pays."
    assert guests["schema"]["items"]["properties"]["name"]["type"] == "string"
    check_stage({"selectedTools": [tool]})


_schemas = st.recursive(
    st.none() | st.booleans() | st.text(max_size=5) | st.just({"$ref": "#/$defs/a"}),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "$ref", "items", "a", "$defs"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@given(_schemas, st.dictionaries(st.sampled_from(["a", "b"]), _schemas))
def test_any_schema_comes_out_without_references(schema: Any, definitions: dict[str, Any]) -> None:
    assert "#/$defs/" not in str(whole(schema, definitions))


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (0.384, "0.384s"), (10, "10s"), (3600, "3600s"), (0.1, "0.1s")]
)
def test_durations_are_written_as_ultravox_writes_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


# Settings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"sample_rate": 11_025}, "sample_rate"),
        ({"mode": "both"}, "mode"),
        ({"temperature": 2}, "temperature"),
        ({"frame_activation_threshold": 0.05}, "frame_activation_threshold"),
        ({"voice": "Mark", "external_voice": {"cartesia": {}}}, "external_voice"),
        ({"extra": {"systemPrompt": "x"}}, "systemPrompt"),
        ({"extra": {"x": object()}}, "no JSON"),
        ({"corpus_results": 21}, "corpus_results"),
        ({"builtin_tools": "hangUp"}, "hangUp"),
    ],
)
def test_an_option_that_makes_no_sense_is_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises((ValueError, TypeError), match=named):
        Ultravox(**options)
