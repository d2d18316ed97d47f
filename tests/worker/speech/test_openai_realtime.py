"""OpenAI's realtime voice against a server that speaks its wire."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.audio import silence
from tests.fakes.openai import KEY, OpenAIFake
from tests.fakes.openai_chat import Wants
from tests.fakes.openai_realtime_voice import VoiceSession
from tests.fakes.openai_refusal import Refusal
from tests.worker.speech.openai_realtime_call import (
    QUICK,
    call,
    opening,
    say,
)
from worker.backoff import Retry
from worker.errors import ProviderError, ProviderLostError, ProviderRefusedError
from worker.llm import Brief, Call, Returned, Said, ToolSpec
from worker.speech import (
    AgentCut,
    CallerTurn,
    Opening,
)
from worker.speech.openai_realtime import OpenAIRealtime, SemanticVad, ServerVad
from worker.stand_ins import EchoSpeech

LONG = "We have tables inside and outside and upstairs and a room of its own for large parties."


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OpenAIFake]:
    async with OpenAIFake() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        yield server


async def session_of(fake: OpenAIFake, number: int = 0) -> VoiceSession:
    """Return a session of the server that was set up."""
    await fake.until(lambda: len(fake.sessions) > number and fake.sessions[number].updated)
    return fake.sessions[number]


def no_errors(fake: OpenAIFake) -> None:
    assert [session.errors for session in fake.sessions] == [[]] * len(fake.sessions)


# Beginning -----------------------------------------------------------------------------------


async def test_it_greets_word_for_word(fake: OpenAIFake) -> None:
    async with call(opening("Bella Vista, good evening.")) as (_, listener):
        await listener.hears("Bella Vista, good evening.")
        assert listener.texts == ["Bella Vista, good evening."]
        assert listener.log == ["audio", "AgentDone"]
    assert listener.names == [fake.sessions[0].id]
    no_errors(fake)


async def test_without_a_greeting_it_waits_for_the_caller(fake: OpenAIFake) -> None:
    async with call() as (session, listener):
        there = await session_of(fake)
        session.post(silence(300))
        await fake.until(lambda: len(there.audio) >= 2000)
        assert listener.log == []
        assert not there.of("response.create")


async def test_it_may_begin_in_words_of_its_own(fake: OpenAIFake) -> None:
    fake.script.replies = {"": "Good day."}
    async with call(model=OpenAIRealtime(speaks_first=True)) as (_, listener):
        await listener.hears("Good day.")


async def test_the_session_is_set_up_before_any_audio(fake: OpenAIFake) -> None:
    model = OpenAIRealtime(
        voice="cedar", speed=1.1, turn_detection=ServerVad(0.6, 200, 300, 9000),
        noise_reduction="near_field", language="de", transcription_prompt="a restaurant",
        max_output_tokens=800, reasoning="low", parallel_tool_calls=False,
        extra={"truncation": "disabled"},
    )  # fmt: skip
    async with call(model=model) as (session, _):
        session.post(silence(100))
        there = await session_of(fake)
        await fake.until(lambda: bool(there.appends))
    assert there.sent[:2] == ["session.created", "session.updated"]
    given = there.of("session.update")[0]["session"]
    assert given == {
        "type": "realtime",
        "truncation": "disabled",
        "instructions": "You are the desk.",
        "output_modalities": ["audio"],
        "audio": {
            "input": {
                "format": {"type": "audio/pcmu"},
                "noise_reduction": {"type": "near_field"},
                "transcription": {
                    "model": "gpt-4o-mini-transcribe", "language": "de", "prompt": "a restaurant",
                },
                "turn_detection": {
                    "type": "server_vad", "threshold": 0.6, "prefix_padding_ms": 200,
                    "silence_duration_ms": 300, "idle_timeout_ms": 9000,
                    "create_response": True, "interrupt_response": True,
                },
            },
            "output": {"format": {"type": "audio/pcmu"}, "voice": "cedar", "speed": 1.1},
        },
        "tools": [
            {
                "type": "function", "name": "book", "description": "Book a table.",
                "parameters": {"type": "object", "properties": {}},
            }
        ],
        "tool_choice": "auto",
        "max_output_tokens": 800,
        "reasoning": {"effort": "low"},
        "parallel_tool_calls": False,
    }  # fmt: skip
    no_errors(fake)


async def test_a_stages_own_voice_and_a_voice_of_the_accounts_own_are_taken(
    fake: OpenAIFake,
) -> None:
    async with call(Opening(Brief("x", (), voice="ash"))):
        there = await session_of(fake)
        assert there.settings["audio"]["output"]["voice"] == "ash"
    async with call(model=OpenAIRealtime(voice="voice_12")):
        there = await session_of(fake, 1)
        assert there.settings["audio"]["output"]["voice"] == {"id": "voice_12"}


async def test_a_call_that_goes_on_hands_the_conversation_over_and_does_not_greet(
    fake: OpenAIFake,
) -> None:
    fake.script.replies = {"booked": "At eight then."}
    before = (
        Said("system", "The caller is known."),
        Said("user", "A table please."),
        Said("assistant", "One moment.", (Call("c1", "book", '{"people":2}'),)),
        Returned("c1", "booked"),
    )
    async with call(opening("Bella Vista.", items=before)) as (_, listener):
        await listener.hears("At eight then.")
    there = fake.sessions[0]
    kinds = [(item.type, item.role, item.text) for item in there.items.all]
    assert kinds == [
        ("message", "system", "The caller is known."),
        ("message", "user", "A table please."),
        ("message", "assistant", "One moment."),
        ("function_call", "", '{"people":2}'),
        ("function_call_output", "", "booked"),
        ("message", "assistant", "At eight then."),
    ]
    assert fake.script.returned == [("book", "booked")]
    no_errors(fake)


async def test_a_call_that_goes_on_with_the_agents_words_waits_for_the_caller(
    fake: OpenAIFake,
) -> None:
    items = (Said("user", "Hello?"), Said("assistant", "For how many?"))
    fake.script.replies = {"two": "Good."}
    async with call(opening(items=items)) as (session, listener):
        say(session, "two")
        await listener.hears("Good.")
    no_errors(fake)


# Turns ---------------------------------------------------------------------------------------


async def test_a_turn_is_heard_answered_and_written_down(fake: OpenAIFake) -> None:
    fake.script.replies = {"a table": "For how many?", "two of us": "At what time?"}
    async with call() as (session, listener):
        say(session, "a table")
        await listener.hears("For how many?")
        say(session, "two of us")
        await listener.hears("For how many?", "At what time?")
        await listener.until(lambda: listener.turns == ["a table", "two of us"])
        assert listener.log[:3] == ["CallerStarted", "CallerStopped", "CallerTurn"]
    assert fake.script.heard == ["a table", "two of us"]
    assert min(fake.sessions[0].appends) >= 320
    no_errors(fake)


async def test_words_may_come_after_the_answer(fake: OpenAIFake) -> None:
    fake.voice.transcribe_s = 0.2
    fake.script.replies = {"a table": "For how many?"}
    async with call() as (session, listener):
        say(session, "a table")
        await listener.hears("For how many?")
        assert listener.turns == ["?"]
        await listener.until(lambda: listener.turns == ["a table"])


async def test_without_a_transcription_turns_have_no_words(fake: OpenAIFake) -> None:
    model = OpenAIRealtime(turn_detection=SemanticVad("high"), transcription=None)
    fake.script.replies = {"a table": "For how many?"}
    async with call(model=model) as (session, listener):
        say(session, "a table")
        await listener.hears("For how many?")
        assert listener.turns == ["?"]
    assert fake.sessions[0].settings["audio"]["input"]["turn_detection"]["eagerness"] == "high"
    no_errors(fake)


async def test_an_answer_that_the_server_does_not_begin_is_asked_for(
    fake: OpenAIFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.speech.openai_realtime_caller.ANSWER_SECONDS", 0.05)
    fake.script.replies = {"a table": "For how many?"}
    async with call() as (session, listener):
        there = await session_of(fake)
        there.settings["audio"]["input"]["turn_detection"]["create_response"] = False
        say(session, "a table")
        await listener.until(lambda: bool(listener.turns))
        while listener.said != ["For how many?"]:
            session.post(silence(40))
            await asyncio.sleep(0.02)


async def test_a_model_that_minds_silence_speaks_up_and_no_turn_is_told_of(
    fake: OpenAIFake,
) -> None:
    fake.script.replies = {"": "Still there?"}
    model = OpenAIRealtime(turn_detection=ServerVad(idle_timeout_ms=30))
    async with call(opening("Hi."), model) as (_, listener):
        await listener.until(lambda: listener.said[:2] == ["Hi.", "Still there?"])
    assert not listener.events_of(CallerTurn)


# Interruptions -------------------------------------------------------------------------------


async def interrupt(fake: OpenAIFake, heard_ms: float) -> tuple[list[str], VoiceSession]:
    """Have a long answer interrupted in its middle, and the caller answered."""
    fake.voice.pace_s = 0.02
    fake.script.replies = {"tables": LONG, "stop": "Yes?"}
    async with call() as (session, listener):
        listener.heard_ms = heard_ms
        say(session, "tables")
        await listener.until(lambda: any(len(it) > 4000 for it in listener.heard.values()))
        say(session, "stop")
        await listener.until(lambda: AgentCut() in listener.events)
        (cut,) = [len(audio) for audio in listener.heard.values()]
        await listener.until(lambda: "Yes?" in listener.said)
        assert len(next(iter(listener.heard.values()))) == cut
        assert listener.log.count("AgentCut") == 1
        return listener.said, fake.sessions[0]


async def test_a_caller_who_interrupts_is_heard_and_the_rest_is_forgotten(fake: OpenAIFake) -> None:
    said, there = await interrupt(fake, 300)
    assert said[1] == "Yes?"
    (truncated,) = there.of("conversation.item.truncate")
    assert truncated["audio_end_ms"] == 300
    assert not there.of("response.cancel")
    assert there.errors == []


async def test_what_a_call_says_was_heard_is_never_more_than_came(fake: OpenAIFake) -> None:
    _, there = await interrupt(fake, 99_999)
    assert there.errors == []


async def test_late_audio_of_what_was_interrupted_is_not_heard(fake: OpenAIFake) -> None:
    fake.voice.late_pieces = 5
    _, there = await interrupt(fake, 300)
    assert there.errors == []


async def test_what_was_said_faster_than_it_is_heard_can_be_interrupted(fake: OpenAIFake) -> None:
    fake.script.replies = {"tables": LONG, "stop": "Yes?"}
    async with call() as (session, listener):
        listener.heard_ms = 200
        say(session, "tables")
        await listener.hears(LONG)
        say(session, "stop")
        await listener.hears(LONG, "Yes?")
        assert AgentCut() in listener.events
    (truncated,) = fake.sessions[0].of("conversation.item.truncate")
    assert truncated["audio_end_ms"] == 200
    no_errors(fake)


async def test_a_caller_who_speaks_when_all_was_heard_interrupts_nothing(
    fake: OpenAIFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.speech.openai_realtime_playing.MARGIN_S", 0.05)
    fake.script.replies = {"tables": "Yes.", "thanks": "Bye."}
    async with call() as (session, listener):
        say(session, "tables")
        await listener.hears("Yes.")
        await asyncio.sleep(0.2)
        say(session, "thanks")
        await listener.hears("Yes.", "Bye.")
        assert AgentCut() not in listener.events


async def test_the_call_itself_may_stop_what_is_said(fake: OpenAIFake) -> None:
    fake.voice.pace_s = 0.02
    fake.script.replies = {"tables": LONG}
    async with call() as (session, listener):
        say(session, "tables")
        await listener.until(lambda: any(len(it) > 4000 for it in listener.heard.values()))
        (utterance,) = listener.heard
        session.cut(utterance, 250)
        cut = len(listener.heard[utterance])
        there = fake.sessions[0]
        await fake.until(lambda: "conversation.item.truncated" in there.sent)
        await asyncio.sleep(0.1)
        assert len(listener.heard[utterance]) == cut
        session.cut(utterance, 999)
        session.cut("nothing", 999)
    assert len(there.of("response.cancel")) == 1
    assert len(there.of("conversation.item.truncate")) == 1
    no_errors(fake)


async def test_a_greeting_that_may_not_be_interrupted_is_said_to_its_end(fake: OpenAIFake) -> None:
    fake.voice.pace_s = 0.02
    greeting = "This call is recorded."
    fake.script.replies = {"hello": "Yes?"}
    async with call(opening(greeting, interruptible=False)) as (session, listener):
        await listener.until(lambda: bool(listener.heard))
        say(session, "hello")
        await listener.until(lambda: bool(listener.turns))
        assert AgentCut() not in listener.events
        while "Yes?" not in listener.said:
            session.post(silence(40))
            await asyncio.sleep(0.02)
        assert listener.said == [greeting, "Yes?"]
    there = fake.sessions[0]
    updates = [event["session"] for event in there.of("session.update")][1:]
    interrupts = [it["audio"]["input"]["turn_detection"]["interrupt_response"] for it in updates]
    assert interrupts == [False, True]


# Saying and telling --------------------------------------------------------------------------


async def test_what_is_to_be_said_waits_for_what_is_being_said(fake: OpenAIFake) -> None:
    fake.voice.pace_s = 0.01
    async with call(opening("Good evening.")) as (session, listener):
        session.say("One moment please.")
        session.say("Here I am.")
        await listener.hears("Good evening.", "One moment please.", "Here I am.")
    asked = [event["response"] for event in fake.sessions[0].of("response.create")]
    assert all(it["tool_choice"] == "none" for it in asked)
    no_errors(fake)


async def test_what_is_told_is_answered(fake: OpenAIFake) -> None:
    fake.script.replies = {"pressed 1": "Sales it is."}
    async with call() as (session, listener):
        session.tell("pressed 1")
        await listener.hears("Sales it is.")
    assert fake.script.heard == ["pressed 1"]
    no_errors(fake)


@pytest.mark.parametrize("echoes", [True, False])
async def test_an_order_that_finds_the_server_busy_is_given_again(
    fake: OpenAIFake, echoes: bool
) -> None:
    fake.voice.echoes_metadata, fake.voice.pace_s = echoes, 0.01
    async with call() as (session, listener):
        there = await session_of(fake)
        there._create({"instructions": "word for word:\n\nOf my own."})
        session.say("As told.")
        while "As told." not in listener.said:
            session.post(silence(40))
            await asyncio.sleep(0.02)
    assert there.errors == ["conversation_already_has_active_response"]
    assert listener.said == ["Of my own.", "As told."]


# Tools ---------------------------------------------------------------------------------------

TWO = [Wants("book", {"people": 2}), Wants("book", {"people": 4})]


async def test_a_tool_is_wanted_answered_and_gone_on_from(fake: OpenAIFake) -> None:
    fake.script.replies = {"a table": ["One moment.", Wants("book")], "booked": "It is yours."}
    async with call() as (session, listener):
        say(session, "a table")
        await listener.until(lambda: bool(listener.wanted))
        (wanted,) = listener.wanted
        (tool,) = wanted.calls
        assert (tool.name, tool.arguments) == ("book", "{}")
        session.answered(tool.id, "booked", failed=False, brief=None)
        await listener.hears("One moment.", "It is yours.")
    assert fake.script.returned == [("book", "booked")]
    no_errors(fake)


async def test_tools_of_a_step_are_told_of_together_and_continued_once(fake: OpenAIFake) -> None:
    fake.script.replies = {"tables": TWO, "second": "Both are yours."}
    async with call() as (session, listener):
        say(session, "tables")
        await listener.until(lambda: bool(listener.wanted))
        first, second = listener.wanted[0].calls
        session.answered(first.id, "first", failed=False, brief=None)
        await asyncio.sleep(0.05)
        there = fake.sessions[0]
        assert not there.of("response.create")
        session.answered(second.id, "second", failed=True, brief=None)
        session.answered(second.id, "again", failed=True, brief=None)
        session.answered("unknown", "x", failed=True, brief=None)
        await listener.hears("Both are yours.")
    assert len(there.of("response.create")) == 1
    no_errors(fake)


async def test_a_tool_that_moves_the_conversation_on_is_followed_by_the_new_brief(
    fake: OpenAIFake,
) -> None:
    fake.script.replies = {"a table": [Wants("book")], "moved": "Next."}
    next_brief = Brief("Ask for the name.", (ToolSpec("name", "", {"type": "object"}),))
    async with call() as (session, listener):
        say(session, "a table")
        await listener.until(lambda: bool(listener.wanted))
        session.answered(listener.wanted[0].calls[0].id, "moved", failed=False, brief=next_brief)
        await listener.hears("Next.")
        there = fake.sessions[0]
        assert there.settings["instructions"] == "Ask for the name."
        assert [tool["name"] for tool in there.settings["tools"]] == ["name"]
        session.brief(Brief("Done.", ()))
        await fake.until(lambda: there.settings["instructions"] == "Done.")
        assert there.settings["tools"] == []
    kinds = [event["type"] for event in there.received]
    assert kinds.index("session.update", 1) < kinds.index("response.create")
    no_errors(fake)


async def test_a_tool_of_an_interrupted_answer_is_not_run(fake: OpenAIFake) -> None:
    fake.voice.pace_s = 0.02
    fake.script.replies = {"a table": [LONG, Wants("book")], "stop": "Yes?"}
    async with call() as (session, listener):
        listener.heard_ms = 100
        say(session, "a table")
        await listener.until(lambda: any(len(it) > 4000 for it in listener.heard.values()))
        say(session, "stop")
        await listener.until(lambda: "Yes?" in listener.said)
        assert listener.wanted == []
    assert "response.function_call_arguments.done" in fake.sessions[0].sent
    no_errors(fake)


async def test_a_tool_may_answer_while_the_caller_is_answered(fake: OpenAIFake) -> None:
    fake.voice.pace_s = 0.02
    fake.script.replies = {
        "a table": [Wants("book")], "hello": "I am still here dear caller.", "booked": "Booked.",
    }  # fmt: skip
    async with call() as (session, listener):
        say(session, "a table")
        await listener.until(lambda: bool(listener.wanted))
        say(session, "hello")
        await listener.until(lambda: bool(listener.heard))
        session.answered(listener.wanted[0].calls[0].id, "booked", failed=False, brief=None)
        await listener.hears("I am still here dear caller.", "Booked.")
    no_errors(fake)


# What goes wrong -----------------------------------------------------------------------------


async def test_events_that_nobody_knows_and_errors_that_pass_change_nothing(
    fake: OpenAIFake,
) -> None:
    fake.voice.is_chatty = True
    fake.script.replies = {"a table": "For how many?"}
    async with call(opening("Hi.")) as (session, listener):
        there = await session_of(fake)
        await listener.hears("Hi.")
        for text in ('{"type":7}', "[]", '{"type":"response.done"}', '{"type":"error"}'):
            await there.send_text(text)
        error = {"type": "invalid_request_error", "code": "odd", "message": "no", "event_id": "x"}
        await there.send("error", error=error)
        await asyncio.sleep(0.05)
        say(session, "a table")
        await listener.hears("Hi.", "For how many?")
    assert len(fake.sessions) == 1


@pytest.mark.parametrize(
    ("refusal", "kind", "sentence"),
    [
        (Refusal(401, "invalid_api_key"), ProviderRefusedError, "check OPENAI_API_KEY"),
        (Refusal(403, "unsupported_country"), ProviderRefusedError, "check the plan"),
        (Refusal(429, "rate_limit_exceeded"), ProviderLostError, "too many requests"),
        (Refusal(503, "overloaded"), ProviderLostError, "in trouble"),
    ],
)
async def test_a_refused_upgrade_is_raised(
    fake: OpenAIFake, refusal: Refusal, kind: type[ProviderError], sentence: str
) -> None:
    fake.fail("realtime", *[refusal] * 9)
    with pytest.raises(kind, match=sentence) as caught:
        async with call():
            pass
    assert caught.value.status == refusal.status
    assert KEY not in str(caught.value)


async def test_a_busy_upgrade_is_tried_again(fake: OpenAIFake) -> None:
    fake.fail("realtime", Refusal(503), Refusal(429))
    async with call(opening("Hi.")) as (_, listener):
        await listener.hears("Hi.")


async def test_a_model_that_is_not_there_is_refused(fake: OpenAIFake) -> None:
    with pytest.raises(ProviderRefusedError, match="model"):
        async with call(model=OpenAIRealtime(model="gpt-0", retry=QUICK)):
            pass


async def test_a_wrong_setting_is_said_by_its_name(fake: OpenAIFake) -> None:
    with pytest.raises(ProviderRefusedError, match=r"unknown_parameter, session\.colour"):
        async with call(model=OpenAIRealtime(extra={"colour": "blue"})):
            pass
    with pytest.raises(ProviderRefusedError, match=r"session\.reasoning"):
        async with call(model=OpenAIRealtime(model="gpt-realtime", reasoning="low")):
            pass


async def test_a_server_that_says_nothing_is_not_waited_for_long(fake: OpenAIFake) -> None:
    fake.voice.is_silent = True
    hasty = Retry(tries=0, open_s=0.1)
    with pytest.raises(ProviderLostError, match="did not answer within"):
        async with call(model=OpenAIRealtime(retry=hasty)):
            pass


async def test_an_answer_that_fails_is_asked_for_again(fake: OpenAIFake) -> None:
    fake.voice.failing.extend([Refusal(500, "server_error"), Refusal(400, "content_filter")])
    async with call(opening("Good evening.")) as (session, listener):
        while listener.said != ["Good evening."]:
            session.post(silence(40))
            await asyncio.sleep(0.02)
    assert len(fake.sessions) == 1


@pytest.mark.parametrize(
    "faults",
    [[Refusal(429, "insufficient_quota")], [Refusal(500, "server_error")] * 3],
)
async def test_a_model_that_answers_nothing_any_more_is_given_up(
    fake: OpenAIFake, faults: list[Refusal]
) -> None:
    fake.voice.failing.extend(faults)
    async with call(opening("Good evening.")) as (session, listener):
        while not listener.failures:
            session.post(silence(40))
            await asyncio.sleep(0.02)
        assert isinstance(listener.failures[0], ProviderRefusedError)


async def test_closing_is_quick_and_may_be_done_twice(fake: OpenAIFake) -> None:
    async with call(opening("Hi.")) as (session, _):
        there = await session_of(fake)
        async with asyncio.timeout(8):
            await session.aclose()
            await session.aclose()
        session.post(silence(100))
        session.say("Too late.")
        session.cut("x", 1)
        await fake.until(lambda: there.is_over)


# Settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"model": ""}, "model and voice"),
        ({"voice": ""}, "model and voice"),
        ({"speed": 2.0}, "speed"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"answer_s": 0.0}, "answer_s"),
        ({"transcription": None, "language": "en"}, "language"),
        ({"extra": {"instructions": "x"}}, "instructions in extra"),
    ],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        OpenAIRealtime(**wrong)


@pytest.mark.parametrize(
    ("name", "value"), [("threshold", 2.0), ("silence_duration_ms", -1), ("idle_timeout_ms", 0)]
)
def test_turn_detection_that_cannot_be_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        ServerVad(**{name: value})


def test_it_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(ProviderRefusedError, match="OPENAI_API_KEY"):
        OpenAIRealtime().prepare()
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    OpenAIRealtime().prepare()
    assert isinstance(OpenAIRealtime().stand_in(), EchoSpeech)
