import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.audio import level_dbfs, ms_of_bytes
from tests.fakes.openai import KEY, Broken, OpenAIFake, Trouble
from tests.fakes.openai_refusal import Refusal
from worker import stand_ins
from worker.errors import ProviderLostError, ProviderRefusedError
from worker.message import Message
from worker.tts import Timing, TTSSession
from worker.tts.openai_speaking import MOST_CHARACTERS
from worker.tts.openai_speech import OpenAISpeech

FIRST, SECOND = "Good evening. ", "How can I help you?"


class Listener:
    """Keeps what was said, and waits for it."""

    def __init__(self) -> None:
        self.messages: list[Message[bytes]] = []
        self.timings: dict[UUID, list[Timing]] = {}
        self.failures: list[Exception] = []
        self._changed = asyncio.Event()

    def audio(self, message: Message[bytes]) -> None:
        self.messages.append(message)
        self._changed.set()

    def timed(self, uuid: UUID, timings: Sequence[Timing]) -> None:
        assert uuid not in self.finished()
        self.timings.setdefault(uuid, []).extend(timings)

    def failed(self, error: Exception) -> None:
        self.failures.append(error)
        self._changed.set()

    def of(self, uuid: UUID) -> bytes:
        return b"".join(message.data for message in self.messages if message.uuid == uuid)

    def finished(self) -> list[UUID]:
        return [message.uuid for message in self.messages if message.done]

    async def until(self, uuid: UUID) -> bytes:
        """Return all audio of an utterance when it is done; fail if the session does."""
        async with asyncio.timeout(30):
            while uuid not in self.finished() and not self.failures:
                self._changed.clear()
                await self._changed.wait()
        assert not self.failures, self.failures
        return self.of(uuid)

    async def first(self) -> None:
        """Wait until there is any audio."""
        async with asyncio.timeout(30):
            await self._changed.wait()

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
async def studio(
    settings: OpenAISpeech | None = None, listener: Listener | None = None
) -> AsyncIterator[tuple[TTSSession, Listener]]:
    ears = listener or Listener()
    session = await (settings or OpenAISpeech()).connect(ears)
    try:
        yield session, ears
    finally:
        await session.aclose()


def inputs(fake: OpenAIFake) -> list[str]:
    return [asked.body["input"] for asked in fake.of("speech")]


