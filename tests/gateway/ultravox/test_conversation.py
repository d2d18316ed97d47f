"""What was said in a call at Ultravox, read from its messages."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.calls.transcript import MOST_LETTERS, MOST_LINES, Line
from gateway.ultravox.conversation import Conversation, NonsenseError, cursor_of, page_of, read
from shared.messages import ToolRan


def _read(*messages: dict[str, Any]) -> Conversation:
    return read(page_of({"results": list(messages)})[0])


def _said(role: str, text: str, at: float | None = None, **more: Any) -> dict[str, Any]:
    span = {} if at is None else {"timespan": {"start": f"{at}s", "end": f"{at + 1}s"}}
    return {"role": f"MESSAGE_ROLE_{role}", "text": text, **span, **more}


def test_who_said_what_and_when_is_a_line() -> None:
    found = _read(
        _said("AGENT", "Hello.", 0.5, medium="MESSAGE_MEDIUM_VOICE", callStageId="x"),
        _said("USER", "A table.", 2.25),
        _said("USER", "  "),
        _said("UNSPECIFIED", "?"),
        {"role": "MESSAGE_ROLE_AGENT"},
    )
    assert found.lines == (
        Line("agent", "Hello.", 500.0, None, interrupted=False),
        Line("caller", "A table.", 2250.0, None, interrupted=False),
    )


def test_a_tool_is_its_call_and_its_result() -> None:
    found = _read(
        _said("TOOL_CALL", '{"query":"hours"}', 3, invocationId="a", toolName="queryCorpus"),
        _said("TOOL_CALL", "{}", 3.5, invocationId="b", toolName="hangUp"),
        _said("TOOL_CALL", "{}", 4, invocationId="c", toolName="slow"),
        _said("TOOL_RESULT", "bad", 4.5, invocationId="b", errorDetails="Traceback"),
        _said("TOOL_RESULT", "9 to 5", 5, invocationId="a", toolName="queryCorpus"),
        _said("TOOL_RESULT", "of none", 6, invocationId="z", toolName="x"),
    )
    assert found.tools == (
        ToolRan("queryCorpus", '{"query":"hours"}', "ok", "9 to 5", 2.0, 3000.0),
        ToolRan("hangUp", "{}", "error", "bad", 1.0, 3500.0),
        ToolRan("slow", "{}", "cancelled", "", 0.0, 4000.0),
        ToolRan("x", "", "ok", "of none", 0.0, 6000.0),
    )


def test_without_the_time_by_audio_the_clock_counts() -> None:
    clock: dict[str, Any] = {"wallClockTimespan": {"start": "1.5s"}}
    found = _read(_said("USER", "a", None, **clock), _said("USER", "b"), _said("USER", "c", -3))
    assert [line.at_ms for line in found.lines] == [1500.0, 0.0, 0.0]


@pytest.mark.parametrize("start", ["", "s", "nans", "infs", "1e400s", "x"])
def test_a_time_that_is_none_is_the_beginning(start: str) -> None:
    found = _read(_said("USER", "a", timespan={"start": start}))
    assert found.lines[0].at_ms == 0.0


def test_what_is_kept_is_bounded() -> None:
    found = _read(
        *(_said("USER", f"{n}") for n in range(MOST_LINES + 5)), _said("USER", "x" * 9999)
    )
    assert len(found.lines) == MOST_LINES
    assert len(found.lines[-1].text) == MOST_LETTERS


def test_the_next_page_is_known_by_its_cursor_whatever_its_address() -> None:
    assert page_of({"results": [], "next": "https://evil.test/?a=1&cursor=abc%3D"})[1] == "abc="
    assert page_of({"results": [], "next": None})[1] == ""
    assert cursor_of("http://[") == ""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["results", "next", "role", "text", "timespan", "start", "toolName"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)
ROLES = st.sampled_from([f"MESSAGE_ROLE_{it}" for it in ("USER", "AGENT", "TOOL_CALL", "X")])


@given(JSON)
def test_anything_else_is_refused_or_read(answer: Any) -> None:
    try:
        messages, cursor = page_of(answer)
    except NonsenseError:
        return
    assert isinstance(cursor, str)
    msgspec.json.encode(read(messages))


@given(st.lists(st.fixed_dictionaries({"role": ROLES, "text": st.none() | st.text()})))
def test_every_line_has_somebody_and_words(messages: list[dict[str, Any]]) -> None:
    found = _read(*messages)
    assert all(line.role in ("agent", "caller") and line.text.strip() for line in found.lines)
