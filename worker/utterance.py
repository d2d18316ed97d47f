"""One utterance of the agent while it is being said: text goes in, what was heard comes out."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from shared.speech.clauses import Clauses
from worker.uttered import Speech

EAGER_LETTERS = 12
"""The first clause may end at a comma after so many letters."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """What became of an utterance: the words heard, and whether it was cut short.

    ``first_audio_at`` is when its first audio went to the line, on the call's clock.
    """

    text: str
    interrupted: bool
    first_audio_at: float | None = None


class Utterance:
    """What the agent is saying. ``post`` has a clause of it made; the last one is ``done``."""

    def __init__(
        self,
        post: Callable[["Utterance", str, bool], None],
        *,
        interruptible: bool,
        held: bool,
        reply: bool,
    ) -> None:
        self._post = post
        self.speech = Speech(interruptible)
        self.held = held
        """It is made, and not said before it is released."""
        self.is_reply = reply
        """It belongs to the answer of the turn in progress."""
        self.first_audio_at: float | None = None
        self.ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        """Whether it was heard to its end; a `ProviderError` when the voice failed."""
        self.mark: asyncio.Future[bool] | None = None
        """Behind its last audio, when all of that is on the line."""
        self.overdue: asyncio.TimerHandle | None = None
        """When that mark's echo will not come any more."""
        self._clauses = Clauses(verbatim=True, eager=EAGER_LETTERS)

    def feed(self, text: str) -> None:
        """Add text; what is a whole clause with it is made."""
        for clause in self._clauses.feed(text):
            self._post(self, clause, False)

    async def follow(self, pieces: AsyncIterable[str]) -> None:
        """Add text as it comes; when this is cut, close what it comes from."""
        reading = asyncio.get_running_loop().create_task(self._read(aiter(pieces)))
        try:
            both: list[asyncio.Future[Any]] = [reading, self.ended]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not reading.done():
                reading.cancel()
                await asyncio.wait([reading])
        if not reading.cancelled():
            reading.result()

    async def _read(self, pieces: AsyncIterator[str]) -> None:
        try:
            async for text in pieces:
                self.feed(text)
        finally:
            close = getattr(pieces, "aclose", None)
            if close is not None:
                await close()

    def finish(self) -> None:
        """That was all of it."""
        self._post(self, "".join(self._clauses.flush()), True)

    def unmark(self) -> None:
        """Its last audio was taken back, or was heard."""
        self.mark = None
        if self.overdue is not None:
            self.overdue.cancel()
            self.overdue = None

    def fail(self, error: Exception) -> None:
        """The voice failed: whoever waits for it hears of that."""
        if not self.ended.done():
            self.ended.set_exception(error)
            self.ended.exception()  # nobody may be waiting, and that is fine

    async def heard(self) -> Spoken:
        """Return when it was heard, or cut. Raises `ProviderError`."""
        await asyncio.shield(self.ended)
        return self.so_far()

    def so_far(self) -> Spoken:
        """Return what was heard of it, as far as is known now."""
        whole = self.speech.text.strip()
        if self.ended.done() and not self.ended.exception() and self.ended.result():
            return Spoken(whole, self.speech.cut, self.first_audio_at)
        text = self.speech.heard_text()
        is_cut = text != whole or not self.speech.text_complete
        return Spoken(text, is_cut, self.first_audio_at)


async def whole(text: str | AsyncIterable[str]) -> str:
    """Return all of a text that comes as a stream."""
    if isinstance(text, str):
        return text
    return "".join([piece async for piece in text])
