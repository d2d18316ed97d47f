import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import openai_chat
from tests.fakes.openai_chat import Dialect, Wants
from worker.errors import ProviderError, ProviderLostError, ProviderRefusedError
from worker.llm import Answer, Call, Text, Usage
from worker.llm.openai_stream import MOST_LINE_BYTES, Stream

BODY: dict[str, Any] = {
    "model": "m",
    "messages": [{}, {}],
    "stream_options": {"include_usage": True},
}


def read(*pieces: bytes) -> list[Answer]:
    stream = Stream()
    answers = [answer for piece in pieces for answer in stream.feed(piece)]
    return answers if stream.done else answers + stream.rest()


def told(reply: openai_chat.Reply, dialect: Dialect = Dialect()) -> list[Answer]:  # noqa: B008
    return read(*openai_chat.events(reply, BODY, dialect))


def said(answers: list[Answer]) -> str:
    return "".join(answer.delta for answer in answers if isinstance(answer, Text))


def called(answers: list[Answer]) -> list[tuple[str, Any]]:
    return [(a.name, json.loads(a.arguments)) for a in answers if isinstance(a, Call)]


def event(value: object) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def delta(**fields: Any) -> bytes:
    return event({"choices": [{"index": 0, "delta": fields, "finish_reason": None}]})


def test_text_comes_piece_by_piece_and_usage_last() -> None:
    answers = told("Good evening, Bella Vista.")
    assert said(answers) == "Good evening, Bella Vista."
    assert len(answers) == 5
    assert answers[-1] == Usage(2, 4, {"cached_tokens": 1})


BOOK, ASK = Wants("book", {"people": 2, "name": "Ö"}), Wants("ask", {"what": "time"})


@pytest.mark.parametrize(
    "dialect",
    [
        Dialect(),
        Dialect(index_zero=True),
        Dialect(whole_calls=True),
        Dialect(whole_calls=True, index_zero=True),
        Dialect(whole_calls=True, index_zero=True, no_ids=True),
        Dialect(whole_calls=True, no_index=True, no_ids=True),
        Dialect(no_ids=True),
        Dialect(index_zero=True, no_ids=True),
        Dialect(finish="stop", null_content=True),
        Dialect(no_usage=True),
        Dialect(no_choices=True),
    ],
    ids=str,
)
def test_two_calls_are_understood_in_every_dialect(dialect: Dialect) -> None:
    answers = told(["One moment. ", BOOK, ASK], dialect)
    assert said(answers) == "One moment. "
    assert called(answers) == [("book", BOOK.arguments), ("ask", ASK.arguments)]
    ids = [answer.id for answer in answers if isinstance(answer, Call)]
    assert all(ids)
    assert len(set(ids)) == 2


def test_arguments_that_are_no_json_are_given_on_as_they_are() -> None:
    (call, _) = told([Wants("book", '{"people": ')])
    assert isinstance(call, Call)
    assert call.arguments == '{"people": '


def test_arguments_sent_as_an_object_become_text() -> None:
    function = {"name": "book", "arguments": {"people": 2}}
    answers = read(delta(tool_calls=[{"function": function}]), b"data: [DONE]\n\n")
    assert called(answers) == [("book", {"people": 2})]


def test_a_call_without_arguments_has_an_empty_object() -> None:
    answers = read(delta(tool_calls=[{"function": {"name": "end"}}]), b"data: [DONE]\n\n")
    assert called(answers) == [("end", {})]


def test_reasoning_is_never_spoken() -> None:
    assert said(told("Hello.", Dialect(reasoning="the caller is rude"))) == "Hello."


def test_a_refusal_of_the_model_is_said() -> None:
    assert said(read(delta(refusal="I cannot."), b"data: [DONE]\n\n")) == "I cannot."


def test_comments_fields_and_line_ends_of_any_kind_are_understood() -> None:
    stream = b": keep-alive\r\nevent: message\r\nid: 1\r\n" + delta(content="Hi")[:-2] + b"\r\n\r\n"
    assert said(read(stream, b"data:[DONE]\n\n")) == "Hi"


def test_other_choices_than_the_first_are_left_out() -> None:
    other = event({"choices": [{"index": 1, "delta": {"content": "No"}}]})
    assert said(read(other, delta(content="Yes"), b"data: [DONE]\n\n")) == "Yes"


@given(st.lists(st.integers(1, 400), max_size=20))
def test_how_the_bytes_are_cut_does_not_matter(cuts: list[int]) -> None:
    whole = b"".join(openai_chat.events(["Grüß Gott, ", BOOK, ASK], BODY, Dialect()))
    pieces, start = [], 0
    for cut in cuts:
        pieces.append(whole[start : start + cut])
        start += cut
    answers = read(*pieces, whole[start:])
    assert said(answers) == "Grüß Gott, "
    assert called(answers) == [("book", BOOK.arguments), ("ask", ASK.arguments)]


def test_an_answer_that_was_finished_needs_no_done() -> None:
    pieces = openai_chat.events("Hello.", BODY, Dialect())[:-1]
    assert said(read(*pieces)) == "Hello."


def test_an_answer_without_its_end_is_lost_and_its_calls_with_it() -> None:
    pieces = openai_chat.events([BOOK], BODY, Dialect())[:3]
    with pytest.raises(ProviderLostError, match="in the middle"):
        read(*pieces)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b'{"error": {"message": "secret words", "type": "server_error"}}', ProviderLostError),
        (b'{"error": {"code": 400, "message": "secret words"}}', ProviderRefusedError),
        (b'{"error": "secret words"}', ProviderLostError),
        (b'{"object": "error", "message": "secret words", "code": 404}', ProviderRefusedError),
        (b'{"error": {"code": "insufficient_quota"}}', ProviderRefusedError),
        (b"<html>secret words", ProviderLostError),
        (b"[]", ProviderLostError),
        (b'{"choices": "secret words"}', ProviderLostError),
        (b'"\xff"', ProviderLostError),
        (b'{"usage": ' + b"[" * 100_000, ProviderLostError),
        (b'{"usage": {"prompt_tokens_details": {"a": ' + b"[" * 100_000, ProviderLostError),
    ],
)
def test_errors_and_nonsense_in_the_stream_are_typed_and_quote_nothing(
    data: bytes, kind: type[ProviderError]
) -> None:
    with pytest.raises(kind) as caught:
        read(b"data: " + data + b"\n\n")
    assert "secret" not in str(caught.value)


def test_an_error_in_the_way_of_llama_cpp_is_understood() -> None:
    with pytest.raises(ProviderRefusedError) as caught:
        read(b'error: {"code": 400, "message": "no"}\n\n')
    assert caught.value.status == 400


def test_an_event_without_end_is_refused() -> None:
    with pytest.raises(ProviderLostError, match="without end"):
        read(b"data: " + b"x" * (MOST_LINE_BYTES + 1))


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_hostile_bytes_raise_nothing_but_provider_errors(pieces: list[bytes]) -> None:
    with contextlib.suppress(ProviderError):
        read(*[b"data: " + piece + b"\n\n" for piece in pieces])
