"""What is made of an agent's class before any call: what is wrong with it is said then."""

import pytest

from tests.worker.conversing import clerk
from tests.worker.playbook import Voice
from tests.worker.scripted_llm import Model
from worker.roles import prepare, toolbox, voice_of, with_colleagues
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
