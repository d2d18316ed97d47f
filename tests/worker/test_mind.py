"""The mind by itself: asked early, given up, exchanged, closed in time whatever a model does."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from shared import messages
from shared.turn_stages import Stage as Reached
from tests.virtual_time import virtual_time
from tests.worker.conversing import Live, about, clerk
from tests.worker.playbook import OVER, STREAM, After, Begins, Hears, Says
from tests.worker.scripted_llm import Hold, Model, Wait, call
from worker.agent import Agent
from worker.errors import ProviderLostError
from worker.llm import Answer, Prompt, Text, Usage
from worker.message import Message
from worker.stages import Stage
from worker.stt import EagerEnd, EndOfTurn, Partial, TurnResumed
from worker.tools import tool

LOST = ProviderLostError("openai", "did not answer")

# The model asked early ---------------------------------------------------------------------------


@virtual_time
async def test_an_answer_asked_for_early_is_heard_at_once_when_the_turn_ends() -> None:
    model = Model([Wait(0.3), "For how many?"])
    play = await (
        Live(clerk(model)) >> STREAM >> Begins() >> Hears(EagerEnd("a table please")) >> After(0.5)
    )
    assert play.told(messages.Speaking) == []
    await (play >> Hears(EndOfTurn("A table, please.")) >> After(5))
    assert len(model.asked) == 1
    assert play.said("agent") == ["For how many?"]
    assert [it.reply_ms for it in play.told(messages.Said)] == [None, about(0)]
    assert [it["content"] for it in play.agent.history.messages()] == [
        "A table, please.",
        "For how many?",
    ]
    stages = play.told(messages.TurnTimed)[-1].stages
    assert stages[str(Reached.MODEL_ASKED)] < stages[str(Reached.STT_FINAL)]
    assert stages[str(Reached.FIRST_AUDIO)] < stages[str(Reached.FIRST_SENT)]
    await play.finished()


@pytest.mark.parametrize("why", ["other words", "goes on", "keys", "entered", "fails", "nothing"])
def test_an_answer_asked_for_early_in_vain_was_never_there(why: str) -> None:
    looked: list[int] = []

    class Looks:
        @tool
        async def look(self) -> str:
            """Look."""
            looked.append(1)
            return "ok"

    @virtual_time
    async def case() -> None:
        first: list[Any] = ["Early.", call("look")]
        if why == "fails":
            first.append(LOST)
        elif why != "nothing":
            first.append(Hold())
        model = Model(first, "Late.")
        agent = clerk(model, Looks, stages={"one": Stage(), "two": Stage()})
        play = await (Live(agent) >> STREAM >> Begins() >> Hears(EagerEnd("a table")) >> After(0.1))
        assert play.session.conversation.history.items == ()
        match why:
            case "other words":
                await (play >> Hears(EndOfTurn("a table for two")))
            case "goes on":
                await (play >> Hears(TurnResumed()) >> Hears(Partial("a table for")))
                assert model.closed == 1
                await (play >> Hears(EndOfTurn("a table")))
            case "keys":
                await (play >> messages.Dtmf("1") >> messages.Dtmf("#") >> After(5))
                await (play >> Says("a table"))
            case "entered":
                play.agent.enter("two")
                await (play >> Hears(EndOfTurn("a table")))
            case "fails":
                await (play >> Hears(EndOfTurn("a table")))
            case "nothing":
                await (play >> Hears(EndOfTurn("")) >> After(1))
                assert play.told(messages.Said) == []
                assert len(model.asked) == 1
                model.scripts[0] = "Late."
                await (play >> Says("a table"))
        await (play >> After(5))
        assert set(play.said("agent")) == {"Late."}
        assert looked == []
        assert model.told()[-1].startswith("user a table")
        assert not any(line.startswith("assistant Early") for line in model.told())
        assert play.told(messages.ProviderTrouble) == []
        await play.finished()

    case()


@virtual_time
async def test_an_early_request_knows_how_far_the_speech_it_cut_was_heard() -> None:
    model = Model("Yes.")
    play = await (Live(clerk(model, greeting="one two three four")) >> STREAM >> After(0.075))
    await (play >> Hears(EagerEnd("hello there")) >> After(0.1))
    assert model.told() == ["assistant one two", "user hello there"]
    await (play >> Hears(EndOfTurn("hello there")) >> After(2))
    assert len(model.asked) == 1
    await play.finished()


@virtual_time
async def test_an_early_answer_whose_instructions_cannot_be_made_ends_nothing_by_itself() -> None:
    def instructions(self: Agent) -> str:
        return str(self.state["people"])

    model = Model("Yes.")
    play = await (Live(clerk(model, instructions=instructions)) >> STREAM)
    await (play >> Hears(EagerEnd("hello")) >> After(0.1))
    play.agent.state["people"] = 4
    await (play >> Hears(EndOfTurn("hello")) >> After(2))
    assert model.told() == ["system 4", "user hello"]
    assert play.said("agent") == ["Yes."]
    await play.finished()


@virtual_time
async def test_the_tools_of_an_early_answer_run_once_it_is_the_answer() -> None:
    ran: list[int] = []

    class Looks:
        @tool
        async def look(self) -> str:
            """Look."""
            ran.append(1)
            return "fish"

    model = Model(["Let me see. ", call("look")], "Fish.")
    play = await (Live(clerk(model, Looks)) >> STREAM)
    await (play >> Hears(EagerEnd("the menu")) >> After(1))
    assert ran == []
    await (play >> Hears(EndOfTurn("the menu")) >> After(3))
    assert len(ran) == 1
    assert play.said("agent") == ["Let me see.", "Fish."]
    await play.finished()


@virtual_time
async def test_an_agent_with_an_inference_of_its_own_is_not_asked_early() -> None:
    async def inference(self: Agent, message: Message[str]) -> None:
        await Agent.inference(self, message)

    model = Model("Yes.")
    play = await (Live(clerk(model, inference=inference)) >> STREAM)
    await (play >> Hears(EagerEnd("hello")) >> After(0.5))
    assert model.asked == []
    await play.finished()


@virtual_time
async def test_what_an_answer_in_vain_has_cost_is_measured_too() -> None:
    model = Model(["Early.", Usage(100, 7)], "Late.")
    play = await (Live(clerk(model)) >> STREAM >> Hears(EagerEnd("a table")) >> After(0.5))
    await play.asks("no, a room")
    told = {it.name: it.value for it in play.told(messages.Metric)}
    assert told == {"llm.prompt_tokens": 100, "llm.completion_tokens": 7}
    await play.finished()


@virtual_time
async def test_an_answer_prepared_for_what_was_only_listening_aloud_is_forgotten() -> None:
    tale = " ".join(["on and"] * 40)
    model = Model("Early.", "Late.")
    play = await (Live(clerk(model)) >> STREAM >> Hears(EagerEnd("okay")) >> After(0.2))
    telling = asyncio.create_task(play.agent.say(tale))
    await (play >> After(0.2) >> Hears(EndOfTurn("okay")) >> After(8))
    assert (await telling, play.said("agent")) == (tale, [tale])
    await play.asks("okay")
    assert play.said("agent") == [tale, "Late."]
    await play.finished()


@virtual_time
async def test_an_answer_that_was_asked_for_before_something_else_was_said_is_not_used() -> None:
    model = Model("Early.", "Late.")
    play = await (Live(clerk(model)) >> STREAM >> Hears(EagerEnd("a table")) >> After(0.5))
    play.agent.history.system("The kitchen has just closed.")
    await play.asks("a table")
    assert model.told() == ["system The kitchen has just closed.", "user a table"]
    assert play.said("agent") == ["Late."]
    await play.finished()


# Closing -----------------------------------------------------------------------------------------


class Stubborn(Model):
    """A model that lets itself neither be cancelled nor be closed at once."""

    async def reply(self, prompt: Prompt) -> AsyncGenerator[Answer, None]:
        """Say a word, and hang for a minute."""
        yield Text("One. ")
        until = asyncio.get_running_loop().time() + 60
        while (left := until - asyncio.get_running_loop().time()) > 0:
            try:
                await asyncio.sleep(left)
            except asyncio.CancelledError:
                self.closed += 1

    async def aclose(self) -> None:
        """Hang for a minute."""
        await asyncio.sleep(60)


@pytest.mark.parametrize("phase", ["early", "reply", "idle"])
def test_a_model_that_does_not_close_holds_no_call_up(phase: str) -> None:
    @virtual_time
    async def case() -> None:
        play = await (Live(clerk(Stubborn())) >> STREAM)
        if phase == "early":
            await (play >> Hears(EagerEnd("go")) >> After(1))
        elif phase == "reply":
            await (play >> Says("go") >> After(1))
        began = asyncio.get_running_loop().time()
        await (play >> OVER)
        await play.ended()
        assert asyncio.get_running_loop().time() - began < 6
        await asyncio.sleep(120)

    case()


@virtual_time
async def test_a_barge_in_does_not_wait_for_a_stream_that_does_not_close() -> None:
    first = Stubborn()
    play = await (Live(clerk(first)) >> STREAM >> Says("go") >> After(0.02))
    await play.session.conversation.set_llm(Model("Next."))
    await (play >> Begins() >> Hears(Partial("wait now")))
    await play.asks("wait now", 1)
    assert play.said("agent")[-1] == "Next."
    await (play >> OVER)
    await play.ended()
    await asyncio.sleep(120)
