"""The walls between the rooms, and the size of what stands in them."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("shared", "gateway", "worker", "phone")
OURS = {*PACKAGES, "agents", "tests", "bench"}

LONG_MODULES = {
    "gateway/farm/farm.py": "the one owner of releases: deploying, rolling back, restoring",
    "gateway/farm/template.py": "the gateway's end of a template, from its start to its death",
    "gateway/server.py": "the gateway's life from start to exit, in the order in which it happens",
    "shared/settings/fields.py": "one class of every setting, a field and its sentence each",
    "shared/messages.py": "one table of everything that is said on the pipe",
}
"""Modules over 300 lines, and why each is one idea all the same."""

MAY_PRINT: set[str] = set()
"""Modules that write to standard output with `print`."""

MAY_CALL_THE_PHONE = {"gateway/cli/", "gateway/demo"}
"""The command line, and the demo which is one of its commands."""


def _modules(*rooms: str) -> list[Path]:
    return [path for room in rooms for path in sorted((ROOT / room).rglob("*.py"))]


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_the_contracts_of_the_project_hold() -> None:
    # In a process of its own: it starts threads that stay, and other tests fork this one.
    code = "from importlinter.cli import lint_imports_command as lint; lint(['--no-cache'])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("room", "allowed"),
    [
        ("shared", {"shared"}),
        ("worker", {"worker", "shared"}),
        ("phone", {"phone", "shared"}),
        ("gateway", {"gateway", "shared", "phone"}),
        ("agents", {"worker"}),
    ],
)
def test_a_room_imports_only_what_it_may(room: str, allowed: set[str]) -> None:
    names = {path.stem for path in (ROOT / "agents").glob("*.py")} if room == "agents" else set()
    for path in _modules(room):
        used = set(_imports(_tree(path))) & OURS
        assert used - names <= allowed, f"{_name(path)} imports {used - allowed}"


def test_only_the_command_line_calls_the_phone() -> None:
    for path in _modules("gateway"):
        if "phone" in set(_imports(_tree(path))):
            assert any(_name(path).startswith(place) for place in MAY_CALL_THE_PHONE), _name(path)


def test_only_the_carriers_own_folder_knows_its_sdk() -> None:
    for path in _modules("shared", "gateway", "worker"):
        if "twilio" in set(_imports(_tree(path))):
            assert _name(path).startswith("gateway/carriers/twilio/"), _name(path)


def test_no_module_is_long_without_a_reason() -> None:
    long = {
        _name(path)
        for path in _modules(*PACKAGES, "agents")
        if len(path.read_text(encoding="utf-8").splitlines()) > 300
    }
    assert long <= set(LONG_MODULES), "say why it is one idea, or make it two"


def test_no_function_is_over_sixty_lines() -> None:
    for path in _modules(*PACKAGES, "agents"):
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                assert lines <= 60, f"{_name(path)}: {node.name} has {lines} lines"


def test_nothing_prints_but_what_may() -> None:
    for path in _modules(*PACKAGES, "agents"):
        calls = (node for node in ast.walk(_tree(path)) if isinstance(node, ast.Call))
        prints = any(isinstance(it.func, ast.Name) and it.func.id == "print" for it in calls)
        assert not prints or _name(path) in MAY_PRINT, _name(path)


def test_nothing_is_ever_unpickled() -> None:
    for path in _modules(*PACKAGES):
        assert not {"pickle", "shelve", "marshal"} & set(_imports(_tree(path))), _name(path)


def test_every_module_says_what_it_is() -> None:
    for path in _modules(*PACKAGES, "agents"):
        tree = _tree(path)
        assert not tree.body or ast.get_docstring(tree), _name(path)


@pytest.mark.parametrize("word", ["TODO", "FIXME", "XXX", "utils", "helpers"])
def test_nothing_is_left_for_later_or_named_after_nothing(word: str) -> None:
    for path in _modules(*PACKAGES, "agents"):
        in_text = word.isupper() and word in path.read_text(encoding="utf-8")
        assert not in_text, f"{word} in {_name(path)}"
        assert word not in path.stem, _name(path)
