"""Conversations with a model that hears: real audio, ears without words, and a scripted model."""

from typing import Any

import pytest

from shared import messages
from shared.audio import FRAME_BYTES, silence
from tests.fakes.speech import speech, words_in
from tests.virtual_time import settled, virtual_time
from tests.worker.conversing import Live, clerk
from tests.worker.playbook import STREAM, After, Ears, Hears
from tests.worker.scripted_llm import Hold, Model, Wait, call
from worker.errors import ProviderRefusedError
from worker.llm import Said
from worker.message import Message
from worker.roles import prepare
from worker.stt import EagerEnd, EndOfTurn, Partial
from worker.stt.endpointing import LocalEndpointing
from worker.tools import tool
from worker.turns import Turns

LONG = "We have nine tables left, and each of them is by the window, which is nice. " * 6


class Hearer(Model):
    """A scripted model that hears."""

    hears_audio = True

    def heard(self, number: int = -1) -> list[str]:
        """Return the words in the sounds of a request."""
        sounds = [line.sound for line in self.asked[number].items if isinstance(line, Said)]
        return [" ".join(words_in(sound.audio)) for sound in sounds if sound is not None]


def hearing(model: Hearer, *mixed_in: type, **attributes: Any) -> Live:
    ears = {"stt": LocalEndpointing(), "greeting": None, **attributes}
    return Live(clerk(model, *mixed_in, **ears))


async def posted(play: Live, audio: bytes) -> None:
    """The caller's audio comes as it is spoken."""
    for start in range(0, len(audio), FRAME_BYTES):
        await (play >> After(0.02))
        play.session.call_audio(audio[start : start + FRAME_BYTES].ljust(FRAME_BYTES, b"\xff"))
    await settled()


async def says(play: Live, text: str, then_ms: int = 700) -> None:
    """The caller says something, and is silent for as long as ends a turn."""
    await posted(play, speech(text, 60) + silence(then_ms))


async def started(model: Hearer, *mixed_in: type, **attributes: Any) -> Live:
    play = await (hearing(model, *mixed_in, **attributes) >> STREAM)
    await posted(play, silence(600))
    return play


@virtual_time
async def test_the_model_hears_what_was_said_and_the_transcript_says_how_long() -> None:
    model = Hearer("For how many?", "Booked.")
    play = await started(model)
    await says(play, "a table please")
    await (play >> After(5))
    await says(play, "for two")
    await (play >> After(5))
    assert [model.heard(0), model.heard(1)] == [["a table please"], ["a table please", "for two"]]
    assert play.said("agent") == ["For how many?", "Booked."]
    first, second = play.said("caller")
    assert first == "(spoken, 0.8 s)"
    assert second == "(spoken, 0.4 s)"
    assert model.told() == [f"user {first}", "assistant For how many?", f"user {second}"]
    await play.finished()


@virtual_time
async def test_an_author_who_answers_reads_how_long_it_was() -> None:
    read: list[str] = []

    async def inference(self: Any, message: Message[str]) -> None:
        read.append(message.data)
        await self.conversation.answer(f"A regular. {message.data}")

    model = Hearer("Hello.")
    play = await started(model, inference=inference)
    await says(play, "good evening")
    await (play >> After(5))
    assert model.told() == [f"user A regular. {read[0]}"]
    assert model.heard() == ["good evening"]
    await play.finished()


@virtual_time
async def test_a_cough_does_not_stop_the_agent_and_speech_does() -> None:
    model = Hearer(LONG, "As you like.")
    play = await started(model)
    await says(play, "tell me")
    await (play >> After(0.2))
    await posted(play, speech("hum", 100) + silence(700))
    await (play >> After(0.1))
    assert len(model.asked) == 1
    assert play.said("caller") == ["(spoken, 0.4 s)"]
    await says(play, "never mind that")
    await (play >> After(5))
    assert model.heard() == ["tell me", "never mind that"]
    cut = next(it for it in play.told(messages.Said) if it.role == "agent")
    assert (cut.interrupted, play.said("agent")[-1]) == (True, "As you like.")
    assert LONG.startswith(cut.text)
    assert f"assistant {cut.text}" in model.told()
    assert "Sorry, I did not catch that." not in play.said("agent")
    await play.finished()


