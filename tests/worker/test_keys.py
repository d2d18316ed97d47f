"""Keys that an agent asks for, and keys that nobody has asked for."""

from typing import Any

from shared import messages
from tests.virtual_time import virtual_time
from tests.worker.conversing import Live
from tests.worker.playbook import STREAM, After, Ears, Voice
from tests.worker.scripted_llm import Model, call
from worker.agent import Agent
from worker.tools import tool
from worker.turns import Turns


def _pressing(model: Model, **parts: Any) -> type[Agent]:
    class Bank(Agent):
        stt = Ears()
        llm = model
        tts = Voice()

        @tool(limit_s=60)
        async def ask_number(self) -> str:
            """Ask for the account's number."""
            await self.say("Please enter your number, and then the hash key, whenever you like.")
            return await self.keys(timeout_s=5)

    return type("Bank", (Bank,), parts)


@virtual_time
async def test_a_tool_that_waits_for_keys_gets_them_and_the_answer_goes_on() -> None:
    model = Model([call("ask_number")], "Thank you.")
    play = await (Live(_pressing(model)) >> STREAM)
    await play.asks("my balance", 2.0)
    for digit in "42#":
        await (play >> messages.Dtmf(digit))
    await (play >> After(5))
    assert "id-ask_number -> 42" in model.told()
    assert play.said("agent")[-1] == "Thank you."
    await play.finished()


@virtual_time
async def test_keys_typed_into_the_prompt_cut_its_words_and_not_the_tool() -> None:
    model = Model([call("ask_number")], "Thank you.")
    play = await (Live(_pressing(model)) >> STREAM)
    await play.asks("my balance", 0.1)
    for digit in "42#":
        await (play >> messages.Dtmf(digit))
    await (play >> After(5))
    assert (
        play.said("agent")[0]
        != "Please enter your number, and then the hash key, whenever you like."
    )
    assert "id-ask_number -> 42" in model.told()
    assert play.said("agent")[-1] == "Thank you."
    await play.finished()


@virtual_time
async def test_keys_that_a_tool_never_asked_for_are_told_once_the_turn_is_over() -> None:
    got = list[str]()

    async def on_keys(self: Agent, keys: str) -> None:
        got.append(keys)

    class Slow(Agent):
        stt = Ears()
        llm = Model([call("look")], "Nothing.")
        tts = Voice()
        turns = Turns(keys_most=1)

        @tool(limit_s=60)
        async def look(self) -> str:
            """Look something up."""
            await self.say("One moment, this takes a while, please stay on the line.")
            return "nothing"

    Slow.on_keys = on_keys  # type: ignore[method-assign]
    play = await (Live(Slow) >> STREAM)
    await play.asks("look it up", 0.1)
    await (play >> messages.Dtmf("7"))
    assert got == []
    await (play >> After(10))
    assert got == ["7"]
    assert play.said("agent")[-1] == "Nothing."
    await play.finished()
