import asyncio
import json
import os
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.virtual_time import virtual_time
from tests.worker.tools.host import Host, calls
from worker.calendar import (
    BusyError,
    CalendarFileError,
    CalendarTools,
    FileCalendar,
    Hours,
    NoSlotError,
    TakenError,
)
from worker.calendar.codes import LETTERS, NATO, new_code, spelled, understood
from worker.calendar.hours import slots_on
from worker.calendar.store import BUSY_SECONDS
from worker.tools import Execution, tools_of
from worker.tools.outcome import Invalid, Outcome

ROME = ZoneInfo("Europe/Rome")
MONDAY = date(2031, 5, 5)
HALF_HOUR = timedelta(minutes=30)


def at(day: int, time: str) -> datetime:
    """Return a moment of the week that begins on `MONDAY` 2031-05-05, without time zone."""
    return datetime.fromisoformat(f"2031-05-{day:02}T{time}")


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., FileCalendar]:
    def make(**changes: Any) -> FileCalendar:
        settings: dict[str, Any] = {
            "path": str(tmp_path / "book.sqlite"),
            "hours": [Hours("tue-sun", "17:00", "23:00")],
            "zone": "Europe/Rome",
            "clock": lambda: datetime(2031, 5, 5, 10, 0, tzinfo=UTC),
        }
        return FileCalendar(**settings | changes)

    return make


def times(slots: list[datetime]) -> list[str]:
    return [f"{slot:%d %H:%M}" for slot in slots]


# Opening hours -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "numbers"),
    [
        ("mon", {0}),
        ("tue-sun", {1, 2, 3, 4, 5, 6}),
        ("Mon, wed-fri", {0, 2, 3, 4}),
        ("sat-mon", {5, 6, 0}),
        ("mon-sun", {0, 1, 2, 3, 4, 5, 6}),
    ],
)
def test_days_are_names_ranges_and_lists(days: str, numbers: set[int]) -> None:
    assert Hours(days, "09:00", "17:00").weekdays() == numbers


@pytest.mark.parametrize(
    "wrong", [("today", "09:00", "17:00"), ("mon", "nine", "17:00"), ("mon", "09:00Z", "17:00")]
)
def test_days_and_times_that_are_none_are_refused(wrong: tuple[str, str, str]) -> None:
    with pytest.raises(ValueError, match=r"no days|Invalid isoformat|leave the time zone"):
        Hours(*wrong)


def slots(day: date, opens: str, closes: str, **given: Any) -> list[str]:
    every = given.get("every", HALF_HOUR)
    lasts = given.get("lasts", every)
    hours = [Hours("mon-sun", opens, closes)]
    return [f"{each.astimezone(ROME):%H:%M}" for each in slots_on(day, hours, ROME, every, lasts)]


def test_the_last_slot_ends_when_it_closes() -> None:
    assert slots(MONDAY, "17:00", "18:30") == ["17:00", "17:30", "18:00"]
    assert slots(MONDAY, "17:00", "18:30", lasts=timedelta(hours=1)) == ["17:00", "17:30"]
    assert slots(MONDAY, "17:00", "17:20") == []


def test_hours_may_go_on_after_midnight() -> None:
    assert slots(MONDAY, "23:00", "00:30") == ["23:00", "23:30", "00:00"]


def test_the_night_that_loses_an_hour_has_no_slot_that_never_comes() -> None:
    assert slots(date(2031, 3, 30), "01:00", "04:00") == ["01:00", "01:30", "03:00", "03:30"]


def test_the_night_that_gains_an_hour_has_its_slots_in_real_time() -> None:
    found = slots(date(2031, 10, 26), "01:30", "03:30")
    assert found == ["01:30", "02:00", "02:30", "02:00", "02:30", "03:00"]


# Booking -----------------------------------------------------------------------------------------


async def test_free_slots_are_in_the_calendars_own_time(make: Callable[..., FileCalendar]) -> None:
    calendar = make()
    free = await calendar.free(at(5, "00:00"), at(6, "18:01"))
    assert times(free) == ["06 17:00", "06 17:30", "06 18:00"]
    assert free[0].utcoffset() == timedelta(hours=2)
    abroad = await calendar.free(datetime(2031, 5, 6, 15, 30, tzinfo=UTC), at(6, "18:01"))
    assert times(abroad) == ["06 17:30", "06 18:00"]


