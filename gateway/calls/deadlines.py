"""What one call waits for, and for how long. It does not know what happens when nothing comes."""

import asyncio
from collections.abc import Callable
from enum import Enum
from typing import Any

NEXT_SECONDS = 2.0
"""How long the carrier may take to come and ask, before it is told by its REST."""


class Due(Enum):
    """What is waited for, one of each at a time."""

    JOIN = "the process says which service the caller is to be joined to"
    STREAM = "a stream comes"
    STEADY = "the stream has lasted"
    NEXT = "the carrier asks what is next"
    MOST = "the call has had all its time"
    EXIT = "the process leaves"


class Deadlines:
    """The deadlines of one call that are running."""

    __slots__ = ("_loop", "_timers")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timers: dict[Due, asyncio.TimerHandle] = {}

    def set(self, due: Due, seconds: float, action: Callable[..., object], *args: Any) -> None:
        """Do ``action`` in ``seconds`` unless it is cancelled, or set again, before."""
        self.cancel(due)
        self._timers[due] = self._loop.call_later(seconds, action, *args)

    def cancel(self, due: Due) -> None:
        """It is not waited for any more, if it was."""
        timer = self._timers.pop(due, None)
        if timer is not None:
            timer.cancel()

    def clear(self) -> None:
        """Nothing is waited for any more."""
        for due in list(self._timers):
            self.cancel(due)
