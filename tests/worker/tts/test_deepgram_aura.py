import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from uuid import UUID, uuid4

import pytest

from shared.audio import ms_of_bytes
from tests.fakes.deepgram import DeepgramFake
from tests.fakes.deepgram_socket import Socket
from tests.fakes.deepgram_speak import LETTER_MS, SpeakLimits, spoken
from tests.worker.stt.deepgram_ear import until
from worker.errors import ProviderLostError, ProviderRefusedError
from worker.message import Message
from worker.tts import Timing, TTSSession, deepgram_aura, deepgram_clauses
from worker.tts.deepgram_aura import DeepgramAura


class Listener:
    """Keeps the audio and the timings of each utterance."""

    def __init__(self) -> None:
        self.messages: list[Message[bytes]] = []
        self.timings: dict[UUID, list[Timing]] = {}
        self.failures: list[Exception] = []
        self._changed = asyncio.Event()

    def audio(self, message: Message[bytes]) -> None:
        self.messages.append(message)
        self._changed.set()

    def timed(self, uuid: UUID, timings: Sequence[Timing]) -> None:
        assert uuid not in self.finished(), "timings come before the end"
        self.timings.setdefault(uuid, []).extend(timings)

    def failed(self, error: Exception) -> None:
        self.failures.append(error)
        self._changed.set()

    def of(self, uuid: UUID) -> bytes:
        return b"".join(message.data for message in self.messages if message.uuid == uuid)

    def finished(self) -> list[UUID]:
        return [message.uuid for message in self.messages if message.done]

    async def end(self, uuid: UUID) -> None:
        async with asyncio.timeout(30):
            while uuid not in self.finished() and not self.failures:
                self._changed.clear()
                await self._changed.wait()

    async def begin(self, uuid: UUID, size: int = 1) -> None:
        async with asyncio.timeout(30):
            while len(self.of(uuid)) < size:
                self._changed.clear()
                await self._changed.wait()


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DeepgramFake]:
    async with DeepgramFake() as server:
        monkeypatch.setenv("DEEPGRAM_API_KEY", server.key)
        monkeypatch.setenv("DEEPGRAM_BASE_URL", server.url)
        yield server


@asynccontextmanager
async def studio(
    settings: DeepgramAura | None = None,
) -> AsyncIterator[tuple[TTSSession, Listener]]:
    listener = Listener()
    session = await (settings or DeepgramAura()).connect(listener)
    try:
        yield session, listener
    finally:
        await session.aclose()


def texts(socket: Socket) -> list[object]:
    return [text["text"] for text in socket.texts if text["type"] == "Speak"]


async def test_a_text_becomes_audio_a_timing_and_one_terminal_message(fake: DeepgramFake) -> None:
    async with studio() as (session, listener):
        uuid, text = uuid4(), "Bella Vista, how can I help you?"
        session.post(Message(uuid, text))
        await listener.end(uuid)
        assert listener.of(uuid) == spoken(text)
        assert listener.finished() == [uuid]
        assert listener.messages[-1] == Message(uuid, b"", done=True)
        length = ms_of_bytes(len(spoken(text)))
        assert listener.timings[uuid] == [Timing(text, 0, length)]


async def test_clauses_that_wait_are_spoken_together_and_timed_apart(fake: DeepgramFake) -> None:
    async with studio() as (session, listener):
        uuid = uuid4()
        for clause in ("One moment. ", "I look it up, ", "there is a table "):
            session.post(Message(uuid, clause, done=False))
        session.post(Message(uuid, "at eight."))
        await listener.end(uuid)
        socket = await fake.socket()
        assert "".join(map(str, texts(socket))) == (
            "One moment. I look it up, there is a table at eight."
        )
        assert socket.types.count("Flush") <= 2
        timings = listener.timings[uuid]
        assert [timing.text for timing in timings] == [
            "One moment.",
            "I look it up,",
            "there is a table",
            "at eight.",
        ]
        assert timings[0].start_ms == 0
        assert all(a.end_ms == b.start_ms for a, b in pairwise(timings))
        assert timings[-1].end_ms == ms_of_bytes(len(listener.of(uuid)))


async def test_the_first_clause_does_not_wait_and_later_ones_wait_for_the_audience(
    fake: DeepgramFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deepgram_clauses, "LEAD_SECONDS", 3600.0)
    async with studio() as (session, listener):
        socket, uuid = await fake.socket(), uuid4()
        session.post(Message(uuid, "A first clause. ", done=False))
        await listener.begin(uuid)
        monkeypatch.setattr(deepgram_clauses, "LEAD_SECONDS", 0.1)
        await asyncio.sleep(0.05)
        session.post(Message(uuid, "A second one. ", done=False))
        await asyncio.sleep(0.1)
        assert texts(socket) == ["A first clause. "]
        await until(lambda: len(texts(socket)) == 2)
        assert listener.finished() == []
        session.post(Message(uuid, ""))
        await listener.end(uuid)


