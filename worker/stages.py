"""Parts of a conversation: each with its own instructions, tools and voice.

    stages = {
        "verify": Stage("prompts/verify.md", tools=("verify",), next=("main",)),
        "main": Stage("prompts/main.md", next=("summary",)),
        "summary": Stage("Say in one sentence what was agreed, then hang up.", tools=("hang_up",)),
    }

An agent begins in the first one. It moves when its code says so (`Agent.enter`), or when the model
calls the tool that a stage with ``next`` has (`Move`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from worker.instructions import Instructions
from worker.llm import ToolSpec
from worker.tools.declare import Manner
from worker.tools.outcome import Done, Invalid, Outcome, Problem
from worker.tools.toolbox import Host
from worker.tts import TTS

MOVE = "move_to_stage"


@dataclass(frozen=True, slots=True)
class Stage:
    """One part of a conversation."""

    instructions: Instructions = ""
    """Added to the agent's own."""

    tools: Sequence[str] | None = None
    """Names of the tools at hand; ``None``: all of the agent's."""

    next: Sequence[str] = ()
    """Stages that the model may move to."""

    tts: TTS | Sequence[TTS] | None = None
    """The voice, if it is another than the agent's, which comes back in a stage without one."""

    voice: str | None = None
    """The voice of a speech-to-speech model in this stage, where its service can change it."""

    keep: int | None = None
    """How many lines of the conversation before are kept when it begins; ``None``: all."""

    says: str = ""
    """Said when it begins, before the model is asked again."""


class StagesError(Exception):
    """The stages of ``agent`` do not fit together."""

    def __init__(self, agent: str, problem: str) -> None:
        self.agent, self.problem = agent, problem
        super().__init__(agent, problem)

    def __str__(self) -> str:
        return f"{self.agent}.stages: {self.problem}"


def check_stages(agent: str, stages: Mapping[str, Stage], tools: Sequence[str]) -> None:
    """Raise `StagesError` when a stage names another, or a tool, that there is not."""
    known = ", ".join(tools) or "none"
    for name, stage in stages.items():
        for other in stage.next:
            if other not in stages:
                raise StagesError(agent, f"{name!r} leads to {other!r}, which is no stage")
        for tool in stage.tools or ():
            if tool not in tools:
                raise StagesError(agent, f"{name!r} has no tool {tool!r}; there are: {known}")


class Move:
    """The tool by which a model leaves a stage for one of ``names``."""

    __slots__ = ("manner", "names", "spec")

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.manner = Manner()
        self.spec = ToolSpec(
            MOVE,
            "Move the conversation on to its next stage, once this one has done its part.",
            {
                "type": "object",
                "properties": {"stage": {"type": "string", "enum": list(self.names)}},
                "required": ["stage"],
                "additionalProperties": False,
            },
        )

    def prepare(self) -> None:
        """Nothing is to be prepared."""

    async def run(self, agent: Host, arguments: str) -> Outcome:
        """Move, if it is a stage that this one leads to."""
        try:
            wanted = msgspec.json.decode(arguments, type=dict[str, Any]).get("stage")
        except (msgspec.DecodeError, UnicodeEncodeError):
            wanted = None
        if wanted not in self.names:
            reason = f"must be one of {', '.join(self.names)}"
            return Invalid(MOVE, (Problem("stage", reason, is_missing=wanted is None),))
        cast("Any", agent).enter(wanted)
        return Done(f"The conversation is now in the stage {wanted}.")
