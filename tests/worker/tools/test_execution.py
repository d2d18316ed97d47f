import asyncio
import json
import sys
import time
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from tests.virtual_time import settled, virtual_time
from tests.worker.tools.host import Host, calls
from worker.errors import CallOverError, RequestError
from worker.llm import Call
from worker.tools import Execution, Ran, Toolbox, ToolError, tool
from worker.tools.execution import FINISH_SECONDS, MOST_CALLS, STOP_SECONDS
from worker.tools.outcome import (
    Cancelled,
    Done,
    Failed,
    Invalid,
    Running,
    TimedOut,
    Unknown,
)


class Menu(BaseModel):
    dish: str
    until: date


class Busy(Host):
    """Has a tool of each kind, and keeps what they did."""

    def __init__(self) -> None:
        super().__init__()
        self.did: list[object] = []

    @tool
    async def wait(self, seconds: float) -> float:
        """Wait."""
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.did.append("cancelled")
            raise
        self.did.append(seconds)
        return seconds

    @tool(limit_s=60, on_barge_in="finish")
    async def book(self, seconds: float) -> str:
        """Book, whatever happens."""
        await asyncio.sleep(seconds)
        self.did.append("booked")
        return "ABC"

    @tool(filler=["One moment.", "Just a second."], filler_after_s=1.0)
    async def look_up(self, seconds: float) -> str:
        """Look something up."""
        await asyncio.sleep(seconds)
        return "found"

    @tool(limit_s=2)
    async def stubborn(self) -> str:
        """Never stop."""
        while True:
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                self.did.append("no")
                if len(self.did) > 2:
                    raise

    @tool(speak_first=True, limit_s=5)
    async def hang_up(self) -> str:
        """Hang up."""
        self.did.append("hung up")
        return "bye"

    @tool
    def returns(self, what: str) -> object:
        """Return something, without awaiting."""
        return {
            "nothing": None,
            "text": "sea bass",
            "number": 12,
            "model": Menu(dish="bass", until=date(2031, 5, 6)),
            "list": [{"at": date(2031, 5, 6)}, True],
            "nan": {"a": float("nan")},
            "long": "x" * 50_000,
            "half": "a\ud800b",
            "object": object(),
        }[what]

    @tool
    async def fails(self, how: str) -> None:
        """Fail."""
        errors: dict[str, Callable[[], BaseException]] = {
            "error": lambda: ValueError("secret of the inside"),
            "exit": lambda: SystemExit(3),
            "cancel": asyncio.CancelledError,
            "said": lambda: ToolError("The kitchen is closed."),
            "request": lambda: RequestError("busy", "the line is busy"),
            "over": lambda: CallOverError("hung up"),
            "overs": lambda: ExceptionGroup("all", [CallOverError("hung up")]),
            "timeout": TimeoutError,
        }
        raise errors[how]()


def wait(seconds: float) -> tuple[str, str]:
    return ("wait", json.dumps({"seconds": seconds}))


def book(seconds: float) -> tuple[str, str]:
    return ("book", json.dumps({"seconds": seconds}))


def look_up(seconds: float) -> tuple[str, str]:
    return ("look_up", json.dumps({"seconds": seconds}))


class Table:
    """An execution, and what it says and tells."""

    def __init__(self, tools: Toolbox | None = None) -> None:
        self.agent = Busy()
        self.said: list[str] = []
        self.late: list[Ran] = []
        self.spoken = asyncio.Event()
        self.execution = Execution(
            self.agent,
            Busy.toolbox() if tools is None else tools,
            say=self.said.append,
            late=self.late.append,
            spoken=self.spoken.wait,
        )

    async def run(self, *wanted: str | tuple[str, str]) -> list[Ran]:
        return await self.execution.run(calls(*wanted))

    async def one(self, name: str, **arguments: Any) -> Ran:
        (ran,) = await self.run((name, json.dumps(arguments)))
        return ran

    def begin(self, *wanted: str | tuple[str, str]) -> asyncio.Task[list[Ran]]:
        return asyncio.create_task(self.run(*wanted))


