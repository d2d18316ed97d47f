"""An agent's class as calls need it: providers prepared, tools collected, templates compiled.

Done once, in the template, for every agent that a call may meet: those of the routes, and the
colleagues that they may hand a call over to.
"""

import functools
from collections.abc import Iterator, Sequence

from worker.agent import Agent
from worker.fallback import fallback_of
from worker.instructions import compile_instructions
from worker.stages import Move, Stage, check_stages
from worker.tools import Toolbox, tools_of
from worker.tts import TTS


def with_colleagues(agent: type[Agent]) -> list[type[Agent]]:
    """Return the class and all that it may hand a call over to, directly or not."""
    found: list[type[Agent]] = []
    waiting = [agent]
    while waiting:
        each = waiting.pop(0)
        if each not in found:
            found.append(each)
            waiting += each.colleagues
    return found


def prepare(agent: type[Agent]) -> None:
    """Make a class and its colleagues ready for calls.

    Raises `ProviderError`, `ToolDeclarationError`, `InstructionsError` or `StagesError`.
    """
    for each in with_colleagues(agent):
        for provider in _providers(each):
            fallback_of(provider).prepare()
        prepare_words(each)


def prepare_words(agent: type[Agent]) -> None:
    """Make ready all of one class but its providers: tools, stages, templates.

    Raises `ToolDeclarationError`, `InstructionsError` or `StagesError`.
    """
    tools = toolbox(agent, None)
    tools.prepare()
    check_stages(agent.__name__, agent.stages, tuple(tools))
    _compile(agent)
    for stage in (None, *agent.stages):
        toolbox(agent, stage)


def first_stage(agent: type[Agent]) -> str | None:
    """Return the stage in which an agent begins, ``None`` for one without stages."""
    return next(iter(agent.stages), None)


def voice_of(agent: type[Agent], stage: str | None) -> TTS | Sequence[TTS] | None:
    """Return what an agent speaks with in a stage."""
    if stage is not None and agent.stages[stage].tts is not None:
        return agent.stages[stage].tts
    return agent.tts


def _providers(agent: type[Agent]) -> Iterator["object"]:
    for provider in (agent.stt, agent.llm, agent.tts):
        if provider is not None:
            yield provider
    for stage in agent.stages.values():
        if stage.tts is not None:
            yield stage.tts


def _compile(agent: type[Agent]) -> None:
    name, variables = agent.__name__, agent.variables
    compile_instructions(agent.instructions, f"{name}.instructions", variables)
    if agent.greeting is not None:
        compile_instructions(agent.greeting, f"{name}.greeting", variables)
    for stage, it in agent.stages.items():
        compile_instructions(it.instructions, f"{name}.stages[{stage!r}]", variables)


def toolbox(agent: type[Agent], stage: str | None) -> Toolbox:
    """Return the tools at hand in a stage, the one for leaving it included."""
    plain: type = agent  # a type checker does not see that a class of its own can be a key
    return _toolbox(plain, stage)


@functools.cache
def _toolbox(agent: type, stage: str | None) -> Toolbox:
    tools = tools_of(agent)
    if stage is None:
        return tools
    it: Stage = agent.stages[stage]  # type: ignore[attr-defined]
    if it.tools is None and not it.next:
        return tools
    chosen = [tools[name] for name in (tools if it.tools is None else it.tools)]
    if it.next:
        chosen.append(Move(it.next))
    return Toolbox(chosen, where=agent.__name__)
