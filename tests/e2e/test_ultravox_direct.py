"""Callers who are joined straight to Ultravox: a real gateway, the phone, and the fake."""

import asyncio
import os
import signal
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from phone import PhoneSettings
from phone.events import StreamStarted, VerbBegun, WebhookAnswered
from tests.e2e.cascade import FALLBACK, KEYS, MANAGER, PARTS, Caller, answers
from tests.fakes.cartesia import CartesiaFake
from tests.fakes.deepgram import DeepgramFake
from tests.fakes.n8n import N8nFake
from tests.fakes.openai import OpenAIFake
from tests.fakes.openai_chat import Wants
from tests.fakes.speech import speech
from tests.fakes.ultravox import UltravoxFake
from tests.fakes.ultravox_calls import FakeCall
from tests.fakes.ultravox_faults import Falls, Refusal
from tests.harness import RunningGateway, eventually, running_gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = "uv-key-not-to-be-told"
HOOK = "uv-webhook-secret-not-to-be-told"
APOLOGY = "Sorry, there was an error connecting your call."

DESK = (
    PARTS
    + '''
class Desk(Agent):
    """Takes bookings."""
    speech = Ultravox(mode="direct", voice="Mark")
    instructions = "You are the desk. It rang: {{ agent.state.rang }}."
    greeting = "Good evening."
    tools = (HangUp(), Transfer("manager"))
    stages = {
        "book": Stage("Book.", next=("end",)),
        "end": Stage("Say goodbye.", tools=("hang_up",), voice="Jessica"),
    }

    async def on_ringing(self):
        self.state["rang"] = True

    @tool
    async def book(self, people: int) -> str:
        """Book a table."""
        self.state["people"] = people
        return f"booked for {people}"

    @tool
    async def whisper(self) -> str:
        """Say something beside."""
        return "whispered " + await self.say("By the way.")

    @tool
    async def crash(self) -> str:
        """Be killed."""
        import os, signal
        os.kill(os.getpid(), signal.SIGKILL)

    async def on_ended(self):
        self.state["history"] = [line["content"] for line in self.history.messages()]


class Bare(Agent):
    """Has nothing to do while the caller talks."""
    speech = Ultravox(mode="direct", builtin_tools=("hangUp",))
    instructions = "You are bare."
    greeting = "Bare here."


class Slow(Agent):
    speech = Ultravox(mode="direct")

    async def on_ringing(self):
        if not self.call.rehearsal:
            await asyncio.sleep(60)


class Twofold(Agent):
    """Falls back to what Ultravox does on our own stream."""
    speech = [Ultravox(mode="direct"), Ultravox()]
    greeting = "Twofold here."
    network_ms = 0

    async def on_ringing(self):
        self.state["rings"] = self.state.get("rings", 0) + 1


class Cascaded(Agent):
    """Falls back to ears, mind and voice."""
    speech = Ultravox(mode="direct")
    stt, llm, tts = EARS, MODEL, VOICE
    greeting = "Cascade here."
    network_ms = 0
'''
)
ROUTES = """
default = "desk:Desk"
[numbers]
"+15550000002" = "desk:Bare"
"+15550000003" = "desk:Slow"
"+15550000004" = "desk:Twofold"
"+15550000005" = "desk:Cascaded"
"+15550000006" = "echo:Echo"
"""
ECHO = """
from worker import Agent

class Echo(Agent):
    def on_audio(self, audio):
        self.call.play(audio)
"""
DESK_NO, BARE, SLOW, TWOFOLD, CASCADED, ECHOING = (f"+1555000000{n}" for n in range(1, 7))
AGENTS = {"desk.py": DESK, "echo.py": ECHO, "routes.toml": ROUTES}


TOOLS = {"book", "crash", "hang_up", "move_to_stage", "transfer", "whisper"}

LETTER_MS = 60.0
"""Slow enough for the ears of a service, which take less than a moment for a noise."""


