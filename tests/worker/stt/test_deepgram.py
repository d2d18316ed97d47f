import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.deepgram import DeepgramFake
from tests.fakes.deepgram_nova import results
from tests.worker.stt.deepgram_ear import TONE, Ear, speak, until
from worker import deepgram_sdk
from worker.errors import ProviderError, ProviderLostError, ProviderRefusedError
from worker.stt import Batched, EndOfTurn, SpeechStarted, STTSession, deepgram, deepgram_feed
from worker.stt.deepgram import Deepgram


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests speak faster than people do."""
    monkeypatch.setattr(deepgram_feed, "REPLAY_SPEED", 1000.0)


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DeepgramFake]:
    async with DeepgramFake() as server:
        monkeypatch.setenv("DEEPGRAM_API_KEY", server.key)
        monkeypatch.setenv("DEEPGRAM_BASE_URL", server.url)
        yield server


@asynccontextmanager
async def listening(settings: Deepgram | None = None) -> AsyncIterator[tuple[STTSession, Ear]]:
    ear = Ear()
    session = await (settings or Deepgram()).connect(ear)
    try:
        yield session, ear
    finally:
        await session.aclose()


async def test_speech_becomes_partials_and_one_end_of_turn(fake: DeepgramFake) -> None:
    fake.hears("a table for two of us at eight please")
    async with listening() as (session, ear):
        speak(session, 2200)
        assert await ear.turn() == "a table for two of us at eight please"
        assert ear.events[0] == SpeechStarted()
        assert ear.partials
        assert all("a table for two of us at eight please".startswith(p) for p in ear.partials)
        assert ear.turns == ["a table for two of us at eight please"]


async def test_finals_before_the_last_are_part_of_the_turn(fake: DeepgramFake) -> None:
    text = " ".join(f"w{n}" for n in range(20))
    fake.hears(text)
    async with listening() as (session, ear):
        speak(session, 4900)
        assert await ear.turn() == text
        assert len(ear.partials) > 3


async def test_the_end_of_the_last_word_is_in_posted_audio(fake: DeepgramFake) -> None:
    fake.hears("two of us")
    async with listening() as (session, ear):
        speak(session, 720)
        await ear.turn()
        last = ear.events[-1]
        assert isinstance(last, EndOfTurn)
        assert last.at_ms == pytest.approx(720, abs=30)


async def test_two_utterances_are_two_turns_and_utterance_end_adds_none(
    fake: DeepgramFake,
) -> None:
    fake.hears("yes", "and no")
    async with listening() as (session, ear):
        speak(session, 400, 1500)
        speak(session, 600, 1500)
        assert await ear.turn(2) == "and no"
        assert ear.turns == ["yes", "and no"]


async def test_a_noise_ends_with_an_empty_turn(fake: DeepgramFake) -> None:
    async with listening() as (session, ear):
        speak(session, 200)
        assert await ear.turn() == ""
        assert ear.events == [SpeechStarted(), EndOfTurn("")]


async def test_silence_says_nothing(fake: DeepgramFake) -> None:
    async with listening() as (session, ear):
        speak(session, 0, 4000)
        socket = await fake.socket()
        await until(lambda: len(socket.audio) > 4000 * 8 - 1000)
        await asyncio.sleep(0.02)
        assert ear.events == []


async def test_a_noisy_line_ends_the_turn_by_utterance_end(
    fake: DeepgramFake,
) -> None:
    fake.is_noisy = True
    fake.hears("is anybody there")
    async with listening() as (session, ear):
        speak(session, 800, 1500)
        assert await ear.turn() == "is anybody there"
        assert ear.turns == ["is anybody there"]


async def test_end_turn_brings_what_was_said_and_it_never_comes_again(fake: DeepgramFake) -> None:
    fake.hears("one two three four", "five")
    async with listening() as (session, ear):
        speak(session, 1100, 0)
        session.end_turn()
        first = await ear.turn()
        assert first == "one two three four"
        socket = await fake.socket()
        assert socket.types == ["Finalize"]
        speak(session, 0, 500)
        speak(session, 400, 500)
        await ear.until(lambda: "five" in ear.turns)
        assert [turn for turn in ear.turns if turn] == ["one two three four", "five"]


async def test_end_turn_without_an_answer_ends_with_the_words_so_far(
    fake: DeepgramFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deepgram, "FINALIZE_SECONDS", 0.05)
    async with listening() as (session, ear):
        socket = await fake.socket()
        await socket.send(results([("Two", 0.1, 0.3), ("of", 0.3, 0.5)]))
        await ear.until(lambda: ear.partials == ["Two of"])
        socket.is_mute = True
        session.end_turn()
        assert await ear.turn() == "Two of"
        socket.is_mute = False
        # The same words, final at last and with one more: only that is new.
        words = [("Two", 0.1, 0.31), ("of", 0.31, 0.52), ("us", 0.55, 0.8)]
        await socket.send(results(words, final=True, speech_final=True))
        assert await ear.turn(2) == "us"


async def test_unknown_and_malformed_messages_are_passed_over(fake: DeepgramFake) -> None:
    async with listening() as (_, ear):
        socket = await fake.socket()
        for message in (
            "null",
            "[]",
            "3",
            "no json",
            '{"type": "FutureThing", "channel": 3}',
            '{"type": "Results"}',
            '{"type": "Results", "channel": {"alternatives": 7}, "start": "x", "duration": -1}',
            '{"type": "Results", "channel": {"alternatives": []}, "start": 0, "duration": 1e999}',
            b"binary",
        ):
            await socket.send(message)
        await socket.send(results([("ok", 0.1, 0.2)], final=True, speech_final=True))
        assert await ear.turn() == "ok"
        assert ear.failures == []


async def test_audio_goes_in_batches_of_60_ms(fake: DeepgramFake) -> None:
    async with listening() as (session, _):
        socket = await fake.socket()
        assert isinstance(session, Batched)
        assert session.batch_ms == 60
        for _ in range(24):
            session.post(TONE)
        await until(lambda: len(socket.audio) >= 480 + 24 * 160)
        assert set(socket.chunks) == {480}


async def test_a_quiet_stream_is_kept_alive(
    fake: DeepgramFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.idle_s = 1.5
    monkeypatch.setattr(deepgram, "KEEP_ALIVE_SECONDS", 0.1)
    async with listening() as (_, ear):
        socket = await fake.socket()
        await until(lambda: len(socket.types) > 16)
        assert set(socket.types) == {"KeepAlive"}
        assert len(socket.audio) == 480, "one batch of silence, so that there was audio at all"
        assert ear.failures == []


async def test_a_lost_connection_is_opened_again_and_hears_the_turn_to_its_end(
    fake: DeepgramFake,
) -> None:
    fake.hears("one two three four five six")
    async with listening() as (session, ear):
        first = await fake.socket()
        speak(session, 1200, 0)
        await ear.until(lambda: bool(ear.partials))
        fake.hears("one two three four five six")  # the new connection hears it again
        first.cut()
        speak(session, 300, 500)
        assert await ear.turn() == "one two three four five six"
        last = ear.events[-1]
        assert isinstance(last, EndOfTurn)
        assert last.at_ms == pytest.approx(1500, abs=60)
        assert ear.failures == []


async def test_finals_survive_a_loss_and_end_though_only_silence_follows(
    fake: DeepgramFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deepgram, "_NOT_HEARD_SECONDS", -0.9)
    async with listening() as (session, ear):
        first = await fake.socket()
        await first.send(results([("Two", 0.1, 0.3)], final=True))
        await ear.until(lambda: ear.partials == ["Two"])
        first.cut()
        await fake.socket()
        speak(session, 0, 500)
        assert await ear.turn() == "Two"


async def test_end_turn_while_the_connection_is_down_answers_at_once(fake: DeepgramFake) -> None:
    async with listening() as (session, ear):
        first = await fake.socket()
        await first.send(results([("Two", 0.1, 0.3)]))
        await ear.until(lambda: ear.partials == ["Two"])
        fake.refuse(503, "DOWN", "try later", times=2)
        first.cut()
        await until(lambda: fake.refused == 2)
        session.end_turn()
        assert ear.turns == ["Two"]


async def test_a_mute_server_in_mid_turn_is_given_up_for_another(
    fake: DeepgramFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.hears("hello out there")
    async with listening() as (session, ear):
        first = await fake.socket()
        speak(session, 1200, 0)
        await ear.until(lambda: bool(ear.partials))
        first.is_mute = True
        fake.hears("hello out there")
        for _ in range(3):
            speak(session, 2000, 0)
            await asyncio.sleep(0.02)
        await fake.socket()
        speak(session, 0, 500)
        assert await ear.turn() == "hello out there"


async def test_a_server_that_never_says_anything_is_given_up(fake: DeepgramFake) -> None:
    fake.is_mute = True
    async with listening() as (session, ear):
        async with asyncio.timeout(30):
            while not ear.failures:
                speak(session, 2000, 500)
                await asyncio.sleep(0.01)
    assert len(fake.sockets) == 2
    assert [str(error) for error in ear.failures] == ["deepgram: takes audio and says nothing"]


async def test_a_server_that_falls_silent_between_turns_is_left_for_another(
    fake: DeepgramFake,
) -> None:
    fake.hears("hello", "out there")
    async with listening() as (session, ear):
        first = await fake.socket()
        speak(session)
        assert await ear.turn() == "hello"
        first.is_mute = True
        async with asyncio.timeout(30):
            while len(fake.sockets) < 2:
                speak(session, 0, 500)
                await asyncio.sleep(0.01)
        speak(session)
        assert await ear.turn(2) == "out there"
        assert ear.failures == []


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "INVALID_QUERY_PARAMETER"), (401, "INVALID_AUTH"), (402, "ASR_PAYMENT_REQUIRED")],
)
async def test_a_refusal_is_final_and_says_why(fake: DeepgramFake, status: int, code: str) -> None:
    fake.refuse(status, code, "because it is so")
    with pytest.raises(ProviderRefusedError, match="because it is so") as caught:
        await Deepgram().connect(Ear())
    assert caught.value.status == status
    assert fake.refused == 1
    assert fake.key not in str(caught.value)


async def test_too_many_requests_are_tried_again(fake: DeepgramFake) -> None:
    fake.refuse(429, "TOO_MANY_REQUESTS", "slow down", times=2)
    async with listening() as (_, ear):
        assert len(fake.sockets) == 1
        assert ear.failures == []


async def test_a_long_retry_after_is_not_waited_for(fake: DeepgramFake) -> None:
    fake.refuse(429, "TOO_MANY_REQUESTS", "slow down", retry_after="60")
    with pytest.raises(ProviderLostError) as caught:
        await Deepgram().connect(Ear())
    assert caught.value.retry_after_s == 60


async def test_audio_that_cannot_be_decoded_is_a_refusal(fake: DeepgramFake) -> None:
    async with listening() as (_, ear):
        socket = await fake.socket()
        await socket.connection.close(1008, "DATA-0000")
        await ear.until(lambda: bool(ear.failures))
        assert isinstance(ear.failures[0], ProviderRefusedError)
        assert ear.failures[0].status == 1008


async def test_a_server_that_stays_away_is_given_up_once(
    fake: DeepgramFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.uniform", lambda a, b: 0.02)
    async with listening() as (session, ear):
        socket = await fake.socket()
        fake.refuse(503, "DOWN", "no", times=99)
        socket.cut()
        await ear.until(lambda: bool(ear.failures))
        assert isinstance(ear.failures[0], ProviderLostError)
        speak(session, 200)
        assert len(ear.failures) == 1


async def test_closing_says_close_stream_and_is_quick_though_nobody_answers(
    fake: DeepgramFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with listening() as (session, ear):
        polite = await fake.socket()
        speak(session, 300, 0)
    assert polite.types == ["CloseStream"]
    assert ear.turns == []
    monkeypatch.setattr(deepgram, "FAREWELL_SECONDS", 0.05)
    async with listening() as (session, _):
        socket = await fake.socket()
        socket.is_mute = True
        async with asyncio.timeout(8):
            await session.aclose()
        await session.aclose()
        session.post(TONE)
        session.end_turn()


async def test_the_query_is_what_the_settings_say(fake: DeepgramFake) -> None:
    settings = Deepgram(
        keyterms=("Bella Vista", "Spritz"), smart_format=False, options={"numerals": True}
    )
    async with listening(settings):
        socket = await fake.socket()
    assert socket.query == {
        "model": ["nova-3"],
        "language": ["en"],
        "encoding": ["mulaw"],
        "sample_rate": ["8000"],
        "channels": ["1"],
        "interim_results": ["true"],
        "vad_events": ["true"],
        "endpointing": ["300"],
        "utterance_end_ms": ["1000"],
        "smart_format": ["false"],
        "keyterm": ["Bella Vista", "Spritz"],
        "numerals": ["true"],
    }
    assert "permessage-deflate" not in str(socket.headers)


async def test_calls_have_session_ids_of_their_own(fake: DeepgramFake) -> None:
    async with listening(), listening():
        one, two = await fake.socket(), await fake.socket()
    assert one.headers["x-deepgram-session-id"] != two.headers["x-deepgram-session-id"]


async def test_calls_of_a_template_that_was_prepared_do_not_ask_the_sdk_how_to_connect(
    fake: DeepgramFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Deepgram] = []
    connecting = Deepgram.connecting

    def counted(self: Deepgram, client: Any) -> Any:
        asked.append(self)
        return connecting(self, client)

    monkeypatch.setattr(Deepgram, "connecting", counted)
    settings, same = (Deepgram(options={"numerals": True}) for _ in range(2))
    await asyncio.to_thread(settings.prepare)  # there is no event loop, as in a template
    async with listening(same), listening(same):
        one, two = await fake.socket(), await fake.socket()
    assert asked == [settings]
    async with listening(Deepgram(options={"numerals": False})):
        other = await fake.socket()
    assert one.query == two.query != other.query
    for name in ("X-Fern-SDK-Version", "User-Agent"):
        assert one.headers[name] == two.headers[name] == other.headers[name]


def test_an_sdk_that_does_not_connect_at_once_is_told_of_and_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DEEPGRAM_API_KEY", "a-key")

    class Slow(Deepgram):
        @asynccontextmanager
        async def connecting(self, client: Any) -> AsyncIterator[Any]:
            await asyncio.sleep(0)
            yield

    with pytest.raises(ProviderError, match="SDK"):
        deepgram_sdk.plan(Slow())


def test_a_flux_model_is_refused_with_the_right_name() -> None:
    with pytest.raises(ValueError, match="DeepgramFlux"):
        Deepgram(model="flux-general-en")


def test_without_a_key_it_is_not_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEEPGRAM_API_KEY", raising=False)
    monkeypatch.delenv("DEEPGRAM_BASE_URL", raising=False)
    with pytest.raises(ProviderError, match="DEEPGRAM_API_KEY"):
        Deepgram().prepare()


def _entries(folder: str) -> int:
    return len(list(Path("/proc/self", folder).iterdir()))


def test_preparing_leaves_one_task_and_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPGRAM_API_KEY", "another")
    child = os.fork()
    if child == 0:
        before = _entries("fd")
        Deepgram().prepare()
        os._exit(0 if _entries("task") == 1 and _entries("fd") == before else 1)
    assert os.waitpid(child, 0)[1] == 0


async def test_the_stand_in_needs_no_network() -> None:
    settings = Deepgram()
    ear = Ear()
    session = await settings.stand_in().connect(ear)
    speak(session, 600, 1000)
    assert ear.turns == ["hello"]
    await session.aclose()
