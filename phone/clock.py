"""The phone's one clock: monotonic seconds, sleeping, and calls at a moment.

Everything that measures, waits or ticks takes a `Clock`, so a test can put its own in. What the
clock refuses to know: calls, frames and the time of day.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """A call that is due later and can be taken back."""

    def cancel(self) -> None:
        """Forget the call; harmless when it has been made."""


class Clock(Protocol):
    """Monotonic time in seconds."""

    def now(self) -> float:
        """Return the time in seconds since an arbitrary moment."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return ``seconds`` later; at once when that is not positive."""

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Have ``callback`` called at ``when``, as soon as possible if that is past."""
        ...


class LoopClock:
    """The running event loop's own clock."""

    def now(self) -> float:
        """Return the loop's time."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Sleep on the loop."""
        await asyncio.sleep(seconds)

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Schedule on the loop."""
        return asyncio.get_running_loop().call_at(when, callback)
