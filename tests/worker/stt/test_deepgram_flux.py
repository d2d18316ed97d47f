import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.fakes.deepgram import DeepgramFake
from tests.fakes.deepgram_flux import turn_info
from tests.worker.stt.deepgram_ear import TONE, Ear, speak, until
from worker.errors import ProviderLostError, ProviderRefusedError
from worker.stt import (
    EagerEnd,
    EndOfTurn,
    Partial,
    SpeechStarted,
    STTSession,
    TurnResumed,
    deepgram_feed,
    deepgram_flux,
)
from worker.stt.deepgram_flux import DeepgramFlux


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
async def listening(settings: DeepgramFlux | None = None) -> AsyncIterator[tuple[STTSession, Ear]]:
    ear = Ear()
    session = await (settings or DeepgramFlux()).connect(ear)
    try:
        yield session, ear
    finally:
        await session.aclose()


def kinds(ear: Ear) -> list[str]:
    """The kinds of what was heard, in order, repeats left out."""
    names = [type(event).__name__ for event in ear.events]
    return [name for at, name in enumerate(names) if at == 0 or names[at - 1] != name]


async def test_a_turn_goes_from_its_start_to_a_guess_to_its_end(fake: DeepgramFake) -> None:
    fake.hears("a table for two")
    async with listening() as (session, ear):
        speak(session, 1200, 600)
        assert await ear.turn() == "a table for two"
        assert kinds(ear) == ["SpeechStarted", "Partial", "EagerEnd", "EndOfTurn"]
        assert EagerEnd("a table for two") in ear.events
        last = ear.events[-1]
        assert isinstance(last, EndOfTurn)
        assert last.at_ms == pytest.approx(1000, abs=250)


async def test_a_wrong_guess_is_taken_back(fake: DeepgramFake) -> None:
    fake.hears("a table for two | or three")
    async with listening() as (session, ear):
        speak(session, 1200, 240)
        speak(session, 600, 600)
        assert await ear.turn() == "a table for two or three"
        first, resumed = ear.events.index(EagerEnd("a table for two")), TurnResumed()
        assert first < ear.events.index(resumed)
        assert ear.turns == ["a table for two or three"]


async def test_without_a_threshold_there_are_no_guesses(fake: DeepgramFake) -> None:
    fake.hears("yes")
    async with listening(DeepgramFlux(eager_eot_threshold=None)) as (session, ear):
        speak(session, 400, 600)
        assert await ear.turn() == "yes"
        assert "EagerEnd" not in kinds(ear)


async def test_audio_goes_in_batches_of_80_ms(fake: DeepgramFake) -> None:
    async with listening() as (session, _):
        socket = await fake.socket()
        for _ in range(20):
            session.post(TONE)
        await until(lambda: len(socket.audio) >= 20 * 160)
        assert set(socket.chunks) == {640}


async def test_silence_takes_the_place_of_audio_that_stops(
    fake: DeepgramFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deepgram_flux, "GAP_SECONDS", 0.1)
    fake.hears("hello there", "again")
    async with listening() as (session, ear):
        speak(session, 620, 0)
        assert await ear.turn() == "hello there"
        socket = await fake.socket()
        assert socket.audio.endswith(b"\xff" * 640)
        # The words of the next turn are timed in posted audio, not in ours.
        speak(session, 400, 600)
        assert await ear.turn(2) == "again"
        last = ear.events[-1]
        assert isinstance(last, EndOfTurn)
        assert last.at_ms is not None
        assert 620 < last.at_ms <= 1040


async def test_silence_is_not_sent_before_the_call_or_for_ever(
    fake: DeepgramFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deepgram_flux, "GAP_SECONDS", 0.01)
    async with listening(DeepgramFlux(eot_timeout_ms=500)) as (session, _):
        socket = await fake.socket()
        await asyncio.sleep(0.1)
        assert socket.chunks == []
        session.post(b"\xff" * 160)
        await until(lambda: len(socket.audio) > 640)
        assert socket.audio[:640] == b"\xff" * 640
        await until(lambda: len(socket.audio) > 8 * 1500)
        before = 0
        while len(socket.audio) > before:
            before = len(socket.audio)
            assert before < 8 * 2500
            await asyncio.sleep(0.3)


async def test_end_turn_forces_the_end(fake: DeepgramFake) -> None:
    fake.hears("one two three")
    async with listening(DeepgramFlux(eot_threshold=1.0)) as (session, ear):
        speak(session, 900, 0)
        await ear.until(lambda: bool(ear.partials))
        session.end_turn()
        assert await ear.turn() == "one two three"
        assert fake.sockets[0].types == ["ForceEndTurn"]


async def test_end_turn_with_no_turn_is_answered_at_once(fake: DeepgramFake) -> None:
    async with listening() as (session, ear):
        session.end_turn()
        assert ear.turns == [""]


async def test_a_server_that_does_not_end_the_turn_is_left(
    fake: DeepgramFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deepgram_flux, "FORCED_SECONDS", 0.05)
    fake.hears("one two three")
    async with listening() as (session, ear):
        first = await fake.socket()
        speak(session, 900, 0)
        await ear.until(lambda: bool(ear.partials))
        said = ear.partials[-1]
        first.is_mute = True
        session.end_turn()
        assert await ear.turn() == said
        await fake.socket()
        fake.hears("four")
        speak(session, 500, 600)
        assert await ear.turn(2) == "four"


