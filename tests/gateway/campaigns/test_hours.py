"""Calling hours, by the callee's clock."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.campaigns.hours import Hours, HoursError, clock, read_days, read_hours, zones_of

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
OFFICE = Hours("09:00", "18:00", ("mon", "tue", "wed", "thu", "fri"))


def at(zone: str, *when: int) -> float:
    return datetime(*when, tzinfo=ZoneInfo(zone)).timestamp()  # type: ignore[arg-type, misc]


def test_inside_the_hours_it_is_open_at_once_and_outside_at_the_next_opening() -> None:
    noon = at(BERLIN, 2026, 11, 27, 12, 0)
    assert OFFICE.opening([BERLIN], noon) == noon
    early = at(BERLIN, 2026, 11, 27, 8, 59)
    assert OFFICE.opening([BERLIN], early) == at(BERLIN, 2026, 11, 27, 9, 0)
    # A Friday evening: Monday morning.
    evening = at(BERLIN, 2026, 11, 27, 18, 0)
    assert OFFICE.opening([BERLIN], evening) == at(BERLIN, 2026, 11, 30, 9, 0)


def test_the_clock_is_the_callees() -> None:
    morning = at(BERLIN, 2026, 11, 27, 9, 30)
    assert OFFICE.opening([NEW_YORK], morning) == at(NEW_YORK, 2026, 11, 27, 9, 0)


def test_a_number_that_may_be_in_several_zones_is_called_when_all_are_open() -> None:
    morning = at(NEW_YORK, 2026, 11, 27, 9, 30)
    both = OFFICE.opening([NEW_YORK, "America/Los_Angeles"], morning)
    assert both == at("America/Los_Angeles", 2026, 11, 27, 9, 0)


def test_zones_that_are_never_open_together_leave_it_to_the_campaigns_own() -> None:
    zones = ["Pacific/Kiritimati", "Pacific/Pago_Pago", BERLIN]
    now = at(BERLIN, 2026, 11, 27, 12, 0)
    assert OFFICE.opening(zones, now) is None
    own = Hours("09:00", "18:00", zone=BERLIN)
    assert own.opening(zones, now) == now
    assert own.opening([], now) == now
    assert OFFICE.opening(["Mars/Olympus"], now) is None


def test_holidays_are_closed() -> None:
    hours = Hours("09:00", "18:00", holidays=(datetime(2026, 12, 25, tzinfo=UTC).date(),))
    christmas = at(BERLIN, 2026, 12, 25, 12, 0)
    assert hours.opening([BERLIN], christmas) == at(BERLIN, 2026, 12, 26, 9, 0)


def test_summer_time_moves_the_opening() -> None:
    before = at(BERLIN, 2026, 3, 28, 20, 0)
    opening = Hours("09:00", "18:00").opening([BERLIN], before)
    assert opening == at(BERLIN, 2026, 3, 29, 9, 0)
    assert opening is not None
    assert opening - before == 12 * 3600


@given(
    st.floats(min_value=1.7e9, max_value=2.0e9),
    st.integers(0, 22),
    st.integers(1, 23),
    st.sampled_from([BERLIN, NEW_YORK, "Asia/Kolkata", "Australia/Lord_Howe"]),
    st.sets(st.sampled_from(["mon", "tue", "wed", "sun"]), min_size=1),
)
def test_an_opening_is_always_inside_the_hours(
    now: float, start: int, length: int, zone: str, days: set[str]
) -> None:
    end = min(24, start + length)
    hours = Hours(f"{start:02}:00", f"{end:02}:00", tuple(days))
    opening = hours.opening([zone], now)
    assert opening is not None
    assert opening >= now
    local = datetime.fromtimestamp(opening, clock(zone))
    assert start <= local.hour < end
    assert ("mon", "tue", "wed", "thu", "fri", "sat", "sun")[local.weekday()] in days
    assert hours.opening([zone], opening) == opening


def test_hours_and_days_are_read_as_people_write_them() -> None:
    assert read_hours("9-18") == ("09:00", "18:00")
    assert read_hours(" 09:30 - 17:05 ") == ("09:30", "17:05")
    assert read_days("mon-fri") == ("mon", "tue", "wed", "thu", "fri")
    assert read_days("sat, Monday") == ("mon", "sat")
    assert read_days("fri-mon") == ("mon", "fri", "sat", "sun")


@pytest.mark.parametrize("text", ["", "9", "9-", "nine-ten", "9-18-20"])
def test_hours_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(HoursError):
        read_hours(text)


@pytest.mark.parametrize(
    "wrong",
    [
        {"start": "18:00", "end": "09:00"},
        {"start": "09:60"},
        {"end": "24:01"},
        {"days": ()},
        {"days": ("someday",)},
        {"zone": "Mars/Olympus"},
    ],
)
def test_hours_that_cannot_be_meant_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(HoursError):
        Hours(**wrong)  # type: ignore[arg-type]


def test_numbers_tell_their_zones() -> None:
    assert zones_of("+493012345678") == (BERLIN,)
    assert zones_of("+14155551234") == ("America/Los_Angeles",)
    assert len(zones_of("+79161234567")) > 5
    assert zones_of("nonsense") == ()
