"""The course of a warm transfer: every row, and every order of events."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.calls.warm_transfer import ROWS, Act, Course, Event, Row, Stage

S, E, A = Stage, Event, Act
ENDS = {S.OVER}
NOBODY_YET = {S.PARKING}
HUMAN_RINGS_OR_TALKS = {S.CALLING, S.BRIEFING, S.JOINING, S.TALKING}


def course(*events: Event) -> Course:
    """Return a course to which these have happened."""
    it = Course()
    for event in events:
        it.take(event)
    return it


STORIES = [
    ([E.HELD, E.ANSWERED, E.ACCEPTED, E.JOINED], S.TALKING, "accepted"),
    ([E.HELD, E.ANSWERED, E.ACCEPTED, E.JOINED, E.HUNG_UP], S.OVER, "accepted"),
    # A callback that was lost.
    ([E.HELD, E.ANSWERED, E.ACCEPTED, E.OVERDUE], S.TALKING, "accepted"),
    ([E.HELD, E.ANSWERED, E.ACCEPTED, E.ROOM_CLOSED], S.OVER, "accepted"),
    # Nobody takes it.
    ([E.HELD, E.BUSY, E.CALLER_BACK], S.OVER, "busy"),
    ([E.HELD, E.UNANSWERED, E.CALLER_BACK], S.OVER, "no_answer"),
    ([E.HELD, E.FAILED, E.CALLER_BACK], S.OVER, "failed"),
    ([E.HELD, E.REFUSED, E.CALLER_BACK], S.OVER, "failed"),
    ([E.HELD, E.OVERDUE, E.CALLER_BACK], S.OVER, "no_answer"),
    ([E.HELD, E.HUNG_UP, E.CALLER_BACK], S.OVER, "no_answer"),
    ([E.HELD, E.ROOM_CLOSED, E.CALLER_BACK], S.OVER, "failed"),
    ([E.HELD, E.MACHINE, E.CALLER_BACK], S.OVER, "machine"),
    ([E.HELD, E.ANSWERED, E.MACHINE, E.CALLER_BACK], S.OVER, "machine"),
    ([E.HELD, E.ANSWERED, E.DECLINED, E.CALLER_BACK], S.OVER, "declined"),
    ([E.HELD, E.ANSWERED, E.HUNG_UP, E.CALLER_BACK], S.OVER, "declined"),
    ([E.HELD, E.ANSWERED, E.SILENT, E.CALLER_BACK], S.OVER, "no_answer"),
    ([E.HELD, E.ANSWERED, E.OVERDUE, E.CALLER_BACK], S.OVER, "no_answer"),
    ([E.HELD, E.ANSWERED, E.ROOM_CLOSED, E.CALLER_BACK], S.OVER, "failed"),
    # Taken, and yet not.
    ([E.HELD, E.ANSWERED, E.ACCEPTED, E.HUNG_UP, E.CALLER_BACK], S.OVER, "declined"),
    ([E.HELD, E.ANSWERED, E.ACCEPTED, E.MACHINE, E.CALLER_BACK], S.OVER, "machine"),
    # The caller leaves.
    ([E.CALLER_LEFT], S.OVER, "caller_left"),
    ([E.HELD, E.CALLER_LEFT], S.OVER, "caller_left"),
    ([E.HELD, E.ANSWERED, E.CALLER_LEFT], S.OVER, "caller_left"),
    ([E.HELD, E.ANSWERED, E.ACCEPTED, E.CALLER_LEFT], S.OVER, "caller_left"),
    ([E.HELD, E.BUSY, E.CALLER_LEFT], S.OVER, "caller_left"),
    # What comes late.
    ([E.HELD, E.BUSY, E.ANSWERED, E.ACCEPTED, E.JOINED], S.RETURNING, "busy"),
    ([E.HELD, E.ANSWERED, E.DECLINED, E.HUNG_UP], S.RETURNING, "declined"),
    ([E.ANSWERED, E.ACCEPTED, E.HELD], S.CALLING, None),
]


@pytest.mark.parametrize(("events", "stage", "outcome"), STORIES)
def test_a_story_ends_where_it_should(
    events: list[Event], stage: Stage, outcome: str | None
) -> None:
    it = course(*events)
    assert (it.stage, it.outcome) == (stage, outcome)


def test_every_stage_but_the_last_has_a_way_on_when_the_caller_leaves() -> None:
    for stage in set(Stage) - ENDS - {S.TALKING}:
        assert ROWS[stage, E.CALLER_LEFT].to is S.OVER
    assert not [key for key in ROWS if key[0] is S.OVER]


def test_every_stage_in_which_a_phone_is_waited_for_has_a_time() -> None:
    for stage in (S.CALLING, S.BRIEFING, S.JOINING):
        assert (stage, E.OVERDUE) in ROWS


@pytest.mark.parametrize(("key", "row"), ROWS.items())
def test_a_row_does_what_its_stage_calls_for(key: tuple[Stage, Event], row: Row) -> None:
    stage, event = key
    assert (Act.BRING_BACK in row.acts) is (row.to is S.RETURNING), "it is told once"
    assert (row.outcome is None) or row.to in {S.RETURNING, S.OVER, S.TALKING}
    ended_by_human = event in {E.DECLINED, E.SILENT, E.HUNG_UP, E.BUSY, E.UNANSWERED, E.FAILED}
    if stage in HUMAN_RINGS_OR_TALKS - {S.TALKING} and row.to in {S.RETURNING, S.OVER}:
        met = Act.HAND_OVER in row.acts
        is_let_go = Act.HANG_UP in row.acts or Act.EXCUSE in row.acts
        assert met or is_let_go or ended_by_human or event is E.REFUSED, "a human is left alone"


@given(st.lists(st.sampled_from(Event), max_size=30))
def test_whatever_the_order_everybody_is_told_once_and_nothing_else_happens(
    events: list[Event],
) -> None:
    it = Course()
    acts: list[Act] = []
    for event in events:
        before = it.stage, it.outcome
        done = it.take(event)
        if (before[0], event) not in ROWS:
            assert (it.stage, it.outcome, done) == (*before, ())
        acts += done
    assert acts.count(Act.CALL) <= 1
    assert acts.count(Act.BRING_BACK) <= 1
    assert acts.count(Act.HAND_OVER) <= 1
    assert acts.count(Act.REPORT) == (it.stage in {S.OVER, S.TALKING})
    assert acts.count(Act.HANG_UP) + acts.count(Act.EXCUSE) <= 1
    assert not (Act.HAND_OVER in acts and Act.BRING_BACK in acts), "a caller is in one place"
    if Act.REPORT in acts:
        assert it.outcome is not None
    if Act.HAND_OVER in acts:
        assert it.outcome == "accepted"


@given(st.lists(st.sampled_from(Event), max_size=20))
def test_from_everywhere_it_can_come_to_an_end(events: list[Event]) -> None:
    it = course(*events)
    for event in (E.CALLER_LEFT, E.HUNG_UP):
        it.take(event)
    assert it.stage is S.OVER
