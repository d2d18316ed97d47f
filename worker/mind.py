"""The agent's mind: asks the model, has its words spoken as they come, and runs its tools.

    turn ──> ask ──> text ──clause by clause──> speaker
              ^        calls ──> tools, side by side ──> their answers
              └──────────────────── ask again ─────────────┘        `Agent.most_steps` times

An answer may be prepared before the turn is certain to be over: asked for and made, and not heard.
If the turn ends with the same words it is the answer; otherwise it never was. Tools are run for
real turns only. A reply that is given up closes the model's stream at once.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol

from worker.answer import Answer
from worker.errors import ProviderError
from worker.history import History
from worker.holding import Hold, Holding
from worker.llm import LLM, Brief, Call, LLMSession, Prompt, Said, Usage
from worker.speaker import Speaker
from worker.transcript import Transcript
from worker.turn_times import TurnTimes
from worker.turns.policy import words_of
from worker.utterance import Utterance

TOO_MANY_STEPS = "That was the last tool call of this turn. Answer the caller with what you have."

CLOSE_SECONDS = 2.0
"""How long streams and sessions that are not wanted any more may take to close."""


class Office(Protocol):
    """Who knows what the model is told, and who runs its tools."""

    @property
    def most_steps(self) -> int:
        """How often in a turn the model is asked again after its tools have answered."""

    @property
    def sorry(self) -> str:
        """What the caller is told when the model cannot be had."""

    @property
    def hold(self) -> Hold:
        """What a caller is told who waits long for the model's first word."""

    @property
    def done(self) -> bool:
        """Whether nobody waits for more of the answer: the call is over, or not the model's."""

    def brief(self) -> Brief:
        """Return what the model is told now. Raises what making the instructions raises."""

    async def settle(self) -> None:
        """Before the model is asked: carry out what was decided (another voice, another stage)."""

    async def run_tools(self, calls: Sequence[Call], beside: Utterance | None) -> None:
        """Run the calls and put their outcomes into the history. Never raises but if cancelled."""

    def usage(self, usage: Usage) -> None:
        """A request was counted."""

    def failed(self, error: ProviderError) -> None:
        """The model could not answer; the caller is asked to say it again."""

    def speechless(self) -> None:
        """The model answered nothing; the caller is asked to say it again."""


