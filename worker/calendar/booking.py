"""A calendar as an agent's tools see it: free slots, bookings, and what can be wrong with them.

`Calendar` is the interface: write one over your own system, or take `worker.calendar.FileCalendar`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from worker.tools.outcome import ToolError


class CalendarError(ToolError):
    """The calendar said no; ``sentence`` says why, fit to be told to the caller."""


class NoSlotError(CalendarError):
    """Nothing begins at that time: closed, past, or too far ahead."""


class TakenError(CalendarError):
    """There is no room left at that time, or it is booked under that name already."""


class BusyError(CalendarError):
    """The calendar could not be reached in time; the booking was not made."""


@dataclass(frozen=True, slots=True)
class Booking:
    """A booking. ``at`` is in the calendar's time zone; ``code`` is how it is found again."""

    code: str
    at: datetime
    name: str
    places: int = 1
    contact: str = ""
    note: str = ""


class Calendar(Protocol):
    """What can be booked, and what is. Times without a time zone are in the calendar's own."""

    def prepare(self) -> None:
        """Make it ready, once, in the template. Raises when it cannot be used at all."""

    def local(self, at: datetime) -> datetime:
        """Return ``at`` in the calendar's time zone. Raises `NoSlotError` for another age."""

    def now(self) -> datetime:
        """Return what time it is, in the calendar's time zone."""

    async def free(self, since: datetime, until: datetime, places: int = 1) -> Sequence[datetime]:
        """Return when something for so many places may still begin, in order."""

    async def book(
        self, at: datetime, name: str, places: int = 1, contact: str = "", note: str = ""
    ) -> Booking:
        """Book; once it returns it is done. Raises `NoSlotError`, `TakenError` or `BusyError`."""

    async def find(self, code: str) -> Booking | None:
        """Return the booking that has ``code`` and was not cancelled."""

    async def cancel(self, code: str) -> Booking | None:
        """Cancel a booking and return it; ``None`` when there is none."""
