"""What the model is told at the moment, and what its tools are run with.

The agent of the moment, its stage, and the tools at hand there: what changes when a conversation
moves on, or another agent takes it over.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from worker.agent import Agent
from worker.errors import ProviderError
from worker.first_message import awaits, opening_words
from worker.history import History
from worker.holding import Hold
from worker.instructions import names_in, render
from worker.llm import Brief, Call, Usage
from worker.roles import first_stage, toolbox
from worker.tools import Execution, Ran
from worker.tools.outcome import Unknown
from worker.transcript import Transcript
from worker.tts import TTS
from worker.utterance import Utterance
from worker.voip import VoIP

Voice = TTS | Sequence[TTS]


class Voiced(Protocol):
    """Those who serve a call."""

    @property
    def tts(self) -> Voice | None:
        """Who speaks, as the agent's author wrote it."""

    @property
    def speech(self) -> object | None:
        """Who does all of it, if somebody does."""


class Desk(Protocol):
    """The conversation that the office works for."""

    agent: Agent
    call: VoIP
    transcript: Transcript

    @property
    def crew(self) -> Voiced:
        """Who serves."""

    @property
    def history(self) -> History:
        """What was said."""

    async def set_tts(self, tts: Voice) -> None:
        """Speak with another voice."""

    async def say(self, text: str, interruptible: bool) -> str:
        """Speak."""

    def run_beside(self, text: str) -> None:
        """Say something beside what goes on."""

    def trouble(self, provider: str, sentence: str, fallback: str | None) -> None:
        """Tell the operator that a provider was lost."""