class Talker(Caller):
    """Somebody on the phone."""

    async def says(self, text: str, ms_per_letter: float = LETTER_MS) -> None:
        """Say it; return when it was said."""
        await super().says(text, ms_per_letter)


@dataclass
class Stage:
    """What a test has before it."""

    gateway: RunningGateway
    ultravox: UltravoxFake
    openai: OpenAIFake
    variables: Mapping[str, str]
    settings: PhoneSettings = field(default_factory=lambda: PhoneSettings(verb_speed=20))

    @asynccontextmanager
    async def caller(self, to: str = DESK_NO) -> AsyncIterator[Caller]:
        """Place a call; it is connected when the block begins."""
        async with self.gateway.phone(self.settings).dial(to=to) as call:
            await call.connected(timeout=10)
            yield Talker(self, call)

    async def refused(self, to: str) -> list[tuple[str, str]]:
        """Place a call that comes to nothing; return what Twilio was told to do."""
        async with self.gateway.phone(self.settings).dial(to=to) as call:
            report = await call.ended()
        assert {it.status for it in report.of(WebhookAnswered)} == {200}
        return [(it.verb, it.detail) for it in report.of(VerbBegun)]

    @property
    def last(self) -> FakeCall:
        """The newest call at Ultravox."""
        return self.ultravox.last


@asynccontextmanager
async def staged(
    folder: Path, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Stage]:
    async with (
        UltravoxFake(KEY) as ultravox,
        DeepgramFake(KEYS["DEEPGRAM_API_KEY"]) as deepgram,
        OpenAIFake(key=KEYS["OPENAI_API_KEY"]) as openai,
        CartesiaFake(KEYS["CARTESIA_API_KEY"]) as cartesia,
    ):
        variables = {
            **KEYS,
            "ULTRAVOX_API_KEY": KEY,
            "ULTRAVOX_BASE_URL": ultravox.url,
            "DEEPGRAM_BASE_URL": deepgram.url,
            "OPENAI_BASE_URL": openai.url,
            "CARTESIA_BASE_URL": cartesia.url,
            "NO_PROXY": "127.0.0.1",
            "FALLBACK_NUMBER": FALLBACK,
            "TRANSFER_NUMBERS": f"manager={MANAGER}",
            **(environment or {}),
        }
        async with running_gateway(folder, AGENTS, variables) as gateway:
            yield Stage(gateway, ultravox, openai, variables)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(tmp_path_factory.mktemp("direct")) as it:
        yield it


def _verbs(caller: Caller) -> list[tuple[str, str]]:
    return [(it.verb, it.detail) for it in caller.call.events if isinstance(it, VerbBegun)]


# A conversation ------------------------------------------------------------------------------


async def test_a_caller_is_greeted_answered_and_helped_by_a_tool_that_runs_here(
    stage: Stage,
) -> None:
    stage.ultravox.script.replies = {
        "two of us": [Wants("book", {"people": 2})],
        "booked for 2": "See you then.",
    }
    async with stage.caller() as caller:
        await caller.hears("Good evening.")
        view = await caller.view()
        assert (view["state"], view["agent"]) == ("elsewhere", "desk:Desk")
        assert view["conversation_id"] == stage.last.id
        assert view["pid"] is not None
        await caller.asks("two of us", "See you then.")
        await stage.ultravox.until(lambda: stage.last.messages[-1]["text"] == "See you then.")
    view = await caller.over()
    assert (view["reason"], view["exit"]) == ("completed", "exit code 0")
    assert view["agent_state"]["people"] == 2
    assert [(line["role"], line["text"]) for line in view["lines"]] == [
        ("agent", "Good evening."),
        ("caller", "two of us"),
        ("agent", "See you then."),
    ]
    assert view["agent_state"]["history"] == ["Good evening.", "two of us", "See you then."]
    (start,) = [it for it in caller.call.events if isinstance(it, StreamStarted)]
    assert start.url.startswith("ws" + stage.ultravox.url.removeprefix("http"))
    assert stage.last.prompt.startswith("You are the desk. It rang: True.")
    assert stage.last.refused == []
    token = start.url.rpartition("/")[2]
    tools = stage.last.tools["book"]["temporaryTool"]["http"]["baseUrlPattern"]
    for secret in (token, tools.split("/")[-2], KEY):
        assert secret not in stage.gateway.log_text()


