"""What a template takes for a release, and the sentence it refuses anything else with."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker import Agent, release
from worker.instructions import InstructionsError
from worker.release import ReleaseError, Routes

DESK = """
from worker import Agent

number = 5

class Clerk(Agent): pass
class Stranger: pass
"""


def write(folder: Path, name: str, text: str = "") -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("name", "whose"),
    [
        ("json.py", "the standard library's module 'json'"),
        ("asyncio/__init__.py", "the standard library's module 'asyncio'"),
        ("msgpack.py", "an installed package's module 'msgpack'"),
        ("msgpack.abi3.so", "an installed package's module 'msgpack'"),
        ("worker.py", "an installed package's module 'worker'"),
        ("shared/audio.py", "an installed package's module 'shared'"),
        ("httpx2/deeper/code.py", "an installed package's module 'httpx2'"),
    ],
)
def test_a_name_that_hides_another_module_is_refused(tmp_path: Path, name: str, whose: str) -> None:
    write(tmp_path, name)
    with pytest.raises(ReleaseError, match=f"would hide {whose}: rename it"):
        release.refuse_shadows(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "receptionist.py",
        "json/menu.txt",
        "prompts/json.py",
        "my-agent.py",
        "config.local.py",
        "__init__.py",
        "json.md",
    ],
)
def test_a_name_that_hides_nothing_is_fine(tmp_path: Path, name: str) -> None:
    write(tmp_path, name)
    release.refuse_shadows(tmp_path)


def test_routes_name_the_agents_the_default_first(tmp_path: Path) -> None:
    write(tmp_path, "routes.toml", 'default="a:A"\n[numbers]\n"+1555"="b:B"\n"+1556"="a:A"\n')
    routes = release.read_routes(tmp_path, None)
    assert routes.agents() == ["a:A", "b:B"]
    assert release.read_routes(tmp_path, "c:C").agents() == ["c:C", "b:B", "a:A"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "no default agent"),
        ("default = 5", "no default agent"),
        ('default = "a:A"\nnumbers = 5', "maps a number"),
        ('default = "a:A"\n[numbers]\n"+1555" = 5', "maps a number"),
        ('default = "a:A"\ndefaults = 1', "unknown key 'defaults'"),
        ("default = a:A", "routes.toml: "),
    ],
)
def test_wrong_routes_are_explained(tmp_path: Path, text: str, sentence: str) -> None:
    write(tmp_path, "routes.toml", text)
    with pytest.raises(ReleaseError, match=sentence):
        release.read_routes(tmp_path, None)


@given(st.binary(max_size=60))
def test_any_routes_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = tmp_path_factory.mktemp("routes")
    (folder / "routes.toml").write_bytes(content)
    with contextlib.suppress(ReleaseError):
        assert isinstance(release.read_routes(folder, None), Routes)


@pytest.fixture
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("", "is no agent's name"),
        ("desk", "is no agent's name"),
        (":Clerk", "is no agent's name"),
        ("desk_agents:", "is no agent's name"),
        ("nobody_here:Clerk", "there is no module 'nobody_here'"),
        ("desk_agents:Nobody", "there is no class 'Nobody' in desk_agents"),
        ("desk_agents:number", "is no subclass of Agent"),
        ("desk_agents:Stranger", "is no subclass of Agent"),
        ("desk_agents:Clerk.x", "is no agent's name"),
        ("../desk_agents:Clerk", "is no agent's name"),
        (".desk_agents:Clerk", "is no agent's name"),
    ],
)
def test_an_agent_that_is_none_is_refused(importable: Path, name: str, sentence: str) -> None:
    write(importable, "desk_agents.py", DESK)
    with pytest.raises(ReleaseError, match=sentence):
        release.find_agent(name)


def test_an_agent_is_found_by_its_name(importable: Path) -> None:
    write(importable, "more_agents/desk.py", DESK)
    found = release.find_agent("more_agents.desk:Clerk")
    assert issubclass(found, Agent)
    assert found.__name__ == "Clerk"


def test_the_number_chooses_the_agent_and_the_default_answers_the_rest(importable: Path) -> None:
    write(importable, "two_agents.py", DESK + "class Porter(Clerk): pass\n")
    write(
        importable,
        "routes.toml",
        'default="two_agents:Clerk"\n[numbers]\n"+1555"="two_agents:Porter"\n',
    )
    loaded = release.load("abc", importable, None)
    assert loaded.agent_for("+1555")[1].__name__ == "Porter"
    name, agent = loaded.agent_for("+1999")
    assert (name, agent.__name__) == ("two_agents:Clerk", "Clerk")


def test_a_release_whose_prompt_has_a_fault_is_refused_with_its_file_and_line(
    importable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = "\nclass Scribe(Agent):\n    instructions = 'prompts/scribe.md'\n"
    write(importable, "scribe_agents.py", f"{DESK}{agent}")
    write(importable, "prompts/scribe.md", "You are a scribe.\n\n{% if %}\n")
    write(importable, "routes.toml", 'default="scribe_agents:Scribe"\n')
    monkeypatch.chdir(importable)
    with pytest.raises(InstructionsError, match=r"^prompts/scribe\.md: line 3: "):
        release.load("abc", importable, None)


def test_only_what_can_be_imported_counts_as_a_module(tmp_path: Path) -> None:
    for name in ("a.py", "b/__init__.py", "c/d/e.py", "f/menu.txt", "g-h.py", "i.txt", "2.py"):
        write(tmp_path, name)
    assert set(release.top_modules(tmp_path)) == {"a", "b", "c"}


def test_what_the_module_itself_misses_comes_through(importable: Path) -> None:
    write(importable, "broken_agents.py", "import no_such_sdk\n")
    with pytest.raises(ModuleNotFoundError, match="no_such_sdk"):
        release.find_agent("broken_agents:Clerk")


def test_a_syntax_error_anywhere_names_file_and_line(tmp_path: Path) -> None:
    write(tmp_path, "fine.py", "x = 1\n")
    write(tmp_path, "deep/late.py", "\n\nif:\n")
    with pytest.raises(SyntaxError) as caught:
        release.compile_all(tmp_path)
    assert caught.value.filename == str(tmp_path / "deep" / "late.py")
    assert caught.value.lineno == 3
