"""A calendar in a file: SQLite, shared by all calls of this machine.

Each call is a process of its own, so what is booked must leave it: a booking is on the disk when
`FileCalendar.book` returns, and two calls that want the last place at once get one of them. Agents
may write in the temporary folder only, so that is where the file is: it outlives calls, deploys and
the gateway, but not always a reboot, and a service with PrivateTmp starts empty. Good for a
first agent and for tests; for a business, put a `Calendar` before the system that it already has.
"""

import sqlite3
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from worker.calendar.booking import Booking, BusyError, NoSlotError, TakenError
from worker.calendar.codes import new_code
from worker.calendar.hours import Hours, slots_on
from worker.calendar.store import BookingFile

LONGEST_SEARCH = timedelta(days=62)
"""Free slots are looked for in so long a time at most."""

_CODES_TRIED = 20

_OVERLAPPING = (
    "SELECT begins, ends, places FROM bookings "
    "WHERE cancelled IS NULL AND ends > ? AND begins < ? ORDER BY begins"
)
_FOUND = (
    "SELECT code, begins, name, places, contact, note FROM bookings "
    "WHERE code = ? AND cancelled IS NULL"
)

_YEARS = range(1971, 9999)
"""Beyond them time zones end."""

Row = tuple[int, int, int]
"""When a booking begins and ends, in seconds since 1970, and its places."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class FileCalendar:
    """A calendar kept in ``path``, in the temporary folder unless absolute."""

    path: str
    """The file, such as ``bella-vista.sqlite``."""

    hours: Sequence[Hours]
    """When it is open."""

    zone: str
    """The time zone of the hours, such as ``Europe/Rome``."""

    slot_minutes: int = 30
    """A booking may begin so often, from the opening on."""

    lasts_minutes: int | None = None
    """How long a booking takes its places; a slot unless given."""

    capacity: int = 1
    """Places that can be taken at the same time: tables, seats, people at work."""

    most_places: int = 12
    """Places of one booking; more is for a human to arrange."""

    closed: frozenset[date] = frozenset()
    """Days on which it is closed all the same."""

    notice_minutes: int = 0
    """How long before its beginning something can be booked at the latest."""

    days_ahead: int = 90
    """How far ahead something can be booked."""

    code_letters: int = 5
    """Letters of a confirmation code; each makes it ten times harder to guess."""

    clock: Callable[[], datetime] = field(default=_now, repr=False)
    """What time it is, time zone included."""

    def __post_init__(self) -> None:
        ZoneInfo(self.zone)
        for name in ("slot_minutes", "capacity", "most_places", "days_ahead"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, and must be 1 or more")
        if self.lasts_minutes is not None and self.lasts_minutes < 1:
            raise ValueError(f"lasts_minutes is {self.lasts_minutes}, and must be 1 or more")
        if self.notice_minutes < 0 or not 3 <= self.code_letters <= 12:
            raise ValueError("notice_minutes must be 0 or more, code_letters 3 to 12")

    def prepare(self) -> None:
        """Make the file. Raises `CalendarFileError` when it cannot be used."""
        BookingFile(self.path).prepare()

    def local(self, at: datetime) -> datetime:
        """Return ``at`` in the calendar's time zone; without one it is in it already."""
        if at.year not in _YEARS:
            raise NoSlotError("Nothing can be booked at that time.")
        zone = ZoneInfo(self.zone)
        return at.replace(tzinfo=zone) if at.tzinfo is None else at.astimezone(zone)

    def now(self) -> datetime:
        """Return what time it is, in the calendar's time zone."""
        return self.local(self.clock())

    async def free(self, since: datetime, until: datetime, places: int = 1) -> list[datetime]:
        """Return when something for so many places may begin, ``until`` not included.

        No further than `LONGEST_SEARCH` from ``since``, nor than the calendar itself goes.
        """
        begin, end = self.local(since), self.local(until)
        end = min(end, begin + LONGEST_SEARCH)
        slots = list(self._slots(begin, end))
        if not slots or not 1 <= places <= self.most_places:
            return []
        span = (_seconds(slots[0]), _seconds(slots[-1] + self._lasts()))
        rows = await BookingFile(self.path).when_free(
            lambda db: db.execute(_OVERLAPPING, span).fetchall()
        )
        begins = [row[0] for row in rows]
        longest = max((row[1] - row[0] for row in rows), default=0)
        free = []
        for slot in slots:
            near = bisect_left(begins, _seconds(slot) - longest)
            far = bisect_left(begins, _seconds(slot + self._lasts()))
            if self._fits(rows[near:far], slot, places):
                free.append(self.local(slot))
        return free

    async def book(
        self, at: datetime, name: str, places: int = 1, contact: str = "", note: str = ""
    ) -> Booking:
        """Book; it is on the disk when this returns."""
        if not 1 <= places <= self.most_places:
            raise NoSlotError(f"A booking is for 1 to {self.most_places} places.")
        local = self.local(at)
        slot = local.astimezone(UTC)
        if slot not in self._slots(local, local + timedelta(seconds=1)):
            raise NoSlotError("Nothing can be booked at that time.")
        # The slot's own time, since an hour that the clocks skip is another one.
        draft = Booking("", self.local(slot), " ".join(name.split()), places, contact, note)
        return await BookingFile(self.path).when_free(lambda db: self._insert(db, draft, slot))

    async def find(self, code: str) -> Booking | None:
        """Return the booking that has ``code`` and was not cancelled."""
        return await BookingFile(self.path).when_free(lambda db: self._booking(db, code))

    async def cancel(self, code: str) -> Booking | None:
        """Cancel a booking and return it; ``None`` when there is none."""
        return await BookingFile(self.path).when_free(lambda db: self._cancel(db, code))

    # Slots ---------------------------------------------------------------------------------------

    def _lasts(self) -> timedelta:
        return timedelta(minutes=self.lasts_minutes or self.slot_minutes)

    def _slots(self, begin: datetime, end: datetime) -> Iterator[datetime]:
        """Yield the slots from ``begin`` to ``end`` that can be booked now, taken or not."""
        now, zone = self.clock().astimezone(UTC), ZoneInfo(self.zone)
        first = max(begin.astimezone(UTC), now + timedelta(minutes=self.notice_minutes))
        last = min(end.astimezone(UTC), now + timedelta(days=self.days_ahead))
        # The evening before may still be open.
        day = first.astimezone(zone).date() - timedelta(days=1)
        while day <= last.astimezone(zone).date():
            if day not in self.closed:
                every = timedelta(minutes=self.slot_minutes)
                for slot in slots_on(day, self.hours, zone, every, self._lasts()):
                    if first <= slot < last:
                        yield slot
            day += timedelta(days=1)

    def _fits(self, rows: Sequence[Row], slot: datetime, places: int) -> bool:
        """Whether ``places`` are free from ``slot`` on, for as long as a booking lasts."""
        begin, end = _seconds(slot), _seconds(slot + self._lasts())
        # It is fullest at its beginning or where another one begins.
        moments = {begin, *(begins for begins, _, _ in rows if begin < begins < end)}
        fullest = max(
            sum(taken for begins, ends, taken in rows if begins <= moment < ends)
            for moment in moments
        )
        return fullest + places <= self.capacity

    # The file ------------------------------------------------------------------------------------

    def _insert(self, db: sqlite3.Connection, draft: Booking, slot: datetime) -> Booking:
        begins, ends = _seconds(slot), _seconds(slot + self._lasts())
        same = "SELECT 1 FROM bookings WHERE cancelled IS NULL AND begins = ? AND name = ?"
        if db.execute(f"{same} COLLATE NOCASE", (begins, draft.name)).fetchone():
            raise TakenError("There is a booking under that name at that time already.")
        if not self._fits(db.execute(_OVERLAPPING, (begins, ends)).fetchall(), slot, draft.places):
            raise TakenError("There is no room left at that time.")
        code = self._unused_code(db)
        db.execute(
            "INSERT INTO bookings VALUES (?, ?, ?, ?, ?, ?, ?, NULL)",
            (code, begins, ends, draft.name, draft.places, draft.contact, draft.note),
        )
        return Booking(code, draft.at, draft.name, draft.places, draft.contact, draft.note)

    def _unused_code(self, db: sqlite3.Connection) -> str:
        for _ in range(_CODES_TRIED):
            code = new_code(self.code_letters)
            if not db.execute("SELECT 1 FROM bookings WHERE code = ?", (code,)).fetchone():
                return code
        raise BusyError("There is no confirmation code left.")

    def _booking(self, db: sqlite3.Connection, code: str) -> Booking | None:
        row = db.execute(_FOUND, (code,)).fetchone()
        if row is None:
            return None
        at = self.local(datetime.fromtimestamp(row[1], UTC))
        return Booking(row[0], at, *row[2:])

    def _cancel(self, db: sqlite3.Connection, code: str) -> Booking | None:
        booking = self._booking(db, code)
        now = _seconds(self.clock())
        db.execute("UPDATE bookings SET cancelled = ? WHERE code = ?", (now, code))
        return booking


def _seconds(at: datetime) -> int:
    return int(at.timestamp())