@virtual_time
async def test_who_speaks_long_stops_the_model_before_the_turn_is_over() -> None:
    model = Hearer([LONG, Hold()], "Yes.")
    play = await started(model)
    await says(play, "tell me")
    await (play >> After(0.1))
    await posted(play, speech("no I have another question entirely", 60))
    assert model.closed == 1
    await posted(play, silence(700))
    await (play >> After(3))
    assert model.heard()[-1] == "no I have another question entirely"
    await play.finished()


@virtual_time
async def test_what_is_added_while_the_model_thinks_is_heard_with_the_rest() -> None:
    model = Hearer([Wait(3), "For whom?"], "Booked.")
    play = await started(model)
    await says(play, "a table")
    await says(play, "for two")
    await (play >> After(5))
    assert (model.closed, model.heard()) == (1, ["a table", "for two"])
    assert play.said("agent") == ["Booked."]
    await play.finished()


@virtual_time
async def test_a_turn_with_patience_is_asked_about_early_and_heard_whole() -> None:
    model = Hearer([Wait(0.2), "Early."], [Wait(0.2), "Late."])
    play = await started(model, turns=Turns(patience_ms=500))
    await says(play, "a table", 700)
    assert model.heard() == ["a table"]
    await says(play, "for two", 1500)
    await (play >> After(3))
    assert (len(model.asked), model.heard()) == (2, ["a table for two"])
    assert play.said("agent") == ["Late."]
    await play.finished()


@virtual_time
async def test_beside_a_recogniser_the_model_hears_and_the_words_are_for_reading() -> None:
    model, ears = Hearer([Wait(0.1), "Yes."]), Ears()
    play = await (hearing(model, stt=ears) >> STREAM)
    await posted(play, silence(600) + speech("two of us", 60) + silence(100))
    await (play >> Hears(Partial("to of")) >> Hears(EagerEnd("to office")) >> After(0.05))
    await (play >> Hears(EndOfTurn("to office")) >> After(3))
    assert play.said("caller") == ["to office"]
    assert (len(model.asked), model.heard(), model.told()) == (1, ["two of us"], ["user to office"])
    await play.finished()


@virtual_time
async def test_a_model_that_does_not_hear_is_told_no_sound() -> None:
    model, ears = Model("Yes."), Ears()
    play = await (Live(clerk(model, stt=ears)) >> STREAM)
    await posted(play, silence(600) + speech("two of us", 60))
    await (play >> Hears(EndOfTurn("two of us")) >> After(3))
    assert all(isinstance(line, Said) and line.sound is None for line in model.asked[0].items)
    await play.finished()


@virtual_time
async def test_tools_are_run_for_what_was_heard() -> None:
    class Books:
        @tool
        async def book(self) -> str:
            """Book."""
            return "Booked."

    model = Hearer([call("book")], "It is booked.")
    play = await started(model, Books)
    await says(play, "book it")
    await (play >> After(5))
    assert model.heard() == ["book it"]
    assert model.told()[-1] == "id-book -> Booked."
    assert play.said("agent") == ["It is booked."]
    await play.finished()


@virtual_time
async def test_silence_is_minded_and_speech_without_words_ends_it() -> None:
    model = Hearer("Yes.")
    play = await started(model, turns=Turns(silence_s=5))
    await (play >> After(7))
    assert play.said("agent") == ["Are you still there?"]
    await says(play, "yes I am here")
    await (play >> After(6.5))
    assert play.said("agent") == ["Are you still there?", "Yes.", "Are you still there?"]
    await (play >> After(8))
    assert play.said("agent")[-1] == "Are you still there?", "it is asked twice once more"
    await play.finished()


@virtual_time
async def test_only_the_latest_sounds_of_a_call_are_kept() -> None:
    model = Hearer("Yes.")
    play = await started(model)
    for number in range(6):
        await says(play, f"turn {number}")
        await (play >> After(2))
    assert model.heard() == ["turn 2", "turn 3", "turn 4", "turn 5"]
    await play.finished()


def test_ears_without_words_beside_a_model_that_does_not_hear_are_refused_before_any_call() -> None:
    ears = [Ears(), LocalEndpointing()]
    with pytest.raises(ProviderRefusedError, match="Clerk does not hear"):
        prepare(clerk(Model("x"), stt=ears))
    prepare(clerk(Hearer("x"), stt=ears))
    prepare(clerk(None, stt=ears))
