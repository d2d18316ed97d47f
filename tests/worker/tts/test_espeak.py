import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from shared.audio import SAMPLE_RATE, ms_of_bytes
from worker.errors import ProviderError
from worker.message import Message
from worker.providers import Espeak
from worker.tts import Timing, TTSSession

TTS = Espeak()


class Listener:
    """Keeps the audio and the times of each utterance, and what was finished."""

    def __init__(self) -> None:
        self.messages: list[Message[bytes]] = []
        self.timings: dict[UUID, list[Timing]] = {}

    def audio(self, message: Message[bytes]) -> None:
        self.messages.append(message)

    def timed(self, uuid: UUID, timings: Sequence[Timing]) -> None:
        assert uuid not in self.finished()
        self.timings.setdefault(uuid, []).extend(timings)

    def failed(self, error: Exception) -> None:
        raise error

    def of(self, uuid: UUID) -> bytes:
        return b"".join(message.data for message in self.messages if message.uuid == uuid)

    def finished(self) -> list[UUID]:
        return [message.uuid for message in self.messages if message.done]


async def settle() -> None:
    """Let everything run that is waiting to."""
    for _ in range(3000):
        await asyncio.sleep(0)


async def studio() -> tuple[TTSSession, Listener]:
    listener = Listener()
    return await TTS.connect(listener), listener


async def test_a_text_becomes_audio_and_one_terminal_message() -> None:
    session, listener = await studio()
    uuid = uuid4()
    session.post(Message(uuid, "Bella Vista, how can I help you?"))
    await settle()
    assert 1000 < ms_of_bytes(len(listener.of(uuid))) < 4000
    assert listener.finished() == [uuid]
    assert listener.messages[-1] == Message(uuid, b"", done=True)
    await session.aclose()


async def test_nothing_is_made_while_post_runs() -> None:
    session, listener = await studio()
    session.post(Message(uuid4(), "Good evening."))
    assert listener.messages == []
    await session.aclose()


async def test_slices_are_short_and_leave_turns_to_everything_else() -> None:
    session, listener = await studio()
    session.post(Message(uuid4(), "This sentence is said again and again. " * 20))
    turns = 0
    while not listener.finished():
        await asyncio.sleep(0)
        turns += 1
        assert len(listener.messages) <= turns
    assert max(len(message.data) for message in listener.messages) <= SAMPLE_RATE // 2 + 1
    await session.aclose()


async def test_a_piece_is_spoken_before_the_next_is_posted() -> None:
    session, listener = await studio()
    uuid = uuid4()
    session.post(Message(uuid, "Good evening,", done=False))
    await settle()
    first = len(listener.of(uuid))
    assert first > 0
    assert listener.finished() == []
    session.post(Message(uuid, " and welcome to Bella Vista.", done=False))
    session.post(Message(uuid, "", done=True))
    await settle()
    assert len(listener.of(uuid)) > 1.5 * first
    assert listener.finished() == [uuid]
    await session.aclose()


async def test_each_word_of_an_utterance_has_a_time_over_all_its_pieces() -> None:
    session, listener = await studio()
    uuid = uuid4()
    pieces = ["Good evening. We", " open at 5:30,", " Dr. Miller — and it's", " $12.50!", ""]
    for piece in pieces:
        session.post(Message(uuid, piece, done=piece == ""))
    await settle()
    timings = listener.timings[uuid]
    assert [timing.text for timing in timings] == "".join(pieces).split()
    edges = [edge for timing in timings for edge in (timing.start_ms, timing.end_ms)]
    assert edges == sorted(edges)
    whole = ms_of_bytes(len(listener.of(uuid)))
    assert 0.7 * whole < edges[-1] <= whole
    await session.aclose()


async def test_the_times_of_a_word_come_before_its_audio() -> None:
    class Careful(Listener):
        def audio(self, message: Message[bytes]) -> None:
            super().audio(message)
            if message.data:
                timed = self.timings[message.uuid][-1].end_ms
                pause = 500
                assert ms_of_bytes(len(self.of(message.uuid))) < timed + pause

    listener = Careful()
    session = await TTS.connect(listener)
    uuid = uuid4()
    session.post(Message(uuid, "One sentence of many words. Another one, not as long."))
    await settle()
    assert listener.finished() == [uuid]
    await session.aclose()


