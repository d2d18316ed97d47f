"""The running account of one call: events as they happen, and waiting for something to be so.

Waiting is by condition: it is looked at again after every event and every 20 ms of a stream, and
given up when the call is over.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from phone.clock import Clock
from phone.events import Ended, Event

E = TypeVar("E", bound=Event)
Listener = Callable[[Event], None]
Condition = Callable[[], bool]


class CallEndedError(Exception):
    """The call was over before what was waited for came to be."""

    def __init__(self, awaited: str, ended: Ended) -> None:
        super().__init__(awaited, ended)
        self.awaited, self.ended = awaited, ended

    def __str__(self) -> str:
        how, status = self.ended.how.value, self.ended.status
        return f"the call ended ({how}, {status}) while waiting for {self.awaited}"


class Journal:
    """Events of one call, in milliseconds since it was dialled."""

    def __init__(self, clock: Clock, listener: Listener | None = None) -> None:
        self._clock, self._began, self._listener = clock, clock.now(), listener
        self._waiting: list[tuple[Condition, asyncio.Future[None]]] = []
        self.events: list[Event] = []
        self.ended: Ended | None = None

    def now_ms(self) -> float:
        """Return the call's time."""
        return (self._clock.now() - self._began) * 1000

    def note(self, event: Event) -> None:
        """Add ``event``, tell the listener, wake who waited for it."""
        self.events.append(event)
        if isinstance(event, Ended):
            self.ended = event
        if self._listener is not None:
            self._listener(event)
        self.check()

    def of(self, kind: type[E]) -> list[E]:
        """Return the events of one kind so far."""
        return [event for event in self.events if isinstance(event, kind)]

    def check(self) -> None:
        """Look at what is waited for."""
        for condition, future in self._waiting:
            if not future.done() and (self.ended is not None or condition()):
                future.set_result(None)

    async def until(self, condition: Condition, awaited: str, timeout: float | None) -> None:
        """Return when ``condition`` holds. ``timeout`` is in seconds.

        Raises `CallEndedError` when the call is over first, ``TimeoutError`` when the time is.
        """
        if not condition() and self.ended is None:
            future = asyncio.get_running_loop().create_future()
            entry = (condition, future)
            self._waiting.append(entry)
            try:
                async with asyncio.timeout(timeout):
                    await future
            except TimeoutError as error:
                raise TimeoutError(f"no {awaited} within {timeout} s") from error
            finally:
                self._waiting.remove(entry)
        if self.ended is not None and not condition():
            raise CallEndedError(awaited, self.ended)
