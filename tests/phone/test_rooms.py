import pytest
from hypothesis import given
from hypothesis import strategies as st

from phone.rooms import News, RoomFullError, Rooms, Seat
from phone.verbs import Conference

ALL = frozenset({"start", "end", "join", "leave"})
WAITS = Conference(
    "r",
    start_on_enter=False,
    end_on_exit=True,
    status_callback="https://you/room",
    status_callback_events=ALL,
)
STARTS = Conference("r", end_on_exit=True)


def events(news: list[News]) -> list[str]:
    return [it.fields["StatusCallbackEvent"] for it in news]


def test_a_room_begins_with_a_second_participant_who_starts_it() -> None:
    rooms = Rooms()
    caller, news = rooms.enter("AC1", "CA1", WAITS)
    assert events(news) == ["participant-join"]
    other, news = rooms.enter("AC1", "CA2", WAITS)
    assert events(news) == ["participant-join"]
    assert not caller.begun.is_set()
    human, news = rooms.enter("AC1", "CA3", STARTS)
    assert events(news) == ["participant-join", "conference-start"]
    assert caller.begun.is_set()
    assert human.begun.is_set()
    assert not other.over.is_set()


def test_one_alone_waits_even_if_they_may_start_it() -> None:
    seat, _ = Rooms().enter("AC1", "CA1", STARTS)
    assert not seat.begun.is_set()


def test_who_ends_it_ends_it_for_all_and_the_last_to_leave_closes_it() -> None:
    rooms = Rooms()
    caller, _ = rooms.enter("AC1", "CA1", WAITS)
    human, _ = rooms.enter("AC1", "CA2", STARTS)
    assert events(human.leave()) == ["participant-leave"]
    assert caller.over.is_set()
    last = caller.leave()
    assert events(last) == ["participant-leave", "conference-end"]
    assert last[1].fields["CallSidEndingConference"] == "CA2"
    assert rooms.names == []
    assert caller.leave() == []


def test_who_does_not_end_it_leaves_the_others_there() -> None:
    rooms = Rooms()
    caller, _ = rooms.enter("AC1", "CA1", WAITS)
    guest, _ = rooms.enter("AC1", "CA2", Conference("r"))
    guest.leave()
    assert not caller.over.is_set()


def test_only_the_first_ones_callbacks_count_and_they_are_numbered() -> None:
    rooms = Rooms()
    _, first = rooms.enter("AC1", "CA1", WAITS)
    loud = Conference("r", status_callback="https://other", status_callback_events=ALL)
    _, second = rooms.enter("AC1", "CA2", loud)
    told = first + second
    assert {it.url for it in told} == {"https://you/room"}
    assert [it.fields["SequenceNumber"] for it in told] == ["1", "2", "3"]
    assert {it.fields["FriendlyName"] for it in told} == {"r"}
    assert len({it.fields["ConferenceSid"] for it in told}) == 1
    assert told[0].fields["EndConferenceOnExit"] == "true"
    assert told[0].fields["StartConferenceOnEnter"] == "false"


def test_a_room_is_an_accounts_own_and_a_new_one_each_time() -> None:
    rooms = Rooms()
    one, news = rooms.enter("AC1", "CA1", WAITS)
    rooms.enter("AC2", "CA2", STARTS)
    assert not one.begun.is_set()
    one.leave()
    _, again = rooms.enter("AC1", "CA1", WAITS)
    assert again[0].fields["ConferenceSid"] != news[0].fields["ConferenceSid"]


def test_a_room_holds_as_many_as_its_first_says() -> None:
    rooms = Rooms()
    rooms.enter("AC1", "CA1", Conference("r", most=2))
    rooms.enter("AC1", "CA2", STARTS)
    with pytest.raises(RoomFullError, match="full"):
        rooms.enter("AC1", "CA3", STARTS)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abcd"), st.booleans()), max_size=30))
def test_everybody_who_came_is_told_to_have_left(moves: list[tuple[bool, str, bool]]) -> None:
    rooms, seats, told = Rooms(), dict[str, Seat](), list[News]()
    for comes, who, ends in moves:
        if comes and who not in seats:
            conference = Conference("r", end_on_exit=ends) if seats else WAITS
            seats[who], news = rooms.enter("AC1", who, conference)
            told += news
        elif not comes and who in seats:
            told += seats.pop(who).leave()
    for seat in seats.values():
        told += seat.leave()
    came = [
        it.fields["CallSid"] for it in told if it.fields["StatusCallbackEvent"].endswith("join")
    ]
    left = [
        it.fields["CallSid"] for it in told if it.fields["StatusCallbackEvent"].endswith("leave")
    ]
    assert sorted(came) == sorted(left)
    assert rooms.names == []
