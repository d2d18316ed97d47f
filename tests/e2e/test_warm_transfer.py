"""Warm transfers: a caller, an agent and a human, on real legs, through a fake Twilio."""

import asyncio
import dataclasses
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from phone import Call as PhoneCall
from phone import CalleeOutcome, PhoneSettings, Rooms
from phone.events import Met, Parted, VerbBegun
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
        if digit == "*":
            self.state["outcome"] = None
            return
        if self.state.get("outcome") or digit == "#":
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

        async def holds() -> dict[str, Any] | None:
            view = await self.gateway.call_view(self.caller.sid)
            found: dict[str, Any] = view["agent_state"] or {}
            return found if found.items() >= expected.items() else None

        found: dict[str, Any] = await eventually(holds)
        return found

    async def human(self) -> PhoneCall:
        """Return the human's phone, once it was picked up."""

        def there() -> PhoneCall | None:
            phones = self.twilio.exchange.phones
            return next((it for sid, it in phones.items() if sid != self.caller.sid), None)

        found: PhoneCall = await eventually(there)
        return found


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
        "DRAIN_SECONDS": "2",
    }


@asynccontextmanager
async def house(
    folder: Path, callee: Callable[[str], Callee], named: Mapping[str, str]
) -> AsyncIterator[tuple[RunningGateway, TwilioRestServer, Rooms]]:
    """Run a gateway and its Twilio; ``named`` are the destinations of transfers."""
    port = free_port()
    rooms = Rooms()
    async with TwilioRestServer(ACCOUNT_SID, AUTH_TOKEN, callee=callee) as twilio:
        exchange = twilio.exchange
        exchange.phone_settings = dataclasses.replace(exchange.phone_settings, rooms=rooms)
        twilio.account.add_number(FROM)
        environment = surroundings(twilio, f"http://127.0.0.1:{port}", named)
        options = ("--port", str(port))
        async with running_gateway(folder, AGENTS, environment, options) as gateway:
            yield gateway, twilio, rooms
            await exchange.close()


@asynccontextmanager
async def calling(
    gateway: RunningGateway, twilio: TwilioRestServer, rooms: Rooms, speed: float = 20
) -> AsyncIterator[World]:
    """Let a caller call, and be greeted."""
    phone = gateway.phone(PhoneSettings(rooms=rooms, verb_speed=speed))
    async with phone.dial(to=FROM) as caller:
        twilio.exchange.take(caller)
        await caller.heard_reply(10)
        await caller.heard_silence(400, 10)
        yield World(gateway, twilio, caller)


@asynccontextmanager
async def world(folder: Path, manager: Callee) -> AsyncIterator[World]:
    """Run a gateway with one caller, and one manager."""
    destinations = {"manager": MANAGER}
    async with (
        house(folder, lambda _: manager, destinations) as (gateway, twilio, rooms),
        calling(gateway, twilio, rooms) as it,
    ):
        yield it


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


@pytest.mark.parametrize("answer", [accepts, accepts_by_word])
async def test_who_takes_the_call_is_told_what_it_is_about_and_meets_the_caller(
    tmp_path: Path, answer: Callable[[PhoneCall], Any]
) -> None:
    async with world(tmp_path, Callee(media=True, act=answer)) as it:
        await it.caller.press("1")
        await it.caller.seen(Met, timeout=15)
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

        view = await eventually(ended)
        assert (view["outcome"], view["transferred_to"]) == ("transferred", MANAGER)
        assert len(await it.gateway.calls(live=False)) == 1, "the human's leg is no call of its own"


NOT_TAKEN = (
    (Callee(media=True, act=declines), "declined"),
    (Callee(media=True, act=declines_by_word), "declined"),
    (Callee(media=True, act=hangs_up), "declined"),
    (Callee(media=True, act=says_nothing), "no_answer"),
    (Callee(CalleeOutcome.NO_ANSWER), "no_answer"),
    (Callee(CalleeOutcome.BUSY), "busy"),
    (Callee(CalleeOutcome.FAILED), "failed"),
    (Callee(media=True, machine="beep"), "machine"),
)


