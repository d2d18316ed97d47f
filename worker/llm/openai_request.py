"""A `Prompt` as the body of a chat completion request. Pure.

Source: OpenAI's reference of chat completions. An assistant line with calls must be followed by
one result for each; a request in which one is missing is refused (400), and so is an empty list
of tools.
"""

from collections.abc import Callable
from typing import Any

from worker.llm import Call, Item, Prompt, Returned, Said, ToolSpec

NO_RESULT = "There is no result: the call was interrupted."
"""What the model reads of a call that was never answered."""


def _text(said: Said) -> object:
    return said.text


def messages(
    items: tuple[Item, ...], content: Callable[[Said], object] = _text
) -> list[dict[str, Any]]:
    """Return the conversation as the wire has it: results right after their calls, every one.

    ``content`` says what a line consists of.
    """
    results = {item.call_id: item.text for item in items if isinstance(item, Returned)}
    lines: list[dict[str, Any]] = []
    for item in items:
        if not isinstance(item, Said) or not (item.text or item.calls):
            continue
        line: dict[str, Any] = {"role": item.role, "content": content(item)}
        lines.append(line)
        if item.calls:
            line["tool_calls"] = [_call(call) for call in item.calls]
            lines += [_result(call, results) for call in item.calls]
    return lines


def _call(call: Call) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _result(call: Call, results: dict[str, str]) -> dict[str, Any]:
    text = results.get(call.id, NO_RESULT)
    return {"role": "tool", "tool_call_id": call.id, "content": text}


def tools(specs: tuple[ToolSpec, ...]) -> list[dict[str, Any]]:
    """Return the tools as the wire has them."""
    return [
        {
            "type": "function",
            "function": {
                "name": spec.name,
                "description": spec.description,
                "parameters": dict(spec.parameters),
            },
        }
        for spec in specs
    ]


def body(
    prompt: Prompt, settings: dict[str, Any], content: Callable[[Said], object] = _text
) -> dict[str, Any]:
    """Return a whole request that streams; ``settings`` are put over everything else."""
    request: dict[str, Any] = {"messages": messages(prompt.items, content), "stream": True}
    if prompt.tools:
        request["tools"] = tools(prompt.tools)
    return request | settings
