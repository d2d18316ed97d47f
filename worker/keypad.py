"""Keys that an agent waits for: the next ones that the caller presses are its own.

Which keys belong together is decided by `worker.turns.keys`.
"""

import asyncio
from collections.abc import Callable


class Keypad:
    """One call's keys. ``clock`` is the call's."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._now = clock
        self._waiting: asyncio.Future[str] | None = None
        self._ahead = ""
        """Keys that were pressed before the agent asked for them."""
        self.until: float | None = None
        """Until when, on the call's clock, the agent waits for keys, if it does."""

    async def next(self, timeout_s: float) -> str:
        """Return the keys that come next, empty when none do in time.

        Those that were kept come at once. Whoever waited before gets none.
        """
        self.take("")
        if ahead := self.left_over():
            return ahead
        waiting: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting, self.until = waiting, self._now() + timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                return await waiting
        except TimeoutError:
            return ""
        finally:
            if self._waiting is waiting:
                self._waiting = self.until = None

    def take(self, keys: str, *, keep: bool = False) -> bool:
        """Keys were pressed; tell whether the agent waited for them, or they are kept for it."""
        waiting, self._waiting = self._waiting, None
        if waiting is None or waiting.done():
            self._ahead = keys if keep else ""
            return keep
        self.until = None
        waiting.set_result(keys)
        return True

    def left_over(self) -> str:
        """Return the keys that were kept and that nobody has asked for; they are kept no longer."""
        ahead, self._ahead = self._ahead, ""
        return ahead
