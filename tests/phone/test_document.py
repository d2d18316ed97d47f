import pytest
from hypothesis import given
from hypothesis import strategies as st

from phone.document import (
    Command,
    Course,
    DialResult,
    Digits,
    End,
    Fetch,
    IllegalMoveError,
    State,
)
from phone.events import Ending
from phone.problem import Problem
from phone.twiml import Document
from phone.verbs import (
    Connect,
    Dial,
    Gather,
    Hangup,
    Number,
    Pause,
    Redirect,
    Reject,
    Say,
    Stream,
    Verb,
)

HOME = "https://you/base/voice"
STREAM = Connect(Stream("wss://you/m"))


def course(*verbs: Verb, fallback: str | None = None) -> tuple[Course, Command]:
    """Return a course whose first document has come, and its first command."""
    run = Course(HOME, "POST", fallback, 20)
    assert run.start() == Fetch(HOME, "POST")
    return run, run.fetched(Document(verbs))


def test_verbs_run_from_top_to_bottom_and_the_end_hangs_up() -> None:
    run, command = course(Say("a"), STREAM)
    assert command == Say("a")
    assert run.done() == STREAM
    assert run.done() == End("completed", Ending.DOCUMENT)
    assert run.state is State.ENDED


def test_a_redirect_leaves_the_rest_and_is_relative_to_its_document() -> None:
    run, command = course(Redirect("next?x=1#rc=2", "GET"), Say("never"))
    assert command == Fetch("https://you/base/next?x=1#rc=2", "GET", {}, "Redirect")
    command = run.fetched(Document((Redirect("", "POST"),)))
    assert command == Fetch("https://you/base/next?x=1#rc=2", "POST", {}, "Redirect")


def test_a_stream_with_an_action_asks_it_and_one_without_goes_on() -> None:
    run, _ = course(Connect(Stream("wss://x"), "/after", "GET"), Say("never"))
    assert run.done() == Fetch("https://you/after", "GET", {}, "Connect")
    run, _ = course(STREAM, Say("then"))
    assert run.done() == Say("then")


def test_a_dial_tells_its_action_how_it_went() -> None:
    run, _ = course(Dial((Number("+1"),), "/dialled"))
    result = {"DialCallStatus": "busy", "DialBridged": "false"}
    assert run.done(DialResult(result)) == Fetch("https://you/dialled", "POST", result, "Dial")


def test_a_gather_falls_through_without_input_unless_it_says_otherwise() -> None:
    run, _ = course(Gather(), Say("nothing"))
    assert run.done(Digits("")) == Say("nothing")
    run, _ = course(Gather(action="/d", action_on_empty_result=True))
    assert run.done(Digits("")) == Fetch("https://you/d", "POST", {"Digits": ""}, "Gather")
    run, _ = course(Gather())
    assert run.done(Digits("1")) == Fetch(HOME, "POST", {"Digits": "1"}, "Gather")


def test_a_call_rings_until_a_verb_picks_up() -> None:
    run, _ = course(Pause(), Dial((Number("+1"),), answer_on_bridge=True), Say("hello"))
    assert not run.answered
    run.done()
    assert not run.answered
    run.done(DialResult({"DialBridged": "false"}))
    assert run.answered


def test_a_bridged_dial_answers() -> None:
    run, _ = course(Dial((Number("+1"),), answer_on_bridge=True))
    run.done(DialResult({"DialBridged": "true"}))
    assert run.answered


@pytest.mark.parametrize(("reason", "status"), [("busy", "busy"), ("rejected", "no-answer")])
def test_a_reject_ends_a_ringing_call(reason: str, status: str) -> None:
    run, command = course(Reject(reason))
    assert command == End(status, Ending.REJECTED)
    assert not run.answered


def test_a_reject_in_an_answered_call_is_skipped_with_a_warning() -> None:
    run, _ = course(Say("hi"), Redirect("/x"))
    run.done()
    assert run.fetched(Document((Reject(), Hangup()))) == End("completed", Ending.DOCUMENT)
    assert [problem.code for problem in run.problems] == [12200]


def test_the_fallback_is_asked_once_with_the_error() -> None:
    run = Course(HOME, "POST", "https://you/fallback", 20)
    run.start()
    told = {"ErrorCode": "11200", "ErrorUrl": HOME}
    assert run.failed(Problem(11200, "x")) == Fetch(
        "https://you/fallback", "POST", told, "fallback"
    )
    assert run.failed(Problem(11200, "x")) == End("completed", Ending.APPLICATION_ERROR)


def test_a_redirect_loop_ends() -> None:
    run, command = course(Redirect(""))
    while isinstance(command, Fetch):
        command = run.fetched(Document((Redirect(""),)))
    assert command == End("completed", Ending.APPLICATION_ERROR)
    assert len(run.problems) == 1


def test_a_hang_up_is_completed_once_answered_and_no_answer_before() -> None:
    run = Course(HOME, "POST", None, 20)
    run.start()
    assert run.hung_up() == End("no-answer", Ending.CALLER)
    run, _ = course(STREAM)
    assert run.hung_up(Ending.TIME_LIMIT) == End("completed", Ending.TIME_LIMIT)


MOVES = {
    "fetched": lambda run: run.fetched(Document((STREAM, Say("x")))),
    "failed": lambda run: run.failed(Problem(11200, "x")),
    "done": lambda run: run.done(),
    "hung_up": lambda run: run.hung_up(),
}
ALLOWED = {
    State.FETCHING: {"fetched", "failed", "hung_up"},
    State.RUNNING: {"done", "hung_up"},
    State.ENDED: set[str](),
}


@given(st.lists(st.sampled_from(sorted(MOVES)), max_size=12))
def test_a_move_that_does_not_fit_raises_and_changes_nothing(moves: list[str]) -> None:
    run = Course(HOME, "POST", "/fallback", 20)
    run.start()
    for move in moves:
        before = (run.state, run.url, run.answered)
        if move in ALLOWED[before[0]]:
            MOVES[move](run)
        else:
            with pytest.raises(IllegalMoveError):
                MOVES[move](run)
            assert (run.state, run.url, run.answered) == before
