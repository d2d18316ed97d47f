import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

from shared.audio import ms_of_bytes, silence
from tests.shared.speech.line import tone
from worker import speech
from worker.llm import LLM, Brief, Prompt, Said, Text, Usage
from worker.message import Message
from worker.speech import SpeechModel
from worker.stand_ins import WORD_MS, CannedLLM, EchoSpeech, EnergySTT, ToneTTS
from worker.stt import STT, EndOfTurn, Hearing, Partial, SpeechStarted
from worker.tts import TTS, Timing

STAND_INS: tuple[STT, TTS, LLM, SpeechModel] = (
    EnergySTT(),
    ToneTTS(),
    CannedLLM(),
    EchoSpeech(),
)
"""Each of them keeps its contract: the types say so."""


class Ear:
    """Keeps what is heard."""

    def __init__(self) -> None:
        self.events: list[Hearing] = []

    def heard(self, event: Hearing) -> None:
        self.events.append(event)

    def failed(self, error: Exception) -> None:
        raise error


class Recorder:
    """Keeps audio and times."""

    def __init__(self) -> None:
        self.messages: list[Message[bytes]] = []
        self.timings: list[Timing] = []

    def audio(self, message: Message[bytes]) -> None:
        self.messages.append(message)

    def timed(self, uuid: UUID, timings: Sequence[Timing]) -> None:
        self.timings += timings

    def failed(self, error: Exception) -> None:
        raise error


async def settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


def test_each_is_its_own_stand_in() -> None:
    for stand_in in STAND_INS:
        stand_in.prepare()
        assert stand_in.stand_in() is stand_in


async def test_a_sound_and_a_silence_are_a_turn() -> None:
    ear = Ear()
    session = await EnergySTT("yes please").connect(ear)
    audio = silence(500) + tone(600, 300, -20) + silence(800)
    for start in range(0, len(audio), 333):
        session.post(audio[start : start + 333])
    assert ear.events == [SpeechStarted(), Partial("yes please"), EndOfTurn("yes please", 1100)]
    await session.aclose()


async def test_a_turn_that_is_ended_does_not_come_again() -> None:
    ear = Ear()
    session = await EnergySTT().connect(ear)
    session.end_turn()
    session.post(silence(500) + tone(600, 300, -20))
    session.end_turn()
    session.post(silence(800))
    assert ear.events == [SpeechStarted(), Partial("hello"), EndOfTurn("hello", 1100)]
    await session.aclose()


async def test_a_word_is_a_short_tone_with_a_time() -> None:
    recorder, uuid = Recorder(), uuid4()
    session = await ToneTTS().connect(recorder)
    session.post(Message(uuid, "Good evening,", done=False))
    assert recorder.messages == []
    session.post(Message(uuid, " dear caller.", done=True))
    await settle()
    size = sum(len(message.data) for message in recorder.messages)
    assert ms_of_bytes(size) == 4 * WORD_MS
    assert [timing.text for timing in recorder.timings] == ["Good", "evening,", "dear", "caller."]
    assert recorder.timings[-1] == Timing("caller.", 3 * WORD_MS, 4 * WORD_MS)
    assert [message.done for message in recorder.messages] == [False, True]
    await session.aclose()


async def test_an_utterance_of_nothing_ends() -> None:
    recorder, uuid = Recorder(), uuid4()
    session = await ToneTTS().connect(recorder)
    session.post(Message(uuid, "", done=True))
    await settle()
    assert recorder.messages == [Message(uuid, b"", done=True)]
    await session.aclose()


async def test_nothing_comes_of_what_was_aborted_or_after_the_end() -> None:
    recorder, gone = Recorder(), uuid4()
    session = await ToneTTS().connect(recorder)
    session.post(Message(gone, "Good evening.", done=False))
    session.abort(gone)
    session.post(Message(gone, " How are you?"))
    session.post(Message(uuid4(), "Bye."))
    await session.aclose()
    await settle()
    assert recorder.messages == []


async def test_the_model_says_its_sentence_and_what_it_cost() -> None:
    session = await CannedLLM("Of course.").connect()
    answers = [answer async for answer in session.reply(Prompt((Said("user", "hello"),)))]
    assert "".join(it.delta for it in answers if isinstance(it, Text)).strip() == "Of course."
    assert isinstance(answers[-1], Usage)
    await session.aclose()


async def test_a_model_of_speech_is_stood_in_for_the_whole_way() -> None:
    told: list[object] = []

    class Listener:
        def audio(self, utterance: str, audio: bytes) -> None:
            told.append((utterance, len(audio) > 0))

        def happened(self, event: speech.Event) -> None:
            told.append(type(event))

        def known_as(self, conversation_id: str) -> None: ...

        def failed(self, error: Exception) -> None: ...

    model = EchoSpeech()
    model.prepare()
    assert model.stand_in() is model
    opening = speech.Opening(Brief("", ()), greeting="Good evening.")
    session = await model.connect(opening, Listener())
    greeting = [speech.AgentWords, ("utterance 1", True), speech.AgentDone]
    assert told == greeting
    told.clear()
    session.post(silence(500) + tone(600, 300, -20) + silence(1500))
    assert told[:3] == [speech.CallerStarted, speech.CallerStopped, speech.CallerTurn]
    assert told[3:] == [
        speech.CallerSaid,
        speech.AgentWords,
        ("utterance 3", True),
        speech.AgentDone,
    ]
    await session.aclose()
