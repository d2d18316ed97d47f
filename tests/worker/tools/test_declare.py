from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from tests.worker.tools.host import Host, calls
from worker.llm import ToolSpec
from worker.tools import (
    Execution,
    HangUp,
    Manner,
    OnBargeIn,
    ToolDeclarationError,
    Transfer,
    tool,
    tools_of,
)


class Receptionist(Host):
    @tool
    async def opening_hours(self) -> str:
        """Tell the opening hours."""
        return "from five"

    @tool(name="specials", limit_s=3, filler=["One moment.", "Let me see."], on_barge_in="finish")
    def daily_specials(self, dish: str = "all") -> str:
        """Tell today's specials."""
        return f"{dish}: sea bass"


async def test_a_decorated_method_is_called_as_before() -> None:
    agent = Receptionist()
    assert await agent.opening_hours() == "from five"
    assert agent.daily_specials("fish") == "fish: sea bass"
    assert Receptionist.opening_hours.__name__ == "opening_hours"


def test_a_tool_has_the_methods_name_or_the_one_given() -> None:
    assert list(tools_of(Receptionist)) == ["opening_hours", "specials"]
    assert [spec.name for spec in tools_of(Receptionist).specs] == ["opening_hours", "specials"]


def test_options_become_the_manner_in_which_it_is_run() -> None:
    tools = tools_of(Receptionist)
    assert tools["opening_hours"].manner == Manner()
    assert tools["specials"].manner == Manner(
        limit_s=3, fillers=("One moment.", "Let me see."), on_barge_in=OnBargeIn.FINISH
    )


def test_the_tools_of_a_class_are_built_once() -> None:
    assert tools_of(Receptionist) is tools_of(Receptionist)


def test_a_toolbox_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        tools_of(Receptionist)["more"] = HangUp()  # type: ignore[index]


def test_a_subclass_inherits_adds_replaces_and_takes_away() -> None:
    class Sommelier(Receptionist):
        daily_specials = None  # type: ignore[assignment]

        @tool
        async def opening_hours(self) -> str:
            """Tell when the bar is open."""
            return "from eight"

        @tool
        async def wine(self) -> str:
            """Recommend a wine."""
            return "red"

    tools = tools_of(Sommelier)
    assert list(tools) == ["opening_hours", "wine"]
    assert tools["opening_hours"].spec.description == "Tell when the bar is open."
    assert list(tools_of(Receptionist)) == ["opening_hours", "specials"]


def test_tools_of_a_mixin_are_found() -> None:
    class Jokes:
        @tool
        async def joke(self) -> str:
            """Tell a joke."""
            return "knock, knock"

    class Funny(Jokes, Receptionist):
        pass

    assert set(tools_of(Funny)) == {"joke", "opening_hours", "specials"}


def test_a_method_that_hides_a_tool_must_say_what_it_is() -> None:
    class Careless(Receptionist):
        async def opening_hours(self) -> str:
            return "?"

    with pytest.raises(ToolDeclarationError, match=r"Careless\.opening_hours takes the place"):
        tools_of(Careless)


def test_two_tools_of_one_name_are_refused() -> None:
    class Twice(Host):
        tools: ClassVar = (HangUp(),)

        @tool(name="hang_up")
        async def stop(self) -> None:
            """Stop."""

    with pytest.raises(ToolDeclarationError, match=r"Twice\.hang_up is there twice"):
        tools_of(Twice)


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (HangUp, r"has the class HangUp in it: write HangUp\(...\)"),
        ("hang_up", "has 'hang_up' in it, which is no tool"),
        (object(), "has <object object at .*> in it, which is no tool"),
    ],
)
def test_what_is_no_tool_is_refused_by_its_class(entry: object, sentence: str) -> None:
    class Odd(Host):
        tools: ClassVar = (entry,)

    with pytest.raises(ToolDeclarationError, match=rf"tool Odd\.tools {sentence}"):
        tools_of(Odd)