async def test_utterances_at_once_have_times_of_their_own() -> None:
    session, listener = await studio()
    uuids = [uuid4() for _ in range(2)]
    for uuid in uuids:
        session.post(Message(uuid, "One moment please."))
    await settle()
    for uuid in uuids:
        assert listener.timings[uuid][0].start_ms < 50
    await session.aclose()


async def test_an_utterance_aborted_when_its_times_come_brings_no_audio() -> None:
    class Impatient(Listener):
        def timed(self, uuid: UUID, timings: Sequence[Timing]) -> None:
            session.abort(uuid)

    listener = Impatient()
    session = await TTS.connect(listener)
    session.post(Message(uuid4(), "Good evening."))
    await settle()
    assert listener.messages == []
    await session.aclose()


async def test_utterances_are_spoken_in_order() -> None:
    session, listener = await studio()
    uuids = [uuid4() for _ in range(3)]
    for uuid in uuids:
        session.post(Message(uuid, "One sentence. Another sentence."))
    await settle()
    assert listener.finished() == uuids
    assert list(dict.fromkeys(message.uuid for message in listener.messages)) == uuids
    await session.aclose()


@pytest.mark.parametrize("text", ["", "  ", "\n", "\x01"])
async def test_nothing_to_say_still_ends(text: str) -> None:
    session, listener = await studio()
    uuid = uuid4()
    session.post(Message(uuid, text))
    await settle()
    assert listener.messages == [Message(uuid, b"", done=True)]
    await session.aclose()


async def test_an_aborted_utterance_is_not_heard_of_again() -> None:
    session, listener = await studio()
    gone, kept = uuid4(), uuid4()
    session.post(Message(gone, "This sentence goes on. " * 30))
    session.post(Message(kept, "And this one is heard."))
    await asyncio.sleep(0)
    assert listener.of(gone)
    session.abort(gone)
    before = len(listener.of(gone))
    await settle()
    assert len(listener.of(gone)) == before
    assert listener.finished() == [kept]
    await session.aclose()


async def test_text_that_comes_after_an_abort_is_dropped_with_it() -> None:
    session, listener = await studio()
    uuid = uuid4()
    session.post(Message(uuid, "One moment. I will", done=False))
    session.abort(uuid)
    session.post(Message(uuid, " look. It up", done=False))
    session.post(Message(uuid, " for you."))
    await settle()
    assert listener.messages == []
    await session.aclose()


async def test_aborting_the_unknown_or_twice_is_harmless() -> None:
    session, listener = await studio()
    uuid = uuid4()
    session.abort(uuid)
    session.post(Message(uuid, "Good evening."))
    await settle()
    assert listener.finished() == [uuid]
    session.abort(uuid)
    session.abort(uuid)
    await session.aclose()


async def test_an_utterance_may_be_aborted_from_within_the_listener() -> None:
    class Impatient(Listener):
        def audio(self, message: Message[bytes]) -> None:
            super().audio(message)
            session.abort(message.uuid)

    listener = Impatient()
    session = await TTS.connect(listener)
    session.post(Message(uuid4(), "This is long. " * 20))
    await settle()
    assert len(listener.messages) == 1
    await session.aclose()


async def test_after_closing_nothing_comes() -> None:
    session, listener = await studio()
    session.post(Message(uuid4(), "This is long. " * 20))
    await asyncio.sleep(0)
    count = len(listener.messages)
    await session.aclose()
    await session.aclose()
    session.post(Message(uuid4(), "Hello."))
    await settle()
    assert len(listener.messages) == count


def test_an_unknown_voice_is_refused_when_prepared() -> None:
    with pytest.raises(ProviderError, match="nobody"):
        Espeak("nobody").prepare()


def test_settings_out_of_range_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match="words a minute"):
        Espeak(rate=1000)


def test_prepared_before_a_fork_it_speaks_in_the_child() -> None:
    TTS.prepare()

    async def speak() -> int:
        session, listener = await studio()
        session.post(Message(uuid4(), "Hello from a child."))
        await settle()
        await session.aclose()
        return sum(len(message.data) for message in listener.messages)

    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        size = asyncio.run(speak())
        tasks = len(list(Path("/proc/self/task").iterdir()))
        os.write(writing, b"y" if size > 8000 and tasks == 1 else b"n")
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        assert answer.read() == b"y"
    assert os.waitpid(child, 0)[1] == 0


def test_it_needs_no_stand_in() -> None:
    assert TTS.stand_in() is TTS
