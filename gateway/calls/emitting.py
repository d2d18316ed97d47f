"""The events that a call's agent tells: checked, bounded, and answered once they are durable."""

from collections.abc import Coroutine
from typing import Any, Protocol

import msgspec

from gateway.calls.record import Record
from gateway.outbox.event import EventError, check_own
from shared import messages

MOST_EVENTS = 200
"""Of one call: a loop gone wild stops here."""

MOST_AT_ONCE = 16


class Emitter(Protocol):
    """The call whose agent tells."""

    record: Record

    def tell(self, event: messages.Event) -> None:
        """Send an event to the call's process."""

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work`` beside the call."""


class Emitting:
    """The events of one call's agent."""

    def __init__(self, call: Emitter) -> None:
        self._call = call
        self._count = self._open = 0

    def take(self, it: messages.Emit) -> None:
        """Tell of an event, and the process of the outcome."""
        try:
            data = self._checked(it)
        except EventError as error:
            self._call.tell(messages.Failure(it.request, "event", error.sentence))
            return
        self._count += 1
        self._open += 1
        self._call.run(self._emit(it.request, it.name, data))

    def _checked(self, it: messages.Emit) -> dict[str, Any]:
        if self._count >= MOST_EVENTS:
            raise EventError(f"{MOST_EVENTS} events are the most of a call")
        if self._open >= MOST_AT_ONCE:
            raise EventError(f"{MOST_AT_ONCE} events are being written: await them")
        check_own(it.name, it.data)
        try:
            return msgspec.json.decode(it.data, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise EventError("an event's data is a JSON object") from None

    async def _emit(self, number: int, name: str, data: dict[str, Any]) -> None:
        try:
            await self._call.record.emit(name, data)
        finally:
            self._open -= 1
        self._call.tell(messages.Reply(number))
