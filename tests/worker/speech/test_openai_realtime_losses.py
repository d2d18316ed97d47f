"""An OpenAI Realtime session whose connection is lost, or whose time is over."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from shared.audio import silence
from tests.fakes.openai import KEY, OpenAIFake
from tests.fakes.openai_chat import Wants
from tests.fakes.openai_realtime_voice import VoiceSession
from tests.fakes.openai_realtime_voice_faults import Dies, Phase
from tests.fakes.openai_refusal import Refusal
from tests.fakes.speech import speech
from tests.worker.speech.openai_realtime_call import MODEL, call, opening, say
from worker.backoff import Retry
from worker.errors import ProviderLostError, ProviderRefusedError
from worker.llm import Brief
from worker.speech import AgentCut, AgentDone, CallerStarted, CallerStopped, CallerTurn
from worker.speech.openai_realtime import OpenAIRealtime

CODES = [1000, 1001, 1011, None]
TEXT = "The table is booked for four people at eight."


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OpenAIFake]:
    async with OpenAIFake() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        server.script.letter_ms = 65
        yield server


async def session_of(fake: OpenAIFake, number: int = 0) -> VoiceSession:
    """Return a session of the server that was set up."""
    await fake.until(lambda: len(fake.sessions) > number and fake.sessions[number].updated)
    return fake.sessions[number]


def lines(session: VoiceSession) -> list[tuple[str, str]]:
    """Return what a session's conversation says."""
    return [(item.role or item.type, item.text) for item in session.items.all]


# Losses in every phase -----------------------------------------------------------------------


@pytest.mark.parametrize("code", CODES)
async def test_a_connection_lost_while_it_is_set_up_costs_nothing(
    fake: OpenAIFake, code: int | None
) -> None:
    fake.voice.deaths.append(Dies(Phase.OPENING, code))
    async with call(opening("Good evening.")) as (_, listener):
        await listener.hears("Good evening.")
    assert len(fake.sessions) == 2


@pytest.mark.parametrize("code", CODES)
async def test_a_greeting_that_was_lost_is_said(fake: OpenAIFake, code: int | None) -> None:
    fake.voice.deaths.append(Dies(Phase.THINKING, code))
    async with call(opening("Good evening.")) as (_, listener):
        await listener.hears("Good evening.")
    assert len(fake.sessions) == 2


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("pieces", [1, 6, 12, 20])
async def test_of_a_greeting_lost_in_its_middle_the_rest_is_said(
    fake: OpenAIFake, code: int | None, pieces: int
) -> None:
    fake.voice.deaths.append(Dies(Phase.SPEAKING, code, pieces))
    async with call(opening(TEXT)) as (_, listener):
        await listener.until(lambda: len(listener.events_of(AgentDone)) == 2)
        assert listener.log == ["audio", "AgentDone", "audio", "AgentDone"]
    words = " ".join(listener.said).split()
    once = list(dict.fromkeys(words))
    assert len(TEXT.split()) - len(once) <= 1, words  # the one that the loss has cut
    assert len(words) - len(once) <= 1, words
    assert fake.sessions[1].errors == []


@pytest.mark.parametrize("code", CODES)
async def test_an_answer_lost_in_its_middle_is_gone_on_with(
    fake: OpenAIFake, code: int | None
) -> None:
    fake.script.replies = {"a table": TEXT}
    fake.voice.deaths.append(Dies(Phase.SPEAKING, code, 8))
    async with call() as (session, listener):
        say(session, "a table")
        await listener.until(lambda: " ".join(listener.said).endswith("eight."))
    second = fake.sessions[1]
    assert lines(second)[0] == ("user", "a table")
    (asked,) = second.of("response.create")
    assert asked["response"]["instructions"].startswith("You are the desk.")
    assert second.errors == []


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("transcription", ["gpt-4o-mini-transcribe", None])
async def test_a_turn_that_was_not_answered_is_answered(
    fake: OpenAIFake, code: int | None, transcription: str | None
) -> None:
    fake.script.replies = {"a table": "For how many?"}
    fake.voice.deaths.append(Dies(Phase.THINKING, code))
    async with call(model=replace(MODEL, transcription=transcription)) as (session, listener):
        say(session, "a table")
        await listener.hears("For how many?")
        assert len(listener.events_of(CallerTurn)) == 1
    assert lines(fake.sessions[1])[0] == ("user", "a table")
    assert fake.sessions[1].errors == []


