"""Looks up strangers' names, few at a time.

A look-up that nobody waits for any more goes on in one of the event loop's few threads until the
resolver has had enough. With all of them at one company's dead name server nobody's name would be
looked up any more, not even the carrier's.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

MOST_LOOKUPS = 2
"""Of four threads (libuv's), which the whole gateway shares."""

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns a host's addresses. Raises ``OSError``."""


class Lookups:
    """A `Resolve` by another one, of which at most `MOST_LOOKUPS` are under way."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve, self._places = resolve, asyncio.Semaphore(MOST_LOOKUPS)
        self._tasks: set[asyncio.Task[Sequence[str]]] = set()

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """Return a host's addresses; who gives up does not end the look-up."""
        await self._places.acquire()
        task = asyncio.get_running_loop().create_task(self._found(host, port))
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    async def _found(self, host: str, port: int) -> Sequence[str]:
        return await self._resolve(host, port)

    def _done(self, task: "asyncio.Task[Sequence[str]]") -> None:
        self._tasks.discard(task)
        self._places.release()
        if not task.cancelled():
            task.exception()  # whoever asked may be gone

    async def aclose(self) -> None:
        """Wait for none of them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