async def test_arguments_that_do_not_fit_come_back_to_the_model(stage: Stage) -> None:
    stage.ultravox.script.replies = {
        "many of us": [Wants("book", {"people": "many"})],
        "Invalid parameters": "How many?",
    }
    async with stage.caller() as caller:
        await caller.hears("Good evening.")
        await caller.asks("many of us", "How many?")
    assert "people" not in (await caller.over())["agent_state"]


async def test_an_agent_says_something_by_the_service(stage: Stage) -> None:
    stage.ultravox.script.replies = {
        "go on": [Wants("whisper")],
        "whispered By the way.": "That was it.",
    }
    async with stage.caller() as caller:
        await caller.hears("Good evening.")
        await caller.asks("go on", "That was it.")
        await caller.hears("By the way.")


async def test_a_stage_changes_what_the_service_knows(stage: Stage) -> None:
    stage.ultravox.script.replies = {
        "that is all": [Wants("move_to_stage", {"stage": "end"})],
        "The conversation is now": "Anything else?",
        "no thanks": ["Goodbye.", Wants("hang_up")],
    }
    async with stage.caller() as caller:
        await caller.hears("Good evening.")
        assert set(stage.last.tools) == TOOLS
        await caller.asks("that is all", "Anything else?")
        assert "Say goodbye." in stage.last.prompt
        assert set(stage.last.tools) == {"hang_up"}
        assert stage.last.body["voice"] == "Jessica"
        await caller.asks("no thanks", "Goodbye.")
        report = await caller.call.ended()
    view = await caller.over()
    assert [it.verb for it in report.of(VerbBegun)] == ["Connect", "Redirect"]
    assert (view["reason"], view["exit"]) == ("the agent hung up", "exit code 0")
    assert ("caller", "that is all") in [(line["role"], line["text"]) for line in view["lines"]]
    assert stage.last.refused == []


async def test_an_agent_transfers_the_caller(stage: Stage) -> None:
    stage.ultravox.script.replies = {
        "the boss please": ["One moment.", Wants("transfer", {"to": "manager"})]
    }
    async with stage.caller() as caller:
        await caller.hears("Good evening.")
        await caller.asks("the boss please", "One moment.")
        await caller.call.ended()
    assert _verbs(caller)[2] == ("Dial", MANAGER)
    view = await caller.over()
    assert (view["reason"], view["exit"]) == ("transferred", "exit code 0")


async def test_a_caller_who_interrupts_is_heard_by_the_service(stage: Stage) -> None:
    stage.ultravox.script.replies = {
        "tell me": "It is a very long story that nobody wants to hear to its end at all.",
        "stop": "Fine.",
    }
    async with stage.caller() as caller:
        await caller.hears("Good evening.")
        await caller.asks("tell me", "It is a very")
        await caller.says("stop")
        await caller.hears("Fine.")


# A process that has nothing to do --------------------------------------------------------------


async def test_a_process_without_tools_leaves_and_the_call_goes_on(stage: Stage) -> None:
    stage.ultravox.script.replies = {"hello": "Hello yourself."}
    async with stage.caller(BARE) as caller:
        await caller.hears("Bare here.")

        async def gone() -> Any:
            view = await caller.view()
            return view if view["exit"] else None

        view = await eventually(gone)
        assert (view["state"], view["exit"], view["pid"]) == ("elsewhere", "exit code 0", None)
        await caller.asks("hello", "Hello yourself.")
        assert [it["sid"] for it in await stage.gateway.calls()] == [caller.sid]
    assert (await caller.over())["reason"] == "completed"


