"""Chat completions: what the server refuses, and the chunks in which it answers."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from tests.fakes.openai_refusal import Refusal, known_model, number, text, unknown_field

_FIELDS = frozenset(
    [
        "model",
        "messages",
        "stream",
        "stream_options",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "temperature",
        "top_p",
        "max_tokens",
        "max_completion_tokens",
        "stop",
        "seed",
        "user",
        "n",
        "presence_penalty",
        "frequency_penalty",
        "response_format",
        "logprobs",
        "store",
        "metadata",
        "reasoning_effort",
        "service_tier",
        "modalities",
        "safety_identifier",
        "prompt_cache_key",
        "verbosity",
    ]
)
_ROLES = {"system", "developer", "user", "assistant", "tool"}
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Wants:
    """A call of a tool; ``arguments`` may be a text that is no JSON."""

    name: str
    arguments: Mapping[str, Any] | str = field(default_factory=dict)

    def text(self) -> str:
        """Return the arguments as the model writes them."""
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments)


Reply = str | Sequence[Wants | str]
"""Text, or text and calls in their order."""

Replies = list[Reply] | Callable[[list[dict[str, Any]]], Reply]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How this server differs from OpenAI's own: what local servers do."""

    tolerant: bool = False
    """Fields it does not know are ignored."""
    whole_calls: bool = False
    """A call comes in one piece."""
    index_zero: bool = False
    """Each call has the index 0."""
    no_index: bool = False
    no_ids: bool = False
    no_usage: bool = False
    finish: str | None = None
    """Said instead of the right ``finish_reason``."""
    reasoning: str = ""
    """Comes as ``reasoning_content`` before the answer."""
    null_content: bool = False
    """``content`` is null in every piece that has none."""
    no_choices: bool = False
    """The last chunk lacks ``choices``."""


def next_reply(replies: Replies, messages: list[dict[str, Any]]) -> Reply:
    """Return what the model answers now; with nothing left it says ``OK.``"""
    if callable(replies):
        return replies(messages)
    return replies.pop(0) if replies else "OK."


def check(body: dict[str, Any], models: set[str], dialect: Dialect) -> None:
    """Refuse what the server refuses."""
    if not dialect.tolerant:
        unknown_field(body, _FIELDS)
    known_model(text(body, "model"), models)
    _check_messages(body.get("messages"))
    _check_tools(body)
    number(body, "temperature", 0, 2)
    number(body, "max_tokens", 1, 1 << 20)
    number(body, "max_completion_tokens", 1, 1 << 20)
    if "max_tokens" in body and "max_completion_tokens" in body:
        raise Refusal(400, "invalid_parameter_combination", "Give one limit of tokens only.")
    if "stream_options" in body and not body.get("stream"):
        raise Refusal(400, None, "'stream_options' is only allowed when 'stream' is enabled.")


def _check_messages(messages: object) -> None:
    if not isinstance(messages, list) or not messages:
        raise Refusal(400, "invalid_type", "Invalid 'messages': an array with one at least.")
    due: list[str] = []
    for at, message in enumerate(messages):
        where = f"messages[{at}]"
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            raise Refusal(400, "invalid_value", f"Invalid value of '{where}.role'.", param=where)
        if message["role"] == "tool":
            _check_result(message, due, where)
            continue
        if due:
            raise _unanswered(due, where)
        due = _check_line(message, where)
    if due:
        raise _unanswered(due, "messages")


def _unanswered(due: list[str], where: str) -> Refusal:
    return Refusal(
        400,
        None,
        "An assistant message with 'tool_calls' must be followed by tool messages responding to "
        f"each 'tool_call_id'. These did not have response messages: {', '.join(due)}",
        param=where,
    )


def _check_result(message: dict[str, Any], due: list[str], where: str) -> None:
    if message.get("tool_call_id") not in due:
        raise Refusal(
            400,
            None,
            "messages with role 'tool' must be a response to a preceding message with "
            "'tool_calls'.",
            param=where,
        )
    due.remove(message["tool_call_id"])
    if not isinstance(message.get("content"), str | list):
        raise Refusal(400, "invalid_type", f"Invalid type for '{where}.content'.", param=where)


