"""What somebody outside the call wants said."""

import asyncio

from shared import messages
from tests.virtual_time import virtual_time
from tests.worker.playbook import (
    BYTES_A_LETTER,
    OVER,
    STREAM,
    After,
    Audio,
    Echoes,
    Playbook,
    Voice,
)
from worker.agent import Agent

WORDS = "Your taxi is here"
WANTED = messages.OperatorSays(WORDS, interruptible=False)


class Waiter(Agent):
    """Has a voice and says nothing by itself."""

    tts = Voice()


class Mute(Agent):
    """Has no voice."""


@virtual_time
async def test_it_waits_for_the_stream_and_is_said_in_the_agents_voice() -> None:
    play = await (Playbook(Waiter) >> WANTED >> After(0.3))
    assert play.rest == []
    await (play >> STREAM << Audio(len(WORDS) * BYTES_A_LETTER) << messages.Mark)
    await (play >> Echoes() << messages.Said)
    await (play >> OVER)
    await play.ended()


@virtual_time
async def test_an_agent_without_a_voice_lives_on_and_says_so_in_the_log() -> None:
    play = await (Playbook(Mute) >> STREAM >> WANTED << messages.Log)
    await asyncio.sleep(1)
    await (play >> OVER)
    await play.ended()