async def test_what_is_booked_is_found_again_and_not_free(
    make: Callable[..., FileCalendar],
) -> None:
    calendar = make()
    booking = await calendar.book(at(6, "17:30"), "  Ann  Baker ", contact="+3906", note="window")
    assert booking.at == datetime(2031, 5, 6, 17, 30, tzinfo=ROME)
    assert (booking.name, booking.contact, booking.note) == ("Ann Baker", "+3906", "window")
    assert await make().find(booking.code) == booking
    assert times(await calendar.free(at(6, "17:00"), at(6, "18:01"))) == ["06 17:00", "06 18:00"]


async def test_a_cancelled_booking_is_gone_and_its_slot_free(
    make: Callable[..., FileCalendar],
) -> None:
    calendar = make()
    booking = await calendar.book(at(6, "17:00"), "Ann")
    assert await calendar.cancel(booking.code) == booking
    assert await calendar.cancel(booking.code) is None
    assert await calendar.find(booking.code) is None
    assert (await calendar.book(at(6, "17:00"), "Ann")).code != booking.code


@pytest.mark.parametrize(
    "moment",
    [
        at(5, "17:00"),  # closed on Mondays
        at(6, "17:10"),  # no slot begins then
        at(6, "23:00"),  # it closes
        at(6, "16:30"),  # not open yet
        at(4, "17:00"),  # past
        datetime.fromisoformat("2032-05-05T17:00"),  # too far ahead
        datetime.fromisoformat("0001-01-01T00:00"),
        datetime.fromisoformat("9999-12-31T23:59"),
    ],
)
async def test_nothing_is_booked_when_nothing_begins(
    make: Callable[..., FileCalendar], moment: datetime
) -> None:
    with pytest.raises(NoSlotError):
        await make().book(moment, "Ann")


async def test_an_hour_that_the_clocks_skip_is_booked_as_what_it_is(
    make: Callable[..., FileCalendar],
) -> None:
    calendar = make(
        hours=[Hours("mon-sun", "00:00", "06:00")],
        clock=lambda: datetime(2031, 3, 29, 10, 0, tzinfo=UTC),
    )
    booking = await calendar.book(datetime.fromisoformat("2031-03-30T02:30"), "Ann")
    assert f"{booking.at:%H:%M}" == "03:30"


async def test_the_same_name_is_not_booked_twice_at_one_time(
    make: Callable[..., FileCalendar],
) -> None:
    calendar = make(capacity=10)
    await calendar.book(at(6, "17:00"), "Ann")
    with pytest.raises(TakenError, match="under that name"):
        await calendar.book(at(6, "17:00"), "ANN")
    await calendar.book(at(6, "17:30"), "Ann")


async def test_places_are_counted_as_long_as_they_are_taken(
    make: Callable[..., FileCalendar],
) -> None:
    calendar = make(capacity=10, lasts_minutes=120)
    await calendar.book(at(6, "18:00"), "Ann", 6)
    await calendar.book(at(6, "20:00"), "Ben", 3)
    with pytest.raises(TakenError, match="no room"):
        await calendar.book(at(6, "19:30"), "Cid", 5)
    await calendar.book(at(6, "19:30"), "Cid", 4)
    free = await calendar.free(at(6, "17:00"), at(6, "23:00"), 3)
    assert times(free) == ["06 17:00", "06 17:30", "06 20:00", "06 20:30", "06 21:00"]


async def test_a_party_beyond_the_limit_is_for_a_human(make: Callable[..., FileCalendar]) -> None:
    calendar = make(capacity=100)
    with pytest.raises(NoSlotError, match="1 to 12 places"):
        await calendar.book(at(6, "17:00"), "Ann", 13)
    assert await calendar.free(at(6, "17:00"), at(6, "18:00"), 13) == []


async def test_closed_days_and_notice_are_kept(make: Callable[..., FileCalendar]) -> None:
    calendar = make(
        closed=frozenset({date(2031, 5, 7)}),
        notice_minutes=60,
        clock=lambda: datetime(2031, 5, 6, 19, 10, tzinfo=UTC),
    )
    free = await calendar.free(at(6, "00:00"), at(8, "17:30"))
    assert times(free) == ["06 22:30", "08 17:00"]


