"""One call whose transcript Ultravox has, and where it goes when it comes."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from gateway.calls.call import Call
from gateway.outbox.event import Event
from gateway.ultravox.conversation import Conversation
from gateway.ultravox.ledger import Ledger, Owed

_AT_ONCE = 100
"""Lines that are written before the event loop goes round."""


class Sink(Protocol):
    """Where a transcript goes."""

    async def take(self, found: Conversation) -> None:
        """Write it down. Raises ``StoreError``."""

    def over(self) -> None:
        """It was written down, or never will be."""


@dataclass(slots=True, eq=False)
class Job:
    """One call to be asked about. ``until`` is by the loop's clock.

    ``doubts``: how often it is asked about again when nobody seems to have said anything.
    """

    sid: str
    conversation_id: str
    company: int | None
    sink: Sink
    until: float
    is_over_there: bool = False
    doubts: int = 3
    woken: asyncio.Event = field(default_factory=asyncio.Event)


class RecordSink:
    """A call whose record is still open: what comes is told of with its end."""

    def __init__(self, call: Call) -> None:
        self._record = call.record
        # Those of a process that has stayed were written down when they ran.
        self._with_tools = call.elsewhere is not None and not call.elsewhere.stays

    async def take(self, found: Conversation) -> None:
        """Write it down."""
        for number, line in enumerate(found.lines):
            self._record.line(number, line)
            if number % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)  # others are on the air
        for number, ran in enumerate(found.tools if self._with_tools else ()):
            self._record.tool(number, ran)

    def over(self) -> None:
        """Nothing more is coming."""
        self._record.whole()


class LedgerSink:
    """A call that is in the database alone."""

    def __init__(self, ledger: Ledger, owed: Owed, tell: Callable[[Event], object]) -> None:
        self._ledger, self._owed, self._tell = ledger, owed, tell

    async def take(self, found: Conversation) -> None:
        """Write it down. Raises ``StoreError``."""
        event = await self._ledger.write(self._owed, found)
        if event is not None:
            self._tell(event)

    def over(self) -> None:
        """Nothing more is coming."""
