"""The process of a caller who is joined straight to a service, against the fake of that service."""

import asyncio
import json
import multiprocessing
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

import msgpack
import pytest
from pydantic import Field

from shared import messages
from tests.fakes.ultravox import KEY, UltravoxFake
from tests.fakes.ultravox_faults import Refusal
from tests.harness import eventually
from tests.worker.playbook import OVER, SID
from worker import direct, direct_call, roles
from worker.agent import Agent
from worker.errors import ProviderError, RequestError
from worker.release import LoadedRelease, Routes
from worker.runtime import run
from worker.speech import ultravox_direct
from worker.speech.ultravox import Ultravox
from worker.stages import Stage
from worker.tools import tool

TOOLS = "https://voice.example/ultravox/tools/secret"
METADATA = messages.Metadata(SID, "AC1", "+1", "+2", "inbound", "r1", {}, TOOLS)
RINGING = (messages.Hello(messages.VERSION), METADATA)


class Bare(Agent):
    speech = Ultravox(mode="direct")
    instructions = "You are bare."


class Desk(Agent):
    speech = Ultravox(mode="direct")
    instructions = "You are the desk."
    stages = {"main": Stage("Main.", next=("end",)), "end": Stage("End.", says="Thank you.")}  # noqa: RUF012

    @tool
    async def book(self, people: Annotated[int, Field(ge=1)]) -> str:
        """Book."""
        return f"booked for {people}"

    @tool
    async def speak(self) -> str:
        """Say something beside."""
        heard = await self.say("By the way.")
        await self.conversation.answer("Tell me more.")
        return heard

    @tool
    async def keys_please(self) -> str:
        """Ask for keys."""
        return await self.keys()

    @tool
    async def boss(self) -> str:
        """Hand over."""
        await self.hand_over(Boss)
        return "handed over"

    async def on_ended(self) -> None:
        self.state["history"] = self.history.messages()


class Boss(Agent):
    instructions = "You are the boss."

    async def on_taken_over(self) -> None:
        self.state["boss"] = True


class Process:
    """The gateway's end of the pipe to a process that runs here."""

    def __init__(self, agent: type[Agent]) -> None:
        roles.prepare(agent)
        self.end, theirs = multiprocessing.Pipe(duplex=True)
        loaded = LoadedRelease("r1", Routes("a:A"), {"a:A": agent})
        self.running = asyncio.ensure_future(run(theirs, loaded))
        self.heard: list[messages.Command] = []

    def say(self, *events: messages.Event) -> None:
        for event in events:
            self.end.send_bytes(messages.encode(event))

    def listen(self) -> list[messages.Command]:
        try:
            while self.end.poll(0):
                self.heard.append(messages.decode_command(self.end.recv_bytes()))
        except (EOFError, OSError):
            pass
        return self.heard

    async def said(self, kind: type, holds: Callable[[Any], bool] = lambda it: True) -> Any:
        def found() -> Any:
            return next((it for it in self.listen() if isinstance(it, kind) and holds(it)), None)

        return await eventually(found, seconds=30.0)

    async def returned(self, number: int, name: str, arguments: str = "{}") -> Any:
        self.say(messages.ToolCalled(number, name, arguments))
        return await self.answer(number)

    async def answer(self, number: int) -> Any:
        return await self.said(messages.ToolReturned, lambda it: it.request == number)

    def state(self) -> Any:
        packed = [it.state for it in self.listen() if isinstance(it, messages.Checkpoint)]
        return msgpack.unpackb(packed[-1])


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[UltravoxFake]:
    async with UltravoxFake() as fake:
        monkeypatch.setenv("ULTRAVOX_API_KEY", KEY)
        monkeypatch.setenv("ULTRAVOX_BASE_URL", fake.url)
        yield fake


@asynccontextmanager
async def ringing(agent: type[Agent]) -> AsyncIterator[Process]:
    process = Process(agent)
    process.say(*RINGING)
    try:
        yield process
        if not process.running.done():
            process.say(OVER)
            await process.running
    finally:
        process.running.cancel()
        await asyncio.wait([process.running])
        process.listen()
        process.end.close()


# The call is made --------------------------------------------------------------------------------


async def test_a_process_with_nothing_to_do_joins_the_caller_and_leaves(
    fake: UltravoxFake,
) -> None:
    async with ringing(Bare) as process:
        await process.running
        kinds = [type(it) for it in process.listen() if not isinstance(it, messages.Beat)]
        assert kinds == [
            messages.Hello,
            messages.Running,
            messages.KnownAs,
            messages.Join,
            messages.Checkpoint,
            messages.Finished,
        ]
    join = await process.said(messages.Join)
    assert (join.name, join.stays) == ("ultravox", False)
    assert join.url.endswith(fake.last.join_token)
    assert (await process.said(messages.KnownAs)).conversation_id == fake.last.id
    assert fake.last.medium_name == "twilio"
    assert fake.last.body["metadata"]["call_sid"] == SID


