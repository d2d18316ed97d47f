"""What a call of a tool came to, as values; each has the sentence that the model reads.

    Done      it returned                        Failed     it raised, or said that it could not
    Unknown   there is no such tool              TimedOut   it took longer than its limit
    Invalid   the arguments do not fit           Cancelled  it was stopped before it returned
    Running   it goes on; its end comes later

A sentence says what to do next where that is not plain, and never holds a traceback.
"""

from dataclasses import dataclass
from typing import ClassVar

MOST_TEXT = 20_000
"""Characters of a result that a model is given; the rest is cut off."""

_MOST_NAMED = 60


class ToolError(Exception):
    """Raised by a tool that cannot do what it was asked to; the model reads ``sentence``."""

    def __init__(self, sentence: str) -> None:
        self.sentence = sentence
        super().__init__(sentence)

    def __str__(self) -> str:
        return self.sentence


@dataclass(frozen=True, slots=True)
class Done:
    """It returned; ``text`` is what."""

    text: str
    label: ClassVar[str] = "ok"

    @property
    def sentence(self) -> str:
        """The result itself."""
        return self.text


@dataclass(frozen=True, slots=True)
class Unknown:
    """There is no tool called ``name``; there are those in ``known``."""

    name: str
    known: tuple[str, ...] = ()
    label: ClassVar[str] = "unknown"

    @property
    def sentence(self) -> str:
        """Say which tools there are."""
        have = f"The tools are: {', '.join(self.known)}." if self.known else "There are no tools."
        return f"Unknown tool: {short(self.name)}. {have}"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one parameter; an empty ``parameter`` is the arguments as a whole."""

    parameter: str
    reason: str
    is_missing: bool = False


@dataclass(frozen=True, slots=True)
class Invalid:
    """The arguments do not fit; the tool was not run."""

    name: str
    problems: tuple[Problem, ...]
    label: ClassVar[str] = "invalid"

    @property
    def sentence(self) -> str:
        """Say what is wrong with which parameter, and ask for those that are missing."""
        missing = [problem.parameter for problem in self.problems if problem.is_missing]
        said = [
            f"{problem.parameter}: {problem.reason}" if problem.parameter else problem.reason
            for problem in self.problems
            if not problem.is_missing
        ]
        if missing:
            said.append(f"missing: {', '.join(missing)} (ask the caller for what you do not know)")
        return f"Invalid parameters, {self.name} was not run. {'; '.join(said)}."


@dataclass(frozen=True, slots=True)
class Failed:
    """It could not do it; ``sentence`` says so, and never what went wrong inside."""

    sentence: str
    label: ClassVar[str] = "error"


@dataclass(frozen=True, slots=True)
class TimedOut:
    """It was stopped after ``limit_s`` seconds."""

    name: str
    limit_s: float
    label: ClassVar[str] = "timeout"

    @property
    def sentence(self) -> str:
        """Say that nobody knows what it did."""
        return (
            f"{self.name} took longer than {self.limit_s:g} s and was stopped. "
            "It is not known whether it did anything."
        )


@dataclass(frozen=True, slots=True)
class Cancelled:
    """It was stopped: the caller spoke, or the call ended."""

    name: str
    label: ClassVar[str] = "cancelled"

    @property
    def sentence(self) -> str:
        """Say that there is no result."""
        return f"{self.name} was stopped before it had a result."


@dataclass(frozen=True, slots=True)
class Running:
    """The caller spoke, and it goes on all the same; its own outcome follows."""

    name: str
    label: ClassVar[str] = "running"

    @property
    def sentence(self) -> str:
        """Say that the result is still to come."""
        return f"{self.name} is still running; its result will follow."


Outcome = Done | Unknown | Invalid | Failed | TimedOut | Cancelled | Running


def result_text(value: object) -> str:
    """Return what a model reads of a tool's result.

    Text is left as it is, ``None`` is "ok", all else is JSON: what pydantic knows, dataclasses,
    dates and enums included. Raises ``ValueError`` for what has no JSON.
    """
    if value is None:
        return "ok"
    if isinstance(value, str):
        text = value.encode("utf-8", "replace").decode()  # half a surrogate pair is no text
    else:
        from pydantic_core import to_json

        text = to_json(value, inf_nan_mode="null").decode()
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]} … (cut off)"


def short(value: object) -> str:
    """Return a value as one line of bounded length."""
    text = value if isinstance(value, str) else repr(value)
    line = " ".join(text[: 4 * _MOST_NAMED].split())
    line = line.encode("utf-8", "replace").decode()
    return line if len(line) <= _MOST_NAMED else f"{line[:_MOST_NAMED]}…"