async def test_a_clause_becomes_telephone_audio_and_one_terminal_message(fake: OpenAIFake) -> None:
    async with studio(OpenAISpeech(instructions="Softly.", speed=1.25)) as (session, listener):
        uuid = uuid4()
        session.post(Message(uuid, SECOND))
        assert listener.messages == []
        audio = await listener.until(uuid)
    assert ms_of_bytes(len(audio)) == pytest.approx(len(SECOND) * fake.letter_ms / 1.25, abs=2)
    assert level_dbfs(audio) == pytest.approx(level_dbfs(audio[: len(audio) // 2]), abs=0.5)
    assert listener.messages[-1] == Message(uuid, b"", done=True)
    body = fake.of("speech")[0].body
    assert body == {
        "model": "gpt-4o-mini-tts", "voice": "marin", "input": SECOND, "response_format": "pcm",
        "speed": 1.25, "instructions": "Softly.",
    }  # fmt: skip


async def test_each_clause_is_timed_over_the_whole_utterance(fake: OpenAIFake) -> None:
    async with studio() as (session, listener):
        uuid = uuid4()
        session.post(Message(uuid, FIRST, done=False))
        session.post(Message(uuid, SECOND, done=False))
        session.post(Message(uuid, "", done=True))
        audio = await listener.until(uuid)
    first, second = listener.timings[uuid]
    assert (first.text, second.text) == (FIRST.strip(), SECOND)
    assert first.start_ms == 0
    assert first.end_ms == second.start_ms == pytest.approx(len(FIRST) * fake.letter_ms, abs=2)
    assert second.end_ms == ms_of_bytes(len(audio))


async def test_the_next_clause_is_asked_for_while_one_streams_and_waits(fake: OpenAIFake) -> None:
    fake.fail("speech", Broken(Trouble.STALL, 2))
    async with studio() as (session, listener):
        uuid, other = uuid4(), uuid4()
        for piece in (FIRST, SECOND, "Third."):
            session.post(Message(uuid, piece, done=False))
        session.post(Message(other, "Fourth."))
        await fake.until(lambda: len(fake.of("speech")) == 2 and fake.of("speech")[1].whole)
        assert inputs(fake) == [FIRST, SECOND]
        assert len(listener.of(uuid)) < 2 * 4801 / 6 + 2
        session.abort(uuid)
        await listener.until(other)
    assert len(fake.of("speech")) == 3


async def test_utterances_are_heard_in_order(fake: OpenAIFake) -> None:
    async with studio() as (session, listener):
        uuids = [uuid4() for _ in range(4)]
        for number, uuid in enumerate(uuids):
            session.post(Message(uuid, "Long, long sentence. " * (4 - number)))
        await listener.until(uuids[-1])
    assert listener.finished() == uuids
    assert list(dict.fromkeys(message.uuid for message in listener.messages)) == uuids


@pytest.mark.parametrize("text", ["", "  ", "\n"])
async def test_nothing_to_say_is_not_asked_for_and_still_ends(fake: OpenAIFake, text: str) -> None:
    async with studio() as (session, listener):
        uuid = uuid4()
        session.post(Message(uuid, text))
        assert await listener.until(uuid) == b""
    assert fake.of("speech") == []


async def test_a_text_that_is_too_long_for_a_request_is_cut_between_words(fake: OpenAIFake) -> None:
    fake.letter_ms = 1
    async with studio() as (session, listener):
        uuid, text = uuid4(), "many words " * 800
        session.post(Message(uuid, text))
        await listener.until(uuid)
    assert max(map(len, inputs(fake))) <= MOST_CHARACTERS
    assert "".join(inputs(fake)) == text


# Abort ---------------------------------------------------------------------------------------


async def test_an_abort_closes_the_request_and_nothing_more_is_heard(fake: OpenAIFake) -> None:
    fake.fail("speech", Broken(Trouble.STALL, 1))
    async with studio() as (session, listener):
        gone, kept = uuid4(), uuid4()
        session.post(Message(gone, FIRST, done=False))
        await fake.until(lambda: len(fake.of("speech")) == 1)
        await listener.first()
        session.abort(gone)
        count = len(listener.messages)
        session.post(Message(gone, SECOND))
        session.post(Message(kept, "This is heard."))
        await listener.until(kept)
        await fake.until(lambda: fake.of("speech")[0].cut_off)
    assert {message.uuid for message in listener.messages[count:]} == {kept}
    assert listener.failures == []
    assert SECOND not in inputs(fake)


async def test_after_an_abort_the_next_clause_finds_an_open_connection(fake: OpenAIFake) -> None:
    fake.fail("speech", Broken(Trouble.STALL, 1))
    async with studio() as (session, listener):
        gone, kept = uuid4(), uuid4()
        session.post(Message(gone, FIRST))
        await listener.first()
        session.abort(gone)
        await fake.until(lambda: len(fake.of("models")) == 2)
        await asyncio.sleep(0.05)
        session.post(Message(kept, SECOND))
        await listener.until(kept)
    assert fake.of("speech")[1].peer == fake.of("models")[1].peer


async def test_an_utterance_may_be_aborted_from_within_the_listener(fake: OpenAIFake) -> None:
    class Impatient(Listener):
        def audio(self, message: Message[bytes]) -> None:
            super().audio(message)
            if message.uuid == gone:
                session.abort(gone)

    gone, kept = uuid4(), uuid4()
    async with studio(listener=Impatient()) as (session, listener):
        session.post(Message(gone, FIRST, done=False))
        session.post(Message(gone, SECOND))
        session.post(Message(kept, FIRST))
        await listener.until(kept)
        session.abort(kept)
    assert [message.uuid for message in listener.messages].count(gone) == 1


async def test_aborting_the_unknown_is_harmless(fake: OpenAIFake) -> None:
    async with studio() as (session, listener):
        uuid = uuid4()
        session.abort(uuid)
        session.post(Message(uuid, FIRST))
        await listener.until(uuid)
        session.abort(uuid)


# Faults --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        Refusal(429, headers={"retry-after-ms": "10"}),
        Refusal(500),
        Broken(Trouble.DROP, -1),
        Broken(Trouble.DROP, 0),
        Broken(Trouble.STALL, 0),
    ],
    ids=repr,
)
async def test_a_clause_that_fails_is_asked_for_once_more(
    fake: OpenAIFake, fault: Refusal | Broken
) -> None:
    async with studio(OpenAISpeech(first_audio_s=0.8)) as (session, listener):
        uuid = uuid4()
        fake.fail("speech", fault)
        session.post(Message(uuid, FIRST))
        audio = await listener.until(uuid)
        assert ms_of_bytes(len(audio)) == pytest.approx(len(FIRST) * fake.letter_ms, abs=2)
        fake.fail("speech", fault, fault)
        session.post(Message(uuid4(), SECOND))
        assert isinstance(await listener.failure(), ProviderLostError)
    assert len(fake.of("speech")) == 4


async def test_a_clause_that_breaks_off_goes_on_where_it_was_cut(fake: OpenAIFake) -> None:
    fake.fail("speech", Broken(Trouble.DROP, 6))
    fake.token_s = 0.005
    fake.letter_ms = 65
    async with studio() as (session, listener):
        uuid = uuid4()
        session.post(Message(uuid, "One two three four five."))
        audio = await listener.until(uuid)
    whole, rest = inputs(fake)
    assert whole.endswith(rest)
    assert 0 < len(rest) < len(whole)
    assert ms_of_bytes(len(audio)) == pytest.approx(len(whole) * 65, abs=400)
    (timing,) = listener.timings[uuid]
    assert timing == Timing(whole, 0, ms_of_bytes(len(audio)))


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_a_refusal_ends_the_session_and_is_said_once(fake: OpenAIFake, status: int) -> None:
    async with studio() as (session, listener):
        fake.fail("speech", Refusal(status), Refusal(status))
        for piece in (FIRST, SECOND, "Third."):
            session.post(Message(uuid4(), piece))
        error = await listener.failure()
        session.post(Message(uuid4(), FIRST))
        await asyncio.sleep(0.02)
    assert isinstance(error, ProviderRefusedError)
    assert error.status == status
    assert listener.failures == [error]
    assert listener.messages == []


async def test_a_voice_that_is_not_there_is_refused(fake: OpenAIFake) -> None:
    async with studio(OpenAISpeech(voice="nobody")) as (session, listener):
        session.post(Message(uuid4(), FIRST))
        assert "voice" in str(await listener.failure())


async def test_a_refused_key_is_known_when_connecting(
    fake: OpenAIFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong")
    with pytest.raises(ProviderRefusedError, match="OPENAI_API_KEY") as caught:
        await OpenAISpeech().connect(Listener())
    assert "sk-wrong" not in str(caught.value)


async def test_closing_cuts_requests_off_and_may_be_done_twice(fake: OpenAIFake) -> None:
    fake.fail("speech", Broken(Trouble.STALL, 1), Broken(Trouble.STALL, -1))
    async with studio() as (session, listener):
        uuid = uuid4()
        session.post(Message(uuid, FIRST, done=False))
        session.post(Message(uuid, SECOND))
        await fake.until(lambda: len(fake.of("speech")) == 2)
        await session.aclose()
        await session.aclose()
        session.post(Message(uuid4(), FIRST))
        await fake.until(lambda: all(asked.cut_off for asked in fake.of("speech")))
    assert listener.failures == []
    assert listener.finished() == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"voice": ""},
        {"speed": 5},
        {"model": "tts-1", "instructions": "Softly."},
        {"stall_s": 0},
    ],
)
def test_settings_out_of_range_are_refused_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong)).replace("model", "tts-1")):
        OpenAISpeech(**wrong)


def test_its_stand_in_needs_no_network() -> None:
    assert isinstance(OpenAISpeech().stand_in(), stand_ins.ToneTTS)
