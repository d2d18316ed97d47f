"""A call in text: say something to an agent, and see what it says and does.

    async with Talk(Clinic, llm=ScriptedLLM("Which day?", calls("book", day="friday"))) as talk:
        await talk.say("I need an appointment")
        talk.expect_said("which day")

The agent's class is run as in a call, by the real session; ears and voice are text, and the model
is the one given, or the agent's own. Nothing is waited for but what the agent itself waits for.
"""

import math
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from shared import messages
from worker.agent import Agent
from worker.call_info import CallInfo
from worker.fallback import fallback_of
from worker.history import History
from worker.llm import LLM
from worker.roles import prepare_words, with_colleagues
from worker.stt import EndOfTurn, Partial, SpeechStarted
from worker.testing.expectations import ExpectationError, Expectations
from worker.testing.happenings import Happening, ToolCalled
from worker.testing.reply import Reply, reply_of
from worker.testing.text_call import TextCall
from worker.testing.waiting import TalkTimeoutError, settled, where

CALL = CallInfo("CA" + "7" * 32, from_="+15550002222", to="+15550001111")
"""The call, unless told otherwise: the numbers are the built-in phone's."""

LIMIT_SECONDS = 30.0
"""How long an agent may take for one reply, in real time."""

_KEYS = frozenset("0123456789*#ABCD")


class TalkOverError(ExpectationError):
    """The call is over, and something was to be said."""


