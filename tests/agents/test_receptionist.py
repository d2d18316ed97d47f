"""The shipped agent on real speech, and what it does with the line."""

import asyncio
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import msgpack
import pytest

from agents.bella_vista import Dialogue
from shared.audio import FRAME_BYTES
from shared.speech.espeak import EspeakVoice
from shared.speech.grammar import read_grammar
from tests.shared.speech.line import over_the_line
from worker import Agent, Message, RequestError, VoIP
from worker.abilities import Conversation
from worker.fallback import fallback_of
from worker.providers import PocketSphinx
from worker.stt import EndOfTurn, Hearing

FOLDER = Path(__file__).parents[2] / "agents"
CALLER = EspeakVoice("en-us+klatt4", rate=160, pitch=50)
CONVERSATION = [
    "hello i would like to book a table please",
    "for four people",
    "on friday at half past seven",
    "my name is miller",
    "yes please",
    "what are the specials",
    "what are your opening hours",
    "thank you goodbye",
]
BOOKING = {"people": 4, "day": "friday", "time": "19:30", "name": "Miller"}


@pytest.fixture
def receptionist(monkeypatch: pytest.MonkeyPatch) -> Iterator[Agent]:
    """An instance, imported as a template does: from its folder, which is the working directory."""
    monkeypatch.chdir(FOLDER)
    monkeypatch.syspath_prepend(str(FOLDER))
    agent = cast("Agent", importlib.import_module("receptionist").Receptionist())
    yield agent
    for name in ("receptionist", "bella_vista"):
        sys.modules.pop(name, None)


class Line:
    """A call and a voice that write down what the agent does with them, in order."""

    def __init__(self, can_transfer: bool = True) -> None:
        self.done: list[str] = []
        self._can_transfer = can_transfer

    async def say(self, text: str, interruptible: bool) -> str:
        self.done.append(f"say{'' if interruptible else ' to the end'}: {text}")
        return text

    async def hangup(self) -> None:
        self.done.append("hang up")

    async def transfer(self, to: str) -> None:
        if not self._can_transfer:
            raise RequestError("destination", "no such destination")
        self.done.append(f"transfer: {to}")


async def act(agent: Agent, line: Line, *heard: str) -> list[str]:
    agent.attach(cast("VoIP", line), cast("Conversation", line))
    for text in heard:
        await agent.inference(Message(uuid4(), text))
    return line.done


async def test_it_hangs_up_after_its_last_words(receptionist: Agent) -> None:
    done = await act(receptionist, Line(), "thank you goodbye")
    assert done == ["say to the end: Thank you for calling. Goodbye!", "hang up"]


async def test_it_fetches_the_manager(receptionist: Agent) -> None:
    done = await act(receptionist, Line(), "i want to speak to the manager")
    assert done[-1] == "transfer: manager"
    assert done[0].startswith("say to the end: One moment")


async def test_without_a_manager_the_conversation_goes_on(receptionist: Agent) -> None:
    done = await act(receptionist, Line(can_transfer=False), "", "", "", "when are you open")
    assert "nobody can come" in done[-2]
    assert "We are open every day" in done[-1]


async def test_its_answers_can_be_interrupted(receptionist: Agent) -> None:
    done = await act(receptionist, Line(), "what are the specials")
    assert done[0].startswith("say: Tonight we have")


async def test_the_booking_is_in_its_state_which_survives_packing(receptionist: Agent) -> None:
    await act(receptionist, Line(), *CONVERSATION)
    state: dict[str, Any] = msgpack.unpackb(msgpack.packb(receptionist.state))
    assert state["booking"] == BOOKING


def test_its_ears_and_voice_are_prepared_from_its_folder(receptionist: Agent) -> None:
    assert receptionist.stt is not None
    assert receptionist.tts is not None
    fallback_of(receptionist.stt).prepare()
    fallback_of(receptionist.tts).prepare()


def test_its_grammar_has_every_word_its_dialogue_looks_for() -> None:
    grammar = read_grammar((FOLDER / "grammars" / "receptionist.jsgf").read_text("utf-8"))
    source = importlib.import_module("agents.bella_vista")
    for word in (*source.NUMBERS, *source.OPEN_DAYS, source.CLOSED_DAY, "specials", "manager"):
        assert word in grammar.words


class Ears:
    """Keeps the words of each turn."""

    def __init__(self) -> None:
        self.turns: list[str] = []

    def heard(self, event: Hearing) -> None:
        if isinstance(event, EndOfTurn):
            self.turns.append(event.text)

    def failed(self, error: Exception) -> None:
        raise error


@pytest.mark.parametrize(
    ("gain_db", "noise_dbfs"), [(0.0, None), (-3.0, -66.0), (-9.0, -62.0), (-15.0, -66.0)]
)
async def test_a_spoken_conversation_ends_in_a_booking(
    gain_db: float, noise_dbfs: float | None
) -> None:
    ears, state = Ears(), dict[str, Any]()
    session = await PocketSphinx(str(FOLDER / "grammars" / "receptionist.jsgf")).connect(ears)
    for number, line in enumerate(CONVERSATION):
        audio = over_the_line(CALLER.speak(line), gain_db, noise_dbfs, seed=number)
        for start in range(0, len(audio), FRAME_BYTES):
            session.post(audio[start : start + FRAME_BYTES])
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        Dialogue(state).reply(ears.turns[-1])
    await session.aclose()
    assert ears.turns == CONVERSATION
    assert state["booking"] == BOOKING