async def test_utterances_are_spoken_in_order(fake: DeepgramFake) -> None:
    async with studio() as (session, listener):
        uuids = [uuid4() for _ in range(4)]
        for uuid in uuids:
            session.post(Message(uuid, "One sentence. Another sentence."))
        await listener.end(uuids[-1])
        assert listener.finished() == uuids
        assert list(dict.fromkeys(message.uuid for message in listener.messages)) == uuids


@pytest.mark.parametrize("text", ["", "  ", "\n", "...", "—"])
async def test_nothing_to_say_still_ends(fake: DeepgramFake, text: str) -> None:
    async with studio() as (session, listener):
        uuid = uuid4()
        session.post(Message(uuid, text))
        await listener.end(uuid)
        assert listener.messages == [Message(uuid, b"", done=True)]
        assert (await fake.socket()).types == []


async def test_an_aborted_utterance_is_not_heard_of_again_and_the_next_one_is_whole(
    fake: DeepgramFake,
) -> None:
    fake.speak = SpeakLimits(chunk_s=0.005)
    async with studio() as (session, listener):
        gone, kept = uuid4(), uuid4()
        session.post(Message(gone, "This sentence goes on and on. " * 10, done=False))
        await listener.begin(gone)
        session.abort(gone)
        before = len(listener.of(gone))
        session.post(Message(gone, "And on."))
        session.post(Message(kept, "And this one is heard."))
        await listener.end(kept)
        assert len(listener.of(gone)) == before
        assert listener.of(kept) == spoken("And this one is heard.")
        assert listener.finished() == [kept]
        assert (await fake.socket()).types == ["Speak", "Flush", "Clear", "Speak", "Flush"]


async def test_a_late_flushed_of_an_aborted_portion_does_not_end_the_next(
    fake: DeepgramFake,
) -> None:
    fake.speak = SpeakLimits(chunk_s=0.02)
    async with studio() as (session, listener):
        socket, gone, kept = await fake.socket(), uuid4(), uuid4()
        session.post(Message(gone, "This sentence goes on and on. " * 10))
        await listener.begin(gone)
        session.abort(gone)
        session.post(Message(kept, "And this one is heard."))
        await until(lambda: socket.types.count("Speak") == 2)
        await socket.send({"type": "Flushed", "sequence_id": 9})
        await listener.end(kept)
        assert listener.of(kept) == spoken("And this one is heard.")


async def test_an_utterance_that_waits_is_aborted_without_a_word_to_the_server(
    fake: DeepgramFake,
) -> None:
    fake.speak = SpeakLimits(chunk_s=0.005)
    async with studio() as (session, listener):
        first, gone, last = uuid4(), uuid4(), uuid4()
        for uuid in (first, gone, last):
            session.post(Message(uuid, "Something to be said."))
        await listener.begin(first)
        session.abort(gone)
        session.abort(uuid4())
        await listener.end(last)
        assert listener.finished() == [first, last]
        assert "Clear" not in (await fake.socket()).types


async def test_an_utterance_may_be_aborted_from_within_the_listener(fake: DeepgramFake) -> None:
    class Impatient(Listener):
        def audio(self, message: Message[bytes]) -> None:
            super().audio(message)
            session.abort(message.uuid)

    listener = Impatient()
    session = await DeepgramAura().connect(listener)
    session.post(Message(uuid4(), "This is long. " * 20))
    await asyncio.sleep(0.2)
    assert len(listener.messages) == 1
    await session.aclose()


async def test_a_lost_connection_says_the_rest_on_a_new_one(fake: DeepgramFake) -> None:
    fake.speak = SpeakLimits(chunk_s=0.01)
    async with studio() as (session, listener):
        first, uuid = await fake.socket(), uuid4()
        text = "There is a table for four people at eight in the evening."
        session.post(Message(uuid, text, done=False))
        await listener.begin(uuid, 12_000)
        first.cut()
        second = await fake.socket()
        session.post(Message(uuid, " Shall I book it?"))
        await listener.end(uuid)
        said = "".join(map(str, texts(second)))
        assert (text + " Shall I book it?").endswith(said)
        assert len(said) < len(text) + 17
        heard = " ".join(timing.text for timing in listener.timings[uuid])
        assert heard.split() == (text + " Shall I book it?").split()
        ends = [timing.end_ms for timing in listener.timings[uuid]]
        assert ends == sorted(ends)
        assert ends[-1] == ms_of_bytes(len(listener.of(uuid)))


