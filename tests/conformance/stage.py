"""A house with a gateway before it, and callers: what a test of the conformance suite has.

    @side_by_side
    async def test_it_answers(stage: Stage) -> None:
        stage.answers({"two of us": "For when?"})
        async with stage.caller("Desk") as caller:
            await caller.asks("two of us", "For when?")

Conversations take the time they take, so all of a house's are held at once: those that are
`side_by_side` begin when the house opens, and their test waits for the outcome. What they say must
not be what another of them says. A test that harms the services takes ``alone`` instead.
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from phone import CalleeOutcome, PhoneSettings
from tests.conformance.agents import NUMBERS, agents
from tests.conformance.house import Can, House, Premises, Told
from tests.conformance.people import Listener, Reader
from tests.e2e.cascade import FALLBACK, MANAGER
from tests.fakes.openai_chat import Reply
from tests.fakes.twilio_callee import Callee
from tests.fakes.twilio_rest import TwilioRestServer
from tests.harness import (
    ACCOUNT_SID,
    AUTH_TOKEN,
    RunningGateway,
    eventually,
    free_port,
    running_gateway,
)

OUR_NUMBER = "+15557654321"

AT_ONCE = 8
"""Conversations side by side: as many as a machine of two cores holds without being late."""

WORDLESS = "..."
"""A caller's line whose words nobody knows."""

LATE_S = 0.1
"""A caller who is held up for so long, in the middle of a word, is heard in two pieces."""

Scene = Callable[["Stage"], Awaitable[None]]
_SCENES: dict[Callable[..., Any], Scene] = {}


class Stage:
    """One house, its gateway and its carrier's REST."""

    def __init__(
        self, house: House, premises: Premises, gateway: RunningGateway, twilio: TwilioRestServer
    ) -> None:
        self.house, self.premises, self.gateway = house, premises, gateway
        self.twilio = twilio
        self.settings = PhoneSettings(verb_speed=20, rooms=twilio.exchange.phone_settings.rooms)
        self._scenes: dict[Scene, asyncio.Task[None]] = {}
        self._replies: dict[str, Reply] = {}
        self._told: dict[str, Told] = {}
        premises.script.replies = self._reply

    def needs(self, ability: Can) -> None:
        """Skip the test, with the house's reason, if it cannot do that."""
        reason = self.house.cannot.get(ability)
        if reason is not None:
            pytest.skip(f"{self.house.name} cannot {ability.value}: {reason}")

    def answers(self, replies: Mapping[str, Reply]) -> None:
        """Let the model answer so, besides all else it answers."""
        clash = self._replies.keys() & replies.keys()
        assert all(self._replies[key] == replies[key] for key in clash), clash
        self._replies |= replies

    def _reply(self, line: str) -> Reply:
        """Answer a whole line, else by the longest beginning that is known."""
        with suppress(LookupError):
            self._told[line] = self.premises.told(line)
        line = line.removeprefix("error: ")  # so some services call what a tool could not do
        begun = [key for key in self._replies if line.startswith(key)]
        best = max(begun, key=len, default="")
        return self._replies.get(line) or self._replies.get(best, "Pardon?")

    def told(self, line: str) -> Told:
        """Return what the model was told when it last answered ``line``."""
        return self._told[line]

    def lines(self, view: Mapping[str, Any]) -> list[tuple[str, str, bool]]:
        """Return who said what, and whether it was cut; a caller's words as they are `said`."""
        return [
            (line["role"], self.said(line["text"]) if line["role"] == "caller" else line["text"],
             line["interrupted"])
            for line in view["lines"]
        ]  # fmt: skip

    def said(self, line: str) -> str:
        """Return what the record has of a caller's line."""
        return WORDLESS if Can.WRITE_DOWN in self.house.cannot else line

    @asynccontextmanager
    async def caller(self, agent: str = "Desk", *, connected: bool = True) -> AsyncIterator[Reader]:
        """Place a call to an agent; its stream is open when the block begins, if ``connected``."""
        async with self.gateway.phone(self.settings).dial(to=NUMBERS[agent]) as call:
            self.twilio.exchange.take(call)
            if connected:
                await call.connected(timeout=15)
            who = Listener if Can.BE_READ in self.house.cannot else Reader
            try:
                yield who(self, call, self.said)
            except BaseException:
                await call.hangup()  # in good order, so that the next test finds nothing open
                raise

    @property
    def open(self) -> dict[str, int]:
        """What is open at the services that have anything open."""
        found = {name: service.open for name, service in self.premises.services.items()}
        return {name: count for name, count in found.items() if count}

    async def nothing_is_open(self, seconds: float = 10.0) -> None:
        """Return when no service has a connection or a request any more."""
        try:
            await eventually(lambda: not self.open, seconds)
        except TimeoutError:
            raise AssertionError(f"still open: {self.open}") from None

    # Side by side ----------------------------------------------------------------------------

    def begin(self, tests: Iterable[Callable[..., Any]]) -> None:
        """Begin those of ``tests`` that are held side by side."""
        room = asyncio.Semaphore(AT_ONCE)

        async def held(scene: Scene) -> None:
            async with room:
                await self._hold(scene)

        for test in tests:
            if test in _SCENES:
                scene = _SCENES[test]
                self._scenes[scene] = asyncio.create_task(_run(held, scene), name=test.__name__)

    async def _hold(self, scene: Scene) -> None:
        """Hold a scene; once more if it fails and its callers were seen to speak late."""
        async with _lateness() as late:
            try:
                await scene(self)
            except (AssertionError, ExceptionGroup):
                if not late.is_set():
                    raise
                await scene(self)

    async def outcome(self, scene: Scene) -> None:
        """Return when a scene has ended. Raises what it raised."""
        await self._scenes[scene]

    async def alone(self) -> None:
        """Return when no scene is being held any more."""
        if self._scenes:
            await asyncio.wait(self._scenes.values())
        await self.nothing_is_open()

    async def aclose(self) -> None:
        """End the scenes that are left."""
        for task in self._scenes.values():
            task.cancel()
        await asyncio.gather(*self._scenes.values(), return_exceptions=True)


