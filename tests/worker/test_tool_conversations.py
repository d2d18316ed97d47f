"""Every outcome of a tool in a whole conversation: what the model reads, and what is heard."""

import asyncio
from typing import Annotated, Any

import msgpack
import pytest
from pydantic import Field

from shared import messages
from tests.virtual_time import settled, virtual_time
from tests.worker.conversing import Live, about, clerk, problem
from tests.worker.playbook import OVER, STREAM, After, Begins, Hears, Says, Voice
from tests.worker.scripted_llm import Model, Wait, call
from worker.agent import Agent
from worker.errors import ProviderLostError
from worker.llm import Call
from worker.mind import TOO_MANY_STEPS
from worker.stt import Partial
from worker.tools import HangUp, ToolError, Transfer, tool
from worker.turn import Turn


class Desk:
    """Tools that do whatever a tool may do."""

    done: list[str]
    state: dict[str, Any]

    @tool
    async def book(self, people: Annotated[int, Field(ge=1, le=12)], name: str) -> str:
        """Book a table."""
        self.state["booked"] = [people, name]
        return f"Booked for {people}."

    @tool
    async def refuse(self) -> str:
        """Say that it cannot be done."""
        raise ToolError("We are full tonight.")

    @tool
    async def broken(self) -> str:
        """Fail."""
        raise KeyError("nobody is to read this")

    @tool(limit_s=2)
    async def endless(self) -> str:
        """Take too long."""
        await asyncio.sleep(3600)
        return ""

    @tool(filler=("One moment.", "Nearly there."))
    async def look(self) -> str:
        """Take three seconds."""
        await asyncio.sleep(3)
        return "Fish."

    @tool(on_barge_in="finish")
    async def save(self) -> str:
        """Take three seconds, whatever the caller says."""
        await asyncio.sleep(3)
        self.state["saved"] = True
        return "Saved as 4711."

    @tool(speak_first=True)
    async def after_words(self) -> str:
        """Begin once the words along with it were heard."""
        self.state["at"] = asyncio.get_running_loop().time()
        return "ok"

    @tool
    async def silent(self) -> None:
        """Return nothing."""


def _asked(*steps: Any, then: Any = "I see.", **attributes: Any) -> tuple[Live, Model]:
    model = Model(list(steps), then)
    return Live(clerk(model, Desk, **attributes)), model


@pytest.mark.parametrize(
    ("called", "outcome", "label"),
    [
        (call("book", people=4, name="Ada"), "Booked for 4.", "book.ok"),
        (call("silent"), "ok", "silent.ok"),
        (call("Tea\ud800"), "Unknown tool: Tea", "unknown"),
        (call("hangUp"), "Unknown tool: hangUp. The tools are: book", "unknown"),
        (call("book", people=40, name="Ada"), "Invalid parameters, book was not run.", "book.inv"),
        (call("book", people=4), "missing: name (ask the caller", "book.invalid"),
        (Call("id-book", "book", "{not json"), "Invalid parameters", "book.invalid"),
        (call("refuse"), "We are full tonight.", "refuse.error"),
        (call("broken"), "An error occurred while processing broken.", "broken.error"),
        (call("endless"), "endless took longer than 2 s and was stopped.", "endless.timeout"),
    ],
)
def test_the_model_reads_what_became_of_its_call_and_answers_the_caller(
    called: Call, outcome: str, label: str
) -> None:
    @virtual_time
    async def case() -> None:
        turns: list[Turn] = []

        async def on_turn(self: Agent, turn: Turn) -> None:
            turns.append(turn)

        play, model = _asked("Let me see. ", called, on_turn=on_turn)
        await (play >> STREAM)
        await play.asks("please")
        told = model.told()
        assert told[1] == f"assistant Let me see. [{called.id} {called.arguments}]"
        assert told[2].startswith(f"{called.id} -> ")
        assert outcome in told[2]
        assert "nobody is to read this" not in "".join(told)
        assert play.said("agent") == ["Let me see.", "I see."]
        assert turns == [Turn(1, "please", "Let me see. I see.", False, (called.name,), about(0))]
        assert play.told(messages.Metric)[-1].name.startswith(f"tool.{label}")
        await play.finished()

    case()