async def test_a_process_with_tools_stays_until_the_call_is_over(fake: UltravoxFake) -> None:
    async with ringing(Desk) as process:
        assert (await process.said(messages.Join)).stays
        await asyncio.sleep(0.1)
        assert not process.running.done()
    assert process.listen()[-1] == messages.Finished("")
    url = fake.last.tools["book"]["temporaryTool"]["http"]["baseUrlPattern"]
    assert url == f"{TOOLS}/book"


@pytest.mark.parametrize("retry_after", [None, "0.1"])
async def test_a_service_that_is_busy_is_asked_again(
    fake: UltravoxFake, retry_after: str | None
) -> None:
    fake.next_creations.append(Refusal(429, retry_after))
    async with ringing(Bare) as process:
        await process.said(messages.Join)


@pytest.mark.parametrize(
    "refusals",
    [
        [Refusal(402)],
        [Refusal(503), Refusal(503)],
        [Refusal(429, "60")],
        [Refusal(201, body='{"callId": "x"}')],
        [Refusal(201, body='{"callId": "x", "joinUrl": "https://x"}')],
        [Refusal(201, body="[1]")],
    ],
)
async def test_a_service_that_cannot_is_told_of_and_given_up(
    fake: UltravoxFake, refusals: list[Refusal]
) -> None:
    fake.next_creations += refusals
    async with ringing(Bare) as process:
        with pytest.raises(BaseExceptionGroup) as caught:
            await process.running
        assert caught.group_contains(ProviderError)
    assert not fake.next_creations
    trouble = await process.said(messages.ProviderTrouble)
    assert (trouble.provider, trouble.fallback) == ("ultravox", None)
    assert not [it for it in process.heard if isinstance(it, messages.Join)]


