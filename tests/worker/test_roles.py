"""What is made of an agent's class before any call: what is wrong with it is said then."""

import pytest

from tests.worker.conversing import clerk
from tests.worker.playbook import Voice
from tests.worker.scripted_llm import Model
from tests.worker.scripted_speech import Speech
from worker.agent import Agent
from worker.message import Message
from worker.roles import has_cascade, notes, prepare, toolbox, voice_of, with_colleagues
from worker.stages import MOVE, Stage, StagesError
from worker.tools import tool
from worker.tools.declare import ToolDeclarationError


class Desk:
    """Two tools."""

    @tool
    async def verify(self, number: str) -> str:
        """Verify the caller."""
        return number

    @tool
    async def book(self) -> str:
        """Book a table."""
        return "Booked."


@pytest.mark.parametrize(
    ("stages", "sentence"),
    [
        ({"a": Stage(next=("b",))}, "Clerk.stages: 'a' leads to 'b', which is no stage"),
        ({"a": Stage(tools=("fly",))}, "'a' has no tool 'fly'; there are: verify, book"),
    ],
)
def test_stages_that_do_not_fit_together_are_refused_before_any_call(
    stages: dict[str, Stage], sentence: str
) -> None:
    agent = clerk(Model("x"), Desk, stages=stages)
    with pytest.raises(StagesError) as caught:
        prepare(agent)
    assert str(caught.value).endswith(sentence)


def test_colleagues_of_colleagues_are_found_once_each() -> None:
    first, second, third = clerk(), clerk(), clerk()
    first.colleagues, second.colleagues = (second, first), (third, first)
    assert with_colleagues(first) == [first, second, third]


def test_every_provider_that_a_call_may_meet_is_prepared() -> None:
    class Counting(Voice):
        def prepare(self) -> None:
            prepared.append(self)

    prepared: list[object] = []
    own, staged, listed, theirs = (Counting() for _ in range(4))
    other = clerk(None, tts=theirs)
    prepare(clerk(None, tts=[own, listed], stages={"a": Stage(tts=staged)}, colleagues=(other,)))
    assert [id(each) for each in prepared] == [id(each) for each in (own, listed, staged, theirs)]


def test_a_tool_of_the_authors_cannot_take_the_place_of_the_move() -> None:
    class Moves:
        @tool(name=MOVE)
        async def move(self) -> str:
            """Move."""
            return ""

    stages = {"a": Stage(next=("b",)), "b": Stage()}
    with pytest.raises(ToolDeclarationError, match="is there twice"):
        prepare(clerk(None, Moves, stages=stages))


def test_a_stage_has_all_tools_unless_it_names_some() -> None:
    stages = {"a": Stage(), "b": Stage(tools=("book",), next=("a",)), "c": Stage(tools=())}
    agent = clerk(None, Desk, stages=stages)
    assert [list(toolbox(agent, name)) for name in (None, "a", "b", "c")] == [
        ["verify", "book"],
        ["verify", "book"],
        ["book", MOVE],
        [],
    ]
    assert voice_of(agent, "a") is agent.tts


@pytest.mark.parametrize(
    ("missing", "is_noted"),
    [
        ({}, False),
        ({"stt": None}, True),
        ({"tts": None}, True),
        ({"llm": None}, True),
        ({"llm": None, "stt": None}, False),
        ({"tts": None, "stt": None}, False),
        ({"stt": None, "llm": None, "tts": None}, False),
    ],
)
def test_half_a_cascade_behind_a_speech_model_is_noted(
    missing: dict[str, None], is_noted: bool
) -> None:
    """An llm alone is for talking in text, a tts alone for lines in a voice of one's own."""
    agent = type("Clerk", (clerk(Model("x")),), {"speech": Speech(), **missing})
    assert has_cascade(agent) == (not missing)
    why = "a cascade is stt, llm and tts, and one of them is missing"
    noted = [f"Clerk: nobody takes over from its speech: {why}"]
    assert notes([agent, clerk(None)]) == (noted if is_noted else [])


def test_an_agent_that_answers_by_itself_needs_no_model_to_take_over() -> None:
    async def inference(self: Agent, message: Message[str]) -> None:
        await self.say(message.data)

    assert has_cascade(clerk(None, speech=Speech(), inference=inference))
    assert not has_cascade(clerk(None, speech=Speech()))
