import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from shared.audio import bytes_of_ms
from worker.message import Message
from worker.testing.text_speech import MARK, TextTTS, first_unit, spoken
from worker.tts import Timing

WORDS = st.text(st.characters(exclude_categories=("Cs", "Zs", "Cc")), min_size=1, max_size=60)


def read(audio: bytes) -> list[str]:
    words = []
    while audio:
        unit, word = first_unit(audio)
        words.append(word)
        audio = audio[len(unit) :]
    return words


@given(st.lists(WORDS))
def test_words_that_were_spoken_can_be_read(words: list[str]) -> None:
    assert read(b"".join(map(spoken, words))) == words


@given(st.binary(max_size=200).filter(lambda audio: MARK not in audio), WORDS)
def test_other_audio_has_no_words_and_hides_none(noise: bytes, word: str) -> None:
    noise += b"\x7f"  # so that it does not end like a mark begins
    assert read(noise + spoken(word) + spoken(word)) == ["", word, word]


class Listener:
    """Keeps what an utterance was made of."""

    def __init__(self) -> None:
        self.pieces: list[Message[bytes]] = []
        self.timings: list[Timing] = []

    def audio(self, message: Message[bytes]) -> None:
        self.pieces.append(message)

    def timed(self, uuid: UUID, timings: Sequence[Timing]) -> None:
        self.timings += timings

    def failed(self, error: Exception) -> None:
        raise error


async def test_every_word_is_timed_where_it_is_in_the_audio() -> None:
    listener, uuid = Listener(), uuid4()
    session = await TextTTS().connect(listener)
    for piece, done in (("Hello, ", False), ("how are", False), ("n't you? ", False), ("", True)):
        session.post(Message(uuid, piece, done))
    await asyncio.sleep(0)
    audio = b"".join(piece.data for piece in listener.pieces)
    assert [piece.done for piece in listener.pieces] == [False, False, False, True]
    assert "".join(read(audio)) == " Hello, how aren't you?"
    for timing in listener.timings:
        part = audio[bytes_of_ms(timing.start_ms) : bytes_of_ms(timing.end_ms)]
        assert read(part) == [timing.text]
    assert listener.timings[-1].end_ms * 8 == len(audio)


async def test_an_utterance_that_is_aborted_is_heard_no_more() -> None:
    listener, uuid = Listener(), uuid4()
    session = await TextTTS().connect(listener)
    session.post(Message(uuid, "Hello"))
    session.abort(uuid)
    session.post(Message(uuid4(), "closed"))
    await session.aclose()
    await asyncio.sleep(0)
    assert listener.pieces == []
