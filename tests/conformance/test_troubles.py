"""A service in trouble costs nobody the conversation, or the caller is told. Never silence."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from phone import CallEndedError
from phone.events import VerbBegun
from tests.conformance.house import Can, Service
from tests.conformance.people import Reader
from tests.conformance.stage import Stage
from tests.conformance.test_leaving import LONG, PHASES, SAYING
from tests.e2e.cascade import FALLBACK
from tests.fakes.openai_chat import Wants

pytestmark = pytest.mark.asyncio(loop_scope="package")

TRIES = 4
"""How often a caller who hears nothing says it again."""

PATIENCE_S = 4.0
"""How long a caller listens before."""


async def _is_heard(caller: Reader) -> bool:
    """Ask until there is an answer; tell whether it is the agent's. False: the call has ended."""
    asking = asyncio.create_task(_asks(caller))
    ended = asyncio.create_task(caller.call.ended())
    await asyncio.wait([asking, ended], return_when=asyncio.FIRST_COMPLETED)
    if asking.done() and asking.exception() is None:
        ended.cancel()
        return True
    if not ended.done() and not isinstance(asking.exception(), CallEndedError):
        ended.cancel()
        raise AssertionError(f"silence: {await caller.view()}") from asking.exception()
    asking.cancel()
    return False


async def _asks(caller: Reader) -> None:
    """Say something until it is answered. Raises ``AssertionError`` when it never is."""
    for left in reversed(range(TRIES)):
        await caller.is_let_finish()
        await caller.says("are you still there")
        try:
            await caller.hears("Still here.", PATIENCE_S)
        except AssertionError:
            if not left:
                raise
        else:
            return


async def _is_told(caller: Reader) -> None:
    """The caller hears that something is wrong, and is connected with a human."""
    if not await _is_heard(caller):
        report = await caller.call.ended()
        verbs = [(verb.verb, verb.detail) for verb in report.of(VerbBegun)]
        assert any(verb == "Say" and "went wrong" in detail for verb, detail in verbs), verbs
        assert any(verb == "Dial" and FALLBACK in detail for verb, detail in verbs), verbs
        return
    raise AssertionError(f"{caller.sid} goes on without its service")


def _teach(stage: Stage) -> None:
    stage.answers(
        {
            "are you still there": "Still here.",
            "tell me at length": LONG,
            "think it over": [Wants("think")],
            SAYING: "There is one left.",
            "It is so.": "So it is.",
        }
    )


def _services(stage: Stage) -> list[Service]:
    return [stage.premises.services[name] for name in stage.house.mortal]


async def test_connections_lost_at_any_moment_are_made_again_or_the_caller_is_told(
    alone: Stage,
) -> None:
    stage = alone
    _teach(stage)
    phases = [phase for phase in PHASES if phase != "while it rings"]
    ready, lost = asyncio.Barrier(len(phases) + 1), asyncio.Barrier(len(phases) + 1)

    async def goes_on(phase: str) -> None:
        async with stage.caller("Clerk") as caller:
            await PHASES[phase](caller)
            await ready.wait()
            await lost.wait()
            if Can.GO_ON in stage.house.cannot:
                await _is_told(caller)
                return
            if phase == "while it speaks":
                await _says_the_rest(stage, caller)
            assert await _is_heard(caller), f"{phase}: {await caller.view()}"
            await ready.wait()
            await lost.wait()
            assert await _is_heard(caller), f"{phase}, once more: {await caller.view()}"

    async def lose() -> None:
        codes = (None,) if Can.GO_ON in stage.house.cannot else (None, 1011)
        for code in codes:
            await ready.wait()
            for service in _services(stage):
                await service.lose(code)
            await lost.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(lose())
        for phase in phases:
            group.create_task(goes_on(phase))


async def _says_the_rest(stage: Stage, caller: Reader) -> None:
    if Can.KEEP_WORDS in stage.house.cannot:
        await caller.call.wait(1500)
    else:
        await caller.hears("There is one left.")


@asynccontextmanager
async def _revoked(service: Service) -> AsyncIterator[None]:
    service.revoke()
    await service.lose(None)
    try:
        yield
    finally:
        service.restore()


async def test_a_service_that_takes_nobody_any_more_is_replaced_or_a_human_takes_over(
    alone: Stage,
) -> None:
    stage = alone
    _teach(stage)

    async def is_replaced(caller: Reader, name: str) -> None:
        assert await _is_heard(caller), f"{name}: {await caller.view()}"
        trouble = (await caller.view())["troubles"][-1]
        assert trouble["fallback"], f"{name}: {trouble}"

    async def at_the_webhook(agent: str, then: Callable[[Reader], Awaitable[None]]) -> None:
        async with stage.caller(agent, connected=False) as caller:
            await then(caller)

    async def greets(caller: Reader) -> None:
        await caller.hears("Good evening.")
        assert await _is_heard(caller)

    for name in stage.house.mortal:
        async with stage.caller("Desk") as plain, stage.caller("Spared") as spared:
            for caller in (plain, spared):
                await caller.hears("Good evening.")
            async with _revoked(stage.premises.services[name]), asyncio.TaskGroup() as group:
                group.create_task(_is_told(plain))
                group.create_task(is_replaced(spared, name))
                group.create_task(at_the_webhook("Desk", _is_told))
                group.create_task(at_the_webhook("Spared", greets))
