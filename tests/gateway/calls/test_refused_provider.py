"""What the log says of a call that ends because a provider refused: one line, with what to do."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.calls.state import CallState
from shared import messages
from tests.gateway.calls.actors import Stage
from tests.virtual_time import virtual_time

SENTENCE = "refused the key (401): set DEEPGRAM_API_KEY"


def lines(level: str, logs: Sequence[Mapping[str, Any]]) -> list[object]:
    """Return what was said at a level."""
    return [it["event"] for it in logs if it["log_level"] == level]


def lose(stage: Stage, fallback: str | None, problem: str, **end: int | None) -> None:
    """The process tells of a provider and of its own end, and is gone."""
    stage.open_stream()
    stage.says(messages.ProviderTrouble("deepgram", SENTENCE, fallback))
    stage.says(messages.Finished(problem))
    stage.worker.exit(**end)
    assert stage.call.flow.state is CallState.LEAVING
    stage.call.end("done")


@virtual_time
async def test_a_provider_that_is_refused_is_one_line_with_what_to_do() -> None:
    with capture_logs() as logs:
        problem = f"worker.errors.ProviderRefusedError: deepgram: {SENTENCE}"
        lose(Stage(), None, problem, code=1)
    (warning,) = [it for it in logs if it["log_level"] == "warning"]
    assert warning["event"] == "provider given up"
    assert warning["problem"] == SENTENCE
    assert lines("error", logs) == []
    assert lines("debug", logs) == ["the agent failed", "call process gone before its call"]


@pytest.mark.parametrize(
    ("fallback", "problem", "end"),
    [
        (None, "ValueError: something else", {"code": 1}),
        ("espeak", f"deepgram: {SENTENCE}", {"code": 1}),
        (None, f"deepgram: {SENTENCE}", {"code": None, "signal": 11}),
    ],
)
@virtual_time
async def test_any_other_end_is_an_error(
    fallback: str | None, problem: str, end: dict[str, int | None]
) -> None:
    with capture_logs() as logs:
        lose(Stage(), fallback, problem, **end)
    assert lines("error", logs) == ["call process gone before its call"]
