from typing import Any

from worker.llm import Call, Prompt, Returned, Said, ToolSpec
from worker.llm.openai_request import NO_RESULT, body, messages

CALLS = (Call("a", "book", "{}"), Call("b", "ask", '{"what": 1}'))


def test_lines_keep_their_order_and_empty_ones_are_left_out() -> None:
    items = (
        Said("system", "Be kind."),
        Said("assistant", ""),
        Said("user", "Hello"),
        Said("assistant", "Good evening."),
    )
    assert messages(items) == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Good evening."},
    ]


def test_every_call_has_its_result_right_behind_it() -> None:
    items = (
        Said("assistant", "One moment.", CALLS),
        Said("user", "Are you there?"),
        Returned("b", "nine"),
        Returned("a", "done"),
    )
    lines = messages(items)
    assert [line["role"] for line in lines] == ["assistant", "tool", "tool", "user"]
    assert lines[0]["tool_calls"][1] == {
        "id": "b",
        "type": "function",
        "function": {"name": "ask", "arguments": '{"what": 1}'},
    }
    assert [(line["tool_call_id"], line["content"]) for line in lines[1:3]] == [
        ("a", "done"),
        ("b", "nine"),
    ]


def test_a_call_that_was_never_answered_has_a_result_that_says_so() -> None:
    lines = messages((Said("assistant", "", CALLS), Returned("a", "done")))
    assert lines[-1] == {"role": "tool", "tool_call_id": "b", "content": NO_RESULT}


def test_a_result_of_no_call_is_left_out() -> None:
    assert messages((Returned("x", "lost"), Said("user", "Hello"))) == [
        {"role": "user", "content": "Hello"}
    ]


def test_tools_are_named_only_when_there_are_some() -> None:
    prompt = Prompt((Said("user", "Hello"),))
    assert set(body(prompt, {"model": "m"})) == {"messages", "stream", "model"}
    schema: dict[str, Any] = {"type": "object", "properties": {}}
    request = body(Prompt(prompt.items, (ToolSpec("end", "End it.", schema),)), {})
    function = {"name": "end", "description": "End it.", "parameters": schema}
    assert request["tools"] == [{"type": "function", "function": function}]
