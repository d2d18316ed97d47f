import json
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.worker.tools.host import Host, calls
from worker.errors import RequestError
from worker.knowledge import KnowledgeError
from worker.llm import ToolSpec
from worker.tools import (
    Execution,
    HangUp,
    OnBargeIn,
    SearchKnowledge,
    SendDigits,
    ToolDeclarationError,
    Transfer,
    tools_of,
)
from worker.tools.outcome import Done, Failed, Invalid, Outcome


class Receptionist(Host):
    tools: ClassVar = (HangUp(), Transfer("manager", "front-desk"), SendDigits())


async def use(agent: Host, name: str, **arguments: Any) -> Outcome:
    execution = Execution(agent, tools_of(type(agent)))
    (ran,) = await execution.run(calls((name, json.dumps(arguments))))
    return ran.outcome


def test_an_agent_has_what_it_names() -> None:
    assert [spec.name for spec in tools_of(Receptionist).specs] == [
        "hang_up",
        "transfer",
        "send_digits",
    ]


async def test_hanging_up_ends_the_call() -> None:
    agent = Receptionist()
    assert await use(agent, "hang_up") == Done("Call ended successfully")
    assert agent.line.asked == [("hangup",)]


async def test_a_transfer_goes_to_a_name_that_the_author_gave() -> None:
    agent = Receptionist()
    assert (await use(agent, "transfer", to="manager")).label == "ok"
    assert agent.line.asked == [("transfer", "manager")]


@pytest.mark.parametrize("to", ["+15551234567", "Manager", "", None, ["manager"]])
async def test_a_transfer_goes_nowhere_else(to: object) -> None:
    agent = Receptionist()
    outcome = await use(agent, "transfer", to=to)
    assert isinstance(outcome, Invalid)
    assert "'manager' or 'front-desk'" in outcome.sentence
    assert agent.line.asked == []


def test_the_model_is_told_where_a_transfer_may_go() -> None:
    spec = Transfer("manager", "kitchen", "bar").spec
    assert spec == ToolSpec(
        "transfer",
        "Connect the caller with manager or kitchen or bar. Say so first, in the same turn.",
        {
            "type": "object",
            "additionalProperties": False,
            "required": ["to"],
            "properties": {
                "to": {
                    "description": "Who to connect with.",
                    "enum": ["manager", "kitchen", "bar"],
                    "type": "string",
                }
            },
        },
    )
    assert Transfer("manager").spec.parameters["properties"]["to"]["enum"] == ["manager"]


@pytest.mark.parametrize("names", [(), ("",)])
def test_a_transfer_to_nobody_is_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(ToolDeclarationError, match="name one of TRANSFER_NUMBERS"):
        Transfer(*names)


@pytest.mark.parametrize("digits", ["1", "12w#*", "ABCDW0"])
async def test_digits_are_sent(digits: str) -> None:
    agent = Receptionist()
    assert await use(agent, "send_digits", digits=digits) == Done("ok")
    assert agent.line.asked == [("digits", digits)]


@pytest.mark.parametrize("digits", ["", "1 2", "+1", "one", "1\n", "9" * 33, 12])
async def test_what_is_no_key_is_not_sent(digits: object) -> None:
    agent = Receptionist()
    assert isinstance(await use(agent, "send_digits", digits=digits), Invalid)
    assert agent.line.asked == []


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("hang_up", {}), ("transfer", {"to": "manager"}), ("send_digits", {"digits": "1"})],
)
async def test_what_the_carrier_refuses_the_model_can_read(
    name: str, arguments: dict[str, str]
) -> None:
    agent = Receptionist()
    agent.line.refusal = RequestError("unknown", "there is no such destination")
    assert await use(agent, name, **arguments) == Failed(
        f"{name} did not work: there is no such destination."
    )


def test_what_ends_or_moves_the_call_waits_for_the_words_and_for_a_caller_who_objects() -> None:
    for each in tools_of(Receptionist).values():
        assert each.manner.speak_first
        assert each.manner.on_barge_in is OnBargeIn.CANCEL


# Knowledge ---------------------------------------------------------------------------------------


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "knowledge"
    folder.mkdir()
    (folder / "menu.md").write_text("# Menu\n## Fish\nSea bass with fennel, 24 euros.\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def test_knowledge_is_found_with_its_source(release: Path) -> None:
    class Waiter(Host):
        tools: ClassVar = (SearchKnowledge(),)

    tools_of(Waiter).prepare()
    (release / "knowledge" / "menu.md").unlink()  # it was read when the release was deployed
    assert await use(Waiter(), "search_knowledge", query="the bass?") == Done(
        "[menu.md: Menu > Fish]\nSea bass with fennel, 24 euros."
    )
    nothing = await use(Waiter(), "search_knowledge", query="helicopter")
    assert nothing.sentence.startswith("Nothing was found.")
    assert isinstance(await use(Waiter(), "search_knowledge", query=""), Invalid)


def test_a_folder_that_is_not_there_is_refused_at_deploy(release: Path) -> None:
    with pytest.raises(KnowledgeError, match="nowhere is no folder: put Markdown files there"):
        SearchKnowledge("nowhere").prepare()


def test_several_folders_are_several_tools() -> None:
    class Waiter(Host):
        tools: ClassVar = (SearchKnowledge("a"), SearchKnowledge("b", name="search_wines"))

    assert list(tools_of(Waiter)) == ["search_knowledge", "search_wines"]


def test_a_number_of_passages_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ToolDeclarationError, match="ask for 1 to 10"):
        SearchKnowledge(passages=0)
