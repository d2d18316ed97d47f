import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.audio import pcm16_to_ulaw, silence
from shared.speech.endpointing import Endpoints
from tests.fakes import openai_speech
from tests.fakes.openai import KEY, Broken, OpenAIFake, Trouble
from tests.fakes.openai_realtime import Session
from tests.fakes.openai_refusal import Refusal
from worker import stand_ins
from worker.errors import ProviderError, ProviderLostError, ProviderRefusedError
from worker.stt import (
    EndOfTurn,
    Hearing,
    Partial,
    SpeechStarted,
    SpeechStopped,
    STTSession,
    openai_session,
)
from worker.stt.openai_transcription import OpenAITranscription

_TONE = b"".join(openai_speech.pieces({"input": "x" * 20, "response_format": "pcm"}, 50))
SPEECH = pcm16_to_ulaw(b"".join(_TONE[at : at + 2] for at in range(0, len(_TONE), 6)))
"""1 s of a tone."""

QUIET = silence(800)
LIVE = OpenAITranscription(model="gpt-live-transcribe", keywords=("Bella Vista",))


class Listener:
    """Keeps what was heard, and waits for it."""

    def __init__(self) -> None:
        self.events: list[Hearing] = []
        self.failures: list[Exception] = []
        self._changed = asyncio.Event()

    def heard(self, event: Hearing) -> None:
        self.events.append(event)
        self._changed.set()

    def failed(self, error: Exception) -> None:
        self.failures.append(error)
        self._changed.set()

    @property
    def turns(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, EndOfTurn)]

    async def until(self, turns: int) -> list[str]:
        """Return the texts of all turns when there are so many; fail if the session does."""
        async with asyncio.timeout(30):
            while len(self.turns) < turns and not self.failures:
                self._changed.clear()
                await self._changed.wait()
        assert not self.failures, self.failures
        return self.turns

    async def failure(self) -> Exception:
        async with asyncio.timeout(30):
            while not self.failures:
                self._changed.clear()
                await self._changed.wait()
        (error,) = self.failures
        return error


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OpenAIFake]:
    async with OpenAIFake() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        yield server


@contextlib.asynccontextmanager
async def call(
    settings: OpenAITranscription | None = None,
) -> AsyncIterator[tuple[STTSession, Listener]]:
    listener = Listener()
    session = await (settings or OpenAITranscription()).connect(listener)
    try:
        yield session, listener
    finally:
        await session.aclose()


def say(session: STTSession, audio: bytes = SPEECH + QUIET) -> None:
    for start in range(0, len(audio), 160):
        session.post(audio[start : start + 160])


async def session_of(fake: OpenAIFake, number: int = 0) -> Session:
    """Return a session of the server that was set up."""
    sessions = fake.hearing.sessions
    await fake.until(lambda: len(sessions) > number and sessions[number].updated)
    return sessions[number]


# Turns found by the server -------------------------------------------------------------------


async def test_speech_is_noticed_transcribed_and_ended(fake: OpenAIFake) -> None:
    async with call() as (session, listener):
        say(session)
        await listener.until(1)
    started, stopped, *partials, end = listener.events
    assert started == SpeechStarted(lasting=True)
    assert isinstance(stopped, SpeechStopped)
    assert partials == [Partial("two"), Partial("two of"), Partial("two of us")]
    assert isinstance(end, EndOfTurn)
    assert end.text == "two of us"
    assert end.at_ms == stopped.at_ms == pytest.approx(1000, abs=40)


