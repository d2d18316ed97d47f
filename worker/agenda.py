"""What the caller has said and pressed, answered by the agent one after the other.

    turns, keys ──> waiting ──> Agent.inference, Agent.on_keys ──> on_turn ──> the next one

It decides nothing: what is a turn comes from turn-taking, what an answer is from the agent.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from uuid import uuid4

from worker.agent import Agent
from worker.llm import Sound
from worker.message import Message
from worker.office import Office
from worker.transcript import Transcript
from worker.turn import Turn
from worker.turn_times import TurnTimes
from worker.turns.policy import Utterance
from worker.voip import VoIP

MOST_WAITING = 50
"""Turns that wait while one is being answered; nobody waits for the answer to an older one."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A turn of the caller, with its sound if the model hears."""

    utterance: Utterance
    sound: Sound | None = None


@dataclass(frozen=True, slots=True)
class Pressed:
    """Keys that belong together, to be answered like a turn."""

    keys: str


class Answering(Protocol):
    """The conversation in which it is answered."""

    agent: Agent
    call: VoIP
    office: Office
    transcript: Transcript
    times: TurnTimes


class Agenda:
    """One call's turns. ``changed`` is called whenever the answer of `busy` may have changed."""

    def __init__(self, conversation: Answering, changed: Callable[[], None]) -> None:
        self._it, self._changed = conversation, changed
        self._waiting: asyncio.Queue[Heard | Pressed | Turn | None] = asyncio.Queue()
        self.answering = False
        """Whether a turn is being answered."""
        self._unanswered = 0

    @property
    def busy(self) -> bool:
        """Whether there is something to be answered."""
        return self.answering or self._unanswered > 0

    def add(self, said: Heard | Pressed | Turn) -> None:
        """Answer this, too. Of more than `MOST_WAITING` the oldest is not answered any more."""
        if self._waiting.qsize() >= MOST_WAITING:
            self._unanswered -= _is_question(self._waiting.get_nowait())
            self._it.call.log("a turn was not answered: the agent is far behind", "warning")
        self._waiting.put_nowait(said)
        self._unanswered += _is_question(said)
        self._changed()

    def close(self) -> None:
        """There will be no more: `work` returns once everything is answered."""
        self._waiting.put_nowait(None)

    async def work(self, after: Callable[[], None]) -> None:
        """Answer, one after the other, until there is no more; ``after`` follows each."""
        while (said := await self._waiting.get()) is not None:
            if isinstance(said, Turn):
                await self._it.agent.on_turn(said)
                self._it.times.flush()
            else:
                await self._take_up(said)
            after()

    async def _take_up(self, said: Heard | Pressed) -> None:
        self.answering, self._unanswered = True, self._unanswered - 1
        self._changed()
        try:
            await self._answer(said)
        finally:
            self.answering = False
        self._changed()

    async def _answer(self, said: Heard | Pressed) -> None:
        transcript = self._it.transcript
        if isinstance(said, Pressed):
            transcript.begin_turn("")
            await self._it.agent.on_keys(said.keys)
            transcript.end_turn()
        else:
            utterance = said.utterance
            transcript.begin_turn(utterance.text, said.sound)
            if utterance.took_floor and not utterance.text and self._it.office.may_prepare:
                await self._it.agent.say(self._it.agent.pardon)
            await self._it.agent.inference(Message(uuid4(), utterance.text))
            await self._it.agent.on_turn(transcript.end_turn())
        self._it.times.flush()
        await self._it.office.settle()


def _is_question(said: object) -> bool:
    """Whether it is to be answered here: a turn that is over was, by a speech-to-speech model."""
    return not isinstance(said, Turn)