async def test_a_caller_whom_nobody_takes_is_back_with_the_same_agent(tmp_path: Path) -> None:
    """Each human is a destination of its own: key 2 is the first, and so on."""
    humans = {f"{MANAGER[:-1]}{key}": it for key, (it, _) in enumerate(NOT_TAKEN, 2)}
    named = {f"human-{key}": f"{MANAGER[:-1]}{key}" for key in range(2, 2 + len(NOT_TAKEN))}

    async def is_back(it: World, key: str, outcome: str) -> None:
        before = await it.gateway.call_view(it.caller.sid)
        await it.caller.press(key)
        await it.caller.connected(2, 20)
        await it.caller.heard_speech(10)
        state = await it.state(outcome=outcome)
        assert state["starts"] == 2
        after = await it.gateway.call_view(it.caller.sid)
        assert (after["state"], after["pid"]) == ("streaming", before["pid"])
        await it.caller.press("7")
        await it.state(key="7")

    async with house(tmp_path, humans.__getitem__, named) as (gateway, twilio, rooms):
        async with AsyncExitStack() as lines, asyncio.TaskGroup() as callers:
            for key, (_, outcome) in enumerate(NOT_TAKEN, 2):
                it = await lines.enter_async_context(calling(gateway, twilio, rooms))
                callers.create_task(is_back(it, str(key), outcome))
        await eventually(lambda: not twilio.exchange.phones)


async def test_who_is_not_a_destination_is_not_called_and_the_caller_notices_nothing(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, Callee(media=True)) as it:
        await it.caller.press("0")
        await it.caller.heard_speech(10)
        code, sentence = (await it.state(starts=1))["refused"]
        assert code == "destination"
        assert "named destinations: manager" in sentence
        assert it.twilio.placed() == []


@pytest.mark.parametrize("when", ["ringing", "asked"])
async def test_a_caller_who_leaves_stops_the_ringing_and_the_question(
    tmp_path: Path, when: str
) -> None:
    ring_s = 14.0 if when == "ringing" else 3.0
    manager = Callee(media=True, act=says_nothing, ring_s=ring_s)
    async with world(tmp_path, manager) as it:
        await it.caller.press("1")
        if when == "ringing":
            await eventually(it.twilio.placed)
        else:
            await (await it.human()).asked()
        await it.caller.hangup()
        await it.state(outcome="caller_left", ended=True)
        await eventually(lambda: not it.twilio.exchange.phones)
        (placed,) = [call for call in it.twilio.account.calls.values() if call.to == MANAGER]
        await eventually(lambda: placed.status in {"completed", "canceled", "no-answer"})


async def test_a_process_that_dies_meanwhile_does_not_stop_the_transfer(tmp_path: Path) -> None:
    async with world(tmp_path, Callee(media=True, act=accepts, ring_s=14)) as it:
        view = await it.gateway.call_view(it.caller.sid)
        await it.caller.press("1")
        await eventually(it.twilio.placed)
        os.kill(view["pid"], signal.SIGKILL)
        await it.caller.seen(Met, timeout=15)
        assert (await it.caller.ended()).status == "completed"


async def test_a_caller_who_comes_back_to_no_process_is_told_so(tmp_path: Path) -> None:
    async with world(tmp_path, Callee(CalleeOutcome.BUSY, ring_s=14)) as it:
        view = await it.gateway.call_view(it.caller.sid)
        await it.caller.press("1")
        await eventually(it.twilio.placed)
        os.kill(view["pid"], signal.SIGKILL)
        report = await it.caller.ended()
        assert report.status == "completed"
        said = [e.detail for e in report.events if isinstance(e, VerbBegun) and e.verb == "Say"]
        assert "something went wrong" in said[-1]


async def test_a_gateway_that_dies_while_the_caller_waits_is_followed_by_one_that_answers(
    tmp_path: Path,
) -> None:
    """What the caller hears is asked for again and again: so the next gateway learns of them."""
    rings = Callee(CalleeOutcome.NO_ANSWER)
    async with house(tmp_path, lambda _: rings, {"manager": MANAGER}) as (gateway, twilio, rooms):
        twilio.exchange.speed = 0.2
        async with calling(gateway, twilio, rooms, speed=2) as it:
            await it.caller.press("1")
            await eventually(twilio.placed)
            await eventually(lambda: "Play" in verbs_of(it.caller))
            await asyncio.sleep(1)  # the file is fetched, and plays
            gateway.process.kill()
            await gateway.ended()
            same = surroundings(twilio, gateway.url, {"manager": MANAGER})
            options = ("--port", gateway.url.rpartition(":")[2])
            async with running_gateway(tmp_path, AGENTS, same, options) as after:
                await it.caller.connected(2, 40)
                await it.caller.heard_speech(10)
                assert [call["sid"] for call in await after.calls()] == [it.caller.sid]
                await it.caller.hangup()
                await twilio.exchange.close()