async def test_the_session_is_set_up_before_any_audio(fake: OpenAIFake) -> None:
    settings = OpenAITranscription(
        language="de", prompt="a restaurant", threshold=0.6, prefix_padding_ms=200,
        silence_duration_ms=400, noise_reduction="near_field",
    )  # fmt: skip
    async with call(settings) as (session, listener):
        say(session)
        await listener.until(1)
    (there,) = fake.hearing.sessions
    assert there.received[:2] == ["session.update", "input_audio_buffer.append"]
    assert there.errors == []
    assert there.settings["audio"]["input"] == {
        "format": {"type": "audio/pcmu"},
        "transcription": {
            "model": "gpt-4o-mini-transcribe", "language": "de", "prompt": "a restaurant",
        },
        "noise_reduction": {"type": "near_field"},
        "turn_detection": {
            "type": "server_vad", "threshold": 0.6, "prefix_padding_ms": 200,
            "silence_duration_ms": 400,
        },
    }  # fmt: skip
    assert bytes(there.audio) == SPEECH + QUIET
    assert min(there.appends) >= 800


async def test_audio_can_be_upsampled(fake: OpenAIFake) -> None:
    settings = OpenAITranscription(audio_format="audio/pcm", turn_detection="semantic_vad")
    async with call(settings) as (session, listener):
        say(session)
        assert await listener.until(1) == ["two of us"]
    (there,) = fake.hearing.sessions
    assert there.settings["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24000}
    assert there.settings["audio"]["input"]["turn_detection"]["eagerness"] == "auto"
    assert len(there.audio) == pytest.approx(len(SPEECH + QUIET), abs=8)


async def test_a_caller_who_goes_on_before_the_words_came_is_one_turn(fake: OpenAIFake) -> None:
    fake.hearing.hold = True
    fake.hearing.transcripts = ["two of us", "outside"]
    async with call() as (session, listener):
        say(session)
        say(session)
        there = await session_of(fake)
        await fake.until(lambda: len(there.items) == 2)
        assert listener.turns == []
        await there.transcribed(there.items[1][0], "outside")
        there.release()
        assert await listener.until(1) == ["two of us outside"]
    assert len(listener.turns) == 1


async def test_an_item_that_cannot_be_transcribed_has_no_words(fake: OpenAIFake) -> None:
    fake.hearing.transcripts = [Refusal(500, "transcription_failed"), "two of us"]
    async with call() as (session, listener):
        say(session)
        assert await listener.until(1) == [""]
        say(session)
        assert await listener.until(2) == ["", "two of us"]


@pytest.mark.parametrize(
    "faults",
    [[Refusal(429, "insufficient_quota")], [Refusal(500, "transcription_failed")] * 3],
)
async def test_a_server_that_transcribes_nothing_any_more_is_given_up(
    fake: OpenAIFake, faults: list[Refusal]
) -> None:
    fake.hearing.transcripts = [*faults]
    async with call() as (session, listener):
        for number in range(len(faults)):
            say(session)
            if number < len(faults) - 1:
                await listener.until(number + 1)
        assert isinstance(await listener.failure(), ProviderRefusedError)


# Turns found by us ---------------------------------------------------------------------------


async def test_a_model_without_turn_detection_has_ours(fake: OpenAIFake) -> None:
    async with call(LIVE) as (session, listener):
        say(session, QUIET * 2 + SPEECH + QUIET * 2 + SPEECH + QUIET)
        assert await listener.until(1) == ["two of us two of us"]
        (end,) = [event for event in listener.events if isinstance(event, EndOfTurn)]
        assert end.at_ms == pytest.approx(5200, abs=40)
    (there,) = fake.hearing.sessions
    assert there.errors == []
    assert there.settings["audio"]["input"]["turn_detection"] is None
    assert there.received.count("input_audio_buffer.commit") == 2
    assert len(there.audio) / 8 == pytest.approx(2 * (300 + 1000 + 500), abs=400)


async def test_we_commit_after_the_silence_that_the_author_asked_for(fake: OpenAIFake) -> None:
    settings = OpenAITranscription(turn_detection=None, endpoints=Endpoints(end_silence_ms=200))
    async with call(settings) as (session, listener):
        say(session, SPEECH + silence(260))
        assert await listener.until(1) == ["two of us"]
        say(session)
        assert await listener.until(2) == ["two of us", "two of us"]


# Our own end of a turn -----------------------------------------------------------------------


@pytest.mark.parametrize("settings", [OpenAITranscription(), LIVE])
async def test_end_turn_commits_what_was_posted(
    fake: OpenAIFake, settings: OpenAITranscription
) -> None:
    async with call(settings) as (session, listener):
        say(session, SPEECH)
        session.end_turn()
        assert await listener.until(1) == ["two of us"]
        fake.hearing.words = "outside"
        say(session)
        assert (await listener.until(2))[1:] == ["outside"]


@pytest.mark.parametrize("settings", [OpenAITranscription(), LIVE])
async def test_end_turn_with_nothing_said_ends_it_without_words(
    fake: OpenAIFake, settings: OpenAITranscription
) -> None:
    async with call(settings) as (session, listener):
        session.end_turn()
        assert await listener.until(1) == [""]
        say(session, silence(60))
        session.end_turn()
        assert await listener.until(2) == ["", ""]


async def test_words_that_never_come_do_not_hold_a_turn_forever(
    fake: OpenAIFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_session, "END_SECONDS", 0.1)
    fake.hearing.hold = True
    fake.hearing.transcripts = ["too late"]
    async with call() as (session, listener):
        say(session)
        there = await session_of(fake)
        await fake.until(lambda: len(there.items) == 1)
        session.end_turn()
        assert await listener.until(1) == [""]
        there.release()
        say(session)
        assert (await listener.until(2))[1] == "two of us"
    assert "too late" not in str(listener.events)


# The connection ------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [OpenAITranscription(), LIVE])
async def test_what_was_not_answered_is_sent_again(
    fake: OpenAIFake, settings: OpenAITranscription
) -> None:
    fake.hearing.hold = True
    async with call(settings) as (session, listener):
        say(session)
        first = await session_of(fake)
        await fake.until(lambda: len(first.items) == 1)
        first.drop()
        fake.hearing.hold = False
        assert await listener.until(1) == ["two of us"]
    second = fake.hearing.sessions[1]
    assert second.items[0][1] == first.items[0][1]


@pytest.mark.parametrize("settings", [OpenAITranscription(), LIVE])
async def test_speech_that_a_loss_cuts_in_two_is_heard_whole(
    fake: OpenAIFake, settings: OpenAITranscription
) -> None:
    async with call(settings) as (session, listener):
        say(session, silence(400) + SPEECH[:4000])
        first = await session_of(fake)
        await fake.until(lambda: len(first.audio) >= 4000)
        first.drop()
        say(session, SPEECH[4000:] + QUIET)
        assert await listener.until(1) == ["two of us"]
    (item,) = fake.hearing.sessions[1].items
    assert SPEECH in item[1]


async def test_times_are_of_the_call_whatever_the_connection(fake: OpenAIFake) -> None:
    async with call() as (session, listener):
        say(session)
        await listener.until(1)
        (await session_of(fake)).drop()
        await session_of(fake, 1)
        say(session)
        await listener.until(2)
    ends = [event.at_ms for event in listener.events if isinstance(event, EndOfTurn)]
    assert ends == [pytest.approx(1000, abs=40), pytest.approx(2800, abs=40)]


async def test_what_was_answered_is_not_sent_again(fake: OpenAIFake) -> None:
    async with call() as (session, listener):
        say(session)
        await listener.until(1)
        (await session_of(fake)).drop()
        await session_of(fake, 1)
        session.end_turn()
        assert await listener.until(2) == ["two of us", "two of us"]
    second = fake.hearing.sessions[1]
    assert len(second.audio) <= 8000
    assert SPEECH[:800] not in second.audio


@pytest.mark.parametrize("code", [1000, 1001, 1011])
async def test_any_close_is_followed_by_a_new_session(fake: OpenAIFake, code: int) -> None:
    async with call() as (session, listener):
        await (await session_of(fake)).close(code)
        await session_of(fake, 1)
        say(session)
        assert await listener.until(1) == ["two of us"]


async def test_a_session_that_expires_is_followed_by_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    async with OpenAIFake(session_s=0.2) as fake:
        async with call(OpenAITranscription(base_url=fake.url)) as (session, listener):
            await session_of(fake, 1)
            say(session)
            assert await listener.until(1) == ["two of us"]
        assert fake.hearing.sessions[0].errors == ["session_expired"]


async def test_a_session_is_renewed_in_time_and_not_in_the_middle_of_speech(
    fake: OpenAIFake,
) -> None:
    async with call(OpenAITranscription(renew_s=0.2)) as (session, listener):
        say(session, SPEECH)
        await asyncio.sleep(0.3)
        say(session, QUIET)
        assert await listener.until(1) == ["two of us"]
        assert len(fake.hearing.sessions) == 1
        say(session, silence(100))
        await session_of(fake, 1)
        say(session)
        assert await listener.until(2) == ["two of us", "two of us"]
    assert fake.hearing.sessions[0].errors == []


async def test_a_lost_server_is_given_up_and_said_once(fake: OpenAIFake) -> None:
    async with call() as (_, listener):
        fake.fail("realtime", *[Refusal(503, headers={"Retry-After": "60"})] * 9)
        (await session_of(fake)).drop()
        error = await listener.failure()
    assert isinstance(error, ProviderLostError)
    assert error.status == 503


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        (OpenAITranscription(model="gpt-9-transcribe"), "model_not_found"),
        (OpenAITranscription(language="english"), "language"),
    ],
)
async def test_a_wrong_setting_is_refused_when_connecting(
    fake: OpenAIFake, settings: OpenAITranscription, word: str
) -> None:
    with pytest.raises(ProviderRefusedError, match=word):
        await settings.connect(Listener())
    assert len(fake.hearing.sessions) == 1


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_handshake_is_final_and_tells_no_key(fake: OpenAIFake, status: int) -> None:
    fake.fail("realtime", Refusal(status, "invalid_api_key", f"Incorrect API key: {KEY}"))
    with pytest.raises(ProviderRefusedError) as caught:
        await OpenAITranscription().connect(Listener())
    assert caught.value.status == status
    assert KEY not in str(caught.value)
    assert len(fake.of("realtime")) == 1


