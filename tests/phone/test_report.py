from pathlib import Path

from phone.events import AgentBegan, CallerSpoke, Ended, Ending, Noticed
from phone.problem import Problem
from phone.report import Reply, Report
from shared.audio import read_wav


def report(*events: AgentBegan | CallerSpoke | Noticed | Ended) -> Report:
    ended = Ended(at_ms=9000, status="completed", how=Ending.CALLER)
    return Report("CA1", "+1", "+2", (*events, ended), b"\x01" * 800, b"\x02" * 400, 5, 4, 3)


def spoke(label: str, from_ms: float, until_ms: float) -> CallerSpoke:
    return CallerSpoke(at_ms=until_ms, label=label, from_ms=from_ms, until_ms=until_ms)


def test_a_reply_is_the_first_speech_that_begins_after_the_phrase() -> None:
    made = report(
        AgentBegan(at_ms=100),
        spoke("one", 1000, 2000),
        AgentBegan(at_ms=2600),
        spoke("two", 4000, 5000),
        spoke("three", 6000, 7000),
        AgentBegan(at_ms=7300),
    )
    assert made.replies == (Reply("one", 600), Reply("two", None), Reply("three", 300))


def test_problems_and_the_end_are_read_from_the_events(tmp_path: Path) -> None:
    made = report(Noticed(at_ms=1, problem=Problem(31951, "x", warning=True)))
    assert [problem.code for problem in made.problems] == [31951]
    assert (made.status, made.how, made.duration_ms) == ("completed", Ending.CALLER, 9000)
    made.save_audio(tmp_path / "call.wav")
    assert len(read_wav(tmp_path / "call.wav")) == 800
