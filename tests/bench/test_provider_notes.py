"""What the providers' stand-in notes of what it sends."""

import base64
from collections.abc import Callable, Mapping

import msgspec
import pytest

from bench.marker import Sign, marked
from bench.model_elevenlabs import Agent
from bench.model_openai import Realtime
from bench.model_side import Model
from bench.model_ultravox import Ultravox
from bench.provider_door import Door, Side
from bench.provider_ear import Ear
from bench.provider_mind import Mind, Pace
from bench.provider_voice import Voice
from shared.audio import ulaw_to_pcm16

SAID = "Call 3 turn 4, a table please"


def _nobody(door: Door, path: str, headers: Mapping[str, str]) -> Side | None:
    return None


class Diary(Door):
    """A door that writes nothing but down what was noted and what was written, in order."""

    def __init__(self) -> None:
        super().__init__(_nobody)
        self.lines: list[str] = []

    def note(self, what: str, call: int, turn: int) -> None:
        """Write down a note."""
        self.lines.append(what)

    def write(self, data: bytes) -> None:
        """Write down that something was written."""
        if self.lines[-1:] != ["written"]:
            self.lines.append("written")


@pytest.mark.parametrize("sign", list(Sign))
async def test_the_ears_note_what_they_say_before_they_say_it(sign: Sign) -> None:
    diary = Diary()
    Ear(diary, diary.note).heard(marked(sign, 3, 4))
    assert diary.lines == [
        {Sign.BEGIN: "sound", Sign.WORDS: "words", Sign.END: "final"}[sign],
        "written",
    ]


async def test_the_mind_notes_its_first_clause_before_it_sends_it() -> None:
    diary = Diary()
    mind = Mind(diary, diary.note, Pace())
    mind.asked("/v1/chat/completions", SAID.encode())
    mind.lost()
    assert diary.lines == ["asked", "clause", "written"]


async def test_the_voice_notes_its_first_audio_before_it_sends_it() -> None:
    diary = Diary()
    voice = Voice(diary, diary.note, Pace())
    voice.told(msgspec.json.encode({"context_id": "one", "transcript": SAID, "continue": True}))
    voice.lost()
    assert diary.lines == ["text", "audio", "written"]


def _binary(model: Model, audio: bytes) -> None:
    model.heard(ulaw_to_pcm16(audio))


def _appended(model: Model, audio: bytes) -> None:
    data = base64.b64encode(audio).decode()
    model.told(msgspec.json.encode({"type": "input_audio_buffer.append", "audio": data}))


def _chunk(model: Model, audio: bytes) -> None:
    model.told(msgspec.json.encode({"user_audio_chunk": base64.b64encode(audio).decode()}))


@pytest.mark.parametrize(
    ("kind", "hear"), [(Ultravox, _binary), (Realtime, _appended), (Agent, _chunk)]
)
async def test_a_model_notes_what_it_cuts_before_it_tells_of_any_sound(
    kind: type[Model], hear: Callable[[Model, bytes], None]
) -> None:
    diary = Diary()
    model = kind(diary, diary.note, Pace())
    hear(model, marked(Sign.END, 3, 4))
    assert "audio" in diary.lines
    diary.lines.clear()
    hear(model, marked(Sign.BEGIN, 3, 5))
    model.lost()
    assert diary.lines == ["cut", "written"]
