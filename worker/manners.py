"""What an agent says without having been asked: greeting, reminders of silence and time, farewell.

The words are the author's (`Agent.greeting`, `worker.turns.policy.Turns`); when reminders are due
is turn-taking's decision. Last words are always heard out, within a limit.
"""

import asyncio
from collections.abc import AsyncIterable, Callable
from typing import Protocol

from worker.agent import Agent
from worker.duplex import Duplex
from worker.history import History
from worker.mind import Mind
from worker.office import Office
from worker.recording import Consent
from worker.speaker import Speaker
from worker.transcript import Transcript
from worker.turns.silence import Ask, Leave, TimeUp, Warn
from worker.utterance import Utterance
from worker.voip import VoIP

FAREWELL_SECONDS = 30.0
"""How long the last words may take before a hang-up stops waiting for them."""


class Speaking(Protocol):
    """The conversation in which it is said."""

    agent: Agent
    call: VoIP
    speaker: Speaker
    mind: Mind
    office: Office
    transcript: Transcript
    duplex: Duplex
    is_open: bool

    @property
    def history(self) -> History:
        """What was said."""

    @property
    def can_speak(self) -> bool:
        """Whether there is a voice."""

    async def say(self, text: str | AsyncIterable[str], interruptible: bool) -> str:
        """Speak."""


class Manners:
    """Says what is due on one call."""

    def __init__(self, conversation: Speaking, spawn: Callable[..., None]) -> None:
        self._it, self._spawn = conversation, spawn
        self.greeting: Utterance | None = None
        """What the call begins with, once it is being made."""
        self._consent = Consent(conversation)
        if conversation.agent.recording is not None:
            spawn(self._consent.get_ready())
        conversation.call.farewell = self.farewell

    def prepare_greeting(self) -> None:
        """Have the greeting made, if there is one, before there is anybody to hear it."""
        self._consent.prepare()
        it, before = self._it, self.greeting
        self.greeting = None
        if before is not None:
            it.speaker.drop(before)
        text = it.office.greeting()
        if text:
            may_interrupt = it.agent.greeting_interruptible
            self.greeting = it.speaker.begin(interruptible=may_interrupt, reply=True)
            it.transcript.follow(it.transcript.history.agent(text), self.greeting)
            self.greeting.feed(text)
            self.greeting.finish()

    def greet(self) -> None:
        """The stream is open: the greeting is on its way. A voice that fails ends the call."""
        if self._it.agent.recording is not None:
            self._spawn(self._consent.record())
        if self.greeting is not None:
            self._spawn(_heard(self.greeting))

    def taken_over(self) -> None:
        """Another agent has the call: what it wants recorded is, from now on."""
        it, consent = self._it, self._consent
        if (it.is_open or it.call.is_direct) and it.agent.recording is not None:
            consent.announce()
            self._spawn(consent.listen())
            self._spawn(consent.record(greets=False))
        elif not it.is_open and not it.call.is_direct:
            if it.agent.recording is not None:
                self._spawn(consent.get_ready())
            if it.can_speak and not it.duplex.active:
                consent.prepare()

    async def told(self) -> None:
        """The carrier tells the caller what is recorded (`Consent.told`)."""
        await self._consent.told()

    def remind(self, due: Ask | Leave | Warn | TimeUp) -> None:
        """Silence has lasted, or time has run out."""
        turns = self._it.agent.turns
        match due:
            case Ask():
                self._spawn(self.tell(turns.still_there))
            case Warn():
                self._spawn(self.tell(turns.warning))
            case Leave():
                self._spawn(self._leave(turns.goodbye))
            case TimeUp():
                self._spawn(self._leave(turns.time_up))

    async def tell(self, text: str) -> None:
        """Say something, if there is a voice."""
        if self._it.can_speak:
            await self._it.say(text, interruptible=True)

    async def _leave(self, text: str) -> None:
        self._it.mind.give_up()
        self._it.speaker.commit()
        if self._it.can_speak:
            await self._it.say(text, interruptible=False)
        await self._it.call.hangup()

    async def farewell(self) -> None:
        """Let everything that is to be heard be heard to its end."""
        self._it.speaker.protect()
        try:
            async with asyncio.timeout(FAREWELL_SECONDS):
                await self._it.speaker.silent()
        except TimeoutError:
            self._it.call.log("last words cut off: they took too long", "warning")


async def _heard(utterance: Utterance) -> None:
    await utterance.heard()