def now() -> float:
    return asyncio.get_running_loop().time()


@virtual_time
async def test_calls_run_side_by_side_and_return_in_their_order() -> None:
    table, began = Table(), now()
    ran = await table.run(wait(3), wait(1), wait(2))
    assert now() - began == pytest.approx(3)
    assert table.agent.did == [1, 2, 3]
    assert [(each.call.id, each.outcome) for each in ran] == [
        ("call_0", Done("3.0")),
        ("call_1", Done("1.0")),
        ("call_2", Done("2.0")),
    ]
    assert [each.seconds for each in ran] == pytest.approx([3, 1, 2])


async def test_no_calls_are_over_at_once() -> None:
    assert await Table().run() == []


async def test_an_unknown_tool_is_an_answer() -> None:
    ran = (await Table().run("fly"))[0].outcome
    assert isinstance(ran, Unknown)
    assert ran.sentence.startswith("Unknown tool: fly. The tools are: wait, book, ")


async def test_invalid_arguments_never_reach_the_function() -> None:
    table = Table()
    ran = await table.run(("wait", '{"seconds": "soon"}'), ("wait", "nonsense"), "wait")
    assert all(isinstance(each.outcome, Invalid) for each in ran)
    assert table.agent.did == []


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("nothing", "ok"),
        ("text", "sea bass"),
        ("number", "12"),
        ("model", '{"dish":"bass","until":"2031-05-06"}'),
        ("list", '[{"at":"2031-05-06"},true]'),
        ("nan", '{"a":null}'),
        ("long", "x" * 20_000 + " … (cut off)"),
        ("half", "a?b"),
    ],
)
async def test_what_a_tool_returns_is_text_to_the_model(what: str, text: str) -> None:
    assert (await Table().one("returns", what=what)).outcome == Done(text)


async def test_what_has_no_json_is_a_failure_of_the_tool() -> None:
    ran = await Table().one("returns", what="object")
    assert ran.outcome == Failed("An error occurred while processing returns.")


@pytest.mark.parametrize("how", ["error", "exit", "cancel", "timeout"])
async def test_whatever_is_raised_the_model_reads_a_sentence_and_the_log_a_traceback(
    how: str,
) -> None:
    table = Table()
    ran = await table.one("fails", how=how)
    assert ran.outcome == Failed("An error occurred while processing fails.")
    ((event, level, fields),) = table.agent.line.logged
    assert (event, level, fields["tool"]) == ("a tool failed", "error", "fails")
    assert "in fails" in fields["traceback"]


@pytest.mark.parametrize(
    ("how", "outcome"),
    [
        ("said", Failed("The kitchen is closed.")),
        ("request", Failed("fails did not work: the line is busy.")),
        ("over", Cancelled("fails")),
        ("overs", Cancelled("fails")),
    ],
)
async def test_what_is_meant_for_the_model_is_no_failure_to_log(how: str, outcome: object) -> None:
    table = Table()
    assert (await table.one("fails", how=how)).outcome == outcome
    assert table.agent.line.logged == []


@virtual_time
async def test_a_tool_has_its_own_time_limit() -> None:
    table, began = Table(), now()
    ran = await table.run(wait(1000), wait(1))
    assert now() - began == pytest.approx(15)
    assert [each.outcome for each in ran] == [TimedOut("wait", 15), Done("1.0")]
    assert "15 s" in ran[0].outcome.sentence
    await settled()
    assert table.agent.did == [1, "cancelled"]
    assert table.execution.running == 0


@virtual_time
async def test_a_tool_that_cannot_be_cancelled_does_not_hold_up_the_step() -> None:
    table, began = Table(), now()
    ran = await table.run("stubborn")
    assert ran[0].outcome == TimedOut("stubborn", 2)
    assert now() - began == pytest.approx(2)
    await settled()
    assert table.execution.running == 1
    await table.execution.aclose()
    assert now() - began <= 2 + FINISH_SECONDS + STOP_SECONDS + 0.1
    table.execution._tasks.pop().cancel()
    await settled()