async def test_a_first_try_that_fails_is_not_the_last(fake: OpenAIFake) -> None:
    fake.fail("realtime", Refusal(500), Broken(Trouble.DROP))
    async with call() as (session, listener):
        say(session)
        assert await listener.until(1) == ["two of us"]


async def test_events_that_nobody_knows_or_that_do_not_fit_change_nothing(
    fake: OpenAIFake,
) -> None:
    async with call() as (session, listener):
        there = await session_of(fake)
        await there.send("rate_limits.updated", rate_limits=[])
        await there.send("input_audio_buffer.speech_started", item_id=7)
        await there.send("error", error={"type": "invalid_request_error", "code": "odd"})
        say(session)
        assert await listener.until(1) == ["two of us"]


async def test_closing_is_quick_and_may_be_done_twice(fake: OpenAIFake) -> None:
    async with call() as (session, listener):
        say(session)
        await session.aclose()
        await session.aclose()
        session.post(SPEECH)
        session.end_turn()
    assert listener.failures == []


# Settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"model": ""}, "model"),
        ({"threshold": 2}, "threshold"),
        ({"silence_duration_ms": -1}, "silence"),
        ({"model": "gpt-realtime-whisper", "prompt": "x"}, "prompt"),
        ({"keywords": ("x",)}, "keywords"),
    ],
)
def test_settings_that_do_not_fit_are_refused_at_once(wrong: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        OpenAITranscription(**wrong)


def test_without_a_key_it_is_refused_when_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(ProviderError, match="OPENAI_API_KEY"):
        OpenAITranscription().prepare()


def test_its_stand_in_needs_no_network() -> None:
    assert isinstance(OpenAITranscription().stand_in(), stand_ins.EnergySTT)
