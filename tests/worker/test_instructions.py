"""What an agent is told to be; what is wrong with it is said of its file and line, and in time."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.agent import Agent
from worker.call_info import CallInfo
from worker.instructions import InstructionsError, compile_instructions, is_file, render
from worker.rehearsal import rehearse
from worker.roles import prepare


class Line:
    """A call's line, as far as templates see it."""

    def __init__(self, **parameters: str) -> None:
        self.info = CallInfo("CA1", from_="+1555", to="+1666", parameters=parameters)


def _agent(**attributes: Any) -> Agent:
    agent: Agent = type("Clerk", (Agent,), attributes)()
    agent.call = Line(x="from the webhook")  # type: ignore[assignment]
    return agent


def _render(text: Any, agent: Agent | None = None, **variables: Any) -> str:
    return render(text, agent or _agent(), variables, "Clerk.instructions")


def test_a_text_is_a_template_of_the_call_the_state_the_agent_and_the_time() -> None:
    agent = _agent(house="Bella Vista")
    agent.state["people"] = 4
    text = (
        "{{ call.from_ }} {{ call.to }} {{ call.parameters.x }} {{ state.people }} "
        "{{ agent.house }} {{ menu }} {{ now.tzinfo }}"
    )
    said = render(text, agent, {"menu": "fish"}, "here", "Europe/Berlin")
    assert said == "+1555 +1666 from the webhook 4 Bella Vista fish Europe/Berlin"


@pytest.mark.parametrize("name", ["prompts/clerk.md", "clerk.txt", Path("clerk.j2")])
def test_a_file_is_read_as_a_template(
    name: str | Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("You are {{ who }}.")
    monkeypatch.chdir(tmp_path)
    assert _render(path if isinstance(name, Path) else str(path), who="Sara") == "You are Sara."


@pytest.mark.parametrize("text", ["", "Be brief.", "Read this:\nmenu.md", "a.md or b"])
def test_a_text_is_no_file(text: str) -> None:
    assert not is_file(text)


def test_a_method_and_a_plain_function_make_the_text_themselves() -> None:
    class Clerk(Agent):
        def instructions(self) -> str:
            return f"You talk to {self.call.info.from_} {{{{ as is }}}}"

    agent = Clerk()
    agent.call = Line()  # type: ignore[assignment]
    assert _render(agent.instructions, agent) == "You talk to +1555 {{ as is }}"
    assert _render(lambda agent: agent.call.info.to, agent) == "+1666"


def test_a_function_that_returns_no_text_is_told_so() -> None:
    with pytest.raises(InstructionsError, match="returned NoneType: return the text"):
        _render(lambda agent: None)


def test_an_async_function_is_refused_before_any_call() -> None:
    async def instructions(self: Agent) -> str:
        return ""

    with pytest.raises(InstructionsError, match="is async: look things up in on_ringing"):
        prepare(type("Clerk", (Agent,), {"instructions": instructions}))


@given(st.text(alphabet="{}%# abc.\n_|()'\"[]", max_size=40))
def test_what_a_variable_holds_is_never_taken_for_a_template(value: str) -> None:
    agent = _agent()
    agent.state["said"] = value
    agent.call = Line(said=value)  # type: ignore[assignment]
    text = "<{{ state.said }}|{{ call.parameters.said }}|{{ given }}>"
    assert render(text, agent, {"given": value}, "here") == f"<{value}|{value}|{value}>"


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ agent.__init__.__globals__ }}",
        "{{ state.__class__ }}",
        "{% for x in range(10000000) %}x{% endfor %}",
        "{{ call.__class__.__base__.__subclasses__() }}",
    ],
)
def test_a_template_does_not_leave_its_sandbox(text: str) -> None:
    with pytest.raises(InstructionsError):
        _render(text)


# What is wrong -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("one\n\n{% if %}", "line 3: "),
        ("one\n{{ nme }}", "line 2: 'nme' is unknown; there are: agent, call, house, now, state"),
        ("{% if state %}\n{{ nme }}\n{% endif %}", "line 2: 'nme' is unknown"),
        ("{{ 5 | loud }}", "line 1: No filter named 'loud'"),
    ],
)
def test_a_template_with_a_fault_is_refused_with_its_file_and_line(
    text: str, problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "clerk.md"
    path.write_text(text)
    agent = type("Clerk", (Agent,), {"instructions": str(path), "variables": {"house": "x"}})
    with pytest.raises(InstructionsError) as caught:
        prepare(agent)
    assert str(caught.value).startswith(f"{path}: {problem}")


def test_a_file_that_is_not_there_is_refused_by_its_name() -> None:
    with pytest.raises(InstructionsError, match=r"^nowhere\.md: cannot be read"):
        compile_instructions("nowhere.md", "Clerk.instructions")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "clerk.md").write_bytes(b"\xff\xfe")
    with pytest.raises(InstructionsError, match="cannot be read"):
        compile_instructions(tmp_path / "clerk.md", "Clerk.instructions")


@pytest.mark.parametrize(
    "text",
    [
        "{{ nick | default('you') }}",
        "{% if nick is defined %}{{ nick }}{% endif %}",
        "{{ state.a.b | default('nothing') }}",
        "{% for each in [1, 2] %}{{ each }}{{ loop.index }}{% endfor %}",
        "{% set x = 5 %}{{ x }} {{ range(3) | list }}",
    ],
)
def test_a_template_that_asks_whether_something_is_there_is_fine(text: str) -> None:
    compile_instructions(text, "Clerk.instructions")
    assert isinstance(_render(text), str)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("one\n{{ call.form }}", "line 2: 'worker.call_info.CallInfo object' has no attribute"),
        ("one\n\n{{ state.missing }}", "line 3: 'dict object' has no attribute 'missing'"),
        ("{{ 1 / 0 }}", "line 1: ZeroDivisionError"),
        ("{{ state.a + 1 }}", "line 1: "),
    ],
)
def test_what_fails_when_it_is_made_fails_the_rehearsal_with_its_line(
    text: str, problem: str
) -> None:
    agent = type("Clerk", (Agent,), {"instructions": text})
    prepare(agent)
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - a group of one
        rehearse([agent], "r1")
    error: BaseException = caught.value
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, InstructionsError)
    assert str(error).startswith(f"Clerk.instructions: {problem}")


@pytest.mark.parametrize("part", ["stages", "greeting"])
def test_greetings_and_stages_are_made_in_the_rehearsal_too(part: str) -> None:
    from tests.worker.playbook import Voice
    from worker.stages import Stage

    wrong: dict[str, Any] = {
        "stages": {"one": Stage("fine"), "two": Stage("{{ state.missing }}")},
        "greeting": "Hello {{ state.missing }}",
    }
    agent = type("Clerk", (Agent,), {"tts": Voice(), part: wrong[part]})
    prepare(agent)
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - a group of one
        rehearse([agent], "r1")
    error: BaseException = caught.value
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, InstructionsError)


def test_what_on_ringing_looked_up_is_there_when_the_instructions_are_rehearsed() -> None:
    async def on_ringing(self: Agent) -> None:
        self.state["name"] = "Ada"

    rehearse(
        [type("Clerk", (Agent,), {"instructions": "{{ state.name }}", "on_ringing": on_ringing})],
        "r1",
    )


@given(st.text(max_size=60).filter(lambda text: not is_file(text)))
def test_any_text_is_made_or_refused(text: str) -> None:
    with contextlib.suppress(InstructionsError):
        assert isinstance(_render(text), str)
