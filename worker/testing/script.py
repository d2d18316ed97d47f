"""A model that answers as it is told to: for tests without a key, and without chance.

    ScriptedLLM(
        "For how many people?",
        [says("One moment."), calls("book", people=4)],
        "Your table is booked.",
    )

Each request takes the next answer. Or a function makes the answer, from the `Prompt` that a model
would have got.
"""

import json
import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.errors import ProviderLostError
from worker.llm import Answer, Call, Prompt, Said, Text, Usage

_PIECE = re.compile(r"\s*\S+|\s+")


@dataclass(frozen=True, slots=True)
class Says:
    """The model says something."""

    text: str


@dataclass(frozen=True, slots=True)
class Calls:
    """The model has a tool called. ``arguments`` may be text that is no JSON, as models write."""

    name: str
    arguments: Mapping[str, Any] | str


@dataclass(frozen=True, slots=True)
class Fails:
    """The model cannot be had."""

    error: Exception


Line = str | Says | Calls | Fails
Reaction = Line | Sequence[Line]
"""What the model answers to one request: words, calls of tools, or some of each, in order."""


def says(text: str) -> Says:
    """Let the model say ``text``."""
    return Says(text)


def calls(name: str, /, **arguments: Any) -> Calls:
    """Let the model call the tool ``name``. Arguments are what JSON has."""
    return Calls(name, arguments)


def fails(sentence: str = "no answer", *, error: Exception | None = None) -> Fails:
    """Let the model fail as one that cannot be reached does, or with ``error``."""
    return Fails(error or ProviderLostError("scripted", sentence))


class ScriptError(AssertionError):
    """The model was asked more often than its script has answers for."""

    def __init__(self, answers: int, asked: str) -> None:
        self.answers, self.asked = answers, asked
        super().__init__(answers, asked)

    def __str__(self) -> str:
        return (
            f"the script has {self.answers} answers, and the model was asked once more, "
            f"after {self.asked}: add an answer"
        )


class ScriptedLLM:
    """A model with a script. ``prompts`` is what it was asked so far."""

    def __init__(self, *answers: Reaction | Callable[[Prompt], Reaction]) -> None:
        functions = [each for each in answers if callable(each)]
        if functions and len(answers) > 1:
            raise ValueError("a script is answers, or one function: not both")
        self._function = functions[0] if functions else None
        self._answers = [each for each in answers if not callable(each)]
        self.prompts: list[Prompt] = []

    @property
    def left(self) -> int:
        """How many answers nobody has asked for yet."""
        return 0 if self._function else max(0, len(self._answers) - len(self.prompts))

    @property
    def instructions(self) -> str:
        """What the model was told to be when it was asked last."""
        told = [it.text for it in self.prompts[-1].items if _is_system(it)] if self.prompts else []
        return "\n\n".join(told)

    @property
    def tools(self) -> tuple[str, ...]:
        """Names of the tools that were at hand when it was asked last."""
        return tuple(tool.name for tool in self.prompts[-1].tools) if self.prompts else ()

    # A provider --------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Nothing is to be prepared."""

    async def connect(self) -> "ScriptedLLM":
        """Return itself."""
        return self

    def stand_in(self) -> "ScriptedLLM":
        """Return itself."""
        return self

    async def aclose(self) -> None:
        """Nothing is to be closed."""

    async def reply(self, prompt: Prompt) -> AsyncGenerator[Answer, None]:
        """Stream the next answer. Raises `ScriptError` when there is none."""
        number = len(self.prompts)
        self.prompts.append(prompt)
        said = 0
        for place, line in enumerate(self._lines(number, prompt)):
            match line:
                case str(text) | Says(text):
                    # Models stream: what cannot bear that shows it here.
                    for piece in _PIECE.findall(text):
                        yield Text(piece)
                        said += 1
                case Calls(name, arguments):
                    written = arguments if isinstance(arguments, str) else json.dumps(arguments)
                    yield Call(f"call_{number + 1}_{place + 1}", name, written)
                case Fails(error):
                    raise error
        yield Usage(len(prompt.items), said)

    def _lines(self, number: int, prompt: Prompt) -> Sequence[Line]:
        if self._function is not None:
            reaction = self._function(prompt)
        elif number < len(self._answers):
            reaction = self._answers[number]
        else:
            raise ScriptError(len(self._answers), _last(prompt))
        return [reaction] if isinstance(reaction, str | Says | Calls | Fails) else list(reaction)


def _is_system(item: object) -> bool:
    return isinstance(item, Said) and item.role == "system"


def _last(prompt: Prompt) -> str:
    if not prompt.items:
        return "nothing"
    item = prompt.items[-1]
    return f'{item.role} "{item.text}"' if isinstance(item, Said) else f'a tool\'s "{item.text}"'
