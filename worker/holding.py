"""What a caller is told who waits long for the model's first word: never silence, never a queue.

    turn ends ──after_s──> "One moment, please." ──every_s──> the next line ──…──> the last, again
                   └───────────── the first word: nothing more, it follows what is being said

A line is the agent's, not the model's: the transcript has it, the history has not. It may be
interrupted like everything else; that gives up the answer, too, and the caller's words are asked
about instead.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from worker.answer import Answer
from worker.errors import ProviderError
from worker.speaker import Speaker
from worker.transcript import Transcript


@dataclass(frozen=True, slots=True)
class Hold:
    """The lines, one after the other; none: nothing is said. Times in seconds."""

    lines: Sequence[str]
    after_s: float
    every_s: float


class Office(Protocol):
    """Who knows what is said, and whether anybody waits."""

    @property
    def hold(self) -> Hold:
        """What a caller is told."""

    @property
    def done(self) -> bool:
        """Whether nobody waits for the answer any more."""


class Holding:
    """Keeps the callers of one call from waiting in silence."""

    def __init__(self, office: Office, speaker: Speaker, transcript: Transcript) -> None:
        self._office, self._speaker, self._transcript = office, speaker, transcript
        self._said = 0
        """Lines said since the model has last begun to answer."""

    async def until_whole(self, answer: Answer) -> None:
        """Return when an answer is whole; meanwhile say what is due. Raises what it raises."""
        telling = asyncio.get_running_loop().create_task(self._tell(answer))
        try:
            await asyncio.shield(answer.task)
        finally:
            telling.cancel()

    async def _tell(self, answer: Answer) -> None:
        seconds = self._office.hold.after_s
        while await self._is_waited_for(answer, seconds):
            lines = self._office.hold.lines
            if not lines or self._office.done:
                return
            text = lines[min(self._said, len(lines) - 1)]
            self._said += 1
            with suppress(ProviderError):  # the answer will fail with the voice, and tell of it
                await self._say(text, answer)
            seconds = self._office.hold.every_s
        self._said = 0

    async def _is_waited_for(self, answer: Answer, seconds: float) -> bool:
        """Wait so long in silence; tell whether there is no word of the answer yet."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await answer.begun.wait()
                    return False
            if not self._speaker.audible:
                return True
            await self._speaker.silent(but=answer.utterance)

    async def _say(self, text: str, answer: Answer) -> None:
        utterance = self._speaker.begin(held=True)
        self._transcript.follow(None, utterance)
        self._speaker.release(utterance, before=answer.utterance)
        utterance.feed(text)
        utterance.finish()
        await utterance.heard()
