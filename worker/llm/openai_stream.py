"""A chat completion's stream: bytes in, answers out. No I/O; knows no client and no clock.

    data: {"choices":[{"delta":{"content":"Good "}}]}                       -> Text
    data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":...}]}}]}     -> kept
    data: {"choices":[],"usage":{...}}                                      -> kept
    data: [DONE]                                     -> every Call whole, then Usage

Source: OpenAI's reference of chat completion chunks. Local servers differ, and are understood:
calls that come whole or all have the index 0, ids or usage that are missing, a ``finish_reason``
that says ``stop`` after calls, ``reasoning_content`` (never spoken), comments, a missing end.
"""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import msgspec
from msgspec import Struct

from worker.errors import ProviderLostError
from worker.llm import Answer, Call, Text, Usage
from worker.openai_client import OPENAI, Service, stream_fault

MOST_LINE_BYTES = 1 << 20
"""A longer event is no answer to a caller."""


class _Function(Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _Piece(Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(Struct):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_Piece] | None = None


class _Choice(Struct):
    index: int | None = None
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Error(Struct):
    code: str | int | None = None
    type: str | None = None


class _Counts(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: dict[str, Any] | None = None
    completion_tokens_details: dict[str, Any] | None = None


class _Chunk(Struct):
    choices: list[_Choice] | None = None
    usage: _Counts | None = None
    error: _Error | str | None = None
    object: str | None = None
    code: str | int | None = None


_decoder = msgspec.json.Decoder(_Chunk)


@dataclass(slots=True)
class _Open:
    """A call that is being written."""

    id: str | None
    name: str
    arguments: str


class Calls:
    """Puts the pieces of tool calls together."""

    def __init__(self) -> None:
        self._calls: list[_Open] = []
        self._at: dict[int, _Open] = {}
        """The call that is being written at an index."""

    def add(self, piece: _Piece) -> None:
        """Take a piece. It begins a call by a new index, a new id, or a name after a name."""
        index = piece.index if piece.index is not None else 0
        function = piece.function or _Function()
        call = self._at.get(index)
        if call is None or self._is_another(call, piece.id, function.name):
            call = _Open(None, "", "")
            self._calls.append(call)
            self._at[index] = call
        call.id = call.id or piece.id
        call.name = call.name or function.name or ""
        arguments = function.arguments
        if isinstance(arguments, dict):
            arguments = msgspec.json.encode(arguments).decode()
        call.arguments += arguments or ""

    @staticmethod
    def _is_another(call: _Open, id_: str | None, name: str | None) -> bool:
        if id_ and call.id:
            return id_ != call.id
        return bool(name and call.name)

    def whole(self) -> list[Call]:
        """Return the calls in their order, each with an id."""
        return [
            Call(call.id or f"call_{uuid4().hex[:12]}", call.name, call.arguments or "{}")
            for call in self._calls
            if call.name
        ]


class Stream:
    """Reads one answer. ``feed`` it what comes, then ask for the ``rest``."""

    def __init__(self, service: Service = OPENAI) -> None:
        self._service = service
        self._buffer = bytearray()
        self._data: list[bytes] = []
        self._calls = Calls()
        self._usage: Usage | None = None
        self._finished = False
        self.done = False
        """The server said that the answer is whole."""

    def feed(self, received: bytes) -> list[Answer]:
        """Return the text in ``received``, and after its end the calls and the usage.

        Raises `ProviderError` when the server reports an error or sends what is no answer.
        """
        answers: list[Answer] = []
        self._buffer += received
        *lines, rest = self._buffer.split(b"\n")
        if len(rest) > MOST_LINE_BYTES or sum(map(len, self._data)) > MOST_LINE_BYTES:
            raise ProviderLostError(self._service.name, "sent an event without end")
        self._buffer = rest
        for line in lines:
            self._line(bytes(line.removesuffix(b"\r")), answers)
        return answers

    def rest(self) -> list[Answer]:
        """Say that nothing more comes. Raises `ProviderLostError` when something is missing."""
        answers = self.feed(b"\n\n")
        if not self.done:
            if not self._finished:
                sentence = "ended in the middle of the answer"
                raise ProviderLostError(self._service.name, sentence)
            self._end(answers)
        return answers

    def _line(self, line: bytes, answers: list[Answer]) -> None:
        if self.done:
            return
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
        elif name == b"error":  # llama.cpp's way
            self._event(b'{"error":' + value + b"}", answers)
        elif not line and self._data:
            data, self._data = b"\n".join(self._data), []
            self._event(data, answers)

    def _event(self, data: bytes, answers: list[Answer]) -> None:
        if data.startswith(b"[DONE]"):
            self._end(answers)
            return
        try:
            chunk = _decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            # Its message may quote the text, so it is not kept as the cause.
            what = type(error).__name__
            sentence = f"sent what is no answer: {what}"
            raise ProviderLostError(self._service.name, sentence) from None
        if chunk.error is not None or chunk.object == "error":
            error_ = chunk.error if isinstance(chunk.error, _Error) else _Error(chunk.code)
            raise stream_fault(error_.code, error_.type, self._service)
        if chunk.usage is not None:
            self._usage = _usage(chunk.usage)
        for choice in chunk.choices or ():
            if not choice.index:
                self._choice(choice, answers)

    def _choice(self, choice: _Choice, answers: list[Answer]) -> None:
        delta = choice.delta or _Delta()
        # A refusal is the model's own sentence to the caller: it is said like any other.
        text = delta.content or delta.refusal
        if text:
            answers.append(Text(text))
        for piece in delta.tool_calls or ():
            self._calls.add(piece)
        self._finished = self._finished or bool(choice.finish_reason)

    def _end(self, answers: list[Answer]) -> None:
        self.done = True
        answers += self._calls.whole()
        if self._usage is not None:
            answers.append(self._usage)


def _usage(counts: _Counts) -> Usage:
    extra: dict[str, int] = {}
    for details in (counts.prompt_tokens_details, counts.completion_tokens_details):
        for name, value in (details or {}).items():
            if isinstance(value, int) and value:
                extra[name] = extra.get(name, 0) + value
    return Usage(counts.prompt_tokens or 0, counts.completion_tokens or 0, extra)
