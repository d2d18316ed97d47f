"""An agent's class as calls need it: providers prepared, tools collected, templates compiled.

Done once, in the template, for every agent that a call may meet: those of the routes, and the
colleagues that they may hand a call over to.
"""

import functools
from collections.abc import Iterable, Iterator, Sequence

from worker import succession
from worker.agent import Agent
from worker.errors import ProviderRefusedError
from worker.fallback import fallback_of
from worker.first_message import NAME as FIRST_MESSAGE
from worker.first_message import awaits
from worker.instructions import compile_instructions
from worker.llm import hears_audio
from worker.stages import Move, Stage, check_stages
from worker.stt.endpointing import LocalEndpointing
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
        _prepare_model(each)
        _check_ears(each)
        for provider in _providers(each):
            fallback_of(provider).prepare()
        prepare_words(each)


def _prepare_model(agent: type[Agent]) -> None:
    """Prepare the speech-to-speech models; where a cascade is behind them, they may all refuse."""
    if agent.speech is None:
        return
    models = agent.speech if isinstance(agent.speech, list | tuple) else (agent.speech,)
    try:
        succession.prepare(models)
    except ProviderRefusedError:
        if not has_cascade(agent):
            raise


def has_cascade(agent: "type[Agent] | Agent") -> bool:
    """Tell whether an agent can hear, answer and speak without a speech-to-speech model."""
    kind = agent if isinstance(agent, type) else type(agent)
    answers = agent.llm is not None or kind.inference is not Agent.inference
    return answers and agent.stt is not None and agent.tts is not None


def notes(agents: Iterable[type[Agent]]) -> list[str]:
    """Return what an operator should know of agents whose model nobody can take over from."""
    found = []
    for agent in agents:
        for_lines_only = agent.stt is None and (agent.llm is None or agent.tts is None)
        if agent.speech is not None and not for_lines_only and not has_cascade(agent):
            found.append(
                f"{agent.__name__}: nobody takes over from its speech: "
                "a cascade is stt, llm and tts, and one of them is missing"
            )
    return found


def _check_ears(agent: type[Agent]) -> None:
    """Raise `ProviderRefusedError` when turns without words would go to a model that hears none."""
    ears = agent.stt if isinstance(agent.stt, list | tuple) else (agent.stt,)
    is_wordless = any(isinstance(it, LocalEndpointing) for it in ears)
    if is_wordless and agent.llm is not None and not hears_audio(agent.llm):
        sentence = (
            f"its turns have no words, and the model of {agent.__name__} does not hear: "
            "give it other ears, or a model such as UltravoxModel"
        )
        raise ProviderRefusedError("LocalEndpointing", sentence)


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
    name, variables = agent.__name__, {**agent.variables}
    if awaits(agent):
        variables[FIRST_MESSAGE] = agent.first_message
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
