"""When people may be called, by the clock on their own wall. No I/O but the time zone files.

A number tells its zone, or several: mobile numbers of a large country. Then it is called when all
of them are open; if that is never, or if it tells none, the campaign's own zone decides.

Zones of numbers are libphonenumber's, their clocks the system's (``zoneinfo``): summer time and
changes of law come with those.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_MINUTES = 24 * 60
_LOOK_AHEAD_DAYS = 400
_MOST_ROUNDS = 500


class HoursError(ValueError):
    """Calling hours that cannot be meant. ``sentence`` says what is wrong, and how to write it."""

    def __init__(self, sentence: str) -> None:
        self.sentence = sentence
        super().__init__(sentence)

    def __str__(self) -> str:
        return self.sentence


class Hours(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From ``start`` to before ``end``, on ``days``, except on ``holidays``.

    Times are ``HH:MM`` of the callee's clock, ``24:00`` is allowed as an end. ``zone`` (as
    ``Europe/Berlin``) is for numbers that do not tell theirs. Raises `HoursError` when made.
    """

    start: str = "00:00"
    end: str = "24:00"
    days: tuple[str, ...] = DAYS
    holidays: tuple[date, ...] = ()
    zone: str | None = None

    def __post_init__(self) -> None:
        """Check what a type cannot."""
        if minutes(self.start) >= minutes(self.end):
            raise HoursError(f"{self.start}-{self.end}: the start must be before the end")
        if not self.days or not set(self.days) <= set(DAYS):
            raise HoursError(f"days are {', '.join(DAYS)}, at least one")
        if self.zone is not None and clock(self.zone) is None:
            raise HoursError(f"{self.zone!r} is no time zone; write it like Europe/Berlin")

    def opening(self, zones: Sequence[str], now: float) -> float | None:
        """Return the first moment from ``now`` on at which somebody in ``zones`` may be called.

        Unix seconds; ``now`` itself if they may be called at once, ``None`` if their zone is not
        known, or never all open.
        """
        clocks = [it for it in map(clock, zones) if it is not None]
        if len(clocks) == len(zones) and clocks:
            found = self._all_open(clocks, now)
            if found is not None:
                return found
        own = clock(self.zone) if self.zone is not None else None
        return None if own is None else self._all_open([own], now)

    def _all_open(self, clocks: Sequence[ZoneInfo], now: float) -> float | None:
        moment = now
        for _ in range(_MOST_ROUNDS):
            opened = moment
            for it in clocks:
                following = self._open(it, opened)
                if following is None:
                    return None
                opened = following
            if opened == moment:
                return moment
            moment = opened
        return None

    def _open(self, zone: ZoneInfo, now: float) -> float | None:
        today = datetime.fromtimestamp(now, zone).date()
        for offset in range(_LOOK_AHEAD_DAYS):
            day = today + timedelta(days=offset)
            if DAYS[day.weekday()] not in self.days or day in self.holidays:
                continue
            if now < _moment(day, minutes(self.end), zone):
                return max(now, _moment(day, minutes(self.start), zone))
        return None


def read_hours(text: str) -> tuple[str, str]:
    """Return start and end as ``9-18`` or ``09:30-17:00`` means them. Raises `HoursError`."""
    found = re.fullmatch(r"\s*(\d{1,2})(?::(\d\d))?\s*-\s*(\d{1,2})(?::(\d\d))?\s*", text)
    if found is None:
        raise HoursError(f"{text!r} are no hours; write 9-18 or 09:30-17:00")
    first, first_minute, last, last_minute = (int(it or 0) for it in found.groups())
    return f"{first:02}:{first_minute:02}", f"{last:02}:{last_minute:02}"


def read_days(text: str) -> tuple[str, ...]:
    """Return the days that ``mon-fri`` or ``mon,wed,sat`` means. Raises `HoursError`."""
    chosen: set[str] = set()
    for part in text.lower().split(","):
        first, dash, last = (it.strip()[:3] for it in part.partition("-"))
        if first not in DAYS or (dash and last not in DAYS):
            raise HoursError(f"{text!r} are no days; write mon-fri or mon,wed,sat")
        begin, end = DAYS.index(first), DAYS.index(last or first)
        chosen.update(DAYS[(begin + step) % 7] for step in range((end - begin) % 7 + 1))
    return tuple(day for day in DAYS if day in chosen)


@lru_cache(maxsize=64)
def minutes(text: str) -> int:
    """Return the minutes since midnight of ``HH:MM``. Raises `HoursError`."""
    found = re.fullmatch(r"(\d\d):(\d\d)", text)
    total = int(found[1]) * 60 + int(found[2]) if found else -1
    if found is None or int(found[2]) > 59 or total > _MINUTES:
        raise HoursError(f"{text!r} is no time of day; write it like 09:30")
    return total


@lru_cache(maxsize=256)
def clock(zone: str) -> ZoneInfo | None:
    """Return a zone's clock, ``None`` if there is none of this name."""
    try:
        return ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def zones_of(number: str) -> tuple[str, ...]:
    """Return the time zones that an E.164 number may be in; none if it does not tell."""
    from phonenumbers import NumberParseException, parse
    from phonenumbers.timezone import UNKNOWN_TIMEZONE, time_zones_for_number

    try:
        found: Iterable[str] = time_zones_for_number(parse(number))
    except NumberParseException:
        return ()
    return tuple(it for it in found if it != UNKNOWN_TIMEZONE)


def _moment(day: date, minute: int, zone: ZoneInfo) -> float:
    if minute == _MINUTES:
        day, minute = day + timedelta(days=1), 0
    local = datetime.combine(day, time(minute // 60, minute % 60), zone)
    # By way of UTC: arithmetic in the zone itself would ignore that its clocks are changed.
    return local.astimezone(UTC).timestamp()
