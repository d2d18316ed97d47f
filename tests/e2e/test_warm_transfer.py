"""Warm transfers: a caller, an agent and a human, on real legs, through a fake Twilio.

A human has real seconds to answer: who is to be late, or first, waits for what comes before, and
for no time.
"""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from phone import Call as PhoneCall
from phone import CalleeOutcome, PhoneSettings, Rooms
from phone.clock import Clock, LoopClock
from phone.events import Met, Parted, StreamStarted, VerbBegun
from tests.fakes.twilio_account import Refusal
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

FROM, MANAGER = "+15557654321", "+493012345678"
PATIENCE = 60.0
"""Seconds in which anything that is to happen does happen, on any machine."""

AGENTS = {
    "desk.py": '''
from worker import Agent, RequestError
from worker.providers import Espeak

class Desk(Agent):
    """Has the manager asked when a key is pressed, and says what came of it."""
    tts = Espeak(rate=300)
    greeting = "Hello."

    async def on_start(self):
        self.state["starts"] = self.state.get("starts", 0) + 1

    async def on_dtmf(self, digit):
        if digit == "#":
            self.state["key"] = digit
            return
        to = {"1": "manager", "0": "nobody"}.get(digit, f"human-{digit}")
        try:
            outcome = await self.call.transfer_warm(to, "Ada wants to complain.", ring_s=10)
        except RequestError as error:
            self.state["refused"] = [error.code, error.sentence]
            await self.say("That is not possible.")
            return
        self.state["outcome"] = outcome
        if outcome != "caller_left":
            await self.say("You are back.")

    async def on_warm_transfer(self, to, outcome):
        self.state["told"] = [to, outcome]
        await super().on_warm_transfer(to, outcome)

    async def on_ended(self):
        self.state["ended"] = True
''',
    "routes.toml": 'default = "desk:Desk"\n',
}


@dataclass
class World:
    """A gateway, its Twilio, and a caller on the line."""

    gateway: RunningGateway
    twilio: TwilioRestServer
    caller: PhoneCall

    async def state(self, **expected: Any) -> dict[str, Any]:
        """Return the agent's state once it holds what is expected."""
        found: dict[str, Any] = {}

        async def holds() -> bool:
            view = await self.gateway.call_view(self.caller.sid)
            found.clear()
            found.update(view["agent_state"] or {})
            return found.items() >= expected.items()

        try:
            await eventually(holds, PATIENCE)
        except TimeoutError:
            raise AssertionError(f"expected {expected}, found {found}") from None
        return found

    async def came_to(self, *outcomes: str) -> None:
        """Return when the caller's transfers have come to these, one after the other.

        What the agent has noted is seen seconds later, and at the end.
        """
        told = re.compile(rf"warm transfer .*{self.caller.sid}.* outcome=(\w+)")
        await eventually(lambda: told.findall(self.gateway.log_text()) == list(outcomes), PATIENCE)

    async def human(self) -> PhoneCall:
        """Return the human's phone, once it was picked up."""

        def there() -> PhoneCall | None:
            phones = self.twilio.exchange.phones
            return next((it for sid, it in phones.items() if sid != self.caller.sid), None)

        found: PhoneCall = await eventually(there, PATIENCE)
        return found

    async def is_back(self, stream: int = 2) -> None:
        """Return when the agent is heard on the caller's ``stream``-th stream."""
        await self.caller.connected(stream, PATIENCE)
        begun = await self.caller.seen(StreamStarted, stream)
        await self.caller.heard_speech(PATIENCE, since_ms=begun.at_ms)


