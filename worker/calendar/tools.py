"""A calendar's tools: what is free, book, look up, cancel.

    class Receptionist(Agent):
        tools = (CalendarTools(FileCalendar("bella-vista.sqlite", HOURS, "Europe/Rome")),)

The model gets times as they are said, weekday included, and codes as they are spelled.
"""

from datetime import date, datetime, time, timedelta
from typing import Annotated

from pydantic import Field

from worker.calendar.booking import Booking, Calendar, CalendarError
from worker.calendar.codes import spelled, understood
from worker.tools.declare import tool
from worker.tools.outcome import ToolError

MOST_SLOTS = 24
"""Free times that a model is told at once."""

OTHER_DAYS = 14
"""Days after a full one in which the next free time is looked for."""

INSTEAD = "See free_slots for times that can be booked."

Places = Annotated[
    int,
    Field(ge=1, le=1000, description="Places it takes: 1, or the number of people at a table."),
]
Code = Annotated[
    str,
    Field(
        min_length=1,
        max_length=200,
        description="The confirmation code as the caller said it, in letters or spelled.",
    ),
]


class CalendarTools:
    """The tools over ``calendar``; put it into an agent's ``tools``."""

    __slots__ = ("_calendar",)

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar

    def prepare(self) -> None:
        """Make the calendar ready, in the template. Raises what it raises."""
        self._calendar.prepare()

    @tool
    async def free_slots(self, day: date, places: Places = 1) -> dict[str, object]:
        """Tell which times of a day are free. Ask this before you offer or promise a time."""
        calendar = self._calendar
        if day < calendar.now().date():
            raise ToolError(f"{_day(day)} is past; today is {_day(calendar.now().date())}.")
        begin = calendar.local(datetime.combine(day, time()))
        free = await calendar.free(begin, begin + timedelta(days=1), places)
        told: dict[str, object] = {
            "day": _day(day),
            "free": [f"{at:%H:%M}" for at in free[:MOST_SLOTS]],
        }
        if not free:
            days = timedelta(days=1), timedelta(days=OTHER_DAYS)
            later = await calendar.free(begin + days[0], begin + days[1], places)
            told["next_free"] = _moment(later[0]) if later else f"none in {OTHER_DAYS} days"
        return told

    @tool(on_barge_in="finish")
    async def book(
        self,
        at: Annotated[datetime, Field(description="Day and local time.")],
        name: Annotated[str, Field(min_length=1, max_length=100)],
        places: Places = 1,
        contact: Annotated[str, Field(max_length=100, description="Phone or e-mail.")] = "",
        note: Annotated[str, Field(max_length=500, description="Special wishes.")] = "",
    ) -> dict[str, object]:
        """Book a free time. Have the caller confirm day, time and name before."""
        try:
            return _told(await self._calendar.book(at, name, places, contact, note))
        except CalendarError as error:
            raise ToolError(f"Not booked. {error.sentence} {INSTEAD}") from error

    @tool
    async def find_booking(self, code: Code) -> dict[str, object]:
        """Look up a booking by its confirmation code."""
        return _told(self._known(code, await self._calendar.find(understood(code))))

    @tool(on_barge_in="finish")
    async def cancel_booking(self, code: Code) -> dict[str, object]:
        """Cancel a booking by its confirmation code. Have the caller confirm it before."""
        booking = await self._calendar.cancel(understood(code))
        return {"cancelled": True, **_told(self._known(code, booking))}

    def _known(self, code: str, booking: Booking | None) -> Booking:
        if booking is None:
            heard = spelled(understood(code)) or "nothing"
            raise ToolError(f"There is no booking with that code; understood was: {heard}.")
        return booking


def _told(booking: Booking) -> dict[str, object]:
    told: dict[str, object] = {
        "at": _moment(booking.at),
        "name": booking.name,
        "places": booking.places,
        "code": booking.code,
        "code_spelled": spelled(booking.code),
    }
    return told | ({"note": booking.note} if booking.note else {})


def _day(day: date) -> str:
    return f"{day:%A} {day.isoformat()}"


def _moment(at: datetime) -> str:
    return f"{_day(at.date())} {at:%H:%M}"