@virtual_time
async def test_a_tool_that_blocks_beyond_its_limit_but_returns_is_done() -> None:
    class Blocking(Host):
        @tool(limit_s=0.01)
        def block(self) -> str:
            """Block the loop."""
            time.sleep(0.03)
            return "late, but here"

    (ran,) = await Execution(Blocking(), Blocking.toolbox()).run(calls("block"))
    assert ran.outcome == Done("late, but here")


@virtual_time
async def test_a_filler_is_said_while_a_tool_takes_long_once_a_step() -> None:
    table, began = Table(), now()
    step = table.begin(look_up(4), look_up(5))
    await asyncio.sleep(0.9)
    assert table.said == []
    await asyncio.sleep(0.2)
    assert table.said == ["One moment."]
    await step
    assert now() - began == pytest.approx(5)
    assert table.said == ["One moment."]


@virtual_time
async def test_fillers_are_taken_in_turn() -> None:
    table = Table()
    for _ in range(3):
        await table.run(look_up(2))
    assert table.said == ["One moment.", "Just a second.", "One moment."]


@virtual_time
async def test_a_quick_tool_needs_no_filler() -> None:
    table = Table()
    await table.run(look_up(0.5), wait(5))
    assert table.said == []


@virtual_time
async def test_no_filler_is_said_after_a_barge_in() -> None:
    table = Table()
    step = table.begin(look_up(5))
    await asyncio.sleep(0.5)
    table.execution.barge_in()
    await step
    await asyncio.sleep(5)
    assert table.said == []


@virtual_time
async def test_a_barge_in_cancels_finishes_or_leaves_each_tool_as_declared() -> None:
    table, began = Table(), now()
    step = table.begin(wait(1), wait(9), book(5), book(1))
    await asyncio.sleep(2)
    table.execution.barge_in()
    ran = await step
    assert now() - began == pytest.approx(2)
    assert [each.outcome for each in ran] == [
        Done("1.0"),
        Cancelled("wait"),
        Running("book"),
        Done("ABC"),
    ]
    assert table.late == []
    await asyncio.sleep(10)
    assert table.agent.did == [1, "booked", "cancelled", "booked"]
    (late,) = table.late
    assert (late.call.id, late.outcome) == ("call_2", Done("ABC"))
    assert late.seconds == pytest.approx(5)
    assert table.execution.running == 0


@virtual_time
async def test_a_tool_that_goes_on_keeps_its_time_limit() -> None:
    table = Table()
    step = table.begin(book(1000))
    await asyncio.sleep(1)
    table.execution.barge_in()
    await step
    await asyncio.sleep(60)
    assert [each.outcome for each in table.late] == [TimedOut("book", 60)]


@virtual_time
async def test_when_a_step_is_cancelled_what_became_of_each_call_is_told_all_the_same() -> None:
    table = Table()
    step = table.begin(wait(1), wait(9), book(5), "fly")
    await asyncio.sleep(2)
    step.cancel()
    with pytest.raises(asyncio.CancelledError):
        await step
    assert [each.outcome.label for each in table.late] == ["ok", "cancelled", "running", "unknown"]
    await asyncio.sleep(10)
    assert table.late[4:] == [Ran(table.late[2].call, Done("ABC"), table.late[4].seconds)]
    assert table.agent.did == [1, "cancelled", "booked"]


@virtual_time
async def test_a_barge_in_while_nothing_runs_changes_nothing() -> None:
    table = Table()
    table.execution.barge_in()
    assert (await table.run(wait(1)))[0].outcome == Done("1.0")


@virtual_time
async def test_a_tool_that_speaks_first_waits_for_the_words_beyond_its_limit() -> None:
    table, began = Table(), now()
    step = table.begin("hang_up", wait(1))
    await asyncio.sleep(20)
    assert table.agent.did == [1]
    table.spoken.set()
    ran = await step
    assert [each.outcome for each in ran] == [Done("bye"), Done("1.0")]
    assert now() - began == pytest.approx(20)
    assert ran[0].seconds == pytest.approx(0)


