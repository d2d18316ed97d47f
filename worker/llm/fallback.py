"""Several models, declared in order: when one fails before it has said anything, the next answers.

first    ask ──X                      no answer, or none in time
second         ask ──text──text──>    the caller notices a pause

first    ask ──text──X                an error: what was said was said. The words of one model
                                      cannot be put into the mouth of the other, and half of
                                      them were heard. The next request goes to the second.
"""

import asyncio
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from worker import succession
from worker.errors import ProviderLostError
from worker.llm import LLM, Answer, LLMSession, Prompt
from worker.succession import Succession, Troubled

FIRST_SECONDS = 3.0
"""How long a model may take to begin its answer while another one is left."""

AGAIN_SECONDS = 5.0
"""How long a model that failed is left alone, when all have: a request is soon tried again."""


@dataclass(frozen=True, slots=True)
class FallbackLLM:
    """Asks the first of ``providers`` that can be had; ``on_trouble`` hears of losses."""

    providers: Sequence[LLM]
    on_trouble: Troubled | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        succession.checked(self.providers)

    def prepare(self) -> None:
        """Prepare all; those that refuse are left out. Raises `ProviderError` if none is left."""
        succession.prepare(self.providers)

    async def connect(self) -> LLMSession:
        """Open a session with the first that can be had. Raises `ProviderError`."""
        thinking = _Thinking(Succession(self.providers, self.on_trouble, AGAIN_SECONDS))
        await thinking.start()
        return thinking

    def stand_in(self) -> LLM:
        """Return what stands in for the first."""
        return self.providers[0].stand_in()


class _Thinking:
    """A call's mind, whoever thinks at the moment."""

    def __init__(self, order: Succession[LLM]) -> None:
        self._order = order
        self._current: tuple[int, LLMSession] | None = None
        self._opening = asyncio.Lock()
        self._lost: list[LLMSession] = []
        """Sessions that failed; another answer may still be coming from one."""

    async def start(self) -> None:
        """Open the first session that can be had. Raises `ProviderError`."""
        await self._session()

    async def _session(self, but: Collection[int] = ()) -> tuple[int, LLMSession]:
        async with self._opening:
            if self._current is None:
                self._current = await self._order.take(lambda it: it.connect(), but=but)
            return self._current

    async def reply(self, prompt: Prompt) -> AsyncGenerator[Answer, None]:
        """Stream the answer of the first model that begins one; none is asked for it twice.

        Raises `ProviderError` when none does, or when one fails after its first words.
        """
        failed: dict[int, Exception] = {}
        while True:
            place, session = await self._session(failed)
            if place in failed:  # another request has it open again
                raise failed[place]
            is_begun = False
            try:
                async with aclosing(session.reply(prompt)) as stream:
                    first = await self._first(place, stream)
                    if first is not None:
                        is_begun = True
                        yield first
                        async for answer in stream:
                            yield answer
            except Exception as error:
                self._lose(place, session, error)
                if is_begun:
                    raise
                failed[place] = error
            else:
                return

    async def _first(self, place: int, stream: AsyncGenerator[Answer, None]) -> Answer | None:
        """Return how the answer begins, ``None`` if it is empty; in time if it matters."""
        has_heir = self._order.has_heir(place)
        try:
            async with asyncio.timeout(FIRST_SECONDS if has_heir else None):
                return await anext(stream, None)
        except TimeoutError:
            sentence = f"did not begin to answer within {FIRST_SECONDS:g} s"
            raise ProviderLostError("llm", sentence) from None

    def _lose(self, place: int, session: LLMSession, error: Exception) -> None:
        if self._current is not None and self._current[1] is session:
            self._current = None
            self._lost.append(session)
            self._order.lost(place, error)

    async def aclose(self) -> None:
        """Close whatever is open."""
        sessions, self._lost = self._lost, []
        if self._current is not None:
            sessions.append(self._current[1])
            self._current = None
        async with asyncio.TaskGroup() as group:
            for session in sessions:
                group.create_task(succession.close(session))