async def test_without_a_key_whoever_is_behind_serves(
    fake: UltravoxFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Twofold(Agent):
        speech = (Ultravox(mode="direct"), Ultravox())

    process = Process(Twofold)
    monkeypatch.delenv("ULTRAVOX_API_KEY")
    process.say(*RINGING)
    assert (await process.said(messages.ProviderTrouble)).fallback == "ultravox"
    await process.said(messages.Relay)
    with pytest.raises(BaseExceptionGroup):
        await process.running
    process.end.close()


async def test_a_call_that_ends_while_it_is_made_is_over(fake: UltravoxFake) -> None:
    fake.answer_s = 30.0
    async with ringing(Desk) as process:
        await fake.until(lambda: bool(fake.requests))
        process.say(OVER)
        async with asyncio.timeout(20):
            await process.running


# Tools -------------------------------------------------------------------------------------------


async def test_a_tool_is_answered_with_what_it_came_to(fake: UltravoxFake) -> None:
    async with ringing(Desk) as process:
        await process.said(messages.Join)
        good = await process.returned(1, "book", '{"people": 3}')
        assert (good.text, good.failed, good.kind, good.reaction) == (
            "booked for 3",
            False,
            "",
            "speaks",
        )
        bad = await process.returned(2, "book", '{"people": 0}')
        assert bad.failed
        assert bad.text.startswith("Invalid parameters")
        none = await process.returned(3, "nothing")
        assert none.text.startswith("Unknown tool: nothing.")
        broken = await process.returned(4, "book", "no json")
        assert broken.failed


async def test_tools_at_once_are_answered_each(fake: UltravoxFake) -> None:
    async with ringing(Desk) as process:
        await process.said(messages.Join)
        process.say(*(messages.ToolCalled(n, "book", f'{{"people": {n}}}') for n in range(1, 9)))
        for number in range(1, 9):
            said = await process.answer(number)
            assert said.text == f"booked for {number}"


async def test_a_stage_that_is_entered_goes_with_the_answer(fake: UltravoxFake) -> None:
    async with ringing(Desk) as process:
        await process.said(messages.Join)
        moved = await process.returned(1, "move_to_stage", '{"stage": "end"}')
        assert moved.kind == "new-stage"
        stage = json.loads(moved.body)
        assert "End." in stage["systemPrompt"]
        assert stage["toolResultText"].endswith('Begin with these words: "Thank you."')
        assert (await process.returned(2, "book", '{"people": 1}')).kind == ""


async def test_another_agent_goes_on_with_the_same_service(fake: UltravoxFake) -> None:
    async with ringing(Desk) as process:
        await process.said(messages.Join)
        over = await process.returned(1, "boss")
        assert over.kind == "new-stage"
        assert "You are the boss." in over.body
    assert process.state() == {"boss": True}


async def test_an_agent_speaks_by_the_service_while_it_is_joined(fake: UltravoxFake) -> None:
    async with ringing(Desk) as process:
        await process.said(messages.Join)
        # Nobody has joined yet, so the service refuses it.
        refused = await process.returned(1, "speak")
        assert refused.failed


async def test_what_is_not_here_is_refused_with_a_sentence(fake: UltravoxFake) -> None:
    async with ringing(Desk) as process:
        await process.said(messages.Join)
        assert (await process.returned(1, "keys_please")).text == (
            "keys_please did not work: the caller's keys go to the service, as words."
        )


@pytest.mark.parametrize("name", ["set_stt", "set_tts"])
async def test_nobody_is_exchanged(fake: UltravoxFake, name: str) -> None:
    conversation = direct_call.DirectConversation.__new__(direct_call.DirectConversation)
    with pytest.raises(RequestError, match="joined to a service"):
        await getattr(conversation, name)("x")


# The end -----------------------------------------------------------------------------------------


async def test_what_was_said_is_fetched_at_the_end_page_by_page(
    fake: UltravoxFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ultravox_direct, "_PAGE", 5)
    async with ringing(Desk) as process:
        await process.said(messages.Join)
        for number in range(12):
            fake.last.say("USER" if number % 2 else "AGENT", f"line {number}")
        fake.last.say("TOOL_CALL", "{}", invocationId="i", toolName="book")
        fake.last.say("TOOL_RESULT", "booked", invocationId="i", toolName="book")
    lines = [it for it in process.listen() if isinstance(it, messages.Said)]
    assert [line.text for line in lines] == [f"line {number}" for number in range(12)]
    assert {line.role for line in lines} == {"caller", "agent"}
    assert process.state()["history"][-1] == {"role": "user", "content": "line 11"}
    assert f"GET /api/calls/{fake.last.id}/messages" in fake.requests


async def test_a_service_that_does_not_tell_holds_nobody_up(fake: UltravoxFake) -> None:
    async with ringing(Desk) as process:
        await process.said(messages.Join)
        fake.answer_s = 300.0
        process.say(OVER)
        async with asyncio.timeout(direct_call.FINISH_SECONDS + 30):
            await process.running
    assert "history" in process.state()


# What is known beforehand ------------------------------------------------------------------------


def test_only_the_first_model_makes_an_agent_direct() -> None:
    class Behind(Agent):
        speech = (Ultravox(), Ultravox(mode="direct"))

    assert direct.direct_model(Bare) == Bare.speech
    assert direct.direct_model(Behind) is None
    assert direct.direct_model(Agent) is None


def test_a_process_stays_for_tools_and_for_hooks_that_follow_the_call() -> None:
    class Follows(Bare):
        async def on_status(self, status: str) -> None: ...

    assert [direct.stays(it) for it in (Bare, Desk, Follows)] == [False, True, True]


def test_an_operator_is_told_of_hooks_that_never_run() -> None:
    class Deaf(Bare):
        async def on_dtmf(self, digit: str) -> None: ...

    assert direct.notes([Bare, Desk, Boss]) == []
    assert direct.notes([Deaf]) == ["Deaf: on_dtmf never run while its speech is direct"]


@pytest.mark.parametrize(
    ("routes", "told"),
    [
        (Routes("b:B"), (True, [])),
        (Routes("b:B", {"+1": "o:O", "+2": "b:B"}), (True, ["+1"])),
        (Routes("o:O", {"+1": "o:O", "+2": "b:B"}), (False, ["+2"])),
    ],
)
def test_a_release_knows_which_numbers_are_direct(
    routes: Routes, told: tuple[bool, list[str]]
) -> None:
    assert LoadedRelease("r1", routes, {"b:B": Bare, "o:O": Boss}).direct() == told


# What is said first ------------------------------------------------------------------------------


class Greeted(Agent):
    speech = Ultravox(mode="direct")
    instructions = "You greeted with: {{ first_message }}"
    first_message = "The default."


@pytest.mark.parametrize(
    ("told", "words"), [("Hello Eva.", "Hello Eva."), ("", "The default."), (None, "The default.")]
)
async def test_the_service_is_told_what_the_operators_own_would_say_first(
    fake: UltravoxFake, told: str | None, words: str
) -> None:
    process = Process(Greeted)
    asked = messages.Metadata(
        SID, "AC1", "+1", "+2", "inbound", "r1", {}, TOOLS, first_message_s=0.2
    )
    process.say(messages.Hello(messages.VERSION), asked)
    if told is not None:
        process.say(messages.FirstMessage(told))
    await process.said(messages.Join)
    assert fake.last.body["firstSpeakerSettings"]["agent"]["text"] == words
    assert words in fake.last.body["systemPrompt"]
    process.say(OVER)
    await process.running
    process.end.close()
