"""Parts of a conversation: moved to by code and by the model, each with its tools and its voice."""

from typing import Any, ClassVar

import pytest

from shared import messages
from tests.virtual_time import virtual_time
from tests.worker.conversing import Live, clerk
from tests.worker.playbook import OVER, STREAM, After, Hears, Voice
from tests.worker.scripted_llm import Model, call
from worker.agent import Agent
from worker.errors import ProviderLostError
from worker.message import Message
from worker.stages import MOVE, Stage
from worker.stt import EagerEnd
from worker.tools import HangUp, ToolError, tool


class Desk(Agent):
    """An agent that verifies, talks and sums up."""

    @tool
    async def verify(self, number: str) -> str:
        """Verify the caller."""
        if number != "4711":
            raise ToolError("No such number.")
        self.enter("main")
        return "Verified."

    @tool
    async def book(self) -> str:
        """Book a table."""
        return "Booked."

    stages: ClassVar = {
        "verify": Stage("Ask for the number.", tools=("verify",)),
        "main": Stage("Book tables.", tools=("book",), next=("summary",)),
        "summary": Stage("Sum up.", tools=()),
    }
    instructions = "You are Sara."


def _desk(model: Model, **attributes: Any) -> type[Agent]:
    return clerk(model, Desk, **attributes)


# Moves -------------------------------------------------------------------------------------------


@virtual_time
async def test_code_moves_on_and_the_next_request_has_the_stages_instructions_and_tools() -> None:
    model = Model([call("verify", number="4711")], "Thank you.")
    play = await (Live(_desk(model)) >> STREAM)
    await play.asks("it is 4711")
    assert model.told(0)[0] == "system You are Sara.\n\nAsk for the number."
    assert model.tools(0) == ["verify"]
    assert model.told(1)[0] == "system You are Sara.\n\nBook tables."
    assert model.tools(1) == ["book", MOVE]
    assert play.agent.stage == "main"
    assert [it.fields for it in play.told(messages.Log)] == [{"stage": "main"}]
    await play.finished()


@virtual_time
async def test_the_model_moves_on_along_next_and_nowhere_else() -> None:
    model = Model(
        [call("verify", number="4711")],
        [call(MOVE, "wrong", stage="verify")],
        [call(MOVE, "none")],
        [call(MOVE, "right", stage="summary")],
        "That is all.",
    )
    play = await (Live(_desk(model)) >> STREAM)
    await play.asks("it is 4711")
    told = model.told()
    assert (
        f"wrong -> Invalid parameters, {MOVE} was not run. stage: must be one of summary." in told
    )
    assert any(line.startswith("none -> ") and "missing: stage" in line for line in told)
    assert "right -> The conversation is now in the stage summary." in told
    assert (model.tools(), play.agent.stage) == ([], "summary")
    await play.finished()


@pytest.mark.parametrize("tool_name", ["book", MOVE, "hang_up"])
def test_the_tools_of_another_stage_are_refused(tool_name: str) -> None:
    @virtual_time
    async def case() -> None:
        model = Model([call(tool_name, stage="summary")], "I cannot.")
        play = await (Live(_desk(model, tools=(HangUp(),))) >> STREAM)
        await play.asks("go on")
        assert model.told()[-1] == (
            f"id-{tool_name} -> Unknown tool: {tool_name}. The tools are: verify."
        )
        assert play.agent.stage == "verify"
        await play.finished()

    case()


@virtual_time
async def test_a_stage_that_there_is_not_is_an_error_of_the_author() -> None:
    play = await (Live(_desk(Model("Yes."))) >> STREAM)
    with pytest.raises(KeyError):
        play.agent.enter("nowhere")
    assert play.agent.stage == "verify"
    await play.finished()


# What a stage brings -----------------------------------------------------------------------------


@virtual_time
async def test_a_stage_says_its_words_before_the_model_is_asked_again() -> None:
    stages = {**Desk.stages, "main": Stage(says="You are verified.", tools=())}
    model = Model(["Let me see. ", call("verify", number="4711")], "What can I do?")
    play = await (Live(_desk(model, stages=stages)) >> STREAM)
    await play.asks("it is 4711")
    assert play.said("agent") == ["Let me see.", "You are verified.", "What can I do?"]
    assert "assistant Let me see. You are verified." in model.told()[-2]
    await play.finished()


@virtual_time
async def test_a_stage_that_a_hook_enters_speaks_at_once_and_the_next_turn_is_in_it() -> None:
    async def on_dtmf(self: Agent, digit: str) -> None:
        self.enter("main")

    stages = {**Desk.stages, "main": Stage("Book.", says="You are verified.", tools=())}
    model = Model("Yes.")
    play = Live(_desk(model, stages=stages, on_dtmf=on_dtmf))
    await (play >> STREAM >> messages.Dtmf("1") >> After(1))
    assert play.said("agent")[0] == "You are verified."
    await play.finished()