@virtual_time
async def test_a_caller_who_speaks_before_the_last_words_are_over_is_not_hung_up_on() -> None:
    table = Table()
    step = table.begin("hang_up")
    await asyncio.sleep(1)
    table.spoken.set()
    table.execution.barge_in()
    assert [each.outcome for each in await step] == [Cancelled("hang_up")]
    await settled()
    assert table.agent.did == []


@virtual_time
async def test_two_steps_may_run_at_once() -> None:
    table, began = Table(), now()
    first, second = await asyncio.gather(table.run(wait(2)), table.run(wait(3)))
    assert now() - began == pytest.approx(3)
    assert [first[0].outcome, second[0].outcome] == [Done("2.0"), Done("3.0")]


async def test_more_calls_than_make_sense_are_not_run() -> None:
    ran = await Table().run(*[("returns", '{"what": "text"}')] * (MOST_CALLS + 2))
    assert [each.outcome.label for each in ran] == ["ok"] * MOST_CALLS + ["error"] * 2
    assert "too many" in ran[-1].outcome.sentence


@virtual_time
async def test_closing_gives_a_booking_a_moment_and_stops_the_rest() -> None:
    table, began = Table(), now()
    step = table.begin(wait(9), book(1.5), book(9))
    await asyncio.sleep(1)
    await table.execution.aclose()
    assert now() - began == pytest.approx(1 + FINISH_SECONDS)
    assert [each.outcome.label for each in await step] == ["cancelled", "running", "running"]
    assert [each.outcome for each in table.late] == [Done("ABC"), Cancelled("book")]
    assert table.execution.running == 0
    await table.execution.aclose()


async def test_after_closing_nothing_is_run() -> None:
    table = Table()
    await table.execution.aclose()
    assert [each.outcome for each in await table.run(wait(0))] == [Cancelled("wait")]
    assert table.agent.did == []


# Whatever a model writes -------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["people", "name", "x"]) | st.text(), inner, max_size=4)
    ),
    max_leaves=12,
)
NEARLY = st.fixed_dictionaries(
    {"people": JSON | st.integers(0, 14), "name": JSON | st.text(max_size=6)},
    optional={"note": JSON, "more": JSON},
)


class Strict(Host):
    def __init__(self) -> None:
        super().__init__()
        self.got: list[dict[str, Any]] = []

    @tool
    async def act(
        self,
        people: Annotated[int, Field(ge=1, le=12)],
        name: Annotated[str, Field(min_length=1, max_length=5)],
        note: bool = False,
    ) -> str:
        """Act."""
        self.got.append({"people": people, "name": name, "note": note})
        return name


def _run(text: str) -> Strict:
    agent = Strict()

    async def act() -> None:
        execution = Execution(agent, Strict.toolbox())
        (ran,) = await execution.run([Call("1", "act", text)])
        assert isinstance(ran.outcome, Done if agent.got else Invalid)
        ran.outcome.sentence.encode()

    asyncio.run(act())
    assert agent.line.logged == []
    return agent


@given(JSON | NEARLY)
def test_no_json_raises_and_none_reaches_the_function_that_does_not_fit(value: object) -> None:
    for got in _run(json.dumps(value)).got:
        assert type(got["people"]) is int
        assert 1 <= got["people"] <= 12
        assert type(got["name"]) is str
        assert 1 <= len(got["name"]) <= 5
        assert type(got["note"]) is bool


@given(st.text(st.characters(), max_size=60))
def test_no_text_raises_either(text: str) -> None:
    _run(text)


@given(st.text(st.characters(), max_size=200))
def test_no_name_of_a_tool_raises(name: str) -> None:
    async def act() -> None:
        (ran,) = await Execution(Strict(), Strict.toolbox()).run([Call("1", name, "{}")])
        assert isinstance(ran.outcome, Unknown) or name == "act"
        ran.outcome.sentence.encode()

    asyncio.run(act())


def test_an_agent_without_tools_does_not_import_pydantic() -> None:
    code = (
        "import sys; from worker import Agent; from worker.tools import tools_of; tools_of(Agent);"
        "sys.exit('pydantic' in sys.modules)"
    )

    async def run() -> int:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
        return await process.wait()

    assert asyncio.run(run()) == 0
