"""What an agent did in answer to one thing that its caller did."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from worker.mind import TOO_MANY_STEPS
from worker.testing.happenings import (
    DigitsSent,
    Happening,
    HungUp,
    Moved,
    Problem,
    ToolCalled,
    ToolJudged,
    ToolReturned,
    Transferred,
)

RUNNING = "running"
NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A call of a tool.

    ``arguments`` are as the model wrote them, before they were checked; ``outcome`` is what the
    model reads, ``None`` while there is none; ``label`` is ``ok``, ``unknown``, ``invalid``,
    ``error``, ``timeout``, ``cancelled``, ``running``, or ``not run`` after too many steps.
    """

    name: str
    arguments: Mapping[str, Any]
    outcome: str | None = None
    label: str = RUNNING

    def __str__(self) -> str:
        return f"{signature(self.name, self.arguments)} -> {self.label}: {self.outcome}"


@dataclass(frozen=True, slots=True)
class Reply:
    """What the caller heard, and what else happened.

    ``cue`` says what it is the answer to; ``stage`` and ``agent`` (its class) are those in the
    end, ``stages`` all that were entered; ``problems`` are what went wrong without ending the
    call, with the tracebacks of tools that failed.
    """

    cue: str
    text: str
    agent: str
    stage: str | None = None
    tools: tuple[ToolUse, ...] = ()
    stages: tuple[str, ...] = ()
    digits: str = ""
    hung_up: bool = False
    transferred_to: str | None = None
    problems: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [self.cue, f'  {self.agent}: "{self.text}"' if self.text else ""]
        lines += [f"  tool {tool}" for tool in self.tools]
        lines += [f"  stage {stage}" for stage in self.stages]
        lines += [f"  pressed {self.digits}" if self.digits else ""]
        lines += [f"  transferred to {self.transferred_to}" if self.transferred_to else ""]
        lines += ["  hung up" if self.hung_up else ""]
        lines += [f"  problem: {problem}" for problem in self.problems]
        return "\n".join(filter(None, lines))


def signature(name: str, arguments: Mapping[str, Any]) -> str:
    """Return a call as Python writes it."""
    given = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
    return f"{name}({given})"


def reply_of(
    cue: str,
    text: str,
    agent: str,
    stage: str | None,
    happenings: Sequence[Happening],
    known: Mapping[str, ToolCalled],
) -> Reply:
    """Put together what happened; ``known`` are all calls of tools by their ids."""
    return Reply(
        cue,
        text,
        agent,
        stage,
        tuple(_tools(happenings, known)),
        tuple(it.stage for it in happenings if isinstance(it, Moved)),
        "".join(it.digits for it in happenings if isinstance(it, DigitsSent)),
        any(isinstance(it, HungUp) for it in happenings),
        next((it.to for it in happenings if isinstance(it, Transferred)), None),
        tuple(_problems(happenings)),
    )


def _tools(happenings: Sequence[Happening], known: Mapping[str, ToolCalled]) -> Iterable[ToolUse]:
    """Calls in the order in which they began. One that ends later than its turn comes again."""
    uses: dict[str, ToolUse] = {}
    latest = ""
    for it in happenings:
        match it:
            case ToolCalled(call, name, arguments):
                uses[call] = ToolUse(name, arguments)
            case ToolReturned(call, outcome) if call in known:
                latest = call
                label = NOT_RUN if outcome == TOO_MANY_STEPS else RUNNING
                uses[call] = ToolUse(known[call].name, known[call].arguments, outcome, label)
            case ToolJudged(label) if latest:
                uses[latest] = replace(uses[latest], label=label)
    return uses.values()


def _problems(happenings: Sequence[Happening]) -> Iterable[str]:
    return (f"{it.sentence}\n{it.detail}".strip() for it in happenings if isinstance(it, Problem))
