"""What an agent says without having been asked."""

import asyncio
from typing import Any

import pytest

from shared import messages
from tests.virtual_time import virtual_time
from tests.worker.conversing import Live, clerk
from tests.worker.playbook import STREAM, After, Ears, Hears, Voice
from tests.worker.scripted_llm import Model
from worker.agent import Agent
from worker.stt import EndOfTurn, SpeechStarted
from worker.turns import Turns


@virtual_time
async def test_a_caller_who_interrupted_and_was_not_understood_is_asked_again() -> None:
    model = Model("The specials are sea bass, pasta with mushrooms, and slow roasted lamb.", "Yes.")
    play = await (Live(clerk(model)) >> STREAM)
    await play.asks("the specials", 0.1)
    await (
        play >> Hears(SpeechStarted(lasting=True)) >> After(2) >> Hears(EndOfTurn("")) >> After(5)
    )
    assert play.said("agent")[-1] == Agent.pardon
    assert len(model.asked) == 1
    await play.finished()


@virtual_time
async def test_silence_is_not_minded_while_the_stream_is_gone() -> None:
    agent = clerk(Model("Hello."), turns=Turns(silence_s=4))
    play = await (Live(agent) >> STREAM)
    await play.asks("hello", 3)
    await (play >> messages.StreamStopped("lost") >> After(30))
    assert play.said("agent") == ["Hello."]
    await (play >> STREAM >> After(5))
    assert play.said("agent") == ["Hello.", "Are you still there?"]
    await play.finished()


async def _looks_up(self: Agent) -> None:
    await asyncio.sleep(3)


@pytest.mark.parametrize(
    "late",
    [
        {"stt": Ears(delay=3)},
        {"llm": Model("x", delay=3)},
        {"on_ringing": _looks_up},
        {"stt": Ears(delay=3), "tts": Voice(delay=0.2)},
    ],
    ids=["ears", "mind", "hook", "voice"],
)
def test_a_greeting_that_is_made_waits_for_nobody_who_still_connects(late: dict[str, Any]) -> None:
    @virtual_time
    async def case() -> None:
        play = await (Live(clerk(greeting="Hello", **late)) >> After(0.3) >> STREAM)
        assert play.wire.audio
        await (play >> After(5))
        assert play.said("agent") == ["Hello"]
        await play.finished()

    case()
