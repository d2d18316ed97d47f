"""Events of companies before anybody knows which of them want any: they wait, a bounded number.

A gateway that starts while its database stumbles takes calls at once, and reads who is to be told
of them when it can. It refuses to know who that is.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

import structlog

from gateway.outbox.event import Event

log = structlog.get_logger(__name__)

MOST_EARLY = 500
"""Events that wait; the oldest is lost for one more."""


@dataclass(frozen=True, slots=True)
class EarlyEvent:
    """An event under its id, whose deliveries are to be in ``state``."""

    event: Event
    id: str
    state: str


class Early:
    """Those that wait, in their order; of one event the last state."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, EarlyEvent] = OrderedDict()
        self._some = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, it: EarlyEvent) -> None:
        """Have one wait."""
        self._waiting[it.id] = it
        self._some.set()
        if len(self._waiting) > MOST_EARLY:
            _, lost = self._waiting.popitem(last=False)
            log.error(
                "an event of a company is lost: nobody knows yet whom to tell",
                kind=lost.event.name,
                call_sid=lost.event.call_sid,
            )

    async def take(self) -> EarlyEvent:
        """Wait until there is one, and take the oldest."""
        while not self._waiting:
            self._some.clear()
            await self._some.wait()
        await asyncio.sleep(0)  # others are on the air
        return self._waiting.popitem(last=False)[1]