@pytest.mark.parametrize("code", CODES)
async def test_speech_that_a_loss_cuts_in_two_is_heard_whole(
    fake: OpenAIFake, code: int | None
) -> None:
    fake.script.replies = {"a table please": "For how many?"}
    fake.voice.deaths.append(Dies(Phase.LISTENING, code))
    audio = speech("a table please", 40)
    async with call() as (session, listener):
        session.post(silence(300) + audio[:4800])
        await session_of(fake, 1)
        session.post(audio[4800:] + silence(500))
        await listener.hears("For how many?")
        await listener.until(lambda: listener.turns == ["a table please"])
    kinds = [type(event) for event in listener.events][:5]
    assert kinds == [CallerStarted, CallerStopped, CallerStarted, CallerStopped, CallerTurn]


@pytest.mark.parametrize("code", CODES)
async def test_a_tool_may_answer_after_its_connection_was_lost(
    fake: OpenAIFake, code: int | None
) -> None:
    fake.script.replies = {"a table": ["Wait.", Wants("book")], "booked": "It is yours."}
    fake.voice.deaths.append(Dies(Phase.TOOL, code))
    async with call() as (session, listener):
        say(session, "a table")
        await listener.until(lambda: bool(listener.wanted))
        await session_of(fake, 1)
        session.answered(listener.wanted[0].calls[0].id, "booked", failed=False, brief=None)
        await listener.hears("Wait.", "It is yours.")
        assert len(listener.wanted) == 1
    assert fake.script.returned == [("book", "booked")]
    assert fake.sessions[1].errors == []


async def test_what_is_said_and_told_while_there_is_no_connection_is_not_lost(
    fake: OpenAIFake,
) -> None:
    fake.script.replies = {"pressed 1": "Sales."}
    async with call() as (session, listener):
        (await session_of(fake)).drop()
        fake.fail("realtime", Refusal(503))
        await asyncio.sleep(0.005)
        session.brief(Brief("Sell.", ()))
        session.say("One moment.")
        session.tell("pressed 1")
        await listener.hears("One moment.", "Sales.")
    assert fake.sessions[-1].settings["instructions"] == "Sell."


async def test_a_line_of_an_earlier_connection_that_is_cut_is_told_as_it_was_heard(
    fake: OpenAIFake,
) -> None:
    fake.script.replies = {"a table": TEXT, "stop": "Yes?"}
    async with call() as (session, listener):
        say(session, "a table")
        await listener.hears(TEXT)
        (await session_of(fake)).drop()
        second = await session_of(fake, 1)
        await fake.until(lambda: len(second.items.all) == 2)
        listener.heard_ms = 65 * 12 + 80
        say(session, "stop")
        await listener.hears(TEXT, "Yes?")
        assert AgentCut() in listener.events
    assert lines(second) == [
        ("user", "a table"),
        ("assistant", "The table is"),
        ("user", "stop"),
        ("assistant", "Yes?"),
    ]
    assert second.errors == []


async def test_a_server_that_is_gone_for_good_is_said_once(fake: OpenAIFake) -> None:
    async with call() as (_, listener):
        there = await session_of(fake)
        fake.fail("realtime", *[Refusal(503)] * 20)
        there.drop()
        assert isinstance(await listener.failure(), ProviderLostError)


async def test_a_refusal_after_a_loss_is_said_once(fake: OpenAIFake) -> None:
    async with call() as (_, listener):
        there = await session_of(fake)
        fake.fail("realtime", *[Refusal(401, "invalid_api_key")] * 20)
        there.drop()
        assert isinstance(await listener.failure(), ProviderRefusedError)


