"""A model whose test decides what it answers, when, and how it fails."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from worker.llm import Answer, Call, Prompt, Returned, Said, Text, Usage


@dataclass(frozen=True)
class Wait:
    """The model takes so long, in seconds."""

    seconds: float


class Hold:
    """The model stops here until `go`."""

    def __init__(self) -> None:
        self._gate = asyncio.Event()

    def go(self) -> None:
        """Let it go on."""
        self._gate.set()

    async def wait(self) -> None:
        """Wait for `go`."""
        await self._gate.wait()


Step = str | Call | Usage | Wait | Hold | Exception
Script = Step | list[Any] | Callable[[Prompt], Any]


def call(name: str, ref: str = "", /, **arguments: Any) -> Call:
    """Return a call of a tool, its id made of its name unless given."""
    return Call(ref or f"id-{name}", name, msgspec.json.encode(arguments).decode())


class Model:
    """An LLM with a script: one entry a request; the last entry answers all that follow.

    ``asked`` holds the prompts, ``closed`` how many answers were closed before their end.
    """

    def __init__(self, *scripts: Script, error: Exception | None = None, delay: float = 0) -> None:
        self.scripts, self.error, self.delay = list(scripts), error, delay
        self.asked: list[Prompt] = []
        self.closed = self.ended = self.sessions = self.sessions_closed = 0

    def prepare(self) -> None:
        """Nothing is to be prepared."""

    async def connect(self) -> "Model":
        """Return itself, after ``delay``; raise ``error`` when there is one."""
        await asyncio.sleep(self.delay)
        if self.error is not None:
            raise self.error
        self.sessions += 1
        return self

    def stand_in(self) -> "Model":
        """Return itself."""
        return self

    async def reply(self, prompt: Prompt) -> AsyncGenerator[Answer, None]:
        """Stream what the script has for this request."""
        number = min(len(self.asked), len(self.scripts) - 1)
        self.asked.append(prompt)
        script = self.scripts[number]
        steps = script(prompt) if callable(script) else script
        try:
            for step in steps if isinstance(steps, list) else [steps]:
                match step:
                    case str():
                        yield Text(step)
                    case Call() | Usage():
                        yield step
                    case Wait(seconds):
                        await asyncio.sleep(seconds)
                    case Hold():
                        await step.wait()
                    case Exception():
                        raise step
                await asyncio.sleep(0)
        except (asyncio.CancelledError, GeneratorExit):
            self.closed += 1
            raise
        self.ended += 1

    async def aclose(self) -> None:
        """Count how often a session was closed."""
        self.sessions_closed += 1

    # What it was asked -------------------------------------------------------------------------

    def told(self, number: int = -1) -> list[str]:
        """Return the conversation of a request, a line each: ``user two of us``."""
        return [_line(item) for item in self.asked[number].items]

    def tools(self, number: int = -1) -> list[str]:
        """Return the names of the tools of a request."""
        return [spec.name for spec in self.asked[number].tools]


def _line(item: Said | Returned) -> str:
    if isinstance(item, Returned):
        return f"{item.call_id} -> {item.text}"
    calls = "".join(f" [{each.id} {each.arguments}]" for each in item.calls)
    return f"{item.role} {item.text}{calls}"