@virtual_time
async def test_calls_of_one_step_run_side_by_side_and_are_answered_in_their_order() -> None:
    began = asyncio.get_running_loop().time()
    play, model = _asked(call("look", "b"), call("save", "a"), call("look", "c"))
    await (play >> STREAM)
    await play.asks("please")
    assert model.told()[2:5] == ["b -> Fish.", "a -> Saved as 4711.", "c -> Fish."]
    assert play.told(messages.TurnTimed)[-1].stages  # it was answered, and in time:
    assert asyncio.get_running_loop().time() - began == about(10)
    assert play.said("agent") == ["One moment.", "I see."]
    await play.finished()


@virtual_time
async def test_ids_that_the_model_uses_twice_are_told_apart() -> None:
    model = Model([call("refuse", "call_0")], "Full.", [call("silent", "call_0")], "Done.")
    play = await (Live(clerk(model, Desk)) >> STREAM)
    await play.asks("one")
    await play.asks("two")
    answers = [line for line in model.told() if " -> " in line]
    assert answers == ["call_0 -> We are full tonight.", "call_0-2 -> ok"]
    await play.finished()


@virtual_time
async def test_a_slow_tool_has_a_filler_said_and_its_result_answered_after_it() -> None:
    play, model = _asked(call("look"))
    await (play >> STREAM >> Says("the menu") >> After(1.5))
    assert play.said("agent") == ["One moment."]
    await (play >> After(5))
    assert play.said("agent") == ["One moment.", "I see."]
    assert model.told()[-2:] == ["assistant One moment. [id-look {}]", "id-look -> Fish."]
    await play.finished()


# Barge-in ----------------------------------------------------------------------------------------


@virtual_time
async def test_a_barge_in_cancels_a_tool_and_the_model_is_told_of_it() -> None:
    play, model = _asked(call("look"), then="Yes?")
    await (play >> STREAM >> Says("the menu") >> After(0.5))
    await play.asks("wait")
    assert model.told()[1:] == [
        "assistant  [id-look {}]",
        "id-look -> look was stopped before it had a result.",
        "user wait",
    ]
    assert play.said("agent") == ["Yes?"]
    assert [it.name for it in play.told(messages.Metric)] == ["tool.look.cancelled"]
    await play.finished()


@virtual_time
async def test_a_tool_that_is_to_finish_does_and_its_result_is_in_the_next_prompt() -> None:
    play, model = _asked(call("save"), then=["Hm. "])
    await (play >> STREAM >> Says("book it") >> After(0.5))
    await play.asks("hello?", 1)
    assert "id-save -> save is still running; its result will follow." in model.told()
    await play.asks("and now?", 5)
    assert play.agent.state == {"saved": True}
    await play.asks("done?")
    assert "id-save -> Saved as 4711." in model.told()
    assert [line for line in model.told() if "id-save ->" in line] == ["id-save -> Saved as 4711."]
    await play.finished()


@virtual_time
async def test_what_was_said_along_with_a_call_is_cut_with_it() -> None:
    play, model = _asked("One two three four five six. ", call("look"), then="Yes?")
    await (play >> STREAM >> Says("go") >> After(0.15) >> Begins() >> Hears(Partial("stop")))
    await play.asks("stop it")
    assert model.told()[1] == "assistant One two three [id-look {}]"
    await play.finished()


# Speaking first, hanging up, transfers -----------------------------------------------------------


@virtual_time
async def test_a_tool_that_lets_the_words_along_with_it_be_heard_first_waits_for_them() -> None:
    began = asyncio.get_running_loop().time()
    play, _ = _asked("Ten letters and so on. ", call("after_words"))
    await (play >> STREAM)
    await play.asks("go")
    assert play.agent.state["at"] - began == about(0.23)
    await play.finished()


@virtual_time
async def test_a_voice_that_is_lost_does_not_leave_such_a_tool_waiting() -> None:
    error = ProviderLostError("cartesia", "gone")
    voice = Voice(held=True)
    play, _ = _asked("Ten letters. ", call("after_words"), tts=voice)
    await (play >> STREAM >> Says("go") >> After(0.5))
    assert voice.listener is not None
    voice.listener.failed(error)
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - a group of one
        await play.living
    assert problem(caught.value) is error


@virtual_time
async def test_the_model_hangs_up_after_the_last_words_were_heard() -> None:
    play, model = _asked("Goodbye, and thank you. ", call("hang_up"), tools=(HangUp(),))
    await (play >> STREAM >> Says("bye") >> After(0.2))
    assert play.told(messages.HangUp) == []
    await (play >> After(0.1))
    assert play.said("agent") == ["Goodbye, and thank you."]
    assert len(play.told(messages.HangUp)) == 1
    play.grant()
    await (play >> After(1))
    assert len(model.asked) == 1
    await play.finished()