async def test_one_transfer_may_follow_another(tmp_path: Path) -> None:
    """Each way back is a stream that is soon gone again; that is no sign of trouble."""
    answers = [Callee(CalleeOutcome.BUSY)] * 4 + [Callee(media=True, act=accepts)]
    called = iter(answers)
    async with (
        house(tmp_path, lambda _: next(called), {"manager": MANAGER}) as (gateway, twilio, rooms),
        calling(gateway, twilio, rooms) as it,
    ):
        for streams in range(2, 2 + len(answers) - 1):
            await it.caller.press("1")
            await it.caller.connected(streams, 20)
            await it.state(outcome="busy", starts=streams)
            await it.caller.press("*")
            await it.state(outcome=None)
        await it.caller.press("1")
        await it.caller.seen(Met, timeout=15)
        assert (await it.caller.ended()).status == "completed"
        await it.state(outcome="accepted", ended=True)


@pytest.mark.parametrize("when", ["ringing", "asked"])
async def test_a_gateway_that_is_stopped_leaves_nobody_with_music_or_a_question(
    tmp_path: Path, when: str
) -> None:
    ring_s = 150.0 if when == "ringing" else 3.0
    manager = Callee(media=True, act=says_nothing, ring_s=ring_s)
    async with house(tmp_path, lambda _: manager, {"manager": MANAGER}) as (gateway, twilio, rooms):
        twilio.exchange.speed = 5
        async with calling(gateway, twilio, rooms) as it:
            await it.caller.press("1")
            await eventually(twilio.placed)
            if when == "asked":
                await (await it.human()).asked()
            gateway.signal(signal.SIGTERM)
            assert await gateway.ended() == 0
            assert (await it.caller.ended()).status == "completed"
            await eventually(lambda: not twilio.exchange.phones)


async def test_the_operator_may_order_it_and_the_agent_is_told(tmp_path: Path) -> None:
    async with world(tmp_path, Callee(CalleeOutcome.BUSY)) as it:
        code, out = await it.gateway.command(
            "transfer", it.caller.sid, "manager", "--warm", "--summary", "Ada is angry."
        )
        assert code == 0, out
        await it.caller.connected(2, 20)
        await it.caller.heard_speech(10)
        code, out = await it.gateway.command("transfer", it.caller.sid, "boss", "--warm")
        assert code != 0
        assert "named destinations: manager" in out
        code, out = await it.gateway.command("transfer", it.caller.sid, "manager", "--ring", "9")
        assert code != 0
        assert "for --warm" in out
        await it.caller.heard_silence(400, 10)
        view = await it.gateway.call_view(it.caller.sid)
        assert view["lines"][-1]["text"].startswith("Sorry, nobody can take your call")
        await it.caller.hangup()
        await it.state(told=["manager", "busy"], ended=True)


async def test_twilio_down_when_the_caller_is_to_come_back_is_tried_again(tmp_path: Path) -> None:
    async with world(tmp_path, Callee(media=True, act=declines)) as it:
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
        await it.caller.connected(2, 20)
        await it.state(outcome="declined")
        assert refused == 2


async def test_a_gateway_without_rest_refuses_and_the_caller_stays(tmp_path: Path) -> None:
    environment = {"TRANSFER_NUMBERS": f"manager={MANAGER}"}
    async with (
        running_gateway(tmp_path, AGENTS, environment) as gateway,
        gateway.phone().dial() as caller,
    ):
        await caller.heard_reply(10)
        await caller.press("1")

        async def refused() -> Any:
            view = await gateway.call_view(caller.sid)
            return (view["agent_state"] or {}).get("refused")

        code, sentence = await eventually(refused)
        assert code == "carrier"
        assert "TWILIO_ACCOUNT_SID" in sentence
        assert not [e for e in caller.events if isinstance(e, Parted)]
