"""Questions under way to the database: whoever asks one may leave at any moment.

A driver that is cancelled says goodbye to its server first, for seconds if that stands still; a
caller's webhook must not wait for it. So each question is a task of its own, which ends by itself
when nobody waits for it any more. It refuses to know what is asked.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Questions:
    """What is being asked. Those who close it wait for ``ended`` first."""

    def __init__(self) -> None:
        self._open: set[asyncio.Task[Any]] = set()

    async def ask(self, question: Coroutine[Any, Any, T], seconds: float) -> T:
        """Return the answer, or raise what came of it; ``TimeoutError`` after ``seconds``.

        Cancelled or too late, this returns at once.
        """
        asking = asyncio.create_task(question)
        self._open.add(asking)
        asking.add_done_callback(self._is_over)
        try:
            await asyncio.wait((asking,), timeout=seconds)
            if not asking.done():
                raise TimeoutError
            return asking.result()
        finally:
            asking.cancel()

    async def ended(self) -> None:
        """Wait for those that nobody waits for."""
        if self._open:
            await asyncio.wait(self._open)

    def _is_over(self, asking: asyncio.Task[Any]) -> None:
        self._open.discard(asking)
        if not asking.cancelled():
            asking.exception()  # who asked has heard of it, or does not want to