class Talk(Expectations):
    """One call in text, from ringing to its end: ``async with Talk(Agent) as talk``.

    ``llm`` thinks instead of the agent's own model. ``info`` is what is known of the call.
    ``folder`` is the agents folder, the working directory meanwhile: where the agent's files are.
    ``destinations`` are those the caller can be transferred to; ``None``: any. ``humans`` is what
    those answer who are asked first (`WarmTransfer`): ``accepted`` unless it is said. ``limit_s``
    is how long a reply may take, in real seconds. ``told`` hears of everything as it happens.
    """

    def __init__(
        self,
        agent: type[Agent],
        *,
        llm: LLM | None = None,
        info: CallInfo = CALL,
        folder: str | Path | None = None,
        destinations: Collection[str] | None = None,
        humans: Mapping[str, messages.WarmOutcome] | None = None,
        limit_s: float = LIMIT_SECONDS,
        told: Callable[[Happening], None] | None = None,
    ) -> None:
        self._class, self._llm, self._info = agent, llm, info
        self._folder, self._destinations, self._humans = folder, destinations, humans
        self._limit_s, self._told = limit_s, told
        self._happenings: list[Happening] = []
        self._tools: dict[str, ToolCalled] = {}
        self._call: TextCall | None = None
        self._has_failed = False
        self._back: Path | None = None
        self.replies = []

    # The call ----------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Ring, connect, and hear the greeting. Raises what the agent's code raises."""
        if self._folder is not None:
            self._back = Path.cwd()
            os.chdir(self._folder)
        try:
            self._prepare()
            self._call = TextCall(
                self._class,
                self._info,
                self._llm,
                self._destinations,
                self._hear,
                self._humans,
            )
            self._call.deliver(messages.StreamStarted("MZ" + "7" * 32, {}))
            await self._happened([])
            self._finish("(the call begins)")
        except BaseException as error:
            await self.__aexit__(type(error), error, None)
            raise
        return self

    def _prepare(self) -> None:
        classes = with_colleagues(self._class)
        if self._llm is not None and not any(each.llm or each.speech for each in classes):
            raise ValueError(f"{self._class.__name__} has no llm, so none can take its place")
        for each in classes:
            prepare_words(each)
            if self._llm is None and each.llm is not None:
                fallback_of(each.llm).prepare()

    def _hear(self, happening: Happening) -> None:
        self._happenings.append(happening)
        if isinstance(happening, ToolCalled):
            self._tools[happening.id] = happening
        if self._told is not None:
            self._told(happening)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Hang up, if nobody has, and let the agent end. Raises what its hooks raise."""
        try:
            if self._call is None:
                return
            if isinstance(error, TalkTimeoutError):
                await self._call.cancel()
            await self._call.end()
            if error is None and not self._has_failed:
                self._check()
        finally:
            if self._back is not None:
                os.chdir(self._back)

    def _check(self) -> None:
        """Raise what the agent's code has raised."""
        failure = self._running.failure()
        if failure is not None:
            self._has_failed = True
            raise failure

    # What the caller does ------------------------------------------------------------------------

    async def say(self, text: str, *, until: str = "") -> Reply:
        """Say something; return the agent's reply once it is over.

        An empty ``text`` is speech of which no word was understood. With ``until`` the reply is
        played up to these words and no further: what the caller does next interrupts it.
        """
        if self.agent.stt is None:
            raise ValueError(f"{type(self.agent).__name__} has no stt: it hears no words")
        call, before = self._begin(until)
        conversation, turns = call.conversation, self.agent.turns
        conversation.heard(SpeechStarted())
        if text.strip():
            conversation.heard(Partial(text))
        conversation.heard(EndOfTurn(text.strip()))
        if turns.patience_ms:
            call.pass_to(call.clock.now + turns.patience_ms / 1000)
        call.line.go_on()
        await self._happened(before)
        reply = self._finish(f'Caller: "{text}"')
        if until and not call.line.held:
            raise ExpectationError(f'the agent never said "{until}"', self.replies)
        return reply

    async def press(self, keys: str) -> Reply:
        """Press keys one after the other, and wait until they count; return the agent's reply."""
        if not keys or not _KEYS.issuperset(keys):
            raise ValueError(f"{keys!r} are no keys: a phone has 0-9, *, # and A-D")
        call, before = self._begin()
        turns = self.agent.turns
        for key in keys:
            if not call.over:
                call.deliver(messages.Dtmf(key))
                call.line.go_on()
                await self._happened(before)
        if keys[-1] != turns.keys_end:
            await self._pass(turns.keys_timeout_s, before)
        return self._finish(f"Caller presses {keys}")

    async def silence(self, seconds: float) -> Reply:
        """Say nothing for so long, on the call's clock; return what the agent did meanwhile."""
        if not 0 <= seconds < math.inf:
            raise ValueError(f"{seconds} s are no silence: give 0 s or more")
        call, before = self._begin()
        call.line.go_on()
        await self._happened(before)
        await self._pass(seconds, before)
        return self._finish(f"Caller is silent for {seconds:g} s")

    async def hang_up(self) -> None:
        """End the call; return when the agent has ended. Raises what its hooks raise."""
        await self._running.end()
        self._check()

    # What can be seen ----------------------------------------------------------------------------

    @property
    def greeting(self) -> str:
        """What the agent said of itself when the call began."""
        return self.replies[0].text

    @property
    def agent(self) -> Agent:
        """The agent that has the call."""
        return self._running.conversation.agent

    @property
    def state(self) -> dict[str, Any]:
        """What it remembers."""
        return self.agent.state

    @property
    def history(self) -> History:
        """What was said, as the model is told of it."""
        return self._running.conversation.history

    @property
    def over(self) -> bool:
        """Whether the call is over."""
        return self._running.over

    @property
    def _running(self) -> TextCall:
        if self._call is None:
            raise RuntimeError("there is no call: write `async with Talk(...) as talk`")
        return self._call

    # Replies -------------------------------------------------------------------------------------

    def _begin(self, until: str = "") -> tuple[TextCall, list[Any]]:
        """Return the call, and the hooks that are at work already.

        What has happened since the last reply belongs to the next one.
        """
        call = self._running
        self._check()
        if call.over:
            raise TalkOverError("the call is over: nothing can be done any more", self.replies)
        call.line.stop_after(until)
        return call, call.session.hooks()

    async def _happened(self, before: list[Any]) -> None:
        """Return when the agent has reacted. Raises what its hooks raise."""
        if not await settled(self._running, before, self._limit_s):
            raise TalkTimeoutError(self._limit_s, where(self._running.tasks()), self.replies)
        self._check()

    def _finish(self, cue: str) -> Reply:
        call = self._running
        agent, stage = type(self.agent).__name__, call.conversation.stage
        happened, self._happenings = self._happenings, []
        reply = reply_of(cue, call.line.take_said(), agent, stage, happened, self._tools)
        self.replies.append(reply)
        return reply

    async def _pass(self, seconds: float, before: list[Any]) -> None:
        """Let time pass, from one thing that is due to the next."""
        call = self._running
        end = call.clock.now + seconds
        while call.clock.now < end and not call.over:
            due = call.next_due
            # What is overdue is done with the next tick; time goes on in any case.
            at = end if due is None else max(due, call.clock.now + 0.001)
            call.pass_to(min(end, at))
            await self._happened(before)
