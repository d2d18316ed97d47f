"""What an agent is told to be: a text, a file of the release, or a function of the call.

    instructions = "You answer for {{ restaurant }}. Today is {{ now.date() }}."    a text
    instructions = "prompts/receptionist.md"                                        a file
    def instructions(self): return ...                                              a function

Texts and files are templates (Jinja, sandboxed): ``{{ call.from_ }}``, ``{{ call.to }}``,
``{{ call.parameters.x }}``, ``{{ now }}``, ``{{ state.x }}``, ``{{ agent.x }}`` and the agent's own
``variables``. An unknown name is an error, and it is found when the release is made ready or
rehearsed. What a variable holds is never taken for a template itself.
"""

import functools
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from jinja2 import (
    ChainableUndefined,
    StrictUndefined,
    Template,
    TemplateError,
    TemplateSyntaxError,
    meta,
    nodes,
)
from jinja2.sandbox import SandboxedEnvironment

from worker.errors import CallError

_FILES = (".md", ".txt", ".j2", ".jinja")

Instructions = str | Path | Callable[..., str]


class InstructionsError(CallError):
    """Instructions cannot be made. ``source`` is their file, or what they belong to."""

    def __init__(self, source: str, problem: str) -> None:
        self.source, self.problem = source, problem
        super().__init__(source, problem)

    def __str__(self) -> str:
        return f"{self.source}: {self.problem}"


class Instructed(Protocol):
    """The agent whose instructions they are."""

    @property
    def call(self) -> Any:
        """Its line, with ``info``."""

    @property
    def state(self) -> Mapping[str, Any]:
        """What it remembers."""


class _Unknown(ChainableUndefined, StrictUndefined):
    """Fails when it is used, and lets ``state.a.b | default(...)`` ask for it."""


NAMES = ("call", "now", "state", "agent")
"""What every template may name, besides the agent's ``variables``."""


@functools.cache
def _environment() -> SandboxedEnvironment:
    return SandboxedEnvironment(
        undefined=_Unknown, autoescape=False, trim_blocks=True, lstrip_blocks=True
    )


def is_file(instructions: Instructions) -> bool:
    """Tell whether they are the path of a file."""
    if isinstance(instructions, Path):
        return True
    if not isinstance(instructions, str):
        return False
    return "\n" not in instructions and instructions.endswith(_FILES)


@functools.cache
def _compiled(text: str) -> Template:
    return _environment().from_string(text)


@functools.cache
def _text(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")


# Once, in the template ---------------------------------------------------------------------------


def compile_instructions(
    instructions: Instructions, of: str, variables: Collection[str] = ()
) -> None:
    """Read and compile them, in the template, for every call to come.

    ``variables`` are the names that it may use besides `NAMES`. Raises `InstructionsError` for a
    file that is not there, a template that is none, a name that is unknown anywhere in it, and a
    function that could not answer in time for the model.
    """
    if callable(instructions):
        if inspect.iscoroutinefunction(instructions):
            problem = "is async: look things up in on_ringing() and keep them in state"
            raise InstructionsError(of, problem)
        return
    source = _source(instructions, of)
    _template(instructions, of)
    text = _text(source) if is_file(instructions) else str(instructions)
    known = {*NAMES, *variables}
    for name, line in sorted(_unknown(text, known).items()):
        have = ", ".join(sorted(known))
        problem = f"{_at(line)}{name!r} is unknown; there are: {have}"
        raise InstructionsError(source, problem)


@functools.cache
def names_in(instructions: str | Path) -> frozenset[str]:
    """Return the names that a text or a file takes from the call. Raises `InstructionsError`."""
    _template(instructions, str(instructions))
    text = _text(str(instructions)) if is_file(instructions) else str(instructions)
    return frozenset(meta.find_undeclared_variables(_environment().parse(text)))


def _unknown(text: str, known: Collection[str]) -> dict[str, int]:
    """Return the names that nobody gives a value, each with its line.

    Those of which the template itself asks whether they are there are no mistake.
    """
    tree = _environment().parse(text)
    asked = {each.name for each in _asked_for(tree)}
    missing = meta.find_undeclared_variables(tree) - set(known) - asked
    lines: dict[str, int] = {}
    for each in tree.find_all(nodes.Name):
        if each.name in missing:
            lines.setdefault(each.name, each.lineno)
    return lines


def _asked_for(tree: nodes.Template) -> Iterator[nodes.Name]:
    for each in tree.find_all((nodes.Filter, nodes.Test)):
        if each.name in ("default", "d", "defined", "undefined") and each.node is not None:
            yield from [each.node] if isinstance(each.node, nodes.Name) else []
            yield from each.node.find_all(nodes.Name)


def _source(instructions: str | Path, of: str) -> str:
    return str(instructions) if is_file(instructions) else of


def _template(instructions: str | Path, of: str) -> Template:
    source = _source(instructions, of)
    try:
        return _compiled(_text(source) if is_file(instructions) else str(instructions))
    except (OSError, UnicodeDecodeError) as error:
        raise InstructionsError(source, f"cannot be read: {error}") from error
    except TemplateSyntaxError as error:
        raise InstructionsError(source, f"{_at(error.lineno)}{error.message}") from error


# In a call ---------------------------------------------------------------------------------------


def render(
    instructions: Instructions,
    agent: Instructed,
    variables: Mapping[str, Any],
    of: str,
    time_zone: str | None = None,
) -> str:
    """Return the instructions for this agent's call, now.

    Raises `InstructionsError`, and what a function of the author's raises.
    """
    if callable(instructions):
        return _made(instructions, agent, of)
    now = datetime.now(ZoneInfo(time_zone) if time_zone else UTC)
    template = _template(instructions, of)
    names = {"call": agent.call.info, "now": now, "state": agent.state, "agent": agent}
    try:
        return template.render({**names, **variables})
    except Exception as error:
        kind = "" if isinstance(error, TemplateError) else f"{type(error).__name__}: "
        problem = f"{_at(_line_of(error.__traceback__))}{kind}{error}"
        raise InstructionsError(_source(instructions, of), problem) from error


def _made(instructions: Callable[..., str], agent: Instructed, of: str) -> str:
    """A method of the agent's knows its agent; a plain function is told."""
    made: object = instructions() if inspect.ismethod(instructions) else instructions(agent)
    if not isinstance(made, str):
        raise InstructionsError(of, f"returned {type(made).__name__}: return the text")
    return made


def _line_of(trace: TracebackType | None) -> int | None:
    """Return the line of the template in which an error was raised: Jinja knows it as a frame."""
    line = None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _at(line: int | None) -> str:
    return f"line {line}: " if line else ""
