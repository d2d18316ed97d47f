"""Ultravox refused, lost in every phase, silent, and gone on with."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from shared.audio import SAMPLE_RATE
from tests.fakes.openai_chat import Wants
from tests.fakes.ultravox import KEY, UltravoxFake
from tests.fakes.ultravox_faults import Falls, Mute, Phase, Refusal
from tests.worker.speech.listening import Ear, say
from worker.backoff import Retry, in_haste
from worker.errors import ProviderError, ProviderLostError, ProviderRefusedError
from worker.llm import Brief, ToolSpec
from worker.speech import (
    AgentDone,
    CallerSaid,
    CallerTurn,
    Event,
    Opening,
    SpeechSession,
    ToolsWanted,
    pcm_line,
)
from worker.speech.ultravox import Ultravox
from worker.speech.ultravox_call import LOST_PROMPT

LOOK = ToolSpec("look", "Look.", {"type": "object", "properties": {}})
BRIEF = Brief("You are kind.", (LOOK,))
QUICK = Retry(tries=3, first_delay_s=0.01, open_s=3, start_s=4, most_wait_s=1)
MODEL = Ultravox(retry=QUICK)


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[UltravoxFake]:
    async with UltravoxFake() as server:
        monkeypatch.setenv("ULTRAVOX_API_KEY", KEY)
        monkeypatch.setenv("ULTRAVOX_BASE_URL", server.url)
        yield server


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


async def refusal_of(model: Ultravox = MODEL) -> ProviderError:
    """Return what is told when it cannot be had."""
    with pytest.raises(ProviderError) as caught:
        await model.connect(Opening(BRIEF), Ear())
    return caught.value


# No call at all ----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 402, 403])
async def test_a_refusal_is_final(fake: UltravoxFake, status: int) -> None:
    fake.next_creations.append(Refusal(status))
    error = await refusal_of(replace(MODEL, sample_rate=8000))
    assert isinstance(error, ProviderRefusedError)
    assert error.status == status
    assert fake.requests == ["POST /api/calls"]


async def test_a_wrong_key_names_the_variable_and_shows_no_key(
    fake: UltravoxFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ULTRAVOX_API_KEY", "uv_secret")
    error = await refusal_of()
    assert "ULTRAVOX_API_KEY" in str(error)
    assert "uv_secret" not in str(error)


@pytest.mark.parametrize("status", [429, 503])
async def test_a_full_service_is_asked_once_more(fake: UltravoxFake, status: int) -> None:
    fake.next_creations.append(Refusal(status, retry_after="0.1"))
    async with talking(opening=Opening(BRIEF, "Hello.")) as (_, ear):
        await ear.done("Hello.")
    assert fake.requests == ["POST /api/calls"] * 2


async def test_it_is_asked_twice_at_most(fake: UltravoxFake) -> None:
    fake.next_creations += [Refusal(500)] * 9
    error = await refusal_of()
    assert isinstance(error, ProviderLostError)
    assert error.status == 500
    assert fake.requests == ["POST /api/calls"] * 2


async def test_a_pause_that_is_too_long_is_not_waited_for(fake: UltravoxFake) -> None:
    fake.next_creations.append(Refusal(429, retry_after="30"))
    error = await refusal_of()
    assert isinstance(error, ProviderLostError)
    assert error.retry_after_s == 30
    assert fake.requests == ["POST /api/calls"]


async def test_a_service_that_does_not_answer_is_not_waited_for(fake: UltravoxFake) -> None:
    fake.answer_s = 5
    retry = replace(QUICK, open_s=0.2, start_s=0.6)
    began = asyncio.get_running_loop().time()
    assert isinstance(await refusal_of(Ultravox(retry=retry)), ProviderLostError)
    assert asyncio.get_running_loop().time() - began < 3


@pytest.mark.parametrize(
    "body",
    ["[]", "{}", '{"callId": "1", "joinUrl": "http://x"}', '{"joinUrl": "ws://x"}', "x"],
)
async def test_a_call_that_cannot_be_joined_is_none(fake: UltravoxFake, body: str) -> None:
    fake.next_creations += [Refusal(201, body=body)] * 2
    assert isinstance(await refusal_of(), ProviderLostError)


@pytest.mark.parametrize("status", [403, 404])
async def test_a_join_that_is_refused_is_final(fake: UltravoxFake, status: int) -> None:
    fake.next_joins.append(Refusal(status))
    error = await refusal_of()
    assert isinstance(error, ProviderRefusedError)
    assert error.status == status


async def test_a_join_that_fails_is_made_up_for_by_another_call(fake: UltravoxFake) -> None:
    fake.next_joins.append(Refusal(502))
    async with talking(opening=Opening(BRIEF, "Hello.")) as (_, ear):
        await ear.done("Hello.")
        assert ear.names == [call.id for call in fake.sessions]
        assert fake.last.prior is None


# Lost in the middle ------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1000, None])
@pytest.mark.parametrize("phase", ["joined", "caller", "thinking", "speaking", "tool"])
async def test_it_goes_on_whenever_it_is_lost(
    fake: UltravoxFake, phase: Phase, code: int | None
) -> None:
    fake.manners.faults.append(Falls(phase, code, after_ms=50))
    fake.script.replies = {
        "hello": ["One moment.", Wants("look")],
        LOST_PROMPT: "Sorry. Again.",
        "again": "Yes?",
        "seen": "I see.",
    }
    async with talking() as (session, ear):

        def answer(event: Event) -> None:
            if isinstance(event, ToolsWanted):
                session.answered(event.calls[0].id, "seen", failed=False, brief=None)

        ear.on_event = answer
        await say(session, "hello")
        await fake.until(lambda: len(fake.sessions) == 2 and fake.last.joined is not None)
        if phase in ("thinking", "speaking", "tool"):
            await ear.done("Sorry. Again.")
        await say(session, "again")
        await ear.done("Yes?")
        assert not ear.errors
        assert len(ear.names) == 2
    begun = phase != "joined"
    assert (fake.last.prior == fake.sessions[0].id) == begun
    assert fake.last.prompt == "You are kind."
    assert len(fake.sessions) == 2
    ended = [it.utterance for it in ear.of(AgentDone)]
    assert len(set(ended)) == len(ended)
    keys = [it.key for it in ear.of(CallerTurn)]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("code", [1011, None])
async def test_a_greeting_that_was_not_begun_is_said_by_the_next_call(
    fake: UltravoxFake, code: int | None
) -> None:
    fake.manners.faults.append(Falls("joined", code))
    async with talking(opening=Opening(BRIEF, "Bella Vista.")) as (_, ear):
        await ear.done("Bella Vista.")
    assert fake.last.prior is None


async def test_a_greeting_that_was_begun_is_gone_on_with(fake: UltravoxFake) -> None:
    fake.manners.faults.append(Falls("speaking", None, after_ms=50))
    fake.script.replies = {LOST_PROMPT: "As I was saying."}
    async with talking(opening=Opening(BRIEF, "A long greeting for you.")) as (_, ear):
        await ear.done("As I was saying.")
    assert fake.last.first_speaker == {"agent": {"prompt": LOST_PROMPT}}
    assert fake.last.prior == fake.sessions[0].id


async def test_what_is_said_while_it_is_away_is_heard_by_the_next_call(
    fake: UltravoxFake,
) -> None:
    fake.script.replies = {"hello": "Yes?", "again": "Still here."}
    async with talking() as (session, ear):
        await say(session, "hello")
        await ear.done("Yes?")
        fake.answer_s = 0.6
        await fake.lose(None)
        await asyncio.sleep(0.05)
        await say(session, "again", ms=100)
        session.say("Just a moment.")
        await ear.done("Just a moment.")
        await ear.done("Still here.")
    assert fake.script.heard == ["hello", "again"]
    assert len(fake.sessions) == 2
    assert ear.of(CallerSaid)[-1].text == "again"


@pytest.mark.parametrize("is_known", [True, False])
async def test_the_answer_to_a_tool_of_a_lost_call_is_given_to_the_next(
    fake: UltravoxFake, is_known: bool
) -> None:
    fake.script.replies = {
        "hello": [Wants("look")],
        LOST_PROMPT: "Sorry.",
        "seen": "I see.",
        "<instruction>look has returned: seen": "I see.",
    }
    async with talking() as (session, ear):
        await say(session, "hello")
        call = await ear.wanted()
        if not is_known:
            session.brief(Brief("You sell.", ()))
        await fake.lose(None)
        await fake.until(lambda: len(fake.sessions) == 2 and fake.last.joined is not None)
        session.answered(call.id, "seen", failed=False, brief=None)
        await ear.done("I see.")
    assert bool(fake.last.told("forced_agent_message")) == is_known
    assert not fake.last.told("client_tool_result")
    assert fake.last.refused == []


async def test_what_the_caller_was_saying_is_heard_whole(
    fake: UltravoxFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a busy machine what is said comes late: no silence is to cut it in two meanwhile.
    monkeypatch.setattr(pcm_line, "GAP_BYTES", 3 * SAMPLE_RATE)
    fake.script.replies = {"one two three four": "Ten."}
    async with talking() as (session, ear):
        speaking = asyncio.create_task(say(session, "one two three four", 60))
        await fake.until(lambda: len(fake.last.audio) > 8000)
        await fake.lose(None)
        await speaking
        await ear.done("Ten.")
    assert fake.script.heard == ["one two three four"]


async def test_the_next_call_begins_with_what_holds_by_then(fake: UltravoxFake) -> None:
    fake.script.replies = {"hello": ["Yes?"], "again": [Wants("look")]}
    async with talking() as (session, ear):
        await say(session, "hello")
        await ear.done("Yes?")
        session.brief(Brief("You sell.", (LOOK, ToolSpec("sell", "Sell.", {}))))
        await fake.lose(None)
        await fake.until(lambda: len(fake.sessions) == 2 and fake.last.joined is not None)
        assert fake.last.prompt == "You sell."
        assert list(fake.last.tools) == ["look", "sell"]
        await say(session, "again")
        call = await ear.wanted()
        session.answered(call.id, "seen", failed=False, brief=None)
        await fake.until(lambda: bool(fake.last.told("client_tool_result")))
    (told,) = fake.last.told("client_tool_result")
    assert told["responseType"] == "tool-response"


# Silence, and the end ----------------------------------------------------------------------------


async def test_a_call_that_says_nothing_is_left_for_another(fake: UltravoxFake) -> None:
    fake.manners.faults.append(Mute())
    async with talking(replace(MODEL, answer_s=0.3), Opening(BRIEF, "Hello.")) as (_, ear):
        await ear.done("Hello.")
        await asyncio.sleep(0.8)
        assert not ear.errors
    assert len(fake.sessions) == 2
    assert fake.last.told("ping")


async def test_a_service_that_stops_to_answer_is_left(fake: UltravoxFake) -> None:
    fake.script.replies = {"hello": "Yes?"}
    async with talking(replace(MODEL, answer_s=0.3)) as (session, ear):
        await say(session, "hello")
        await ear.done("Yes?")
        await asyncio.sleep(0.4)
        fake._talks[fake.last.id]._fault = Mute()
        await fake.until(lambda: len(fake.sessions) == 2)
        assert not ear.errors


async def test_a_service_that_is_lost_for_good_is_said_to_be_once(fake: UltravoxFake) -> None:
    async with talking() as (session, ear):
        fake.next_creations += [Refusal(503)] * 9
        await fake.lose(None)
        await ear.until(lambda: bool(ear.errors))
        session.say("Nobody hears this.")
        await asyncio.sleep(0.1)
    (error,) = ear.errors
    assert isinstance(error, ProviderLostError)
    assert fake.requests == ["POST /api/calls"] * 4


async def test_a_refusal_in_the_middle_is_final(fake: UltravoxFake) -> None:
    async with talking() as (_, ear):
        fake.next_creations += [Refusal(402)]
        await fake.lose(None)
        await ear.until(lambda: bool(ear.errors))
    assert isinstance(ear.errors[0], ProviderRefusedError)


async def test_it_is_tried_less_where_somebody_else_is_left(fake: UltravoxFake) -> None:
    with in_haste(True):
        session = await MODEL.connect(Opening(BRIEF), ear := Ear())
    fake.next_creations += [Refusal(503)] * 9
    await fake.lose(None)
    await ear.until(lambda: bool(ear.errors))
    await session.aclose()
    assert fake.requests == ["POST /api/calls"] * 2


@pytest.mark.parametrize(
    ("reason", "code"),
    [("system_error", 1000), ("connection_error", 1008), ("system_error", 1011)],
)
async def test_an_end_that_nobody_meant_is_a_loss(
    fake: UltravoxFake, reason: str, code: int
) -> None:
    async with talking() as (_, ear):
        fake.last.end(reason)
        await fake._talks[fake.last.id]._line.close(code)
        await fake.until(lambda: len(fake.sessions) == 2)
        assert not ear.errors
        assert not [it for it in ear.events if "Left" in type(it).__name__]