async def test_too_many_flushes_move_it_to_a_new_connection(fake: DeepgramFake) -> None:
    fake.speak = SpeakLimits(flushes=2)
    async with studio() as (session, listener):
        uuids = [uuid4() for _ in range(3)]
        for uuid in uuids:
            session.post(Message(uuid, "A sentence."))
        await listener.end(uuids[-1])
        assert listener.of(uuids[-1]) == spoken("A sentence.")
        assert len(fake.sockets) == 2
        assert listener.failures == []


async def test_too_many_characters_are_no_refusal(fake: DeepgramFake) -> None:
    fake.speak = SpeakLimits(characters=30)
    async with studio() as (session, listener):
        uuids = [uuid4(), uuid4()]
        for uuid in uuids:
            session.post(Message(uuid, "A sentence of some size."))
        await listener.end(uuids[-1])
        assert listener.of(uuids[-1]) == spoken("A sentence of some size.")
        assert len(fake.sockets) == 2


async def test_text_too_long_for_one_message_is_spoken_in_parts(fake: DeepgramFake) -> None:
    fake.speak = SpeakLimits(characters=100_000)
    async with studio() as (session, listener):
        uuid = uuid4()
        text = "All of these words are to be said in one go. " * 80
        session.post(Message(uuid, text))
        await listener.end(uuid)
        socket = await fake.socket()
        assert "".join(map(str, texts(socket))) == text
        assert ms_of_bytes(len(listener.of(uuid))) == pytest.approx(len(text) * LETTER_MS, rel=0.01)
        assert listener.failures == []


async def test_a_server_that_says_nothing_is_left_for_another(
    fake: DeepgramFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deepgram_aura, "ANSWER_SECONDS", 0.5)
    async with studio() as (session, listener):
        first, uuid = await fake.socket(), uuid4()
        first.is_mute = True
        session.post(Message(uuid, "Hello?"))
        await listener.end(uuid)
        assert listener.of(uuid) == spoken("Hello?")
        assert len(fake.sockets) == 2


async def test_unknown_and_malformed_messages_are_passed_over(fake: DeepgramFake) -> None:
    async with studio() as (session, listener):
        socket, uuid = await fake.socket(), uuid4()
        for message in ("null", "[]", "no json", '{"type": 3}', '{"type": "Yawn"}', b""):
            await socket.send(message)
        await socket.send({"type": "Warning", "code": "SLOW"})
        await socket.send({"type": "Flushed", "sequence_id": 1})
        await asyncio.sleep(0.05)
        session.post(Message(uuid, "Hello."))
        await listener.end(uuid)
        assert listener.of(uuid) == spoken("Hello.")


async def test_a_refusal_is_final_and_says_why(fake: DeepgramFake) -> None:
    fake.refuse(400, "INVALID_QUERY_PARAMETER", "no such model")
    with pytest.raises(ProviderRefusedError, match="no such model"):
        await DeepgramAura("aura-2-nobody-en").connect(Listener())


async def test_a_server_that_stays_away_is_given_up_once(
    fake: DeepgramFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.uniform", lambda a, b: 0.02)
    async with studio() as (session, listener):
        socket, uuid = await fake.socket(), uuid4()
        fake.refuse(503, "DOWN", "no", times=99)
        socket.cut()
        session.post(Message(uuid, "Hello."))
        await listener.end(uuid)
        assert isinstance(listener.failures[0], ProviderLostError)
        assert len(listener.failures) == 1


async def test_after_closing_nothing_comes(fake: DeepgramFake) -> None:
    fake.speak = SpeakLimits(chunk_s=0.005)
    async with studio() as (session, listener):
        uuid = uuid4()
        session.post(Message(uuid, "This is long. " * 20))
        await listener.begin(uuid)
        count = len(listener.messages)
        async with asyncio.timeout(8):
            await session.aclose()
        await session.aclose()
        session.post(Message(uuid4(), "Hello."))
        session.abort(uuid)
        await asyncio.sleep(0.05)
        assert len(listener.messages) == count


async def test_the_query_is_what_the_settings_say(fake: DeepgramFake) -> None:
    async with studio(DeepgramAura("aura-2-orion-en", options={"mip_opt_out": True})):
        socket = await fake.socket()
    assert socket.query == {
        "model": ["aura-2-orion-en"],
        "encoding": ["mulaw"],
        "sample_rate": ["8000"],
        "mip_opt_out": ["true"],
    }
