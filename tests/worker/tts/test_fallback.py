import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest

from shared.audio import ms_of_bytes
from tests.fakes.cartesia import CartesiaFake
from tests.virtual_time import settled, virtual_time
from tests.worker.frail import LOST, NO_KEY, WORD_BYTES, WORD_MS, FrailTTS, words_in
from worker import succession
from worker.errors import ProviderLostError, ProviderRefusedError
from worker.message import Message
from worker.providers import Espeak
from worker.stand_ins import ToneTTS
from worker.tts import TTS, Timing, TTSSession
from worker.tts.cartesia import Cartesia
from worker.tts.fallback import PATIENCE_SECONDS, FallbackTTS

TEXT = "The table is booked for four people at eight."


class Recorder:
    """Keeps what a listener gets, and checks that it is in order."""

    def __init__(self) -> None:
        self.sound: dict[UUID, bytes] = {}
        self.timings: dict[UUID, list[Timing]] = {}
        self.done: list[UUID] = []
        self.failures: list[Exception] = []
        self.troubles: list[tuple[str, str, str | None]] = []
        self.has_done = asyncio.Event()

    def audio(self, message: Message[bytes]) -> None:
        assert message.uuid not in self.done
        self.sound[message.uuid] = self.sound.get(message.uuid, b"") + message.data
        if message.done:
            self.done.append(message.uuid)
            self.has_done.set()

    def timed(self, uuid: UUID, timings: Sequence[Timing]) -> None:
        assert uuid not in self.done
        self.timings.setdefault(uuid, []).extend(timings)

    def failed(self, error: Exception) -> None:
        self.failures.append(error)

    def trouble(self, provider: str, sentence: str, fallback: str | None) -> None:
        self.troubles.append((provider, sentence, fallback))

    def words(self, uuid: UUID) -> list[str]:
        return words_in(self.sound.get(uuid, b""))

    def timed_words(self, uuid: UUID) -> list[str]:
        return [timing.text for timing in self.timings.get(uuid, [])]


async def studio(*providers: TTS) -> tuple[TTSSession, Recorder]:
    recorder = Recorder()
    return await FallbackTTS(providers, recorder.trouble).connect(recorder), recorder


@virtual_time
async def test_the_first_voice_speaks_and_the_next_is_not_connected() -> None:
    first, second = FrailTTS(), FrailTTS()
    session, recorder = await studio(first, second)
    uuid = uuid4()
    session.post(Message(uuid, "The table is booked", done=False))
    session.post(Message(uuid, " for four people at eight."))
    await asyncio.sleep(5)
    assert recorder.words(uuid) == recorder.timed_words(uuid) == TEXT.split()
    assert recorder.done == [uuid]
    assert second.opened == 0
    await session.aclose()
    assert (first.closed, recorder.troubles) == (1, [])


@pytest.mark.parametrize("after_ms", [0, 1, 98, 100, 250, 398, 850, 898])
@pytest.mark.parametrize("is_timed", [True, False])
@virtual_time
async def test_a_voice_lost_in_mid_sentence_costs_at_most_the_word_it_cut(
    after_ms: float, is_timed: bool
) -> None:
    first = FrailTTS(dies_after_ms=after_ms)
    session, recorder = await studio(first, FrailTTS(is_timed=is_timed))
    uuid = uuid4()
    session.post(Message(uuid, TEXT))
    await asyncio.sleep(2)
    whole = [word for word in recorder.words(uuid) if not word.endswith("-")]
    assert whole == TEXT.split()
    cuts = [word for word in recorder.words(uuid) if word.endswith("-")]
    assert len(cuts) == (1 if after_ms % WORD_MS else 0)
    assert recorder.done == [uuid]
    assert recorder.failures == []
    assert recorder.troubles == [("FrailTTS", LOST.sentence, "FrailTTS")]
    await session.aclose()


@virtual_time
async def test_times_go_on_where_the_lost_voice_was_cut() -> None:
    session, recorder = await studio(FrailTTS(dies_after_ms=250), FrailTTS())
    uuid = uuid4()
    session.post(Message(uuid, "One two three four"))
    await asyncio.sleep(2)
    assert recorder.timings[uuid] == [
        Timing("One", 0, 100),
        Timing("two", 100, 200),
        Timing("three", 250, 350),
        Timing("four", 350, 450),
    ]
    assert ms_of_bytes(len(recorder.sound[uuid])) == 450
    await session.aclose()