@pytest.mark.parametrize(("keep", "kept"), [(None, 5), (2, 2), (1, 1), (0, 0)])
def test_a_stage_keeps_so_many_lines_of_the_conversation_before(
    keep: int | None, kept: int
) -> None:
    @virtual_time
    async def case() -> None:
        stages = {**Desk.stages, "main": Stage("Book.", tools=(), keep=keep)}
        model = Model("Yes?", "Sure.", [call("verify", number="4711")], "Hello.")
        play = await (Live(_desk(model, stages=stages)) >> STREAM)
        for words in ("one", "two", "4711"):
            await play.asks(words)
        lines = [line for line in model.told() if not line.startswith("id-")]
        assert len(lines) - 1 == (kept if keep is not None else 6)
        calls = [line for line in model.told() if "[id-verify" in line]
        answers = [line for line in model.told() if line.startswith("id-verify ->")]
        assert len(calls) == len(answers) == (0 if keep == 0 else 1)
        await play.finished()

    case()


# Voices ------------------------------------------------------------------------------------------


@virtual_time
async def test_a_stages_voice_speaks_in_it_and_the_one_before_comes_back() -> None:
    usual, other = Voice(), Voice()
    stages = {
        "one": Stage(next=("two",)),
        "two": Stage(tts=other, next=("three",)),
        "three": Stage(),
    }
    model = Model(
        "One.",
        ["Two? ", call(MOVE, "a", stage="two")],
        "Two.",
        [call(MOVE, "b", stage="three")],
        "Three.",
    )
    play = await (Live(clerk(model, tts=usual, stages=stages)) >> STREAM)
    for words in ("a", "b", "c"):
        await play.asks(words)
    spoken = ["".join(it.data for it in voice.posted) for voice in (usual, other)]
    assert spoken == ["One.Two? Three.", "Two."]
    assert (usual.closed, other.closed) == (1, 1)
    await play.finished()


@virtual_time
async def test_the_first_stages_voice_greets() -> None:
    usual, first = Voice(), Voice()
    stages = {"one": Stage(tts=first), "two": Stage()}
    play = Live(clerk(Model("Yes."), tts=usual, stages=stages, greeting="Hello"))
    await (play >> STREAM >> After(1))
    play.agent.enter("two")
    await play.asks("hm")
    spoken = ["".join(it.data for it in voice.posted) for voice in (usual, first)]
    assert spoken == ["Yes.", "Hello"]
    await play.finished()


@virtual_time
async def test_a_voice_that_the_author_has_chosen_stays_where_a_stage_has_none() -> None:
    usual, chosen = Voice(), Voice()

    async def inference(self: Agent, message: Message[str]) -> None:
        if message.data == "another voice":
            await self.set_tts(chosen)
            self.enter("two")
        await Agent.inference(self, message)

    play = Live(
        clerk(
            Model("Yes."), tts=usual, stages={"one": Stage(), "two": Stage()}, inference=inference
        )
    )
    await (play >> STREAM)
    await play.asks("another voice")
    await play.asks("go on")
    assert "".join(it.data for it in chosen.posted) == "Yes.Yes."
    await play.finished()


@virtual_time
async def test_a_stages_voice_that_cannot_be_had_is_the_operators_trouble_alone() -> None:
    usual = Voice()
    lost = Voice(error=ProviderLostError("elevenlabs", "cannot be reached"))
    stages = {"one": Stage(next=("two",)), "two": Stage(tts=lost)}
    model = Model([call(MOVE, stage="two")], "Two.")
    play = await (Live(clerk(model, tts=usual, stages=stages)) >> STREAM)
    await play.asks("go")
    assert play.said("agent") == ["Two."]
    trouble = play.told(messages.ProviderTrouble)
    assert [(it.provider, it.sentence) for it in trouble] == [("elevenlabs", "cannot be reached")]
    await play.finished()


@virtual_time
async def test_an_answer_prepared_in_another_stage_is_not_used() -> None:
    model = Model("Early.", "In main.")
    play = await (Live(_desk(model)) >> STREAM >> Hears(EagerEnd("hello")) >> After(0.5))
    play.agent.enter("main")
    await play.asks("hello")
    assert play.said("agent") == ["In main."]
    assert model.told()[0].endswith("Book tables.")
    await play.finished()


@virtual_time
async def test_a_stage_entered_as_the_call_ends_harms_nobody() -> None:
    async def on_ended(self: Agent) -> None:
        self.enter("main")

    stages = {**Desk.stages, "main": Stage(says="Too late.", tts=Voice())}
    play = await (Live(_desk(Model("Yes."), stages=stages, on_ended=on_ended)) >> STREAM >> OVER)
    await play.finished()
    assert play.said("agent") == []