def _check_line(message: dict[str, Any], where: str) -> list[str]:
    calls = message.get("tool_calls")
    if calls is None and not isinstance(message.get("content"), str | list):
        raise Refusal(400, "invalid_type", f"Invalid type for '{where}.content'.", param=where)
    if calls is None:
        return []
    if message["role"] != "assistant" or not isinstance(calls, list) or not calls:
        raise Refusal(400, "empty_array", f"Invalid '{where}.tool_calls'.", param=where)
    for call in calls:
        function = call.get("function", {})
        is_right = call.get("type") == "function" and call.get("id")
        if not is_right or not _NAME.match(function.get("name", "")):
            raise Refusal(400, "invalid_value", f"Invalid '{where}.tool_calls'.", param=where)
        if not isinstance(function.get("arguments"), str):
            raise Refusal(400, "invalid_type", f"Invalid '{where}.tool_calls'.", param=where)
    return [call["id"] for call in calls]


def _check_tools(body: dict[str, Any]) -> None:
    if "tools" not in body:
        for name in ("tool_choice", "parallel_tool_calls"):
            if name in body:
                raise Refusal(400, None, f"'{name}' is only allowed when 'tools' are specified.")
        return
    tools = body["tools"]
    if not isinstance(tools, list) or not tools:
        raise Refusal(400, "empty_array", "Invalid 'tools': empty array.", param="tools")
    for at, tool in enumerate(tools):
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or tool.get("type") != "function":
            raise Refusal(400, None, f"Invalid 'tools[{at}]'.", param=f"tools[{at}]")
        if not _NAME.match(function.get("name", "")):
            raise Refusal(400, "invalid_value", f"Invalid 'tools[{at}].function.name'.")
        if function.get("parameters", {"type": "object"}).get("type") != "object":
            raise Refusal(400, "invalid_function_parameters", "Invalid schema: not an object.")


def events(reply: Reply, body: dict[str, Any], dialect: Dialect) -> list[bytes]:
    """Return the whole stream of an answer, an event a piece."""
    parts = [reply] if isinstance(reply, str) else list(reply)
    chunks = [_delta({"role": "assistant", "content": "" if not dialect.reasoning else None})]
    thoughts = _words(dialect.reasoning)
    chunks += [_delta({"reasoning_content": word, "content": None}) for word in thoughts]
    calls = [part for part in parts if isinstance(part, Wants)]
    tokens = 0
    for part in parts:
        if isinstance(part, str):
            words = _words(part)
            tokens += len(words)
            chunks += [_delta({"content": word}) for word in words]
    for at, call in enumerate(calls):
        chunks += [_delta({"tool_calls": [piece]}) for piece in _pieces(at, call, dialect)]
    if dialect.null_content:
        for chunk in chunks:
            chunk["choices"][0]["delta"].setdefault("content", None)
    finish = dialect.finish or ("tool_calls" if calls else "stop")
    chunks.append(_delta({}, finish))
    wants_usage = (body.get("stream_options") or {}).get("include_usage")
    if wants_usage and not dialect.no_usage:
        chunks.append(_usage(len(body["messages"]), tokens))
    if dialect.no_choices:
        del chunks[-1]["choices"]
    head = {
        "id": f"chatcmpl-{next(_numbers)}",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": body["model"],
    }
    lines = [b"data: " + json.dumps(head | chunk).encode() + b"\n\n" for chunk in chunks]
    return [*lines, b"data: [DONE]\n\n"]


def _words(line: str) -> list[str]:
    return re.findall(r"\s*\S+\s*\Z|\s*\S+", line)


def _delta(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def _usage(prompt: int, completion: int) -> dict[str, Any]:
    return {
        "choices": [],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": prompt // 2, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
    }


def _pieces(at: int, call: Wants, dialect: Dialect) -> list[dict[str, Any]]:
    arguments = call.text()
    head: dict[str, Any] = {"index": 0 if dialect.index_zero else at}
    if dialect.no_index:
        del head["index"]
    first = head | {"id": f"call_{next(_numbers)}", "type": "function"}
    if dialect.no_ids:
        del first["id"]
    if dialect.whole_calls:
        return [first | {"function": {"name": call.name, "arguments": arguments}}]
    third = max(1, len(arguments) // 3)
    cut = [arguments[start : start + third] for start in range(0, len(arguments), third)]
    return [
        first | {"function": {"name": call.name, "arguments": ""}},
        *[head | {"function": {"arguments": piece}} for piece in cut],
    ]


def error_event() -> bytes:
    """Return an error that comes in the middle of a stream."""
    error = Refusal(500, "server_error", "The server had an error while answering.").error()
    return b"data: " + json.dumps({"error": error}).encode() + b"\n\n"
