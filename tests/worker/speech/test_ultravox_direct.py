"""What is said to Ultravox of a call that Twilio is joined to, without a socket."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.llm import Brief, Call, Returned, Said, ToolSpec
from worker.rest import Rest
from worker.speech.ultravox import Ultravox
from worker.speech.ultravox_call import call_body
from worker.speech.ultravox_direct import Line, UltravoxDirect, _Message, by_http, lines

TOOLS = "https://voice.example/ultravox/tools/token"
SPEC = ToolSpec(
    "book",
    "Book a table.",
    {"type": "object", "properties": {"people": {"type": "integer"}}, "required": ["people"]},
)
BRIEF = Brief("You are the desk.", (SPEC,), {"book": 5.0}, "Mark")


def _direct(settings: Ultravox | None = None) -> UltravoxDirect:
    rest = Rest("ultravox", "ULTRAVOX_API_KEY", "http://127.0.0.1:9", {})
    return UltravoxDirect(settings or Ultravox(mode="direct"), rest, TOOLS)


def test_a_tool_is_called_at_the_gateway_by_its_name() -> None:
    assert by_http(TOOLS)(SPEC) == {
        "http": {"baseUrlPattern": f"{TOOLS}/book", "httpMethod": "POST"}
    }


def test_a_stage_has_what_changes_and_what_the_tool_came_to() -> None:
    stage = json.loads(_direct().stage(BRIEF, "Moved."))
    (tool,) = stage.pop("selectedTools")
    assert stage == {
        "systemPrompt": "You are the desk.",
        "voice": "Mark",
        "toolResultText": "Moved.",
    }
    assert tool["temporaryTool"]["http"]["baseUrlPattern"] == f"{TOOLS}/book"
    assert "client" not in tool["temporaryTool"]


def _messages(*given: dict[str, Any]) -> list[_Message]:
    return msgspec.convert(list(given), list[_Message])


def test_messages_are_lines_with_their_times_and_tools() -> None:
    said = lines(
        _messages(
            {"role": "MESSAGE_ROLE_AGENT", "text": "Hello.", "timespan": {"start": "0.5s"}},
            {"role": "MESSAGE_ROLE_USER", "text": "Hi.", "timespan": {"start": "2s", "end": "3s"}},
            {
                "role": "MESSAGE_ROLE_TOOL_CALL",
                "toolName": "book",
                "invocationId": "i1",
                "text": "{}",
            },
            {"role": "MESSAGE_ROLE_TOOL_RESULT", "invocationId": "i1", "text": "booked"},
            {"role": "MESSAGE_ROLE_USER", "text": ""},
            {"role": "MESSAGE_ROLE_NEW"},
        )
    )
    assert said == [
        Line(Said("assistant", "Hello."), 500.0),
        Line(Said("user", "Hi."), 2000.0),
        Line(Said("assistant", "", (Call("i1", "book", "{}"),)), 0.0),
        Line(Returned("i1", "booked"), 0.0),
    ]


@pytest.mark.parametrize("start", ["", "s", "x", "-1s", "nan"])
def test_a_time_that_is_none_is_the_beginning(start: str) -> None:
    message = {"role": "MESSAGE_ROLE_USER", "text": "Hi.", "timespan": {"start": start}}
    (line,) = lines(_messages(message))
    assert line.at_ms == 0.0


@given(st.lists(st.builds(_Message, role=st.sampled_from(["MESSAGE_ROLE_USER", "", "x"]))))
def test_whatever_messages_are_they_are_read(messages: list[_Message]) -> None:
    assert len(lines(messages)) <= len(messages)


def test_the_body_is_made_for_twilio_and_has_no_client_tools() -> None:
    from worker.speech import Opening

    body = call_body(Ultravox(mode="direct"), Opening(BRIEF), {"twilio": {}}, by_http(TOOLS))
    assert body["medium"] == {"twilio": {}}
    assert "client" not in body["selectedTools"][0]["temporaryTool"]