async def test_what_was_said_in_a_call_without_a_process_is_fetched_and_told_with_its_end(
    tmp_path: Path,
) -> None:
    async with N8nFake() as n8n, staged(tmp_path, {"EVENTS_URL": f"{n8n.url}/webhook/calls"}) as it:
        it.ultravox.script.replies = {"hello": "Hello yourself."}
        async with it.caller(BARE) as caller:
            await caller.hears("Bare here.")
            await caller.asks("hello", "Hello yourself.")
            await it.ultravox.until(lambda: len(it.last.messages) == 3)
        await eventually(lambda: n8n.bodies("call.ended"), 20)
        said = [("agent", "Bare here."), ("caller", "hello"), ("agent", "Hello yourself.")]
        told = n8n.bodies("call.ended")[0]
        assert [(line["role"], line["text"]) for line in told["data"]["transcript"]] == said
        assert told["call"]["conversation_id"] == it.last.id
        answer = await it.gateway.api("GET", f"/api/calls/{caller.sid}/transcript")
        assert [(line["role"], line["text"]) for line in answer.json()["lines"]] == said
        assert KEY not in it.gateway.log_text()


async def test_ultravox_tells_of_the_end_of_a_call_signed(tmp_path: Path) -> None:
    secrets = {"ULTRAVOX_WEBHOOK_SECRET": f"another,{HOOK}"}
    async with staged(tmp_path, secrets) as it:
        it.ultravox.hooks.account.append((f"{it.gateway.url}/ultravox/events", HOOK))
        async with it.caller(BARE) as caller:
            await caller.hears("Bare here.")
            await it.ultravox.until(lambda: len(it.last.messages) == 1)
        await eventually(lambda: len(it.ultravox.hooks.answers) == 3)

        async def lines() -> Any:
            return (await caller.view())["lines"]

        assert [line["text"] for line in await eventually(lines)] == ["Bare here."]
        assert set(it.ultravox.hooks.answers) == {200}
        it.ultravox.hooks.account[0] = (f"{it.gateway.url}/ultravox/events", "wrong")
        async with it.caller(BARE) as caller:
            await caller.hears("Bare here.")
            await it.ultravox.until(lambda: len(it.last.messages) == 1)
        await eventually(lambda: len(it.ultravox.hooks.answers) == 6)
        assert set(it.ultravox.hooks.answers[3:]) == {403}
        assert HOOK not in it.gateway.log_text()


def _is_written(folder: Path, sid: str) -> bool:
    """Tell whether the records know which conversation a call is: they are written in batches."""
    with closing(sqlite3.connect(folder / "var" / "callfarm.db")) as records:
        found = records.execute(
            "select conversation_id from calls where sid = ?", (sid,)
        ).fetchall()
    return any(conversation for (conversation,) in found)


async def test_what_was_said_while_no_gateway_was_there_is_looked_up_by_the_next(
    tmp_path: Path,
) -> None:
    async with staged(tmp_path) as it:
        async with it.caller(BARE) as caller:
            await caller.hears("Bare here.")
            await eventually(lambda: _is_written(tmp_path, caller.sid))
            it.gateway.signal(signal.SIGKILL)
            await it.gateway.ended()
            await it.ultravox.until(lambda: len(it.last.messages) == 1)
        await it.ultravox.until(lambda: it.last.ended is not None)
        async with running_gateway(tmp_path, AGENTS, it.variables) as gateway:

            async def lines() -> Any:
                return (await gateway.call_view(caller.sid)).get("lines")

            assert [line["text"] for line in await eventually(lines)] == ["Bare here."]
            view = await gateway.call_view(caller.sid)
            assert (view["outcome"], view["conversation_id"]) == ("lost", it.last.id)