@virtual_time
async def test_what_still_comes_of_a_lost_voice_is_dropped() -> None:
    session, recorder = await studio(FrailTTS(dies_after_ms=130, late_ms=70), FrailTTS())
    uuid = uuid4()
    session.post(Message(uuid, "One two three"))
    await asyncio.sleep(2)
    assert recorder.words(uuid) == ["One", "two-", "two", "three"]
    await session.aclose()


@virtual_time
async def test_every_open_utterance_goes_on_in_its_order() -> None:
    second = FrailTTS()
    session, recorder = await studio(FrailTTS(dies_after_ms=200), second)
    uuids = [uuid4() for _ in range(3)]
    for uuid, text in zip(uuids, ["One two three", "Four five", "Six"], strict=True):
        session.post(Message(uuid, text))
    await asyncio.sleep(2)
    assert [recorder.words(uuid) for uuid in uuids] == [
        ["One", "two", "three"],
        ["Four", "five"],
        ["Six"],
    ]
    assert recorder.done == uuids
    assert second.posted == ["three", "Four five", "Six"]
    await session.aclose()


@virtual_time
async def test_text_posted_while_there_is_no_voice_is_said_by_the_next() -> None:
    second = FrailTTS(opens_after_s=1)
    session, recorder = await studio(FrailTTS(dies_after_ms=100), second)
    uuid, later = uuid4(), uuid4()
    session.post(Message(uuid, "One two", done=False))
    await asyncio.sleep(0.5)
    session.post(Message(uuid, " three."))
    session.post(Message(later, "Four."))
    await asyncio.sleep(3)
    assert recorder.words(uuid) == ["One", "two", "three."]
    assert recorder.words(later) == ["Four."]
    assert second.posted == ["two three.", "Four."]
    await session.aclose()


@virtual_time
async def test_text_posted_after_all_before_it_was_said_follows_on_the_next_voice() -> None:
    first, second = FrailTTS(), FrailTTS()
    session, recorder = await studio(first, second)
    uuid = uuid4()
    session.post(Message(uuid, "One two.", done=False))
    await asyncio.sleep(0.1)
    first.sessions[0].lose()
    await asyncio.sleep(2 * PATIENCE_SECONDS)
    assert second.posted == []
    session.post(Message(uuid, " Three.", done=False))
    session.post(Message(uuid, "", done=True))
    await asyncio.sleep(1)
    assert recorder.words(uuid) == ["One", "two.", "Three."]
    assert recorder.timings[uuid][-1] == Timing("Three.", 200, 300)
    assert recorder.done == [uuid]
    assert len(recorder.troubles) == 1
    await session.aclose()


@virtual_time
async def test_an_utterance_that_lacked_only_its_end_ends() -> None:
    first, second = FrailTTS(hangs_after_ms=200), FrailTTS()
    session, recorder = await studio(first, second)
    uuid = uuid4()
    session.post(Message(uuid, "One two"))
    await asyncio.sleep(1)
    assert recorder.done == []
    first.sessions[0].lose()
    await asyncio.sleep(1)
    assert recorder.words(uuid) == ["One", "two"]
    assert recorder.done == [uuid]
    assert second.posted == []
    await session.aclose()


@pytest.mark.parametrize("hangs_after_ms", [0, 150, 300])
@virtual_time
async def test_a_voice_that_keeps_silent_when_it_owes_speech_is_replaced(
    hangs_after_ms: float,
) -> None:
    session, recorder = await studio(FrailTTS(hangs_after_ms=hangs_after_ms), FrailTTS())
    uuid = uuid4()
    session.post(Message(uuid, "One two three"))
    await asyncio.sleep(PATIENCE_SECONDS + 1)
    whole = [word for word in recorder.words(uuid) if not word.endswith("-")]
    assert whole == ["One", "two", "three"]
    assert recorder.done == [uuid]
    assert recorder.troubles == [("FrailTTS", "has said nothing for 3 s", "FrailTTS")]
    await session.aclose()


@virtual_time
async def test_a_voice_that_waits_for_text_owes_nothing() -> None:
    first, second = FrailTTS(), FrailTTS()
    session, recorder = await studio(first, second)
    uuid = uuid4()
    session.post(Message(uuid, "One moment,", done=False))
    await asyncio.sleep(60)
    session.post(Message(uuid, " please."))
    await asyncio.sleep(60)
    session.post(Message(uuid4(), "Here I am."))
    await asyncio.sleep(60)
    assert recorder.words(uuid) == ["One", "moment,", "please."]
    assert recorder.troubles == []
    await session.aclose()