class Mind:
    """Answers turns on one call."""

    def __init__(
        self, office: Office, speaker: Speaker, transcript: Transcript, times: TurnTimes
    ) -> None:
        self._office, self._speaker = office, speaker
        self._transcript, self._times = transcript, times
        self._session: LLMSession | None = None
        self._prepared: tuple[str, Answer] | None = None
        self._holding = Holding(office, speaker, transcript)
        self._reply: asyncio.Task[None] | None = None
        self._failures = 0
        self._reading: set[asyncio.Task[Any]] = set()
        self._closing: set[asyncio.Task[Any]] = set()

    @property
    def _history(self) -> History:
        return self._transcript.history

    async def connect(self, llm: LLM) -> None:
        """Think with ``llm``, in place of whoever did before. Raises `ProviderError`.

        An answer that is under way is still the other's.
        """
        session = await llm.connect()
        old, self._session = self._session, session
        if old is not None:
            self._after(_retired(old, set(self._reading)))

    async def aclose(self) -> None:
        """Stop thinking, in bounded time."""
        self.forget()
        self.give_up()
        session, self._session = self._session, None
        if session is not None:
            self._after(_retired(session, set(self._reading)))
        deadline = asyncio.get_running_loop().time() + CLOSE_SECONDS
        while left := self._reading | self._closing:
            seconds = deadline - asyncio.get_running_loop().time()
            if seconds <= 0:
                break
            await asyncio.wait(left, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in self._closing:
            task.cancel()

    def _after(self, work: Coroutine[Any, Any, None]) -> None:
        self._keep(asyncio.get_running_loop().create_task(work), self._closing)

    def _keep(self, task: asyncio.Task[Any], among: set[asyncio.Task[Any]]) -> None:
        among.add(task)
        task.add_done_callback(among.discard)
        task.add_done_callback(_seen)

    # Early -----------------------------------------------------------------------------------

    def prepare(self, said: Said) -> None:
        """A turn has probably ended with ``said``: ask the model now, keep its words back."""
        if self._session is None or self._reply is not None:
            return
        self.forget()
        self._times.early(True)
        self._prepared = said.text, self._ask(self._session, said, held=True)

    def forget(self) -> None:
        """What was prepared is in vain."""
        if self._prepared is not None:
            _, answer = self._prepared
            self._prepared = None
            self._times.early(False)
            self._speaker.drop(answer.utterance)
            answer.cancel()
            if answer.usage is not None:
                self._office.usage(answer.usage)

    def settle_prepared(self, text: str) -> None:
        """A turn has ended with ``text``: keep what was prepared for these words, forget others."""
        if self._prepared is None:
            return
        words, answer = self._prepared
        if words_of(words) == words_of(text) and answer.fits(self._history.items):
            self._times.early(False, kept=True)
        else:
            self.forget()

    def _claim(self, text: str) -> Answer | None:
        if self._prepared is not None and words_of(self._prepared[0]) == words_of(text):
            _, answer = self._prepared
            self._prepared = None
            return answer
        self.forget()
        return None

    # Replies ---------------------------------------------------------------------------------

    async def answer(self, text: str) -> None:
        """Answer the caller; return when the answer was heard, or given up.

        Raises `ProviderError` when the model cannot be had for the second time in a row, and
        ``RuntimeError`` for an agent that has none.
        """
        if self._session is None:
            raise RuntimeError("this agent has no model: set llm on its class")
        self._transcript.asked(text)
        reply = asyncio.get_running_loop().create_task(self._steps(self._claim(text)))
        self.give_up()
        self._reply = reply
        try:
            await asyncio.wait([reply])
        finally:
            if self._reply is reply:
                self._reply = None
            if not reply.done():
                reply.cancel()
                self._keep(reply, self._closing)
        if not reply.cancelled():
            reply.result()

    def give_up(self) -> None:
        """The caller has taken the floor: what is being said and done for the answer ends."""
        reply, self._reply = self._reply, None
        if reply is not None:
            reply.cancel()

    def _ask(
        self, session: LLMSession, *more: Said, held: bool = False, may_call: bool = True
    ) -> Answer:
        utterance = self._speaker.begin(held=held, reply=True)
        if self._office.done:
            self._speaker.drop(utterance)

        def prompt() -> Prompt:
            brief = self._office.brief()
            items = (*self._history.items, *more)
            system = (Said("system", brief.system),) if brief.system else ()
            return Prompt((*system, *items), brief.tools if may_call else ())

        answer = Answer(session, prompt, utterance, self._times)
        self._keep(answer.task, self._reading)
        return answer

    async def _steps(self, answer: Answer | None) -> None:
        said: list[Utterance] = []
        try:
            step = 0
            while self._session is not None:
                if answer is None:
                    await self._office.settle()
                    may_call = step <= self._office.most_steps
                    answer = self._ask(self._session, may_call=may_call)
                said.append(answer.utterance)
                if not await self._whole(answer, said) or not answer.calls:
                    break
                await self._run(answer, step)
                if self._office.done or step > self._office.most_steps:
                    break
                answer, step = None, step + 1
            for utterance in said:
                await utterance.heard()
        finally:
            if answer is not None:
                answer.cancel()
            for utterance in said:
                self._speaker.drop(utterance)

    async def _whole(self, answer: Answer, said: list[Utterance]) -> bool:
        """Let an answer be heard, and wait for all of its words; tell whether there were any.

        Raises `ProviderError` when the model fails for the second time in a row.
        """
        key = self._history.agent("")
        self._transcript.follow(key, answer.utterance)
        self._speaker.release(answer.utterance)
        try:
            await self._holding.until_whole(answer)
        except ProviderError as error:
            self._failures += 1
            if self._failures > 1:
                raise
            self._office.failed(error)
            answer.utterance.finish()
            said.append(self._apologize())
            return False
        self._failures = 0
        if answer.usage is not None:
            self._office.usage(answer.usage)
        text = answer.text.strip()
        if not answer.utterance.ended.done():
            self._history.heard(key, text)
        answer.calls = list(self._history.unique(answer.calls))
        self._history.called(key, tuple(answer.calls))
        if len(said) == 1 and not text and not answer.calls:
            self._office.speechless()
            said.append(self._apologize())
        return True

    def _apologize(self) -> Utterance:
        utterance = self._speaker.begin(reply=True)
        self._transcript.follow(self._history.agent(self._office.sorry), utterance)
        utterance.feed(self._office.sorry)
        utterance.finish()
        return utterance

    async def _run(self, answer: Answer, step: int) -> None:
        if step < self._office.most_steps:
            await self._office.run_tools(answer.calls, answer.utterance)
            return
        for call in answer.calls:
            self._history.returned(call.id, TOO_MANY_STEPS)


async def _retired(session: LLMSession, reading: set[asyncio.Task[Any]]) -> None:
    """Close a session once nothing is read from it any more."""
    if reading:
        await asyncio.wait(reading)
    await session.aclose()


def _seen(task: asyncio.Task[Any]) -> None:
    """Whoever wanted to know of its failure has been told; else nobody does."""
    if not task.cancelled():
        task.exception()