def surroundings(twilio: TwilioRestServer, url: str, named: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a gateway at ``url``."""
    return {
        "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
        "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
        "TWILIO_BASE_URL": twilio.base_url,
        "TWILIO_PHONE_NUMBER": FROM,
        "TRANSFER_NUMBERS": ", ".join(f"{name}={number}" for name, number in named.items()),
        "PUBLIC_URL": url,
        "NO_PROXY": "127.0.0.1",
        "DIAL_CALLS_PER_SECOND": "100",
        "DRAIN_SECONDS": "0.5",
    }


@dataclass
class House:
    """A gateway and its Twilio."""

    gateway: RunningGateway
    twilio: TwilioRestServer
    rooms: Rooms

    def humans(
        self, callee: Callable[[str], Callee], speed: float = 50, verb_speed: float = 4
    ) -> None:
        """Let these be called from now on; ``speed`` of their ringing, and of what they hear."""
        exchange = self.twilio.exchange
        exchange.callee, exchange.speed = callee, speed
        exchange.phone_settings = PhoneSettings(rooms=self.rooms, verb_speed=verb_speed)

    @asynccontextmanager
    async def calling(self, speed: float = 20, clock: Clock | None = None) -> AsyncIterator[World]:
        """Let a caller call, and be greeted."""
        settings = PhoneSettings(rooms=self.rooms, verb_speed=speed)
        async with self.gateway.phone(settings, clock=clock).dial(to=FROM) as caller:
            self.twilio.exchange.take(caller)
            await caller.heard_reply(PATIENCE)
            await caller.heard_silence(400, PATIENCE)
            yield World(self.gateway, self.twilio, caller)

    async def is_quiet(self) -> None:
        """Return when nobody is on the phone any more."""
        await eventually(lambda: not self.twilio.exchange.phones, PATIENCE)


@asynccontextmanager
async def house(
    folder: Path, named: Mapping[str, str], agents: Mapping[str, str] = AGENTS
) -> AsyncIterator[House]:
    """Run a gateway and its Twilio; ``named`` are the destinations of transfers."""
    port = free_port()
    async with TwilioRestServer(ACCOUNT_SID, AUTH_TOKEN, callee=lambda _: Callee()) as twilio:
        twilio.account.add_number(FROM)
        environment = surroundings(twilio, f"http://127.0.0.1:{port}", named)
        options = ("--port", str(port))
        async with running_gateway(folder, agents, environment, options) as gateway:
            yield House(gateway, twilio, Rooms())
            await twilio.exchange.close()


def verbs_of(call: PhoneCall) -> list[str]:
    """Return what the documents have had a phone do so far."""
    return [event.verb for event in call.events if isinstance(event, VerbBegun)]


async def accepts(call: PhoneCall) -> None:
    """Press the 1, talk a while, hang up."""
    await call.asked()
    await call.press("1")
    await call.seen(Met)
    await asyncio.sleep(0.3)


async def accepts_by_word(call: PhoneCall) -> None:
    await call.asked()
    call.reply("Yes, please.")
    await call.seen(Met)
    await asyncio.sleep(0.3)


async def declines(call: PhoneCall) -> None:
    await call.asked()
    await call.press("2")
    await call.ended()


async def declines_by_word(call: PhoneCall) -> None:
    await call.asked()
    call.reply("No, not now.")
    await call.ended()


async def says_nothing(call: PhoneCall) -> None:
    await call.ended()


async def hangs_up(call: PhoneCall) -> None:
    await call.asked()


NOT_TAKEN = (
    (Callee(media=True, act=declines), "declined"),
    (Callee(media=True, act=declines_by_word), "declined"),
    (Callee(media=True, act=hangs_up), "declined"),
    (Callee(CalleeOutcome.NO_ANSWER), "no_answer"),
    (Callee(CalleeOutcome.BUSY), "busy"),
    (Callee(CalleeOutcome.FAILED), "failed"),
    (Callee(media=True, machine="beep"), "machine"),
)
NUMBERS = {f"human-{key}": f"{MANAGER[:-1]}{key}" for key in range(2, 2 + len(NOT_TAKEN))}
"""Each human is a destination of its own: key 2 is the first, and so on."""

of_one_house = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """A house for tests that call one after the other, each with humans of its own."""
    named = {"manager": MANAGER, **NUMBERS}
    async with house(tmp_path_factory.mktemp("warm_transfer"), named) as it:
        yield it


@asynccontextmanager
async def world(shared: House, manager: Callee, **speeds: float) -> AsyncIterator[World]:
    """Have one caller, and one manager; at the end nobody is on the phone."""
    shared.humans(lambda _: manager, **speeds)
    shared.twilio.exchange.reports.clear()
    async with shared.calling() as it:
        yield it
    await shared.is_quiet()


@of_one_house
@pytest.mark.parametrize("answer", [accepts, accepts_by_word])
async def test_who_takes_the_call_is_told_what_it_is_about_and_meets_the_caller(
    shared: House, answer: Callable[[PhoneCall], Any]
) -> None:
    async with world(shared, Callee(media=True, act=answer)) as it:
        await it.caller.press("1")
        await it.caller.seen(Met, timeout=PATIENCE)
        report = await it.caller.ended()
        assert report.status == "completed"
        verbs = [event for event in it.caller.events if isinstance(event, VerbBegun)]
        assert any(each.verb == "Play" and "hold-music.wav" in each.detail for each in verbs)
        (human,) = it.twilio.exchange.reports.values()
        asked = next(e for e in human.events if isinstance(e, VerbBegun) and e.verb == "Gather")
        assert "Ada wants to complain." in asked.detail
        state = await it.state(outcome="accepted", ended=True)
        assert state["starts"] == 1

        async def ended() -> dict[str, Any] | None:
            view = await it.gateway.call_view(it.caller.sid)
            return view if view["reason"] == "transferred" and not view["live"] else None

        view = await eventually(ended, PATIENCE)
        assert (view["outcome"], view["transferred_to"]) == ("transferred", MANAGER)
        known = {call["sid"] for call in await it.gateway.calls(live=False)}
        assert it.caller.sid in known
        assert human.call_sid not in known, "the human's leg is no call of its own"


async def _is_back(it: World, key: str, outcome: str) -> None:
    """Ask for a human by a key; be back with the same agent, which knows why, and listens."""
    before = await it.gateway.call_view(it.caller.sid)
    await it.caller.press(key)
    await it.is_back()
    after = await it.gateway.call_view(it.caller.sid)
    assert (after["state"], after["pid"]) == ("streaming", before["pid"])
    await it.caller.press("#")
    await it.state(outcome=outcome, starts=2, key="#")


@of_one_house
async def test_a_caller_whom_nobody_takes_is_back_with_the_same_agent(shared: House) -> None:
    humans = {f"{MANAGER[:-1]}{key}": it for key, (it, _) in enumerate(NOT_TAKEN, 2)}
    # The machine says nothing, as others do: it is known for one long before it has said that.
    shared.humans(humans.__getitem__, verb_speed=1)
    async with AsyncExitStack() as lines, asyncio.TaskGroup() as callers:
        for key, (_, outcome) in enumerate(NOT_TAKEN, 2):
            it = await lines.enter_async_context(shared.calling())
            callers.create_task(_is_back(it, str(key), outcome))
    await shared.is_quiet()


@of_one_house
async def test_a_human_who_says_nothing_has_not_answered(shared: House) -> None:
    async with world(shared, Callee(media=True, act=says_nothing), verb_speed=50) as it:
        await _is_back(it, "1", "no_answer")


@of_one_house
async def test_who_is_not_a_destination_is_not_called_and_the_caller_notices_nothing(
    shared: House,
) -> None:
    placed = len(shared.twilio.placed())
    async with world(shared, Callee(media=True)) as it:
        began = it.caller.now_ms
        await it.caller.press("0")
        await it.caller.heard_speech(PATIENCE, since_ms=began)
        code, sentence = (await it.state(starts=1))["refused"]
        assert code == "destination"
        assert "named destinations: manager, " in sentence
        assert len(it.twilio.placed()) == placed


@of_one_house
@pytest.mark.parametrize("when", ["ringing", "asked"])
async def test_a_caller_who_leaves_stops_the_ringing_and_the_question(
    shared: House, when: str
) -> None:
    placed = len(shared.twilio.placed())
    manager = Callee(media=True, act=says_nothing, ring_s=14.0)
    async with world(shared, manager, speed=0.2 if when == "ringing" else 50) as it:
        await it.caller.press("1")
        await eventually(lambda: len(it.twilio.placed()) > placed, PATIENCE)
        if when == "asked":
            await (await it.human()).asked()
        await it.caller.hangup()
        await it.state(outcome="caller_left", ended=True)
        await shared.is_quiet()
        (*_, call) = [call for call in it.twilio.account.calls.values() if call.to == MANAGER]
        await eventually(lambda: call.status in {"completed", "canceled", "no-answer"}, PATIENCE)
        assert call.answered is None or when == "asked"


def once(killed: asyncio.Event, answer: Callable[[PhoneCall], Any]) -> Callee:
    """Return a human who does not answer the question before ``killed`` is set."""

    async def act(call: PhoneCall) -> None:
        await call.asked()
        await killed.wait()
        await answer(call)

    return Callee(media=True, act=act)


async def _is_killed(it: World) -> None:
    """Kill the agent's process while the human is being asked."""
    view = await it.gateway.call_view(it.caller.sid)
    await it.caller.press("1")
    await (await it.human()).asked()
    os.kill(view["pid"], signal.SIGKILL)

    async def is_gone() -> bool:
        return bool((await it.gateway.call_view(it.caller.sid))["exit"])

    await eventually(is_gone, PATIENCE)


@of_one_house
async def test_a_process_that_dies_meanwhile_does_not_stop_the_transfer(shared: House) -> None:
    killed = asyncio.Event()
    async with world(shared, once(killed, accepts), verb_speed=1) as it:
        await _is_killed(it)
        killed.set()
        await it.caller.seen(Met, timeout=PATIENCE)
        assert (await it.caller.ended()).status == "completed"


@of_one_house
async def test_a_caller_who_comes_back_to_no_process_is_told_so(shared: House) -> None:
    killed = asyncio.Event()
    async with world(shared, once(killed, declines), verb_speed=1) as it:
        await _is_killed(it)
        killed.set()
        report = await it.caller.ended()
        assert report.status == "completed"
        said = [e.detail for e in report.events if isinstance(e, VerbBegun) and e.verb == "Say"]
        assert "something went wrong" in said[-1]


class Music(LoopClock):
    """A clock on which music, or what else is long, lasts until it is ``over``."""

    def __init__(self) -> None:
        self.plays, self.over = asyncio.Event(), asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        if seconds < 10:
            await super().sleep(seconds)
            return
        self.plays.set()
        await self.over.wait()


async def test_a_gateway_that_dies_while_the_caller_waits_is_followed_by_one_that_answers(
    tmp_path: Path,
) -> None:
    """What the caller hears is asked for again and again: so the next gateway learns of them."""
    named = {"manager": MANAGER}
    async with house(tmp_path, named) as it:
        it.humans(lambda _: Callee(CalleeOutcome.NO_ANSWER), speed=0.2)
        music = Music()
        async with it.calling(speed=1, clock=music) as on:
            await on.caller.press("1")
            await eventually(it.twilio.placed, PATIENCE)
            await music.plays.wait()
            it.gateway.process.kill()
            await it.gateway.ended()
            same = surroundings(it.twilio, it.gateway.url, named)
            options = ("--port", it.gateway.url.rpartition(":")[2])
            async with running_gateway(tmp_path, AGENTS, same, options) as after:
                music.over.set()
                await on.is_back()
                assert [call["sid"] for call in await after.calls()] == [on.caller.sid]
                await on.caller.hangup()
                await it.twilio.exchange.close()


@of_one_house
async def test_one_transfer_may_follow_another(shared: House) -> None:
    """Each way back is a stream that is soon gone again; that is no sign of trouble."""
    answers = [Callee(CalleeOutcome.BUSY)] * 4 + [Callee(media=True, act=accepts)]
    called = iter(answers)
    shared.humans(lambda _: next(called))
    async with shared.calling() as it:
        for times in range(1, len(answers)):
            await it.caller.press("1")
            await it.is_back(1 + times)
            await it.came_to(*["busy"] * times)
        await it.caller.press("1")
        await it.caller.seen(Met, timeout=PATIENCE)
        assert (await it.caller.ended()).status == "completed"
        await it.state(outcome="accepted", starts=len(answers), ended=True)
    await shared.is_quiet()


@pytest.mark.parametrize("when", ["ringing", "asked"])
async def test_a_gateway_that_is_stopped_leaves_nobody_with_music_or_a_question(
    tmp_path: Path, when: str
) -> None:
    manager = Callee(media=True, act=says_nothing, ring_s=14)
    async with house(tmp_path, {"manager": MANAGER}) as it:
        it.humans(lambda _: manager, speed=0.2 if when == "ringing" else 50)
        async with it.calling() as on:
            await on.caller.press("1")
            await eventually(it.twilio.placed, PATIENCE)
            if when == "asked":
                await (await on.human()).asked()
            it.gateway.signal(signal.SIGTERM)
            assert await it.gateway.ended() == 0
            assert (await on.caller.ended()).status == "completed"
            await it.is_quiet()


@of_one_house
async def test_the_operator_may_order_it_and_the_agent_is_told(shared: House) -> None:
    async with world(shared, Callee(CalleeOutcome.BUSY)) as it:
        code, out = await it.gateway.command(
            "transfer", it.caller.sid, "manager", "--warm", "--summary", "Ada is angry."
        )
        assert code == 0, out
        await it.is_back()
        code, out = await it.gateway.command("transfer", it.caller.sid, "boss", "--warm")
        assert code != 0
        assert "named destinations: manager, " in out
        code, out = await it.gateway.command("transfer", it.caller.sid, "manager", "--ring", "9")
        assert code != 0
        assert "for --warm" in out

        async def is_told() -> bool:
            view = await it.gateway.call_view(it.caller.sid)
            last: str = view["lines"][-1]["text"]
            return last.startswith("Sorry, nobody can take your call")

        await eventually(is_told, PATIENCE)
        await it.caller.hangup()
        await it.state(told=["manager", "busy"], ended=True)


@of_one_house
async def test_twilio_down_when_the_caller_is_to_come_back_is_tried_again(shared: House) -> None:
    async with world(shared, Callee(media=True, act=declines)) as it:
        refused = 0

        def mishap(request: Any) -> Any:
            nonlocal refused
            is_back = request.path == f"/Calls/{it.caller.sid}.json"
            if is_back and "Connect" in request.form.get("Twiml", [""])[0] and refused < 2:
                refused += 1
                return Refusal(503, 20503, "Service Unavailable")
            return None

        it.twilio.mishap = mishap
        await it.caller.press("1")
        await it.is_back()
        await it.came_to("declined")
        assert refused == 2


async def test_a_gateway_without_rest_refuses_and_the_caller_stays(tmp_path: Path) -> None:
    environment = {"TRANSFER_NUMBERS": f"manager={MANAGER}"}
    async with (
        running_gateway(tmp_path, AGENTS, environment) as gateway,
        gateway.phone().dial() as caller,
    ):
        await caller.heard_reply(PATIENCE)
        await caller.press("1")

        async def refused() -> Any:
            view = await gateway.call_view(caller.sid)
            return (view["agent_state"] or {}).get("refused")

        code, sentence = await eventually(refused, PATIENCE)
        assert code == "carrier"
        assert "TWILIO_ACCOUNT_SID" in sentence
        assert not [e for e in caller.events if isinstance(e, Parted)]