class Office:
    """Briefs the model and runs its tools, for the agent and the stage of the moment."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._entered: str | None = None
        self._lent: Voice | None = None
        """The voice that comes back when a stage with a voice of its own is left."""
        self.stage: str | None = self._first()
        self._running = 0
        self.returned: Callable[[Ran], None] | None = None
        """Who else is told of each outcome, late ones too."""
        self._executions: dict[tuple[Agent, str | None], Execution] = {}

    @property
    def done(self) -> bool:
        """Whether nobody waits for more of an answer: the call is over, or not the model's."""
        desk, call = self._desk, self._desk.call
        others = desk.agent.llm is None or desk.crew.speech is not None
        return call.over or call.leaving or others

    @property
    def most_steps(self) -> int:
        """How often in a turn the model is asked again after its tools have answered."""
        return self._desk.agent.most_steps

    @property
    def sorry(self) -> str:
        """What the caller is told when the model cannot be had."""
        return self._desk.agent.sorry

    @property
    def hold(self) -> Hold:
        """What a caller is told who waits long for the model's first word."""
        agent = self._desk.agent
        return Hold(agent.hold_on, agent.hold_after_s, agent.hold_every_s)

    @property
    def may_prepare(self) -> bool:
        """Whether the model alone answers turns, so that it may be asked before one is over."""
        agent = self._desk.agent
        return agent.llm is not None and type(agent).inference is Agent.inference

    # What the model is told ------------------------------------------------------------------

    def brief(self) -> Brief:
        """Return what the model is told now. Raises what making the instructions raises."""
        agent = self._desk.agent
        name = type(agent).__name__
        parts = [self._render(agent.instructions, f"{name}.instructions")]
        if self.stage is not None:
            it = agent.stages[self.stage]
            parts.append(self._render(it.instructions, f"{name}.stages[{self.stage!r}]"))
        system = "\n\n".join(part for part in parts if part)
        tools = toolbox(type(agent), self.stage)
        voice = agent.stages[self.stage].voice if self.stage is not None else None
        return Brief(system, tools.specs, tools.limits_s, voice)

    def rehearse(self) -> None:
        """Make the instructions of every stage once. Raises what that raises."""
        before = self.stage
        for stage in (before, *self._desk.agent.stages):
            self.stage = stage
            self.brief()
        self.stage = before

    @property
    def opens_at_once(self) -> bool:
        """Whether a model can be told all it is to know before `Agent.on_ringing` has run."""
        agent = self._desk.agent
        if awaits(agent) and not self._desk.call.first_message.is_known:
            return False
        if type(agent).on_ringing is Agent.on_ringing:
            return True
        texts: list[Any] = [agent.instructions, agent.greeting]
        if self.stage is not None:
            texts.append(agent.stages[self.stage].instructions)
        return not any(callable(it) or names_in(it) & {"agent", "state"} for it in texts if it)

    @property
    def greets_at_once(self) -> bool:
        """Whether the greeting needs nothing that a hook may look up while the phone rings."""
        greeting = opening_words(self._desk.agent)
        if awaits(self._desk.agent) and not self._desk.call.first_message.is_known:
            return False
        return greeting is not None and not names_in(greeting) & {"agent", "state"}

    def greeting(self) -> str:
        """Return the greeting, empty when there is none."""
        agent = self._desk.agent
        greeting = opening_words(agent)
        if greeting is None:
            return ""
        return self._render(greeting, f"{type(agent).__name__}.greeting")

    def _render(self, text: Any, of: str) -> str:
        agent = self._desk.agent
        variables = {**agent.variables, **self._desk.call.first_message.variables(agent)}
        return render(text, agent, variables, of, agent.time_zone).strip()

    # Stages and agents -----------------------------------------------------------------------

    def enter(self, stage: str) -> None:
        """Move to another stage. Raises ``KeyError`` when there is none of that name."""
        entered = self._desk.agent.stages[stage]
        self.stage = self._entered = stage
        if entered.keep is not None:
            self._desk.history.trim(entered.keep)
        self._desk.call.log("stage", stage=stage)

    def took_over(self) -> None:
        """Another agent has the call: it begins in its own first stage."""
        self.stage = self._entered = self._first()

    def _first(self) -> str | None:
        agent = type(self._desk.agent)
        stage = first_stage(agent)
        has_own = stage is not None and agent.stages[stage].tts is not None
        self._lent = agent.tts if has_own else None
        return stage

    def says_first(self) -> str:
        """Return what is said first in a stage that was just entered, once; else nothing."""
        entered, self._entered = self._entered, None
        return self._desk.agent.stages[entered].says if entered is not None else ""

    async def settle(self) -> None:
        """Carry out what entering a stage brings, before the model is asked.

        A voice that cannot be had is the operator's trouble: the one before speaks on.
        """
        entered, self._entered = self._entered, None
        if entered is None or self._desk.call.over:
            return
        stage = self._desk.agent.stages[entered]
        try:
            await self._change_voice(stage.tts)
        except ProviderError as error:
            self._desk.trouble(error.provider, error.sentence, None)
        if stage.says:
            await self._desk.say(stage.says, interruptible=True)

    async def _change_voice(self, staged: Voice | None) -> None:
        """A stage's voice is lent: the one before comes back with a stage that has none."""
        desk = self._desk
        if staged is not None:
            before = desk.crew.tts if self._lent is None else self._lent
            if staged != desk.crew.tts:
                await desk.set_tts(staged)
            self._lent = before
        elif self._lent is not None:
            back, self._lent = self._lent, None
            await desk.set_tts(back)

    # Tools -----------------------------------------------------------------------------------

    @property
    def tools_run(self) -> bool:
        """Whether a tool of the turn in progress is at work."""
        return bool(self._running)

    async def run_tools(self, calls: Sequence[Call], beside: Utterance | None) -> None:
        """Run the calls and put their outcomes into the history, late ones too.

        ``beside`` is what the model says along with them.
        """
        execution = self._execution()
        for call in calls:
            self._desk.transcript.tool(call.name)
        self._beside = beside
        self._running += 1
        try:
            for each in await execution.run(calls):
                self._returned(each)
        finally:
            self._running -= 1

    def _execution(self) -> Execution:
        agent = self._desk.agent
        key = agent, self.stage
        if key not in self._executions:
            self._executions[key] = Execution(
                agent,
                toolbox(type(agent), self.stage),
                say=self._desk.run_beside,
                late=self._returned,
                spoken=self._spoken,
            )
        return self._executions[key]

    async def _spoken(self) -> None:
        """A voice that failed has said all it could; that ends the turn, not this tool."""
        with suppress(ProviderError):
            if self._beside is not None:
                await self._beside.heard()

    def _returned(self, ran: Ran) -> None:
        self._desk.history.returned(ran.call.id, ran.outcome.sentence)
        label = ran.outcome.label
        # What a model makes up is no name for a measurement: there would be no end of them.
        name = "unknown" if isinstance(ran.outcome, Unknown) else f"{ran.call.name}.{label}"
        self._desk.call.metric(f"tool.{name}", ran.seconds)
        self._desk.transcript.ran(ran.call, label, ran.outcome.sentence, ran.seconds)
        if self.returned is not None:
            self.returned(ran)

    # What is counted -------------------------------------------------------------------------

    def usage(self, usage: Usage) -> None:
        """A request was counted."""
        metric: Callable[[str, float], None] = self._desk.call.metric
        metric("llm.prompt_tokens", usage.prompt_tokens)
        metric("llm.completion_tokens", usage.completion_tokens)
        for name, value in usage.extra.items():
            metric(f"llm.{name}", value)

    def failed(self, error: ProviderError) -> None:
        """The model could not answer; the caller is asked to say it again."""
        self._desk.trouble(error.provider, error.sentence, None)

    def speechless(self) -> None:
        """The model answered nothing; the caller is asked to say it again."""
        self._desk.call.log("the model answered nothing", "warning")

    async def aclose(self) -> None:
        """End the tools that run, in bounded time."""
        await asyncio.gather(*(each.aclose() for each in self._executions.values()))
