"""The lines of a call: in the order in which they were said, each as far as it was heard."""

from typing import Any

from shared import messages
from tests.virtual_time import virtual_time
from tests.worker.playbook import BYTES_A_LETTER, STREAM, After, Begins, Ears, Playbook, Says, Voice
from worker.agent import Agent
from worker.message import Message


async def _count(self: Agent, message: Message[str]) -> None:
    if message.data == "count":
        await self.say("one two three")


def _said(play: Playbook) -> list[tuple[Any, ...]]:
    return [
        (item.role, item.text, item.interrupted, item.reply_ms)
        for item in play.wire.items
        if isinstance(item, messages.Said)
    ]


@virtual_time
async def test_a_reply_is_written_down_before_the_words_that_cut_it() -> None:
    agent = type("Counter", (Agent,), {"stt": Ears(), "tts": Voice(), "inference": _count})
    play = await (Playbook(agent) >> STREAM >> Says("count") >> After(8 * BYTES_A_LETTER / 8000))
    await (play >> Begins() >> Says("stop") >> After(0.1))
    assert _said(play) == [
        ("caller", "count", False, None),
        ("agent", "one two", True, 0.0),
        ("caller", "stop", False, None),
    ]
    await play.ended()
