import ast
import re
import stat
import tomllib
from pathlib import Path

import pytest
from pocketsphinx import Decoder

from gateway.scaffold import ScaffoldError, new_agent
from worker.release import Routes, read_routes


def test_the_file_is_a_module_with_one_agent_that_imports_worker_only(tmp_path: Path) -> None:
    made = new_agent("front_desk", tmp_path / "agents")
    assert made.path == tmp_path / "agents" / "front_desk.py"
    assert made.agent == "front_desk:FrontDesk"
    tree = ast.parse(made.path.read_text())
    assert [node.name for node in tree.body if isinstance(node, ast.ClassDef)] == ["FrontDesk"]
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert imports
    for node in imports:
        assert isinstance(node, ast.ImportFrom)
        assert (node.module or "").split(".")[0] == "worker"


def test_the_recogniser_knows_every_word_of_the_grammar(tmp_path: Path) -> None:
    source = new_agent("front_desk", tmp_path).path.read_text()
    namespace: dict[str, str] = {}
    grammar = next(node for node in ast.parse(source).body if isinstance(node, ast.Assign))
    exec(compile(ast.Module([grammar], []), "grammar", "exec"), namespace)
    decoder = Decoder(lm=None, loglevel="FATAL")
    decoder.add_jsgf_string("agent", namespace["GRAMMAR"])
    decoder.activate_search("agent")
    rules = re.sub(r"<\w+>|#JSGF V1.0;|grammar \w+;|public", " ", namespace["GRAMMAR"])
    for word in set(re.findall(r"[a-z]+", rules)):
        assert decoder.lookup_word(word), word


def test_it_says_what_to_type_next_and_how_to_route_a_number(tmp_path: Path) -> None:
    made = new_agent("front_desk", tmp_path)
    assert made.command == "callfarm serve --watch"
    assert tomllib.loads(made.route) == {"+15551234567": "front_desk:FrontDesk"}


def test_the_first_agent_answers_every_number_and_a_second_one_changes_no_routes(
    tmp_path: Path,
) -> None:
    assert new_agent("front_desk", tmp_path).routes == tmp_path / "routes.toml"
    assert read_routes(tmp_path, None) == Routes("front_desk:FrontDesk")
    second = new_agent("night_desk", tmp_path)
    assert second.routes is None
    assert second.command == "callfarm serve --agent night_desk:NightDesk --watch"
    assert read_routes(tmp_path, None) == Routes("front_desk:FrontDesk")


def test_an_agent_is_never_overwritten(tmp_path: Path) -> None:
    path = new_agent("front_desk", tmp_path).path
    path.write_text("mine")
    with pytest.raises(ScaffoldError, match="already there"):
        new_agent("front_desk", tmp_path)
    assert path.read_text() == "mine"


def test_a_package_of_that_name_is_in_the_way_too(tmp_path: Path) -> None:
    (tmp_path / "front_desk").mkdir()
    with pytest.raises(ScaffoldError, match="already there"):
        new_agent("front_desk", tmp_path)


@pytest.mark.parametrize("name", ["json", "openai", "front-desk", "../evil", "worker", ""])
def test_a_name_that_cannot_be_a_modules_writes_nothing(tmp_path: Path, name: str) -> None:
    with pytest.raises(ScaffoldError, match="cannot make an agent"):
        new_agent(name, tmp_path / "agents")
    assert list(tmp_path.iterdir()) == []


def test_the_file_can_be_edited_by_its_owner(tmp_path: Path) -> None:
    mode = new_agent("front_desk", tmp_path).path.stat().st_mode
    assert mode & stat.S_IWUSR
