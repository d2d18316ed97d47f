"""Ultravox, joined by this process, against a server that speaks its wire."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from shared.audio import SILENCE
from tests.fakes.openai_chat import Wants
from tests.fakes.ultravox import KEY, UltravoxFake
from tests.worker.speech.listening import Ear, say
from worker.backoff import Retry
from worker.errors import ProviderRefusedError
from worker.llm import Brief, Said, ToolSpec
from worker.speech import (
    AgentCorrected,
    AgentCut,
    AgentDone,
    AgentWords,
    CallerSaid,
    CallerStarted,
    CallerTurn,
    LeftByModel,
    Opening,
    Reminder,
    SpeechSession,
)
from worker.speech.ultravox import Ultravox
from worker.speech.ultravox_call import OWED_PROMPT
from worker.stand_ins import EchoSpeech

NOTHING = {"type": "object", "properties": {}}
LOOK = ToolSpec("look", "Look.", NOTHING)
BRIEF = Brief("You are kind.", (LOOK,))
MODEL = Ultravox(retry=Retry(tries=3, first_delay_s=0.01, open_s=3, start_s=4, most_wait_s=1))


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[UltravoxFake]:
    async with UltravoxFake(tolerance_s=1.0) as server:
        monkeypatch.setenv("ULTRAVOX_API_KEY", KEY)
        monkeypatch.setenv("ULTRAVOX_BASE_URL", server.url)
        yield server
        for call in server.sessions:
            assert call.warnings == []
            assert call.refused == []


@asynccontextmanager
async def talking(
    model: Ultravox = MODEL, opening: Opening | None = None
) -> AsyncIterator[tuple[SpeechSession, Ear]]:
    ear = Ear()
    session = await model.connect(opening or Opening(BRIEF), ear)
    try:
        yield session, ear
    finally:
        await session.aclose()


# A conversation ----------------------------------------------------------------------------------


async def test_it_greets_hears_and_answers(fake: UltravoxFake) -> None:
    fake.script.replies = {"hello": "Good morning."}
    async with talking(opening=Opening(BRIEF, "Bella Vista.")) as (session, ear):
        greeting = await ear.done("Bella Vista.")
        assert ear.words(greeting) == ["Bella", "Vista."]
        await say(session, "hello")
        answer = await ear.done("Good morning.")
        assert ear.words(answer) == ["Good", "morning."]
        (turn,) = ear.of(CallerTurn)
        assert ear.of(CallerSaid) == [CallerSaid(turn.key, "hello")]
        assert ear.of(CallerStarted)
        assert ear.names == [fake.last.id]
    await fake.until(lambda: fake.last.ended is not None)
    assert fake.last.end_reason == "hangup"
    assert [it["text"] for it in fake.last.messages] == ["Bella Vista.", "hello", "Good morning."]


async def test_the_call_is_created_with_its_key_and_joined_once(fake: UltravoxFake) -> None:
    opening = Opening(BRIEF, metadata={"call_sid": "CA1"})
    async with talking(opening=opening):
        assert fake.requests == ["POST /api/calls"]
        assert fake.last.prompt == "You are kind."
        assert fake.last.body["metadata"] == {"call_sid": "CA1"}
        assert fake.last.medium["inputSampleRate"] == 8000


@pytest.mark.parametrize("transcripts", ["delta", "text"])
async def test_words_come_while_they_are_spoken(fake: UltravoxFake, transcripts: str) -> None:
    fake.manners.transcripts = transcripts  # type: ignore[assignment]
    fake.manners.odd = True
    async with talking(opening=Opening(BRIEF, "One two three.")) as (_, ear):
        key = await ear.done("One two three.")
    texts = [it.text for it in ear.of(AgentWords) if it.utterance == key]
    assert texts[0] == "One"
    assert texts == sorted(texts, key=len)


async def test_words_of_the_caller_may_come_after_the_answer(fake: UltravoxFake) -> None:
    fake.manners.transcript_delay_s = 2.0
    fake.script.replies = {"hello": "Yes?"}
    async with talking() as (session, ear):
        await say(session, "hello")
        await ear.done("Yes?")
        (turn,) = ear.of(CallerTurn)
        assert not ear.of(CallerSaid)
        assert await ear.first(CallerSaid) == CallerSaid(turn.key, "hello")
        assert len(ear.of(CallerTurn)) == 1


async def test_the_line_is_fed_in_real_time_with_or_without_a_caller(fake: UltravoxFake) -> None:
    async with talking() as (session, _):
        await asyncio.sleep(0.5)
        await say(session, "hello", ms=100)
        await asyncio.sleep(0.3)
        session.post(SILENCE * 4000)
        await asyncio.sleep(0.5)
        audio = bytes(fake.last.audio)
    assert audio[:1600] == SILENCE * 1600
    assert fake.last.warnings == []


@pytest.mark.parametrize("rate", [16_000, 24_000, 48_000])
async def test_another_rate_may_be_chosen(fake: UltravoxFake, rate: int) -> None:
    async with talking(Ultravox(sample_rate=rate), Opening(BRIEF, "Hello.")) as (session, ear):
        await ear.done("Hello.")
        await asyncio.sleep(0.2)
        assert session.batch_ms == 40
    assert fake.last.medium["outputSampleRate"] == rate


async def test_a_server_that_takes_no_8000_gets_16000_and_is_known_for_it(
    fake: UltravoxFake,
) -> None:
    fake.rates = frozenset({16_000, 48_000})
    for _ in range(2):
        async with talking(opening=Opening(BRIEF, "Hello.")) as (_, ear):
            await ear.done("Hello.")
    assert fake.requests == ["POST /api/calls"] * 3
    with pytest.raises(ProviderRefusedError):
        await Ultravox(sample_rate=8000).connect(Opening(BRIEF), Ear())


async def test_a_caller_whose_turn_was_not_answered_before_a_takeover_is_answered(
    fake: UltravoxFake,
) -> None:
    fake.script.replies = {OWED_PROMPT: "At ten."}
    items = (Said("assistant", "Hello."), Said("user", "When do you open?"))
    async with talking(opening=Opening(BRIEF, "Hello.", items=items)) as (_, ear):
        await ear.done("At ten.")


async def test_a_conversation_that_is_taken_over_does_not_begin_anew(fake: UltravoxFake) -> None:
    fake.script.replies = {"hello": "Yes?"}
    items = (Said("user", "Hi."), Said("assistant", "Hello."))
    async with talking(opening=Opening(BRIEF, "Hello.", items=items)) as (session, ear):
        await say(session, "hello")
        await ear.done("Yes?")
        assert ear.all_words == ["Yes?"]
    assert [it["text"] for it in fake.last.messages] == ["Hi.", "Hello.", "hello", "Yes?"]


async def test_a_stored_agent_is_called_by_its_id(fake: UltravoxFake) -> None:
    fake.agents["a1"] = {"systemPrompt": "Be brief."}
    async with talking(Ultravox(agent_id="a1")) as (session, _):
        assert not session.minds_silence
        assert fake.last.prompt == "Be brief."
        assert list(fake.last.tools) == ["look"]


# Interruptions -----------------------------------------------------------------------------------

LONG = "This goes on for a while and then for some more."


async def interrupted(session: SpeechSession, ear: Ear) -> str:
    """Speak into the greeting; return the utterance that was cut."""
    await ear.until(lambda: bool(ear.spoken))
    await asyncio.sleep(0.25)
    key = next(iter(ear.spoken))

    def cut(event: object) -> None:
        if isinstance(event, AgentCut):
            ear.dropped.add(key)
            session.cut(key, 250.0)

    ear.on_event = cut
    await say(session, "hello")
    await ear.first(AgentCut)
    return key


@pytest.mark.parametrize("late_ms", [0.0, 60.0])
async def test_a_caller_interrupts_and_what_was_said_is_told(
    fake: UltravoxFake, late_ms: float
) -> None:
    fake.script.letter_ms, fake.manners.late_audio_ms = 40, late_ms
    fake.script.replies = {"hello": "Yes?"}
    async with talking(opening=Opening(BRIEF, LONG)) as (session, ear):
        assert session.corrects
        key = await interrupted(session, ear)
        corrected = await ear.first(AgentCorrected)
        answer = await ear.done("Yes?")
    assert corrected.utterance == key
    assert LONG.startswith(corrected.text)
    assert corrected.text != LONG
    assert answer != key
    assert ear.words(answer) == ["Yes?"]
    assert AgentDone(key) not in ear.events
    assert not fake.last.told("user_text_message"), "it knew already"


async def test_a_greeting_may_be_protected(fake: UltravoxFake) -> None:
    fake.script.letter_ms = 30
    fake.script.replies = {"hello": "Yes?"}
    opening = Opening(BRIEF, LONG, greeting_interruptible=False)
    async with talking(opening=opening) as (session, ear):
        await ear.until(lambda: bool(ear.spoken))
        await say(session, "hello")
        await ear.done(LONG)
        await ear.done("Yes?")
    assert not ear.of(AgentCut)


async def test_what_the_call_cuts_is_heard_no_more_and_the_agent_hushed(
    fake: UltravoxFake,
) -> None:
    fake.script.letter_ms = 40
    async with talking(Ultravox(client_buffer_ms=60), Opening(BRIEF, LONG)) as (session, ear):
        await ear.until(lambda: bool(ear.spoken))
        (key,) = ear.spoken
        session.cut(key, 40.0)
        ear.dropped.add(key)
        session.say("Goodbye.", interruptible=False)
        await ear.done("Goodbye.")
        corrected = await ear.first(AgentCorrected)
    assert corrected.utterance == key
    assert not ear.of(AgentCut)
    assert fake.last.told("user_text_message") == [
        {
            "type": "user_text_message",
            "text": "",
            "urgency": "immediate",
            "deferResponse": True,
        }
    ]
    assert fake.last.told("forced_agent_message")[0]["uninterruptible"] is True


async def test_the_model_is_told_something_at_once(fake: UltravoxFake) -> None:
    fake.script.letter_ms = 40
    fake.script.replies = {"Five was pressed.": "Sales."}
    async with talking(opening=Opening(BRIEF, LONG)) as (session, ear):
        await ear.until(lambda: bool(ear.spoken))
        session.tell("Five was pressed.")
        await ear.first(AgentCut)
        await ear.done("Sales.")
    assert not ear.of(CallerSaid)
    assert not ear.of(CallerTurn)


# Tools -------------------------------------------------------------------------------------------


async def test_a_tool_is_wanted_answered_and_talked_about(fake: UltravoxFake) -> None:
    fake.script.replies = {"hello": ["One moment.", Wants("look", {"a": "ü"})], "seen": "I see."}
    async with talking() as (session, ear):
        await say(session, "hello")
        call = await ear.wanted()
        assert (call.name, json.loads(call.arguments)) == ("look", {"a": "ü"})
        assert ear.texts() == ["One moment."]
        session.answered(call.id, "seen", failed=False, brief=None)
        await ear.done("I see.")
    assert fake.script.returned == [("look", "seen")]
    assert len(ear.of(CallerTurn)) == 1


async def test_the_model_reads_why_a_tool_failed(fake: UltravoxFake) -> None:
    fake.script.replies = {"hello": [Wants("look")], "Invalid": "I will ask again."}
    async with talking() as (session, ear):
        await say(session, "hello")
        call = await ear.wanted()
        session.answered(call.id, "Invalid parameters.", failed=True, brief=None)
        await ear.done("I will ask again.")
    (told,) = fake.last.told("client_tool_result")
    assert told == {
        "type": "client_tool_result",
        "invocationId": call.id,
        "result": "Invalid parameters.",
        "responseType": "tool-response",
    }


async def test_a_tool_that_there_is_not_is_answered_like_any_other(fake: UltravoxFake) -> None:
    fake.script.replies = {"hello": [Wants("fly")], "Unknown tool: fly": "I cannot."}
    async with talking() as (session, ear):
        await say(session, "hello")
        call = await ear.wanted()
        session.answered(call.id, "Unknown tool: fly.", failed=True, brief=None)
        await ear.done("I cannot.")


async def test_several_tools_are_answered_each(fake: UltravoxFake) -> None:
    tools = (LOOK, ToolSpec("list", "List.", NOTHING))
    fake.script.replies = {"hello": [Wants("look"), Wants("list")], "listed": "Done."}
    async with talking(opening=Opening(Brief("x", tools))) as (session, ear):
        await say(session, "hello")
        for number, text in ((2, "listed"), (1, "seen")):
            call = await ear.wanted(number)
            session.answered(call.id, text, failed=False, brief=None)
        await ear.done("Done.")
    assert fake.script.returned == [("look", "seen"), ("list", "listed")]


async def test_an_answer_that_is_too_late_is_given_by_another_call(fake: UltravoxFake) -> None:
    brief = Brief("x", (LOOK,), {"look": -0.8})
    fake.script.replies = {
        "hello": [Wants("look", {"a": 1})],
        "The tool timed out.": "It takes long.",
        "seen": "Now I see.",
    }
    async with talking(opening=Opening(brief)) as (session, ear):
        await say(session, "hello")
        call = await ear.wanted()
        await ear.done("It takes long.")
        session.answered(call.id, "seen", failed=False, brief=None)
        await ear.done("Now I see.")
        session.answered(call.id, "twice", failed=False, brief=None)
        session.answered("never wanted", "x", failed=True, brief=None)
        await asyncio.sleep(0.05)
    (told,) = fake.last.told("forced_agent_message")
    assert told["toolCalls"][0]["arguments"] == {"a": 1}
    assert not fake.last.told("client_tool_result")
    assert len(ear.of(CallerTurn)) == 1


async def test_a_word_while_a_tool_runs_thaws_the_conversation(fake: UltravoxFake) -> None:
    fake.script.replies = {"hello": [Wants("look")], "again": "Yes.", "seen": "I see."}
    sales = Brief("You sell.", (ToolSpec("sell", "Sell.", NOTHING),))
    async with talking() as (session, ear):
        await say(session, "hello")
        call = await ear.wanted()
        session.say("Let me look.")
        await ear.done("Let me look.")
        await say(session, "again")
        await ear.done("Yes.")
        session.answered(call.id, "seen", failed=False, brief=sales)
        await ear.done("I see.")
    assert [it["agentReaction"] for it in fake.last.told("client_tool_result")] == ["listens"]
    assert fake.last.prompt == "You sell."
    assert list(fake.last.tools) == ["sell"]


async def test_a_tool_wanted_after_an_interruption_is_still_answered(fake: UltravoxFake) -> None:
    fake.script.letter_ms, fake.manners.late_tools = 40, True
    fake.script.replies = {"start": [LONG, Wants("look")], "hello": "Yes?", "seen": "I see."}
    async with talking() as (session, ear):
        await say(session, "start")
        await interrupted(session, ear)
        call = await ear.wanted()
        session.answered(call.id, "seen", failed=False, brief=None)
        await ear.done("I see.")


# Stages ------------------------------------------------------------------------------------------


async def test_a_stage_begins_with_a_tools_answer(fake: UltravoxFake) -> None:
    fake.script.replies = {"hello": [Wants("look")], "moved": "Sales."}
    sales = Brief("You sell.", (ToolSpec("sell", "Sell.", NOTHING),), voice="Anna")
    async with talking(Ultravox(builtin_tools=("hangUp",))) as (session, ear):
        await say(session, "hello")
        call = await ear.wanted()
        session.answered(call.id, "moved", failed=False, brief=sales)
        await ear.done("Sales.")
    assert fake.last.prompt == "You sell."
    assert list(fake.last.tools) == ["sell", "hangUp"]
    assert fake.last.body["voice"] == "Anna"
    assert fake.script.returned == [("look", "moved")]


async def test_a_stage_outside_of_a_tool_is_told_and_follows_with_the_next_one(
    fake: UltravoxFake,
) -> None:
    fake.script.replies = {"hello": [Wants("look")], "seen": "I see."}
    sales = Brief("You sell.", (LOOK, ToolSpec("sell", "Sell.", NOTHING)))
    async with talking() as (session, ear):
        session.brief(sales)
        await fake.until(lambda: bool(fake.last.told("user_text_message")))
        assert fake.last.told("user_text_message") == [
            {
                "type": "user_text_message",
                "text": "<instruction>You sell.</instruction>",
                "urgency": "later",
            }
        ]
        await say(session, "hello")
        for number in (1, 2):
            call = await ear.wanted(number)
            session.answered(call.id, "seen", failed=False, brief=None)
            await ear.until(lambda n=number: len(ear.texts()) >= n)  # type: ignore[misc]
            if number == 1:
                await say(session, "hello")
    assert list(fake.last.tools) == ["look", "sell"]
    kinds = [it["responseType"] for it in fake.last.told("client_tool_result")]
    assert kinds == ["new-stage", "tool-response"]
    assert not [it for it in ear.of(CallerSaid) if "sell" in it.text]


# The end -----------------------------------------------------------------------------------------


async def test_the_model_may_hang_up(fake: UltravoxFake) -> None:
    fake.script.replies = {"hello": ["Goodbye.", Wants("hangUp")]}
    async with talking(Ultravox(builtin_tools=("hangUp",))) as (session, ear):
        await say(session, "hello")
        assert await ear.first(LeftByModel) == LeftByModel("agent_hangup")
        assert ear.all_words == ["Goodbye."]
        assert isinstance(ear.events[-2], AgentDone)
        await asyncio.sleep(0.1)
        assert not ear.errors
        session.post(SILENCE * 320)
        session.say("Nobody hears this.")
    assert len(fake.sessions) == 1


async def test_a_limit_ends_it_as_well(fake: UltravoxFake) -> None:
    model = Ultravox(extra={"joinTimeout": "5s"})
    fake.script.letter_ms = 5
    async with talking(model) as (_, ear):
        fake.last.end("timeout")
        await fake._talks[fake.last.id]._line.close(1000)
        assert await ear.first(LeftByModel) == LeftByModel("timeout")


async def test_silence_is_minded_there(fake: UltravoxFake) -> None:
    reminders = (Reminder(0.2, "Still there?"), Reminder(0.2, "Goodbye.", hangs_up=True))
    async with talking(opening=Opening(BRIEF, reminders=reminders)) as (session, ear):
        assert session.minds_silence
        await ear.first(LeftByModel)
    assert ear.all_words == ["Still", "there?", "Goodbye."]
    assert not ear.of(CallerTurn)


async def test_closing_hangs_up_soon_and_may_be_done_twice(fake: UltravoxFake) -> None:
    async with talking() as (session, ear):
        await session.aclose()
        await fake.until(lambda: fake.last.ended is not None)
        assert fake.last.end_reason == "hangup"
        session.post(SILENCE)
        session.tell("x")
    assert not ear.errors


async def test_noise_on_the_wire_is_ignored(fake: UltravoxFake) -> None:
    fake.manners.noise = (
        '{"type": "call_event", "x": 1}',
        "no json",
        '{"type": "state", "state": 5}',
        '{"type": "transcript"}',
    )
    async with talking(opening=Opening(BRIEF, "Hello.")) as (_, ear):
        await ear.done("Hello.")
    assert not ear.errors


async def test_a_rehearsal_needs_no_service() -> None:
    assert isinstance(MODEL.stand_in(), EchoSpeech)


async def test_without_a_key_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ULTRAVOX_API_KEY", raising=False)
    with pytest.raises(ProviderRefusedError, match="ULTRAVOX_API_KEY"):
        MODEL.prepare()
    with pytest.raises(ProviderRefusedError, match="ULTRAVOX_API_KEY"):
        await MODEL.connect(Opening(BRIEF), Ear())