async def test_a_search_without_end_has_one(make: Callable[..., FileCalendar]) -> None:
    calendar = make(days_ahead=10_000)
    free = await calendar.free(at(5, "00:00"), datetime(9998, 1, 1, tzinfo=UTC))
    assert free[-1].date() < date(2031, 7, 7)


def _book_once(calendar: FileCalendar, name: str) -> bool:
    try:
        asyncio.run(calendar.book(at(6, "17:00"), name))
    except TakenError:
        return False
    return True


def test_calls_that_want_the_last_place_at_once_get_one_of_them(
    make: Callable[..., FileCalendar],
) -> None:
    calendar = make(capacity=3)
    calendar.prepare()
    children = []
    for number in range(8):
        child = os.fork()
        if child == 0:
            os._exit(0 if _book_once(calendar, f"caller {number}") else 1)
        children.append(child)
    ends = Counter(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
    assert ends == {0: 3, 1: 5}


@virtual_time
async def _busy(calendar: FileCalendar) -> None:
    calendar.prepare()
    with closing(sqlite3.connect(calendar.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(BusyError):
            await calendar.book(at(6, "17:00"), "Ann")
        assert loop.time() - began == pytest.approx(BUSY_SECONDS, abs=0.1)

        booking = asyncio.ensure_future(calendar.book(at(6, "17:00"), "Ann"))
        await asyncio.sleep(1)
        assert not booking.done()
        other.execute("ROLLBACK")
        assert (await booking).name == "Ann"


def test_a_file_that_others_keep_is_waited_for_in_bounded_time_without_blocking(
    make: Callable[..., FileCalendar],
) -> None:
    _busy(make())


# The file ----------------------------------------------------------------------------------------


async def test_a_relative_path_is_in_the_temporary_folder_and_for_its_owner_only(
    make: Callable[..., FileCalendar], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    make(path="bella.sqlite").prepare()
    assert (tmp_path / "bella.sqlite").stat().st_mode & 0o777 == 0o600


async def test_a_file_that_was_cleaned_away_is_made_again(
    make: Callable[..., FileCalendar],
) -> None:
    calendar = make()
    calendar.prepare()
    Path(calendar.path).unlink()
    await calendar.book(at(6, "17:00"), "Ann")


def test_a_file_that_cannot_be_used_is_said_at_deploy(
    make: Callable[..., FileCalendar], tmp_path: Path
) -> None:
    with pytest.raises(CalendarFileError, match=r"cannot be opened .*: agents may write in"):
        make(path=str(tmp_path / "none" / "book.sqlite")).prepare()
    (tmp_path / "text").write_text("This is no database, it is a text. " * 50)
    with pytest.raises(CalendarFileError, match=r"is unusable \(file is not a database\)"):
        make(path=str(tmp_path / "text")).prepare()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CalendarFileError, match="cannot be opened"):
        make(path=str(tmp_path / "link")).prepare()
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"capacity": 0},
        {"slot_minutes": 0},
        {"lasts_minutes": 0},
        {"notice_minutes": -1},
        {"code_letters": 2},
    ],
)
def test_settings_that_make_no_sense_are_refused(
    make: Callable[..., FileCalendar], changes: dict[str, int]
) -> None:
    with pytest.raises(ValueError, match="must be"):
        make(**changes)
    with pytest.raises(KeyError):
        make(zone="Europe/Nowhere")


# Codes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("ABC", "ABC"),
        ("a b c", "ABC"),
        ("A-B-C.", "ABC"),
        ("Alpha Bravo Charlie", "ABC"),
        ("alfa, bravo, charlie", "ABC"),
        ("Foxtrot X-ray Whisky", "FXW"),
        ("foxtrot x ray juliet", "FXJ"),
        ("Xray", "X"),
        ("F as in Foxtrot, H like hotel, X for x-ray", "FHX"),
        ("a as in apple, m as in november", "AN"),
        ("Kilo L mike", "KLM"),
        ("123", ""),
        ("", ""),
    ],
)
def test_a_code_is_understood_in_letters_and_in_words(said: str, code: str) -> None:
    assert understood(said) == code


@given(st.text(NATO, min_size=1, max_size=8))
def test_what_is_spelled_is_understood(code: str) -> None:
    assert understood(spelled(code)) == code


