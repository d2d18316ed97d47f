"""Appointments and tables: a calendar, and the tools with which an agent books in it.

calendar = FileCalendar("bella-vista.sqlite", [Hours("tue-sun", "17:00", "23:00")], "Europe/Rome")

class Receptionist(Agent):
    tools = (CalendarTools(calendar),)
"""

from worker.calendar.booking import (
    Booking,
    BusyError,
    Calendar,
    CalendarError,
    NoSlotError,
    TakenError,
)
from worker.calendar.file import FileCalendar
from worker.calendar.hours import Hours
from worker.calendar.store import CalendarFileError
from worker.calendar.tools import CalendarTools

__all__ = [
    "Booking",
    "BusyError",
    "Calendar",
    "CalendarError",
    "CalendarFileError",
    "CalendarTools",
    "FileCalendar",
    "Hours",
    "NoSlotError",
    "TakenError",
]
