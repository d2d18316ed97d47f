import asyncio
import os
from pathlib import Path

import pytest

from shared.audio import FRAME_BYTES, ms_of_bytes, silence
from shared.speech.endpointing import Endpoints
from shared.speech.espeak import EspeakVoice
from tests.shared.speech.line import noise, over_the_line, tone
from worker.errors import ProviderError
from worker.providers import PocketSphinx
from worker.stt import EndOfTurn, Hearing, SpeechStarted, SpeechStopped

GRAMMAR = """#JSGF V1.0;
grammar shop;
<item> = apples | oranges | potatoes | tomatoes | milk;
public <order> = i would like to buy [two | three | four] [bags of] <item> [please];
public <question> = when do you open tomorrow | what is your address;
"""
STT = PocketSphinx(GRAMMAR)
ORDER = "i would like to buy three bags of potatoes please"
QUESTION = "what is your address"
VOICE = EspeakVoice("en-us+klatt4", rate=160)


def spoken(text: str) -> bytes:
    return over_the_line(VOICE.speak(text), -3, noise_dbfs=-65)


class Listener:
    """Writes down what the session says, in order."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.turns: list[EndOfTurn] = []
        self.errors: list[Exception] = []

    def heard(self, event: Hearing) -> None:
        match event:
            case SpeechStarted(lasting):
                assert lasting
                self.events.append("started")
            case SpeechStopped():
                self.events.append("stopped")
            case EndOfTurn(text):
                self.turns.append(event)
                self.events.append(text)
            case _:
                raise AssertionError(event)

    def failed(self, error: Exception) -> None:
        self.errors.append(error)


async def settle() -> None:
    """Let everything run that is waiting to."""
    for _ in range(3000):
        await asyncio.sleep(0)


async def hear(audio: bytes, size: int = FRAME_BYTES, stt: PocketSphinx = STT) -> Listener:
    listener = Listener()
    session = await stt.connect(listener)
    for start in range(0, len(audio), size):
        session.post(audio[start : start + size])
        await asyncio.sleep(0)
    await settle()
    await session.aclose()
    assert listener.errors == []
    return listener


@pytest.mark.parametrize("size", [160, 1, 157, 333, 1600, 1_000_000])
async def test_audio_of_any_size_is_heard(size: int) -> None:
    assert (await hear(spoken(ORDER), size)).events == ["started", "stopped", ORDER]


async def test_each_utterance_is_a_turn_that_ended_where_its_last_word_did() -> None:
    first, second = spoken(ORDER), spoken(QUESTION)
    heard = await hear(first + second)
    assert heard.events == ["started", "stopped", ORDER, "started", "stopped", QUESTION]
    ends = [turn.at_ms for turn in heard.turns if turn.at_ms is not None]
    room_after = 900
    wholes = [ms_of_bytes(len(first)), ms_of_bytes(len(first + second))]
    for end, whole in zip(ends, wholes, strict=True):
        assert whole - room_after - 500 < end < whole - room_after + 50


async def test_the_sound_stops_where_the_turn_ends() -> None:
    stops: list[float | None] = []

    class Exact(Listener):
        def heard(self, event: Hearing) -> None:
            if isinstance(event, SpeechStopped | EndOfTurn):
                stops.append(event.at_ms)

    session = await STT.connect(Exact())
    session.post(spoken(QUESTION))
    await settle()
    assert len(stops) == 2
    assert stops[0] == stops[1] is not None
    await session.aclose()


async def test_a_turn_can_be_ended_in_the_middle_of_the_sound() -> None:
    listener = Listener()
    session = await STT.connect(listener)
    music = silence(500) + tone(5000, 262, -20)
    session.post(music[:20_000])
    session.end_turn()
    assert listener.events == ["started", "stopped"]
    await settle()
    assert listener.events == ["started", "stopped", ""]
    session.post(music[20_000:] + silence(1000))
    await settle()
    assert listener.events == ["started", "stopped", ""] * 2
    await session.aclose()


async def test_words_of_a_turn_that_was_ended_do_not_come_again() -> None:
    listener = Listener()
    session = await STT.connect(listener)
    order = spoken(ORDER)
    session.post(order[: len(order) - 8 * 880])  # all of its words, not the quiet after them
    session.end_turn()
    session.post(silence(1000) + spoken(QUESTION))
    await settle()
    assert [turn.text for turn in listener.turns] == [ORDER, QUESTION]
    await session.aclose()


async def test_where_nothing_is_heard_no_turn_can_be_ended() -> None:
    listener = Listener()
    session = await STT.connect(listener)
    session.end_turn()
    session.post(silence(500))
    session.end_turn()
    await session.aclose()
    session.end_turn()
    await settle()
    assert listener.events == []


async def test_the_cue_comes_with_the_frame_that_brings_it() -> None:
    listener = Listener()
    session = await STT.connect(listener)
    session.post(spoken(ORDER)[: 8 * 1200])
    assert listener.events == ["started"]
    await session.aclose()


async def test_text_is_there_right_after_the_end() -> None:
    audio = over_the_line(VOICE.speak(QUESTION))
    listener = Listener()
    session = await STT.connect(listener)
    for start in range(0, len(audio), FRAME_BYTES):
        session.post(audio[start : start + FRAME_BYTES])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert listener.events == ["started", "stopped", QUESTION]
    await session.aclose()


async def test_what_fits_no_sentence_is_an_empty_turn() -> None:
    heard = await hear(spoken("the quick brown fox jumps over the lazy dog"))
    assert heard.events == ["started", "stopped", ""]


@pytest.mark.parametrize("audio", [b"", silence(5000), noise(5000, -50), silence(300) + b"\x00"])
async def test_silence_and_room_noise_are_no_turn(audio: bytes) -> None:
    assert (await hear(audio)).events == []


async def test_hold_music_cannot_stall_a_turn() -> None:
    notes = [tone(240, hertz, -20) for hertz in (262, 330, 392, 523, 392, 330)]
    music = silence(500) + b"".join(notes) * 8 + silence(1000)
    stt = PocketSphinx(GRAMMAR, endpoints=Endpoints(longest_ms=3000))
    heard = await hear(music, stt=stt)
    assert heard.events[:4] == ["started", "stopped", "", "started"]
    assert heard.events.count("started") == len(heard.turns)


async def test_a_burst_leaves_turns_to_everything_else() -> None:
    listener = Listener()
    session = await STT.connect(listener)
    session.post(spoken(ORDER))
    turns = 0
    while len(listener.turns) == 0:
        await asyncio.sleep(0)
        turns += 1
    assert turns > 30  # some 200 frames, at most five of them at a time
    await session.aclose()


async def test_more_than_can_be_decoded_is_left_out_not_kept() -> None:
    listener = Listener()
    session = await STT.connect(listener)
    for _ in range(40):
        session.post(spoken(ORDER))  # two minutes at once
    await settle()
    assert 0 < len(listener.turns) <= 40
    session.post(silence(2000) + spoken(QUESTION))
    await settle()
    assert listener.events[-1] == QUESTION
    await session.aclose()


async def test_closing_in_the_middle_of_an_utterance_is_silent() -> None:
    listener = Listener()
    session = await STT.connect(listener)
    session.post(spoken(ORDER)[:12_000])
    await asyncio.sleep(0)
    await session.aclose()
    await session.aclose()
    session.post(spoken(ORDER))
    await settle()
    assert listener.events == ["started"]
    assert (await hear(spoken(ORDER))).events == ["started", "stopped", ORDER]


async def test_two_calls_in_one_process_do_not_mix() -> None:
    both = await asyncio.gather(hear(spoken(ORDER)), hear(spoken(QUESTION)))
    assert [heard.events[-1] for heard in both] == [ORDER, QUESTION]


async def test_a_grammar_file_is_found_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "grammars").mkdir()
    (tmp_path / "grammars" / "shop.jsgf").write_text(GRAMMAR)
    stt = PocketSphinx("grammars/shop.jsgf")
    stt.prepare()
    assert (await hear(spoken(QUESTION), stt=stt)).events == ["started", "stopped", QUESTION]


@pytest.mark.parametrize(
    ("grammar", "says"),
    [
        ("nowhere/shop.jsgf", "nowhere/shop.jsgf"),
        ("#JSGF V1.0;\ngrammar x;\npublic <a> = (b;\n", "line 3"),
        ("#JSGF V1.0;\ngrammar x;\npublic <a> = hello xyzzy;\n", "xyzzy"),
    ],
)
def test_what_is_wrong_with_a_grammar_is_said_when_it_is_prepared(grammar: str, says: str) -> None:
    with pytest.raises(ProviderError, match=says):
        PocketSphinx(grammar).prepare()


def test_it_needs_no_stand_in() -> None:
    assert STT.stand_in() is STT


def test_prepared_before_a_fork_it_hears_in_the_child() -> None:
    STT.prepare()
    audio = spoken(ORDER)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        heard = asyncio.run(hear(audio))
        tasks = len(list(Path("/proc/self/task").iterdir()))
        os.write(writing, f"{tasks} {heard.events[-1]}".encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        assert answer.read() == f"1 {ORDER}"
    assert os.waitpid(child, 0)[1] == 0