@given(st.integers(3, 12))
def test_codes_have_no_letters_that_sound_alike(letters: int) -> None:
    code = new_code(letters)
    assert len(code) == letters
    assert set(code) <= set(LETTERS)
    assert not set(LETTERS) & set("AEIOUBCDGPTVZNSJ")
    assert understood(code.lower()) == code


@given(st.text())
def test_whatever_is_said_becomes_letters(said: str) -> None:
    assert all(letter in NATO for letter in understood(said))


# The tools ---------------------------------------------------------------------------------------


@pytest.fixture
def agent(make: Callable[..., FileCalendar]) -> Host:
    class Receptionist(Host):
        tools: ClassVar = (CalendarTools(make(capacity=4)),)

    tools_of(Receptionist).prepare()
    return Receptionist()


async def use(agent: Host, name: str, /, **arguments: object) -> Outcome:
    execution = Execution(agent, tools_of(type(agent)))
    (ran,) = await execution.run(calls((name, json.dumps(arguments))))
    assert agent.line.logged == []
    return ran.outcome


async def told(agent: Host, name: str, /, **arguments: object) -> dict[str, Any]:
    outcome = await use(agent, name, **arguments)
    assert outcome.label == "ok", outcome.sentence
    answer: dict[str, Any] = json.loads(outcome.sentence)
    return answer


def test_the_tools_of_a_calendar_are_four(agent: Host) -> None:
    assert list(tools_of(type(agent))) == ["free_slots", "book", "find_booking", "cancel_booking"]


async def test_a_table_is_looked_for_booked_found_and_cancelled(agent: Host) -> None:
    free = await told(agent, "free_slots", day="2031-05-06", places=4)
    assert free["day"] == "Tuesday 2031-05-06"
    assert free["free"][:2] == ["17:00", "17:30"]
    booked = await told(agent, "book", at="2031-05-06T17:00", name="Ann", places=4, note="quiet")
    assert booked["at"] == "Tuesday 2031-05-06 17:00"
    assert booked["code_spelled"].split(", ")[0][0] == booked["code"][0]
    found = await told(agent, "find_booking", code=booked["code_spelled"])
    assert found == booked
    assert (await told(agent, "free_slots", day="2031-05-06"))["free"][0] == "17:30"
    cancelled = await told(agent, "cancel_booking", code=booked["code"].lower())
    assert cancelled == {"cancelled": True, **booked}
    assert (await told(agent, "free_slots", day="2031-05-06"))["free"][0] == "17:00"


async def test_a_day_without_room_names_the_next_that_has_some(agent: Host) -> None:
    free = await told(agent, "free_slots", day="2031-05-12")
    assert free == {"day": "Monday 2031-05-12", "free": [], "next_free": "Tuesday 2031-05-13 17:00"}


async def test_a_day_that_is_past_is_said_with_todays_date(agent: Host) -> None:
    outcome = await use(agent, "free_slots", day="2031-05-04")
    assert outcome.sentence == "Sunday 2031-05-04 is past; today is Monday 2031-05-05."


async def test_what_cannot_be_booked_is_said_with_what_to_do(agent: Host) -> None:
    await told(agent, "book", at="2031-05-06T17:00", name="Ann", places=4)
    full = await use(agent, "book", at="2031-05-06T17:00", name="Ben")
    assert full.sentence == (
        "Not booked. There is no room left at that time. "
        "See free_slots for times that can be booked."
    )
    assert isinstance(await use(agent, "book", at="2031-05-06T17:00", name=""), Invalid)
    assert isinstance(await use(agent, "book", at="2031-05-06T17:00", name="x" * 101), Invalid)


async def test_an_unknown_code_is_said_as_it_was_understood(agent: Host) -> None:
    for name in ("find_booking", "cancel_booking"):
        outcome = await use(agent, name, code="fox x-ray")
        assert outcome.sentence == (
            "There is no booking with that code; understood was: Foxtrot, X-ray."
        )


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31", "2999-01-01"])
async def test_no_day_is_too_odd(agent: Host, day: str) -> None:
    assert (await use(agent, "free_slots", day=day)).label in ("ok", "error")
    assert (await use(agent, "book", at=f"{day}T17:00", name="Ann")).label == "error"