@virtual_time
async def test_a_model_that_has_put_the_caller_through_has_nothing_to_add() -> None:
    to_kitchen = call("transfer", to="kitchen")
    play, model = _asked("One moment. ", to_kitchen, tools=(Transfer("kitchen"),))
    await (play >> STREAM >> Says("the kitchen please") >> After(1))
    play.grant()
    await (play >> After(1))
    assert len(model.asked) == 1
    assert play.said("agent") == ["One moment."]
    await play.finished()


@virtual_time
async def test_a_caller_who_objects_to_the_goodbye_is_answered() -> None:
    play, model = _asked("Goodbye, and thank you. ", call("hang_up"), tools=(HangUp(),))
    await (play >> STREAM >> Says("bye") >> After(0.1) >> Begins() >> Hears(Partial("no wait")))
    await play.asks("no wait")
    assert play.told(messages.HangUp) == []
    assert model.told()[2] == "id-hang_up -> hang_up was stopped before it had a result."
    assert play.said("agent")[-1] == "I see."
    await play.finished()


@virtual_time
async def test_a_transfer_that_is_refused_is_told_to_the_model_and_the_call_goes_on() -> None:
    play, model = _asked(
        "One moment. ", call("transfer", to="kitchen"), tools=(Transfer("kitchen"),)
    )
    await (play >> STREAM >> Says("the kitchen please") >> After(1))
    play.grant(refused="kitchen is no name of TRANSFER_NUMBERS")
    await (play >> After(5))
    assert model.told()[-1] == (
        "id-transfer -> transfer did not work: kitchen is no name of TRANSFER_NUMBERS."
    )
    assert play.said("agent") == ["One moment.", "I see."]
    await play.finished()


@virtual_time
async def test_a_transfer_to_a_name_that_the_author_did_not_write_reaches_no_carrier() -> None:
    play, model = _asked(call("transfer", to="+15559999"), tools=(Transfer("kitchen"),))
    await (play >> STREAM)
    await play.asks("connect me with plus one five five five")
    assert play.told(messages.Transfer) == []
    assert "Invalid parameters" in model.told()[-1]
    await play.finished()


# Limits ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("obeys", [True, False])
def test_a_model_that_calls_without_end_must_answer_in_the_end(obeys: bool) -> None:
    @virtual_time
    async def case() -> None:
        answers: list[Any] = [[call("silent", f"c{number}")] for number in range(4)]
        model = Model(*answers, "Here you are." if obeys else [call("silent", "c9")], "Next.")
        play = await (Live(clerk(model, Desk, most_steps=3)) >> STREAM)
        await play.asks("go")
        assert len(model.asked) == 5
        assert model.tools(3)
        assert model.tools(4) == []
        assert f"c3 -> {TOO_MANY_STEPS}" in model.told()
        assert [it.name for it in play.told(messages.Metric)] == ["tool.silent.ok"] * 3
        assert play.said("agent") == (["Here you are."] if obeys else [])
        await play.asks("again")
        assert play.said("agent")[-1] == "Next."
        await play.finished()

    case()


@virtual_time
async def test_tools_that_were_called_before_the_caller_hung_up_are_still_run() -> None:
    play, model = _asked(Wait(0.5), "I book it. ", call("book", people=2, name="Ada"))
    await (play >> STREAM >> Says("book it") >> OVER)
    await play.finished()
    assert play.agent.state == {"booked": [2, "Ada"]}
    assert len(model.asked) == 1


@virtual_time
async def test_an_agent_that_asks_twice_at_once_gives_the_first_answer_up() -> None:
    async def on_start(self: Agent) -> None:
        await self.conversation.answer("(greet)")

    model = Model([Wait(5), "Hello."], "Yes.")
    play = await (Live(clerk(model, on_start=on_start)) >> STREAM >> After(1))
    play.session.conversation.taking.close()  # the floor is not asked: two answers at once
    task = asyncio.create_task(play.session.conversation.answer("hello?"))
    await asyncio.sleep(5)
    await settled()
    assert task.done()
    assert play.said("agent") == ["Yes."]
    assert model.closed == 1
    await play.finished()


@virtual_time
async def test_what_a_tool_has_done_after_the_caller_hung_up_is_in_the_last_checkpoint() -> None:
    play, _ = _asked(call("save"))
    await (play >> STREAM >> Says("save it") >> After(0.5) >> OVER)
    await play.finished()
    assert play.agent.state == {"saved": True}
    assert msgpack.unpackb(play.told(messages.Checkpoint)[-1].state) == {"saved": True}