@virtual_time
async def test_a_slow_voice_is_not_a_silent_one() -> None:
    session, recorder = await studio(FrailTTS(word_s=PATIENCE_SECONDS - 0.5), FrailTTS())
    uuid = uuid4()
    session.post(Message(uuid, TEXT))
    await asyncio.sleep(60)
    assert recorder.words(uuid) == TEXT.split()
    assert recorder.troubles == []
    await session.aclose()


@virtual_time
async def test_the_last_voice_may_be_silent_for_as_long_as_it_likes() -> None:
    session, recorder = await studio(FrailTTS(refuses=LOST), FrailTTS(word_s=30))
    uuid = uuid4()
    session.post(Message(uuid, "One two"))
    await asyncio.sleep(100)
    assert recorder.words(uuid) == ["One", "two"]
    assert len(recorder.troubles) == 1
    await session.aclose()


@virtual_time
async def test_voices_may_be_lost_one_after_the_other_in_one_sentence() -> None:
    voices = [FrailTTS(dies_after_ms=after) for after in (250, 0, 330)]
    session, recorder = await studio(*voices, FrailTTS())
    uuid = uuid4()
    session.post(Message(uuid, TEXT))
    await asyncio.sleep(3)
    whole = [word for word in recorder.words(uuid) if not word.endswith("-")]
    assert whole == TEXT.split()
    assert len(recorder.troubles) == 3
    assert recorder.failures == []
    await session.aclose()
    assert [voice.closed for voice in voices] == [1, 1, 1]


@virtual_time
async def test_when_all_are_lost_it_has_failed_and_says_so_once() -> None:
    first, second = FrailTTS(dies_after_ms=100), FrailTTS(dies_after_ms=100)
    session, recorder = await studio(first, second)
    session.post(Message(uuid4(), TEXT))
    await asyncio.sleep(3)
    assert recorder.failures == [LOST]
    assert [told[2] for told in recorder.troubles] == ["FrailTTS", None]
    session.post(Message(uuid4(), "Hello?"))
    await asyncio.sleep(3)
    assert len(recorder.failures) == 1
    await session.aclose()
    assert (first.closed, second.closed) == (1, 1)


@virtual_time
async def test_the_next_voice_speaks_before_the_lost_one_has_closed() -> None:
    session, recorder = await studio(FrailTTS(dies_after_ms=0, closes_after_s=60), FrailTTS())
    uuid = uuid4()
    session.post(Message(uuid, "One"))
    await asyncio.sleep(0.1)
    assert recorder.words(uuid) == ["One"]
    await session.aclose()


@virtual_time
async def test_at_the_start_of_a_call_the_first_that_opens_is_taken() -> None:
    voices = [FrailTTS(refuses=LOST), FrailTTS(opens_after_s=60), FrailTTS(dies_at_once=True)]
    session, recorder = await studio(*voices, FrailTTS())
    uuid = uuid4()
    session.post(Message(uuid, "One"))
    await asyncio.sleep(1)
    assert recorder.words(uuid) == ["One"]
    assert [told[1] for told in recorder.troubles] == [
        LOST.sentence,
        "did not open within 3 s",
        LOST.sentence,
    ]
    await session.aclose()
    assert voices[2].closed == 1


@virtual_time
async def test_when_none_opens_connecting_fails() -> None:
    with pytest.raises(ProviderLostError, match="dropped"):
        await studio(FrailTTS(refuses=NO_KEY), FrailTTS(refuses=LOST))


@virtual_time
async def test_an_aborted_utterance_is_not_said_by_the_next_voice() -> None:
    first, second = FrailTTS(dies_after_ms=150), FrailTTS(opens_after_s=1)
    session, recorder = await studio(first, second)
    gone, kept = uuid4(), uuid4()
    session.post(Message(gone, "One two three", done=False))
    session.post(Message(kept, "Four"))
    await asyncio.sleep(0.5)
    session.abort(gone)
    session.post(Message(gone, " and more."))
    await asyncio.sleep(3)
    assert second.posted == ["Four"]
    assert recorder.done == [kept]
    await session.aclose()


