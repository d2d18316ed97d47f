"""One call in text: its line, its clock and the real session, wired as a call process does it."""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping

from shared import messages
from worker.agent import Agent
from worker.call_info import CallInfo
from worker.llm import LLM
from worker.testing.happenings import Happening
from worker.testing.in_text import in_text
from worker.testing.line import CallClock, TextLine
from worker.testing.session import TextConversation, TextSession
from worker.voip import VoIP

END_SECONDS = 10.0
"""What an agent has to end, in real time: turns under way and its last hook have limits below."""

_CANCEL_SECONDS = 1.0


class TextCall:
    """Runs from when it is made to `end`, in a task of its own."""

    def __init__(
        self,
        agent: type[Agent],
        info: CallInfo,
        model: LLM | None,
        destinations: Collection[str] | None,
        told: Callable[[Happening], None],
        humans: Mapping[str, messages.WarmOutcome] | None = None,
    ) -> None:
        self._others = asyncio.all_tasks()
        self.clock = CallClock()
        self.line = TextLine(self.clock, told, destinations, humans)
        self._voip = VoIP(self.line, info, self.clock)
        self.session = TextSession(in_text(agent, model)(), self._voip, self.clock, model, told)
        self.line.deliver = self.deliver
        self.line.passed = self.conversation.taking.tick
        self.living = asyncio.get_running_loop().create_task(self.session.run())

    @property
    def conversation(self) -> TextConversation:
        """Who takes part in it."""
        return self.session.conversation

    @property
    def over(self) -> bool:
        """Whether nothing can be said any more."""
        return self._voip.over or self.living.done()

    def deliver(self, event: messages.Event) -> None:
        """Let something happen on the line."""
        self._voip.deliver(event)
        self.session.call_event(event)

    def pass_to(self, now: float) -> None:
        """Let time pass, and what is due by then happen."""
        self.clock.now = now
        self.conversation.taking.tick()
        until = self.conversation.keys_until
        if until is not None and until <= now:
            self.conversation.host.keys_pressed("")

    @property
    def next_due(self) -> float | None:
        """When something is due next."""
        due = (self.conversation.taking.deadline, self.conversation.keys_until)
        return min((each for each in due if each is not None), default=None)

    def tasks(self) -> set[asyncio.Task[object]]:
        """Return what runs since the call began, except for the test."""
        return asyncio.all_tasks() - self._others

    async def end(self) -> None:
        """Hang up, if nobody has; return when the agent has ended, in bounded time."""
        if not self._voip.over:
            self.deliver(messages.CallEnded("the caller hung up", END_SECONDS))
        await asyncio.wait([self.living], timeout=END_SECONDS)
        await self.cancel()

    async def cancel(self) -> None:
        """End the session at once, if it has not ended."""
        self.living.cancel()
        await asyncio.wait([self.living], timeout=_CANCEL_SECONDS)
        with contextlib.suppress(asyncio.CancelledError, asyncio.InvalidStateError):
            self.living.exception()  # looked at, in case that nobody else does

    def failure(self) -> BaseException | None:
        """Return what the agent's code has raised, if the session has ended with that."""
        if not self.living.done() or self.living.cancelled():
            return None
        error = self.living.exception()
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        return error