async def test_a_response_of_which_nothing_comes_is_asked_for_on_a_new_connection(
    fake: OpenAIFake,
) -> None:
    fake.voice.mute = 1
    async with call(opening("Good evening."), replace(MODEL, answer_s=1.0)) as (session, listener):
        async with asyncio.timeout(30):
            while listener.said != ["Good evening."]:
                session.post(silence(40))
                await asyncio.sleep(0.02)
    assert len(fake.sessions) == 2


# Sessions that are replaced ------------------------------------------------------------------


async def test_a_session_is_replaced_before_its_time_is_over_and_nobody_notices(
    fake: OpenAIFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.speech.openai_realtime_playing.MARGIN_S", 0.0)
    monkeypatch.setattr("worker.speech.openai_realtime_session._LOOK_SECONDS", 0.01)
    fake.script.letter_ms = 5
    fake.script.replies = {"a table": "For how many?", "two": "Good.", "thanks": "Bye."}
    async with call(model=replace(MODEL, session_s=0.3)) as (session, listener):
        say(session, "a table")
        await listener.hears("For how many?")
        second = await session_of(fake, 1)
        await fake.until(lambda: fake.sessions[0].is_over)
        say(session, "two")
        await listener.hears("For how many?", "Good.")
        third = await session_of(fake, 2)
        await fake.until(lambda: second.is_over)
        say(session, "thanks")
        await listener.hears("For how many?", "Good.", "Bye.")
        assert not listener.failures
        assert listener.turns == ["a table", "two", "thanks"]
    assert lines(third)[:4] == [
        ("user", "a table"),
        ("assistant", "For how many?"),
        ("user", "two"),
        ("assistant", "Good."),
    ]
    assert all(there.errors == [] for there in fake.sessions)
    assert len({*listener.heard}) == 3


async def test_a_session_is_not_replaced_while_somebody_speaks_or_a_tool_runs(
    fake: OpenAIFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.speech.openai_realtime_session._LOOK_SECONDS", 0.01)
    fake.script.replies = {"a table": [Wants("book")], "booked": "Good."}
    async with call(model=replace(MODEL, session_s=0.15)) as (session, listener):
        say(session, "a table")
        await listener.until(lambda: bool(listener.wanted))
        await asyncio.sleep(0.3)
        assert len(fake.sessions) == 1
        monkeypatch.setattr("worker.speech.openai_realtime_session.GRACE_SECONDS", 0.0)
        await session_of(fake, 1)
        await fake.until(lambda: fake.sessions[0].is_over)
        session.answered(listener.wanted[0].calls[0].id, "booked", failed=False, brief=None)
        await listener.hears("Good.")


async def test_a_session_that_cannot_be_replaced_goes_on(
    fake: OpenAIFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.speech.openai_realtime_session._AGAIN_SECONDS", 0.05)
    fake.script.replies = {"a table": "For how many?"}
    async with call(model=replace(MODEL, session_s=0.1)) as (session, listener):
        first = await session_of(fake)
        fake.fail("realtime", Refusal(503), Refusal(503))
        await fake.until(lambda: len(fake.of("realtime")) == 3)
        assert not first.is_over
        await session_of(fake, 1)
        await fake.until(lambda: first.is_over)
        say(session, "a table")
        await listener.hears("For how many?")


async def test_a_session_that_expires_all_the_same_is_followed_by_another(
    fake: OpenAIFake,
) -> None:
    fake.voice.session_s = 0.3
    fake.script.replies = {"a table": "For how many?"}
    async with call() as (session, listener):
        first = await session_of(fake)
        await fake.until(lambda: first.is_over)
        fake.voice.session_s = 60
        say(session, "a table")
        await listener.hears("For how many?")
    assert "session_expired" in first.errors


async def test_closing_while_a_session_is_replaced_leaves_nothing_open(fake: OpenAIFake) -> None:
    fake.voice.is_silent = False
    patient = Retry(open_s=2.0)
    async with call(model=OpenAIRealtime(session_s=0.05, retry=patient)):
        await session_of(fake)
        fake.voice.is_silent = True
        await fake.until(lambda: len(fake.sessions) == 2)
    await fake.until(lambda: all(there.is_over for there in fake.sessions))