@virtual_time
async def test_an_abort_reaches_the_voice_that_speaks() -> None:
    first = FrailTTS()
    session, recorder = await studio(first, FrailTTS())
    uuid = uuid4()
    session.post(Message(uuid, TEXT))
    await asyncio.sleep(0.035)
    session.abort(uuid)
    session.abort(uuid)
    heard = len(recorder.sound[uuid])
    assert heard == 3 * WORD_BYTES
    await asyncio.sleep(2 * PATIENCE_SECONDS)
    assert len(recorder.sound[uuid]) == heard
    assert first.sessions[0].aborted == [uuid]
    assert recorder.troubles == []
    await session.aclose()


@virtual_time
async def test_closing_with_utterances_open_and_no_voice_is_bounded() -> None:
    loop = asyncio.get_running_loop()
    stuck = FrailTTS(dies_after_ms=0, closes_after_s=60)
    session, recorder = await studio(stuck, FrailTTS(opens_after_s=2.5))
    session.post(Message(uuid4(), TEXT))
    await asyncio.sleep(0.1)
    began = loop.time()
    await session.aclose()
    await session.aclose()
    assert loop.time() - began <= succession.CLOSE_SECONDS
    await settled()
    assert len(asyncio.all_tasks()) == 1
    session.post(Message(uuid4(), "Hello?"))
    assert recorder.failures == []


@virtual_time
async def test_closing_a_voice_that_does_not_close_is_bounded() -> None:
    loop = asyncio.get_running_loop()
    session, _ = await studio(FrailTTS(closes_after_s=60), FrailTTS())
    session.post(Message(uuid4(), TEXT))
    began = loop.time()
    await session.aclose()
    assert loop.time() - began == pytest.approx(succession.CLOSE_SECONDS)


@virtual_time
async def test_a_listener_may_abort_while_it_is_told_times() -> None:
    class Impatient(Recorder):
        def timed(self, uuid: UUID, timings: Sequence[Timing]) -> None:
            super().timed(uuid, timings)
            session.abort(uuid)

    recorder = Impatient()
    session = await FallbackTTS([FrailTTS(), FrailTTS()]).connect(recorder)
    uuid = uuid4()
    session.post(Message(uuid, "One two"))
    await asyncio.sleep(1)
    assert recorder.timed_words(uuid) == ["One"]
    assert recorder.sound == {}
    await session.aclose()


def test_keyless_voices_are_left_out_when_it_is_prepared() -> None:
    FallbackTTS([FrailTTS(refuses=NO_KEY), FrailTTS()]).prepare()
    with pytest.raises(ProviderRefusedError, match="set ACME_API_KEY"):
        FallbackTTS([FrailTTS(refuses=NO_KEY)]).prepare()


def test_it_needs_a_voice_at_least() -> None:
    with pytest.raises(ValueError, match="empty"):
        FallbackTTS([])


def test_its_stand_in_is_that_of_the_first() -> None:
    assert FallbackTTS([FrailTTS(), Espeak()]).stand_in() == ToneTTS()


async def test_espeak_goes_on_when_cartesia_refuses_the_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with CartesiaFake() as fake:
        monkeypatch.setenv("CARTESIA_API_KEY", "sk_car_wrong")
        monkeypatch.setenv("CARTESIA_BASE_URL", fake.url)
        session, recorder = await studio(Cartesia("a-voice"), Espeak())
        uuid = uuid4()
        session.post(Message(uuid, TEXT))
        async with asyncio.timeout(10):
            await recorder.has_done.wait()
        assert recorder.timed_words(uuid) == TEXT.split()
        assert recorder.troubles[0][0::2] == ("Cartesia", "Espeak")
        await session.aclose()


async def test_a_voice_whose_server_is_gone_is_not_looked_for_while_another_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is in the middle of a call, and at the beginning of the next one."""
    loop = asyncio.get_running_loop()
    async with CartesiaFake() as fake:
        monkeypatch.setenv("CARTESIA_API_KEY", fake.key)
        monkeypatch.setenv("CARTESIA_BASE_URL", fake.url)
        session, recorder = await studio(Cartesia("a-voice"), Espeak())
    uuid, began = uuid4(), loop.time()
    session.post(Message(uuid, TEXT))
    async with asyncio.timeout(10):
        await recorder.has_done.wait()
    assert recorder.timed_words(uuid) == TEXT.split()
    (told,) = recorder.troubles
    assert told[0::2] == ("Cartesia", "Espeak")
    assert "cannot be reached" in told[1]
    await session.aclose()
    session, _ = await studio(Cartesia("a-voice"), Espeak())
    assert loop.time() - began < PATIENCE_SECONDS
    await session.aclose()