async def test_an_object_with_tool_methods_is_a_set_of_tools() -> None:
    class Counter:
        def __init__(self, start: int) -> None:
            self.number, self.prepared = start, False

        def __len__(self) -> int:
            return 0

        def prepare(self) -> None:
            self.prepared = True

        @tool
        async def count(self, by: int) -> int:
            """Count."""
            self.number += by
            return self.number

    counter = Counter(40)

    class Counting(Host):
        tools: ClassVar = (counter, Transfer("manager"))

    tools = tools_of(Counting)
    assert list(tools) == ["count", "transfer"]
    tools.prepare()
    assert counter.prepared
    (ran,) = await Execution(Counting(), tools).run(calls(("count", '{"by": 2}')))
    assert ran.outcome.sentence == "42"


def _no_docstring(self: Host) -> None: ...


def _no_type(self: Host, people) -> None:  # type: ignore[no-untyped-def]
    """Book."""


def _starred(self, *people: str) -> None:  # type: ignore[no-untyped-def]
    """Book."""


def _double_starred(self, **people: str) -> None:  # type: ignore[no-untyped-def]
    """Book."""


def _by_place(self, people: int, /) -> None:  # type: ignore[no-untyped-def]
    """Book."""


def _no_self() -> None:
    """Book."""


def _static(people: int) -> None:
    """Book."""


def _yielding(self) -> Iterator[int]:  # type: ignore[no-untyped-def]
    """Book."""
    yield 1


@pytest.mark.parametrize(
    ("method", "sentence"),
    [
        (_no_docstring, "_no_docstring has no docstring: say in it what the tool does"),
        (_no_type, "has a parameter without a type, 'people': write people: str"),
        (_starred, r"takes \*people: name each parameter"),
        (_double_starred, r"takes \*\*people: name each parameter"),
        (_by_place, "takes people by its place only: leave out the /"),
        (_no_self, "takes no self: make it a method"),
        (_static, "takes no self: make it a method"),
        (_yielding, "yields: return the whole result"),
        (staticmethod(_no_self), "is no plain method: put @tool above def"),
        (classmethod(_yielding), "is no plain method: put @tool above def"),
    ],
)
def test_a_mistake_that_shows_is_refused_where_it_is_written(
    method: Callable[..., Any], sentence: str
) -> None:
    if method in (_no_docstring, _no_type):
        method.__annotations__.pop("self", None)
    with pytest.raises(ToolDeclarationError, match=sentence):
        tool(method)


def test_a_mistake_is_named_by_class_and_method() -> None:
    with pytest.raises(
        ToolDeclarationError, match=r"^tool Silent\.act has no docstring: "
    ) as found:

        class Silent(Host):
            @tool
            async def act(self) -> None: ...

    assert found.value.where == "Silent.act"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"limit_s": 0}, "limit_s is 0, and must be"),
        ({"limit_s": float("inf")}, "limit_s is inf"),
        ({"filler": "Wait.", "filler_after_s": -1}, "filler_after_s is -1"),
        ({"filler": ["Wait.", " "]}, "a filler is empty"),
        ({"on_barge_in": "stop"}, "'stop' is not a valid OnBargeIn"),
        ({"name": "book a table"}, "cannot be called 'book a table': use letters"),
        ({"name": "x" * 65}, "cannot be called"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], sentence: str) -> None:
    def act(self) -> None:  # type: ignore[no-untyped-def]
        """Act."""

    with pytest.raises(ToolDeclarationError, match=sentence):
        tool(**options)(act)


def test_a_static_method_around_a_tool_is_refused() -> None:
    class Odd(Host):
        @staticmethod
        @tool
        def act(agent) -> None:  # type: ignore[no-untyped-def]
            """Act."""

    with pytest.raises(ToolDeclarationError, match=r"Odd\.act is no plain method"):
        tools_of(Odd)


def test_an_agent_without_tools_has_none() -> None:
    assert len(tools_of(Host)) == 0
    assert tools_of(Host).specs == ()


def test_a_spec_is_what_a_language_model_takes() -> None:
    assert tools_of(Receptionist).specs[0] == ToolSpec(
        "opening_hours",
        "Tell the opening hours.",
        {"additionalProperties": False, "properties": {}, "type": "object"},
    )
