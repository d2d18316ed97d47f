"""Two lines, one fate: whoever leaves, and when, both lines are closed and the record completed."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.conformance.people import Reader
from tests.conformance.stage import Stage
from tests.fakes.openai_chat import Wants

pytestmark = pytest.mark.asyncio(loop_scope="package")

Phase = Callable[[Reader], Awaitable[None]]

SAYING = "is there a table left by any chance"
LONG = "Certainly we have nine tables left and each of them is by the window"


async def _ringing(caller: Reader) -> None:
    """The stream is not open yet."""


async def _greeted(caller: Reader) -> None:
    await caller.call.connected(timeout=15)
    await caller.begins_to_hear("G")


async def _listening(caller: Reader) -> None:
    await caller.hears("Good evening.")
    await caller.is_let_finish()


async def _speaking(caller: Reader) -> None:
    await _listening(caller)
    caller.says_on(SAYING)
    await caller.call.wait(500)


async def _answered(caller: Reader) -> None:
    await _listening(caller)
    await caller.says("tell me at length")
    await caller.begins_to_hear("C")


async def _served(caller: Reader) -> None:
    """A tool is at work."""
    await _listening(caller)
    await caller.says("think it over")
    await caller.call.wait(600)


PHASES: dict[str, Phase] = {
    "while it rings": _ringing,
    "while it is greeted": _greeted,
    "while nobody speaks": _listening,
    "while it speaks": _speaking,
    "while it is answered": _answered,
    "while a tool is at work": _served,
}


async def test_a_caller_may_hang_up_at_any_moment_and_nothing_stays_open(alone: Stage) -> None:
    stage = alone
    stage.answers(
        {"tell me at length": LONG, "think it over": [Wants("think")], "It is so.": "So it is."}
    )

    async def hangs_up(phase: str) -> None:
        async with stage.caller("Clerk", connected=phase != "while it rings") as caller:
            await PHASES[phase](caller)
            await caller.call.hangup()
        view = await caller.over()
        assert view["exit"] == "exit code 0", (phase, view)
        assert view["reason"] in ("completed", "the caller hung up", "no-answer"), (phase, view)
        said = [text for who, text, _ in stage.lines(view) if who == "caller"]
        assert said == {
            "while it is answered": [stage.said("tell me at length")],
            "while a tool is at work": [stage.said("think it over")],
        }.get(phase, said), (phase, view)

    async with asyncio.TaskGroup() as group:
        for phase in PHASES:
            group.create_task(hangs_up(phase))
    await stage.nothing_is_open()


async def test_what_the_agent_has_left_is_left_at_the_services_too(alone: Stage) -> None:
    stage = alone
    stage.answers({"please leave": ["Goodbye.", Wants("hang_up")]})
    async with stage.caller("Clerk") as caller:
        await _listening(caller)
        await caller.says("please leave")
        await caller.hears("Goodbye.")
        await caller.call.ended()
    await stage.nothing_is_open(5.0)


async def test_an_operator_who_hangs_up_closes_both_lines(alone: Stage) -> None:
    stage = alone
    async with stage.caller() as caller:
        await _listening(caller)
        assert (await stage.gateway.api("POST", f"/api/calls/{caller.sid}/hangup")).is_success
        await caller.call.ended()
        assert (await caller.over())["exit"] == "exit code 0"
    await stage.nothing_is_open(5.0)
