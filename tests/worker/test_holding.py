"""A caller who waits long for the model: told so, now and then, until the answer comes."""

import asyncio
from typing import Any

import pytest

from shared import messages
from tests.virtual_time import virtual_time
from tests.worker.conversing import Live, clerk
from tests.worker.playbook import STREAM, After, Begins, Hears, Says, Voice
from tests.worker.scripted_llm import Hold, Model, Wait, call
from worker.agent import Agent
from worker.errors import ProviderLostError
from worker.stt import EndOfTurn, Partial
from worker.tools import tool

FIRST, SECOND = "One moment, please.", "I am still here, it takes a little longer."
LOST = ProviderLostError("vllm", "did not wake up in time")


async def asked(model: Model, *mixed_in: type, **attributes: Any) -> Live:
    return await (Live(clerk(model, *mixed_in, **attributes)) >> STREAM >> Says("a table"))


@virtual_time
async def test_a_caller_who_waits_long_is_told_so_and_then_answered() -> None:
    model = Model([Wait(30), "For how many?"], "Booked.")
    play = await asked(model)
    await (play >> After(3.9))
    assert play.told(messages.Speaking) == []
    await (play >> After(0.2))
    assert [it.text for it in play.told(messages.Speaking)] == [FIRST]
    await (play >> After(40))
    assert play.said("agent") == [FIRST, SECOND, SECOND, "For how many?"]
    await play.asks("two")
    assert model.told() == ["user a table", "assistant For how many?", "user two"]
    await play.finished()


@virtual_time
async def test_an_answer_that_comes_in_time_is_all_that_is_said() -> None:
    play = await asked(Model([Wait(3.9), "For", Wait(9), "how many?"]))
    await (play >> After(20))
    assert play.said("agent") == ["Forhow many?"]
    await play.finished()


@virtual_time
async def test_an_answer_that_comes_while_a_line_is_said_follows_it() -> None:
    play = await asked(Model([Wait(4.1), "For how many?"]))
    await (play >> After(5))
    assert play.said("agent") == [FIRST, "For how many?"]
    await play.finished()


@virtual_time
async def test_the_lines_and_their_times_are_the_authors() -> None:
    model = Model([Wait(6), "Yes."])
    play = await asked(model, hold_on=("Wait.",), hold_after_s=1, hold_every_s=2)
    await (play >> After(10))
    assert play.said("agent") == ["Wait.", "Wait.", "Wait.", "Yes."]
    await play.finished()
    play = await asked(Model([Wait(30), "Yes."]), hold_on=())
    await (play >> After(35))
    assert play.said("agent") == ["Yes."]
    await play.finished()


@virtual_time
async def test_who_interrupts_a_line_is_answered_instead() -> None:
    model = Model([Wait(30), "Late."], "Yes?")
    play = await asked(model)
    await (play >> After(4.05) >> Begins() >> Hears(Partial("are you there")) >> After(0.5))
    assert model.closed == 1
    await (play >> Hears(EndOfTurn("are you there")) >> After(2))
    cut, last = play.said("agent")
    assert FIRST.startswith(cut)
    assert cut != FIRST
    assert (last, model.told()) == ("Yes?", ["user a table", "user are you there"])
    await play.finished()


@virtual_time
async def test_listening_aloud_to_a_line_does_not_give_the_answer_up() -> None:
    model = Model([Wait(8), "For how many?"])
    play = await asked(model)
    await (play >> After(4.1) >> Begins() >> Hears(Partial("okay")) >> After(0.3))
    await (play >> Hears(EndOfTurn("Okay.")) >> After(10))
    assert (model.closed, play.said("agent")) == (0, [FIRST, "For how many?"])
    await play.finished()


@virtual_time
async def test_lines_go_on_where_they_were_when_the_caller_asks_again() -> None:
    model = Model([Wait(60), "Never."], [Wait(60), "Never."])
    play = await asked(model)
    await (play >> After(6) >> Says("hello?") >> After(5))
    assert play.said("agent") == [FIRST, SECOND]
    await play.finished()


@virtual_time
async def test_a_model_that_is_waited_for_in_vain_is_apologised_for() -> None:
    play = await asked(Model([Wait(6), LOST], "Yes."))
    await (play >> After(10))
    assert play.said("agent") == [FIRST, play.agent.sorry]
    await play.asks("once more")
    assert play.said("agent")[-1] == "Yes."
    await play.finished()


@virtual_time
async def test_what_is_being_said_is_heard_out_before_anybody_is_asked_to_wait() -> None:
    class Slow(Agent):
        @tool
        async def look(self) -> str:
            """Look."""
            saying.append(asyncio.ensure_future(self.say("word " * 120)))
            await asyncio.sleep(0.1)
            return "ok"

    saying: list[asyncio.Task[str]] = []

    model = Model([call("look")], [Wait(15), "Found."])
    play = await asked(model, Slow)
    await (play >> After(20))
    filler, line, answer = play.said("agent")
    assert (filler[:4], line, answer) == ("word", FIRST, "Found.")
    assert (await saying[0]).count("word") == 120
    await play.finished()


@virtual_time
async def test_a_call_that_ends_while_the_model_is_waited_for_leaves_nothing_behind() -> None:
    play = await asked(Model([Hold()]))
    await (play >> After(4.05))
    await play.finished()


@virtual_time
async def test_a_voice_that_fails_in_a_line_fails_in_the_answer() -> None:
    class Dying(Voice):
        def release(self, message: Any = None, done: bool = True) -> None:
            assert self.listener is not None
            self.listener.failed(ProviderLostError("cartesia", "gone"))

    play = await asked(Model([Wait(6), "Yes."]), tts=Dying())
    await (play >> After(10))
    with pytest.raises(BaseExceptionGroup) as caught:
        await play.ended()
    assert "cartesia" in str(caught.value.exceptions)
