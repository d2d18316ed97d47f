"""When something is open: opening hours in a time zone, and the moments at which a slot begins.

Hours are what stands on the door, so they are wall-clock times; slots are counted in real time, so
that the nights in which the clocks change have neither a slot that never comes nor one twice.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Hours:
    """Open on ``days`` from ``opens`` to ``closes``: ``Hours("tue-sun", "17:00", "23:00")``.

    ``days`` are names of three letters, ranges of them, or several with commas (``mon,wed-fri``).
    Closing at or before the opening time is the next day. A lunch break is a second entry. Raises
    ``ValueError`` for days and times that are none.
    """

    days: str
    opens: str
    closes: str

    def __post_init__(self) -> None:
        self.weekdays()
        self.times()

    def weekdays(self) -> frozenset[int]:
        """Return the days as numbers, Monday 0."""
        return frozenset(day for part in self.days.split(",") for day in _range(part))

    def times(self) -> tuple[time, time]:
        """Return when it opens and closes."""
        opens, closes = time.fromisoformat(self.opens), time.fromisoformat(self.closes)
        if opens.tzinfo or closes.tzinfo:
            raise ValueError(f"{self.opens} to {self.closes}: leave the time zone to the calendar")
        return opens, closes

    def open_on(self, day: date, zone: ZoneInfo) -> tuple[datetime, datetime] | None:
        """Return from when to when it is open on ``day``, in UTC; ``None`` when it is not."""
        if day.weekday() not in self.weekdays():
            return None
        opens, closes = self.times()
        last_day = day if closes > opens else day + timedelta(days=1)
        return (
            datetime.combine(day, opens, zone).astimezone(UTC),
            datetime.combine(last_day, closes, zone).astimezone(UTC),
        )


def _range(part: str) -> Iterable[int]:
    first, _, last = part.strip().lower().partition("-")
    try:
        start, end = DAYS.index(first), DAYS.index(last or first)
    except ValueError:
        raise ValueError(f"{part!r} are no days: write mon, or tue-sun, or mon,wed-fri") from None
    return (number % 7 for number in range(start, end + 1 if end >= start else end + 8))


def slots_on(
    day: date, hours: Sequence[Hours], zone: ZoneInfo, every: timedelta, lasts: timedelta
) -> Iterator[datetime]:
    """Yield the moments of ``day``'s opening at which something of ``lasts`` may begin, in UTC.

    It ends when it closes at the latest.
    """
    found: set[datetime] = set()
    for each in hours:
        opening = each.open_on(day, zone)
        if opening is None:
            continue
        at, closes = opening
        while at + lasts <= closes:
            found.add(at)
            at += every
    yield from sorted(found)
