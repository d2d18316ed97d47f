"""Cartesia's voice, through the real SDK, against a server that speaks its wire."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest

from tests.fakes.cartesia import KEY, CartesiaFake
from tests.fakes.voice_faults import Dies, Errs, Refusal, Silent
from tests.forking import used_after_a_fork
from tests.harness import eventually
from tests.worker.tts.voice_recorder import Recorder, timings_fit
from worker.backoff import Retry
from worker.errors import ProviderLostError, ProviderRefusedError
from worker.message import Message
from worker.stand_ins import ToneTTS
from worker.tts import TTSSession
from worker.tts.cartesia import Cartesia

QUICK = Retry(first_delay_s=0.01, longest_delay_s=0.02)
VOICE = Cartesia("a-voice", retry=QUICK)


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CartesiaFake]:
    async with CartesiaFake(pace_s=0.001) as server:
        monkeypatch.setenv("CARTESIA_API_KEY", KEY)
        monkeypatch.setenv("CARTESIA_BASE_URL", server.url)
        yield server


@asynccontextmanager
async def talking(voice: Cartesia = VOICE) -> AsyncIterator[tuple[TTSSession, Recorder]]:
    recorder = Recorder()
    session = await voice.connect(recorder)
    try:
        yield session, recorder
    finally:
        await session.aclose()


# Speaking --------------------------------------------------------------------------------------


async def test_an_utterance_is_spoken_timed_and_ended(fake: CartesiaFake) -> None:
    async with talking() as (session, recorder):
        uuid = uuid4()
        session.post(Message(uuid, "Good evening, how can I help?"))
        await recorder.end_of(uuid)
    assert recorder.words(uuid) == ["Good", "evening,", "how", "can", "I", "help?"]
    assert recorder.timed_words(uuid) == recorder.words(uuid)
    timings_fit(recorder, uuid)


async def test_a_request_says_all_that_was_set_and_nothing_else(fake: CartesiaFake) -> None:
    voice = Cartesia(
        "v1", "sonic-3", "de", speed=1.2, volume=1.5, emotion="calm", pronunciation_dict_id="p1"
    )
    async with talking(voice) as (session, recorder):
        uuid = uuid4()
        session.post(Message(uuid, "Guten Tag."))
        await recorder.end_of(uuid)
    request = fake.requests[0]
    assert request.pop("context_id")
    assert request == {
        "model_id": "sonic-3",
        "voice": {"id": "v1"},
        "language": "de",
        "output_format": {"container": "raw", "encoding": "pcm_mulaw", "sample_rate": 8000},
        "add_timestamps": True,
        "max_buffer_delay_ms": 0,
        "generation_config": {"speed": 1.2, "volume": 1.5, "emotion": "calm"},
        "pronunciation_dict_id": "p1",
        "transcript": "Guten Tag.",
        "continue": False,
    }


async def test_options_are_further_fields_of_every_request(fake: CartesiaFake) -> None:
    voice = Cartesia("v1", options={"use_normalized_timestamps": True})
    async with talking(voice) as (session, recorder):
        uuid = uuid4()
        session.post(Message(uuid, "Hello.", done=False))
        session.post(Message(uuid, " Goodbye."))
        await recorder.end_of(uuid)
    assert [request["use_normalized_timestamps"] for request in fake.requests] == [True, True]
    with pytest.raises(ValueError, match="output_format"):
        Cartesia("v1", options={"output_format": {}})


async def test_pieces_go_verbatim_into_one_context_and_an_empty_one_ends_it(
    fake: CartesiaFake,
) -> None:
    async with talking() as (session, recorder):
        uuid = uuid4()
        for piece in ("Thanks, ", "and ", "goodbye."):
            session.post(Message(uuid, piece, done=False))
        await recorder.until(lambda: len(recorder.words(uuid)) == 3)
        assert recorder.finished == []
        session.post(Message(uuid, ""))
        await recorder.end_of(uuid)
    said = [(it["transcript"], it["continue"]) for it in fake.requests]
    assert said == [("Thanks, ", True), ("and ", True), ("goodbye.", True), ("", False)]
    assert len({it["context_id"] for it in fake.requests}) == 1
    timings_fit(recorder, uuid)


async def test_a_clause_is_spoken_before_the_next_is_posted(fake: CartesiaFake) -> None:
    async with talking() as (session, recorder):
        uuid = uuid4()
        session.post(Message(uuid, "One moment. ", done=False))
        await recorder.until(lambda: recorder.words(uuid) == ["One", "moment."])
        session.post(Message(uuid, "Here it is."))
        await recorder.end_of(uuid)
    assert recorder.words(uuid) == ["One", "moment.", "Here", "it", "is."]


@pytest.mark.parametrize("pieces", [[""], ["  ", ""], [" - ", "…"]])
async def test_nothing_to_say_ends_without_the_provider(
    fake: CartesiaFake, pieces: list[str]
) -> None:
    async with talking() as (session, recorder):
        uuid = uuid4()
        for at, piece in enumerate(pieces):
            session.post(Message(uuid, piece, done=at == len(pieces) - 1))
        assert not recorder.finished, "the listener is not called while text is posted"
        await recorder.end_of(uuid)
    assert not fake.requests


async def test_utterances_keep_their_audio_apart(fake: CartesiaFake) -> None:
    async with talking() as (session, recorder):
        uuids = [uuid4() for _ in range(4)]
        for at, uuid in enumerate(uuids):
            session.post(Message(uuid, f"This is number {at}."))
        for uuid in uuids:
            await recorder.end_of(uuid)
    for at, uuid in enumerate(uuids):
        assert recorder.words(uuid) == ["This", "is", "number", f"{at}."]


async def test_a_pause_between_pieces_opens_a_fresh_context_and_times_go_on(
    fake: CartesiaFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.expiry_s = 0.25
    monkeypatch.setattr("worker.tts.cartesia._PAUSE_S", 0.1)
    async with talking() as (session, recorder):
        uuid = uuid4()
        session.post(Message(uuid, "One moment please. ", done=False))
        await asyncio.sleep(0.4)
        assert recorder.finished == []
        session.post(Message(uuid, "The table is booked."))
        await recorder.end_of(uuid)
    assert recorder.words(uuid) == ["One", "moment", "please.", "The", "table", "is", "booked."]
    assert recorder.timed_words(uuid) == recorder.words(uuid)
    timings_fit(recorder, uuid)
    assert len({it["context_id"] for it in fake.requests}) == 2


async def test_a_context_that_expired_all_the_same_costs_no_word(
    fake: CartesiaFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.expiry_s = 0.05
    monkeypatch.setattr("worker.tts.cartesia._PAUSE_S", 5.0)
    async with talking() as (session, recorder):
        uuid = uuid4()
        session.post(Message(uuid, "One moment please. ", done=False))
        await asyncio.sleep(0.3)
        session.post(Message(uuid, "The table is booked."))
        await recorder.end_of(uuid)
    assert recorder.words(uuid) == ["One", "moment", "please.", "The", "table", "is", "booked."]
    timings_fit(recorder, uuid)


# Barge-in --------------------------------------------------------------------------------------


async def test_an_aborted_utterance_is_cancelled_and_its_late_audio_dropped(
    fake: CartesiaFake,
) -> None:
    fake.pace_s = 0.01
    async with talking() as (session, recorder):
        gone, kept = uuid4(), uuid4()
        session.post(Message(gone, "This sentence goes on and on.", done=False))
        await recorder.until(lambda: bool(recorder.words(gone)))
        session.abort(gone)
        before = recorder.spoken[gone]
        session.post(Message(gone, " And this is late."))
        session.post(Message(kept, "Yes?"))
        await recorder.end_of(kept)
        await asyncio.sleep(0.1)
    assert recorder.spoken[gone] == before
    assert recorder.finished == [kept]
    assert fake.requests[1] == {"context_id": fake.requests[0]["context_id"], "cancel": True}
    assert len(fake.requests) == 3


async def test_an_utterance_may_be_aborted_from_within_the_listener(fake: CartesiaFake) -> None:
    async with talking() as (session, recorder):
        recorder.on_audio = lambda message: session.abort(message.uuid)
        uuid = uuid4()
        session.post(Message(uuid, "This is long. " * 5))
        await recorder.until(lambda: bool(recorder.spoken))
        await asyncio.sleep(0.05)
    assert len(recorder.spoken[uuid]) <= 800
    assert not recorder.timings


async def test_aborting_the_unknown_or_twice_is_harmless(fake: CartesiaFake) -> None:
    async with talking() as (session, recorder):
        uuid = uuid4()
        session.abort(uuid)
        session.post(Message(uuid, "Good evening."))
        await recorder.end_of(uuid)
        session.abort(uuid)
        session.abort(uuid)
    assert recorder.words(uuid) == ["Good", "evening."]


# Losses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1011, 1001, None])
@pytest.mark.parametrize("after_ms", [0, 130, 500, 1111])
async def test_a_connection_lost_in_mid_sentence_costs_at_most_the_word_it_cut(
    fake: CartesiaFake, code: int | None, after_ms: float
) -> None:
    text = "The table is booked for four people at eight."
    fake.next_contexts.append(Dies(after_ms, code))
    async with talking() as (session, recorder):
        uuid = uuid4()
        session.post(Message(uuid, text))
        await recorder.end_of(uuid)
    assert recorder.words(uuid) == text.split()
    assert recorder.timed_words(uuid) == text.split()
    timings_fit(recorder, uuid)
    assert len(fake.handshakes) == 2


async def test_a_connection_may_be_lost_twice_in_one_sentence(fake: CartesiaFake) -> None:
    fake.next_contexts.extend([Dies(700), Dies(500)])
    async with talking() as (session, recorder):
        uuid = uuid4()
        session.post(Message(uuid, "No no, no table is free for four four four people."))
        await recorder.end_of(uuid)
    assert recorder.words(uuid) == [
        "No",
        "no,",
        "no",
        "table",
        "is",
        "free",
        "for",
        "four",
        "four",
        "four",
        "people.",
    ]
    timings_fit(recorder, uuid)


async def test_what_is_posted_while_there_is_no_socket_is_spoken_later(fake: CartesiaFake) -> None:
    async with talking() as (session, recorder):
        fake.next_upgrades.append(Refusal(503, "unavailable"))
        await fake.drop(None)
        uuid, aborted = uuid4(), uuid4()
        session.post(Message(aborted, "Never mind."))
        session.post(Message(uuid, "Still "))
        session.abort(aborted)
        await recorder.end_of(uuid)
    assert recorder.words(uuid) == ["Still"]
    assert aborted not in recorder.spoken


async def test_an_idle_socket_that_is_closed_is_opened_again_at_once(fake: CartesiaFake) -> None:
    fake.idle_s = 0.05
    voice = Cartesia("a-voice", retry=Retry(steady_s=0.01))
    async with talking(voice) as (session, recorder):
        await eventually(lambda: len(fake.handshakes) >= 5)
        fake.idle_s = 10
        uuid = uuid4()
        session.post(Message(uuid, "Here I am."))
        await recorder.end_of(uuid)
    assert recorder.words(uuid) == ["Here", "I", "am."]


async def test_a_server_that_closes_again_and_again_is_given_up(fake: CartesiaFake) -> None:
    fake.next_contexts.extend([Dies()] * 20)
    async with talking() as (session, recorder):
        session.post(Message(uuid4(), "Hello?"))
        error = await recorder.failure()
    assert isinstance(error, ProviderLostError)


async def test_silence_where_speech_is_owed_is_answered_by_a_new_socket(fake: CartesiaFake) -> None:
    fake.next_contexts.append(Silent())
    async with talking(Cartesia("v", answer_s=0.5, retry=QUICK)) as (session, recorder):
        uuid = uuid4()
        session.post(Message(uuid, "Anybody there?"))
        await recorder.end_of(uuid)
    assert recorder.words(uuid) == ["Anybody", "there?"]
    assert len(fake.handshakes) == 2


async def test_lasting_silence_fails_in_bounded_time(fake: CartesiaFake) -> None:
    fake.next_contexts.extend([Silent()] * 9)
    async with talking(Cartesia("v", answer_s=0.5, retry=QUICK)) as (session, recorder):
        session.post(Message(uuid4(), "Anybody there?"))
        error = await recorder.failure()
        session.post(Message(uuid4(), "Hello?"))
    assert "silent for 0.5 s" in str(error)
    assert len(fake.handshakes) == 2


# Complaints ------------------------------------------------------------------------------------


async def test_no_room_is_waited_for_on_the_same_socket(fake: CartesiaFake) -> None:
    fake.next_contexts.extend([Errs(429, "concurrency_limited")] * 2)
    async with talking() as (session, recorder):
        uuid = uuid4()
        session.post(Message(uuid, "One ", done=False))
        session.post(Message(uuid, "moment."))
        await recorder.end_of(uuid)
    assert recorder.words(uuid) == ["One", "moment."]
    assert len(fake.handshakes) == 1


async def test_lasting_lack_of_room_fails_in_bounded_time(
    fake: CartesiaFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.tts.contexts.FIRST_DELAY_S", 0.01)
    fake.most_contexts = 1
    fake.active.add("of another call")
    async with talking() as (session, recorder):
        session.post(Message(uuid4(), "One moment."))
        error = await recorder.failure()
    assert isinstance(error, ProviderLostError)
    assert error.status == 429
    assert "concurrency_limited" in str(error)
    assert len(fake.requests) == 5


async def test_a_server_error_of_a_context_is_tried_again(fake: CartesiaFake) -> None:
    fake.next_contexts.append(Errs(500, "internal"))
    async with talking() as (session, recorder):
        uuid = uuid4()
        session.post(Message(uuid, "One moment."))
        await recorder.end_of(uuid)
    assert recorder.words(uuid) == ["One", "moment."]


async def test_a_server_error_without_a_context_costs_the_socket(fake: CartesiaFake) -> None:
    fake.next_contexts.append(Errs(500, "internal", named=False))
    async with talking() as (session, recorder):
        uuid = uuid4()
        session.post(Message(uuid, "One moment."))
        await recorder.end_of(uuid)
    assert recorder.words(uuid) == ["One", "moment."]
    assert len(fake.handshakes) == 2


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("status", [400, 402, 404])
async def test_a_refusal_is_said_once(fake: CartesiaFake, status: int, named: bool) -> None:
    fake.next_contexts.append(Errs(status, "no_way", named=named))
    async with talking() as (session, recorder):
        session.post(Message(uuid4(), "Hello?"))
        error = await recorder.failure()
        session.post(Message(uuid4(), "Hello?"))
        await asyncio.sleep(0.02)
    assert isinstance(error, ProviderRefusedError)
    assert error.status == status
    assert "no_way" in str(error)
    assert len(fake.requests) == 1


async def test_a_model_or_voice_that_is_not_there_is_a_refusal(fake: CartesiaFake) -> None:
    fake.voices = frozenset({"another"})
    for voice in (VOICE, Cartesia("another", model="sonic-2")):
        async with talking(voice) as (session, recorder):
            session.post(Message(uuid4(), "Hello?"))
            assert isinstance(await recorder.failure(), ProviderRefusedError)


async def test_events_of_unknown_kinds_are_passed_over(fake: CartesiaFake) -> None:
    fake.chatty = True
    async with talking() as (session, recorder):
        uuid = uuid4()
        session.post(Message(uuid, "Good evening to you."))
        await recorder.end_of(uuid)
    assert recorder.words(uuid) == ["Good", "evening", "to", "you."]


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404])
async def test_a_refused_upgrade_is_raised_at_once(fake: CartesiaFake, status: int) -> None:
    fake.next_upgrades.extend([Refusal(status, "why_not")] * 9)
    with pytest.raises(ProviderRefusedError, match="why_not") as caught:
        await VOICE.connect(Recorder())
    assert caught.value.status == status
    assert len(fake.handshakes) == 1


async def test_a_busy_upgrade_is_tried_again(fake: CartesiaFake) -> None:
    fake.next_upgrades.extend([Refusal(429, "concurrency_limited", "0.01"), Refusal(503, "busy")])
    async with talking():
        assert len(fake.handshakes) == 3


async def test_an_upgrade_that_is_to_wait_too_long_is_given_up(fake: CartesiaFake) -> None:
    fake.next_upgrades.append(Refusal(429, "concurrency_limited", "60"))
    with pytest.raises(ProviderLostError, match="too many requests"):
        await VOICE.connect(Recorder())


async def test_a_wrong_key_is_refused_without_being_shown(
    fake: CartesiaFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARTESIA_API_KEY", "sk_car_wrong")
    with pytest.raises(ProviderRefusedError, match="CARTESIA_API_KEY") as caught:
        await VOICE.connect(Recorder())
    assert "sk_car_wrong" not in str(caught.value)


async def test_a_server_that_is_not_there_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARTESIA_API_KEY", "k")
    monkeypatch.setenv("CARTESIA_BASE_URL", "http://127.0.0.1:9")
    with pytest.raises(ProviderLostError):
        await VOICE.connect(Recorder())


# Its life --------------------------------------------------------------------------------------


async def test_after_closing_nothing_comes_and_no_task_is_left(fake: CartesiaFake) -> None:
    fake.pace_s = 0.02
    recorder = Recorder()
    tasks = asyncio.all_tasks()
    session = await VOICE.connect(recorder)
    uuid = uuid4()
    session.post(Message(uuid, "This is long. " * 5))
    await recorder.until(lambda: bool(recorder.spoken))
    size = len(recorder.spoken[uuid])
    await session.aclose()
    await session.aclose()
    session.post(Message(uuid4(), "Hello."))
    await asyncio.sleep(0.05)
    assert len(recorder.spoken[uuid]) == size
    assert not recorder.errors
    ours = {it for it in asyncio.all_tasks() - tasks if "Link" in repr(it) or "context" in repr(it)}
    assert not ours


def test_without_a_key_it_is_refused_when_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CARTESIA_API_KEY", raising=False)
    with pytest.raises(ProviderRefusedError, match="set CARTESIA_API_KEY"):
        VOICE.prepare()


def test_prepared_before_a_fork_it_speaks_in_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    async def speak() -> bool:
        async with CartesiaFake() as server:
            monkeypatch.setenv("CARTESIA_BASE_URL", server.url)
            async with talking() as (session, recorder):
                uuid = uuid4()
                session.post(Message(uuid, "Hello from a child."))
                await recorder.end_of(uuid)
                return recorder.words(uuid) == ["Hello", "from", "a", "child."]

    monkeypatch.setenv("CARTESIA_API_KEY", KEY)
    assert used_after_a_fork(VOICE.prepare, lambda: asyncio.run(speak()))


_IMPORTS = """
import asyncio, sys
from tests.worker.tts.test_cartesia import VOICE, Message, talking, uuid4

async def speak():
    async with talking() as (session, recorder):
        uuid = uuid4()
        session.post(Message(uuid, "Hello."))
        await recorder.end_of(uuid)

assert "cartesia" not in sys.modules
VOICE.prepare()
before = set(sys.modules)
asyncio.run(speak())
late = sorted(set(sys.modules) - before)
assert not late, late
"""


async def test_the_sdk_is_imported_when_prepared_neither_before_nor_after(
    fake: CartesiaFake,
) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", _IMPORTS)
    assert await process.wait() == 0


def test_settings_out_of_range_are_refused_at_once() -> None:
    for wrong in ({"voice": ""}, {"voice": "v", "speed": 2.0}, {"voice": "v", "volume": 0.1}):
        with pytest.raises(ValueError, match="Cartesia"):
            Cartesia(**wrong)


def test_a_rehearsal_uses_no_network() -> None:
    assert isinstance(VOICE.stand_in(), ToneTTS)