async def test_a_service_that_hangs_up_ends_the_call(stage: Stage) -> None:
    stage.ultravox.script.replies = {"goodbye": ["Bye.", Wants("hangUp")]}
    async with stage.caller(BARE) as caller:
        await caller.hears("Bare here.")
        await caller.call.wait(2500)
        await caller.asks("goodbye", "Bye.")
        report = await caller.call.ended()
    assert [it.verb for it in report.of(VerbBegun)] == ["Connect", "Redirect"]
    assert (await caller.over())["reason"] == "the service hung up"


async def test_other_numbers_are_answered_by_a_stream_of_ours(stage: Stage) -> None:
    async with stage.caller(ECHOING) as caller:
        (start,) = [it for it in caller.call.events if isinstance(it, StreamStarted)]
        assert "/twilio/media/" in start.url


# When it cannot be done --------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 402, 404])
async def test_a_service_that_refuses_is_apologised_for_once_and_in_words(
    stage: Stage, status: int
) -> None:
    stage.ultravox.next_creations.append(Refusal(status))
    verbs = await stage.refused(DESK_NO)
    assert [verb for verb, _ in verbs] == ["Say", "Dial"]
    assert not stage.ultravox.next_creations
    assert verbs[1][1] == FALLBACK


@pytest.mark.parametrize("status", [429, 503])
async def test_a_service_that_is_busy_is_asked_twice(stage: Stage, status: int) -> None:
    stage.ultravox.script.replies = {}
    stage.ultravox.next_creations.append(Refusal(status, "0.2"))
    async with stage.caller(BARE) as caller:
        await caller.hears("Bare here.")
    stage.ultravox.next_creations += [Refusal(status), Refusal(status)]
    assert [verb for verb, _ in await stage.refused(BARE)] == ["Say", "Dial"]
    stage.ultravox.next_creations.append(Refusal(status, "30"))
    assert [verb for verb, _ in await stage.refused(BARE)] == ["Say", "Dial"]
    assert not stage.ultravox.next_creations


async def test_an_agent_that_never_gets_ready_is_apologised_for_in_time(stage: Stage) -> None:
    verbs = await stage.refused(SLOW)
    assert [verb for verb, _ in verbs] == ["Say", "Dial"]


async def test_a_process_that_is_killed_in_the_middle_is_apologised_for(stage: Stage) -> None:
    async with stage.gateway.phone(stage.settings).dial(to=SLOW) as call:

        async def pid() -> int:
            return (await stage.gateway.call_view(call.sid)).get("pid") or 0

        os.kill(await eventually(pid), signal.SIGKILL)
        report = await call.ended()
    assert [it.verb for it in report.of(VerbBegun)] == ["Say", "Dial"]


async def test_a_caller_who_hangs_up_while_the_call_is_made_leaves_nothing(stage: Stage) -> None:
    async with stage.gateway.phone(stage.settings).dial(to=SLOW) as call:

        async def pid() -> int:
            return (await stage.gateway.call_view(call.sid)).get("pid") or 0

        await eventually(pid)
    view = await Caller(stage, call).over()
    assert view["reason"] == "completed" or view["reason"] == "no-answer"


async def test_a_service_that_cannot_be_joined_is_apologised_for(stage: Stage) -> None:
    stage.ultravox.next_joins.append(Refusal(403))
    verbs = [verb for verb, _ in await stage.refused(BARE)]
    assert verbs == ["Connect", "Redirect", "Say", "Dial"]


async def test_a_service_that_loses_the_call_is_apologised_for(stage: Stage) -> None:
    stage.ultravox.manners.faults.append(Falls("caller", 1011))
    async with stage.caller(BARE) as caller:
        await caller.hears("Bare here.")
        await caller.call.wait(2500)
        caller.call.say_nowait(speech("hello", LETTER_MS))
        await caller.call.ended()
    assert [verb for verb, _ in _verbs(caller)] == ["Connect", "Redirect", "Say", "Dial"]
    assert (await caller.over())["reason"] == "the service lost the call"