async def test_a_frozen_turn_goes_on_on_a_new_connection(fake: DeepgramFake) -> None:
    fake.freezes = 1
    fake.hears("one two three four", "two three four")
    async with listening() as (session, ear):
        speak(session, 500, 0)
        await ear.until(lambda: ear.partials == ["one"])
        for _ in range(4):
            speak(session, 1000, 0)
            await asyncio.sleep(0.02)
        await until(lambda: len(fake.sockets) == 2)
        speak(session, 0, 600)
        assert await ear.turn() == "one two three four"
        assert [type(event) for event in ear.events].count(SpeechStarted) == 1
        assert ear.failures == []


async def test_a_server_that_never_says_anything_is_given_up(fake: DeepgramFake) -> None:
    fake.is_mute = True
    async with listening() as (session, ear):
        async with asyncio.timeout(30):
            while not ear.failures:
                speak(session, 2000, 500)
                await asyncio.sleep(0.01)
    assert len(fake.sockets) == 2


async def test_a_turn_whose_end_was_lost_ends(
    fake: DeepgramFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deepgram_flux, "_NOT_HEARD_SECONDS", 0.1)
    async with listening() as (session, ear):
        first = await fake.socket()
        await send(first, turn_info("EagerEndOfTurn", [("Two", 0.1, 0.3)]))
        await ear.until(lambda: EagerEnd("Two") in ear.events)
        first.cut()
        await until(lambda: len(fake.sockets) == 2)
        assert await ear.turn() == "Two"
        assert ear.events == [SpeechStarted(), EagerEnd("Two"), EndOfTurn("Two", 300.0)]
        # And the connection that did not know of it is listened to.
        fake.hears("hello")
        speak(session, 400, 600)
        assert await ear.turn(2) == "hello"


async def test_words_after_a_guess_and_a_loss_take_it_back(fake: DeepgramFake) -> None:
    async with listening() as (_, ear):
        first = await fake.socket()
        await send(first, turn_info("EagerEndOfTurn", [("Two", 0.1, 0.3)]))
        await ear.until(lambda: EagerEnd("Two") in ear.events)
        first.cut()
        await first.connection.wait_closed()
        second = await fake.socket()
        await send(second, turn_info("StartOfTurn", [("please", 0.1, 0.3)]))
        await ear.until(lambda: Partial("Two please") in ear.events)
        assert ear.events[-2:] == [TurnResumed(), Partial("Two please")]


async def test_an_error_of_the_server_opens_a_new_connection(fake: DeepgramFake) -> None:
    async with listening() as (session, ear):
        first = await fake.socket()
        await first.send({"type": "Error", "sequence_id": 1, "code": "INTERNAL_SERVER_ERROR"})
        await fake.socket()
        fake.hears("hello")
        speak(session, 400, 600)
        assert await ear.turn() == "hello"


async def test_unknown_and_malformed_messages_are_passed_over(fake: DeepgramFake) -> None:
    async with listening() as (_, ear):
        socket = await fake.socket()
        for message in (
            "null",
            "{}",
            "no json",
            '{"type": "TurnInfo"}',
            '{"type": "TurnInfo", "event": 3, "transcript": [], "audio_window_end": -1}',
            '{"type": "TurnInfo", "event": "Yawn", "transcript": "x", "audio_window_end": 1}',
            '{"type": "Warning", "code": "SLOW", "description": "..."}',
        ):
            await socket.send(message)
        await send(socket, turn_info("EndOfTurn", [("ok", 0.1, 0.2)]))
        assert await ear.turn() == "ok"
        assert ear.failures == []


async def test_refusals_are_errors_with_their_reason(fake: DeepgramFake) -> None:
    fake.refuse(403, "FORBIDDEN", "no access to this model")
    with pytest.raises(ProviderRefusedError, match="no access to this model"):
        await DeepgramFlux().connect(Ear())
    fake.refuse(429, "TOO_MANY_REQUESTS", "later", retry_after="9")
    with pytest.raises(ProviderLostError):
        await DeepgramFlux().connect(Ear())


async def test_the_query_is_what_the_settings_say(fake: DeepgramFake) -> None:
    settings = DeepgramFlux(
        model="flux-general-multi", keyterms=("Bella Vista",), language_hints=("it", "en")
    )
    async with listening(settings):
        socket = await fake.socket()
    assert socket.query == {
        "model": ["flux-general-multi"],
        "encoding": ["mulaw"],
        "sample_rate": ["8000"],
        "eot_threshold": ["0.7"],
        "eager_eot_threshold": ["0.5"],
        "eot_timeout_ms": ["5000"],
        "keyterm": ["Bella Vista"],
        "language_hint": ["it", "en"],
    }


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"model": "nova-3"}, "use Deepgram"),
        ({"eot_threshold": 0.2}, "eot_threshold"),
        ({"eager_eot_threshold": 0.95}, "eager_eot_threshold"),
        ({"eot_timeout_ms": 10}, "eot_timeout_ms"),
    ],
)
def test_settings_out_of_range_are_refused_at_once(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        DeepgramFlux(**wrong)  # type: ignore[arg-type]


async def send(socket: object, info: dict[str, object]) -> None:
    from tests.fakes.deepgram_socket import Socket

    assert isinstance(socket, Socket)
    await socket.send({"type": "TurnInfo", "sequence_id": 0, **info})