@asynccontextmanager
async def _lateness() -> AsyncIterator[asyncio.Event]:
    """Tell whether the loop, on which callers speak and hear, came late meanwhile."""
    loop, late = asyncio.get_running_loop(), asyncio.Event()

    async def watch() -> None:
        while True:
            due = loop.time() + 0.02
            await asyncio.sleep(0.02)
            if loop.time() - due > LATE_S:
                late.set()

    watching = asyncio.create_task(watch())
    try:
        yield late
    finally:
        watching.cancel()


async def _run(held: Callable[[Scene], Awaitable[None]], scene: Scene) -> None:
    await held(scene)


def side_by_side(scene: Scene) -> Scene:
    """Have a test's conversation held at the same time as all others of its house."""

    @functools.wraps(scene)
    async def test(stage: Stage) -> None:
        await stage.outcome(scene)

    _SCENES[test] = scene
    return test


@asynccontextmanager
async def opened(house: House, folder: Path) -> AsyncIterator[Stage]:
    """Open a house in ``folder``."""
    port = free_port()
    async with (
        TwilioRestServer(ACCOUNT_SID, AUTH_TOKEN, callee=_busy) as twilio,
        house.open() as premises,
    ):
        twilio.account.add_number(OUR_NUMBER)
        environment = {
            **premises.environment,
            "NO_PROXY": "127.0.0.1",
            "DRAIN_SECONDS": "3",
            "FALLBACK_NUMBER": FALLBACK,
            "TRANSFER_NUMBERS": f"manager={MANAGER}",
            "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
            "TWILIO_BASE_URL": twilio.base_url,
            "TWILIO_PHONE_NUMBER": OUR_NUMBER,
            "PUBLIC_URL": f"http://127.0.0.1:{port}",
        }
        options = ("--port", str(port))
        files = agents(house, premises.spare)
        async with running_gateway(folder, files, environment, options) as gateway:
            stage = Stage(house, premises, gateway, twilio)
            try:
                yield stage
            finally:
                await stage.aclose()
                await twilio.exchange.close()


def _busy(number: str) -> Callee:
    """Return the humans whom agents call: nobody can be spoken to."""
    del number
    return Callee(CalleeOutcome.BUSY)