async def test_a_process_that_dies_in_a_tool_leaves_the_caller_with_the_service(
    stage: Stage,
) -> None:
    stage.ultravox.script.replies = {
        "break it": [Wants("crash")],
        "The tool cannot": "That did not work.",
        "are you there": "I am.",
    }
    async with stage.caller() as caller:
        await caller.hears("Good evening.")
        await caller.asks("break it", "That did not work.")
        await caller.asks("are you there", "I am.")
        await stage.ultravox.until(lambda: stage.last.messages[-1]["text"] == "I am.")
    assert (await caller.over())["reason"] == "completed"

    async def lines() -> Any:
        return await caller.lines()

    assert (await eventually(lines))[-2:] == [("caller", "are you there"), ("agent", "I am.")]


# Somebody else takes the call ------------------------------------------------------------------


async def test_where_the_service_refuses_the_next_one_serves_on_our_stream(stage: Stage) -> None:
    stage.ultravox.script.replies = {"hello": "Relayed."}
    stage.ultravox.next_creations.append(Refusal(402))
    async with stage.caller(TWOFOLD) as caller:
        await caller.hears("Twofold here.")
        await caller.asks("hello", "Relayed.")
        (start,) = [it for it in caller.call.events if isinstance(it, StreamStarted)]
        assert "/twilio/media/" in start.url
        assert stage.last.medium_name == "serverWebSocket"
        view = await caller.view()
        assert (view["state"], view["conversation_id"]) == ("streaming", stage.last.id)
        assert [it["fallback"] for it in view["troubles"]] == ["ultravox"]
    assert (await caller.over())["agent_state"] == {"rings": 1}


async def test_where_the_service_refuses_the_cascade_serves(stage: Stage) -> None:
    stage.openai.replies = answers({"hello": "By cascade."})
    stage.ultravox.next_creations.append(Refusal(401))
    async with stage.caller(CASCADED) as caller:
        await caller.hears("Cascade here.")
        await caller.asks("hello", "By cascade.")


# The operator ----------------------------------------------------------------------------------


async def test_a_deploy_leaves_the_call_and_its_tools_alone(stage: Stage) -> None:
    stage.ultravox.script.replies = {
        "four of us": [Wants("book", {"people": 4})],
        "booked for 4": "Done.",
    }
    async with stage.caller() as caller:
        await caller.hears("Good evening.")
        stage.gateway.write_agent("desk.py", DESK + "# another\n")
        assert (await stage.gateway.api("POST", "/api/releases")).status_code == 200
        await caller.asks("four of us", "Done.")


async def test_an_operator_without_rest_hangs_up_by_the_service(stage: Stage) -> None:
    async with stage.caller() as caller:
        await caller.hears("Good evening.")
        answer = await stage.gateway.api("POST", f"/api/calls/{caller.sid}/hangup")
        assert answer.status_code == 202
        report = await caller.call.ended()
    assert [it.verb for it in report.of(VerbBegun)] == ["Connect", "Redirect"]
    assert stage.last.end_reason == "agent_hangup"
    assert (await caller.over())["reason"] == "the operator hung up"


async def test_a_companys_voices_are_those_that_its_key_shows(stage: Stage) -> None:
    company = {"name": "Acme", "speech_key": KEY}
    made = (await stage.gateway.api("POST", "/api/companies", company)).json()["id"]
    wanted = {"companyId": made, "filters": {"language": "de"}, "limit": 1}
    answer = await stage.gateway.api("POST", "/ultravox-voices", wanted)
    assert answer.status_code == 200, answer.text
    assert [it["name"] for it in answer.json()["results"]] == ["Greta"]
    assert answer.json()["total"] == 2


async def test_the_stopping_gateway_waits_for_the_call(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        stage.ultravox.script.replies = {"hello": "Still here."}
        async with stage.caller(BARE) as caller:
            await caller.hears("Bare here.")
            stage.gateway.signal(signal.SIGTERM)
            await asyncio.sleep(0.5)
            await caller.asks("hello", "Still here.")
        assert await stage.gateway.ended() == 0
