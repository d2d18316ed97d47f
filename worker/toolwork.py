"""The tools that a speech-to-speech model wants: run as everybody's, and answered in time.

wanted ──> office ──each outcome──> history, and the model that waits for it
             │ the caller interrupts: what may be stopped is, the rest is told later
             └ it has moved the conversation on: the new instructions go with the answer
"""

import asyncio
from dataclasses import replace
from typing import Protocol

from worker.agent import Agent
from worker.history import History
from worker.llm import Brief, Call
from worker.minutes import Minutes
from worker.office import Office
from worker.seat import Seat
from worker.tools import Ran
from worker.tools.outcome import Done, Running
from worker.turn_taking import TurnTaking
from worker.utterance import Utterance

ANSWER_SECONDS = 35.0
"""A tool that is not done by then is told to go on; services wait 40 s at most (Ultravox)."""


class Wanted(Protocol):
    """The call on which they are run."""

    agent: Agent
    office: Office
    taking: TurnTaking

    @property
    def history(self) -> History:
        """What was said."""


class Toolwork:
    """One call's tools, for the model that wants them."""

    def __init__(self, it: Wanted, minutes: Minutes, seat: Seat) -> None:
        self._it, self._minutes = it, minutes
        self._seat = seat
        """Who is answered."""
        self.expects = False
        """The model has its answers, and speaks next."""
        self._steps: set[asyncio.Task[None]] = set()
        self._wanted: dict[str, str] = {}
        """Calls that are waited for: the history's id, the model's."""
        self._briefed: tuple[Agent, str | None] = (it.agent, it.office.stage)
        it.office.returned = self._returned

    @property
    def runs(self) -> bool:
        """Whether a tool runs that the model waits for."""
        return bool(self._steps)

    @property
    def at_work(self) -> bool:
        """Whether more is to come of the turn: a tool runs, or its answer is to be spoken of."""
        return bool(self._steps) or self.expects

    async def run(self, calls: tuple[Call, ...], beside: Utterance | None) -> None:
        """Run the calls of a step; each is answered when all are done, or in time."""
        history = self._it.history
        named = history.unique(calls)
        history.called(history.agent(""), named)
        ids = {ours.id: theirs.id for ours, theirs in zip(named, calls, strict=True)}
        self._wanted |= ids
        for call in named:
            self._minutes.tool(call.name)
        loop = asyncio.get_running_loop()
        step = loop.create_task(self._it.office.run_tools(named, beside))
        overdue = loop.call_later(ANSWER_SECONDS, self._overdue, named)
        self._steps.add(step)
        self._it.taking.agent_changed()
        try:
            await asyncio.wait([step])
        finally:
            overdue.cancel()
            step.cancel()
            self._steps.discard(step)
            self._it.taking.agent_changed()
        if not step.cancelled():
            step.result()

    def interrupted(self) -> None:
        """The caller has taken the floor."""
        for step in self._steps:
            step.cancel()

    async def finish(self, seconds: float) -> None:
        """The call is over: give what runs so long to come to an end."""
        if self._steps:
            await asyncio.wait(self._steps, timeout=seconds)

    def forget(self) -> None:
        """Another model talks now: what runs is told to it when it is done."""
        self._wanted.clear()
        self.expects = False

    def _overdue(self, calls: tuple[Call, ...]) -> None:
        for call in calls:
            if call.id in self._wanted:
                self._answer(self._wanted.pop(call.id), Running(call.name).sentence, failed=False)

    def _returned(self, ran: Ran) -> None:
        theirs = self._wanted.pop(ran.call.id, None)
        text = ran.outcome.sentence
        if theirs is not None:
            failed = not isinstance(ran.outcome, Done | Running)
            self._answer(theirs, text, failed=failed)
        elif not isinstance(ran.outcome, Running):
            # It was answered before it was done; or somebody else has wanted it.
            self._seat.tell(f"({ran.call.name} has returned: {text})")

    def _answer(self, call_id: str, text: str, *, failed: bool) -> None:
        session = self._seat.session
        if session is not None:
            self.expects = True
            session.answered(call_id, text, failed=failed, brief=self._news())

    # Instructions ------------------------------------------------------------------------------

    def briefed(self) -> None:
        """The model knows the instructions of the moment."""
        self._briefed = self._it.agent, self._it.office.stage

    def moved(self) -> None:
        """The conversation has moved on: the model is told now, or with a tool's answer."""
        session = self._seat.session
        if self._wanted or session is None:
            return
        brief = self._news()
        if brief is not None:
            session.brief(brief)

    def _news(self) -> Brief | None:
        """Return the instructions, if they are others than the model knows."""
        if (self._it.agent, self._it.office.stage) == self._briefed:
            return None
        self.briefed()
        brief, says = self._it.office.brief(), self._it.office.says_first()
        if not says:
            return brief
        return replace(brief, system=f"{brief.system}\n\nBegin with these words: {says}".strip())
