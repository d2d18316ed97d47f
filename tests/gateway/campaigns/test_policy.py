"""What a campaign may be asked to keep to, and what follows from how calls end."""

import msgspec
import pytest

from gateway.campaigns.breaker import Breaker
from gateway.campaigns.hours import Hours
from gateway.campaigns.outcomes import Outcome, outcome_of
from gateway.campaigns.pace import Pace
from gateway.campaigns.policy import Delays, Policy, PolicyError, read_policy
from gateway.campaigns.states import (
    CAMPAIGN_MOVES,
    LEAD_MOVES,
    CampaignMove,
    CampaignState,
    LeadMove,
    LeadState,
    campaign_after,
    lead_after,
)
from gateway.carriers.placing import Machine


@pytest.mark.parametrize(
    ("status", "who", "expected"),
    [
        ("completed", "", Outcome.ANSWERED),
        ("completed", "human", Outcome.ANSWERED),
        ("completed", "unknown", Outcome.ANSWERED),
        ("completed", "machine_start", Outcome.MACHINE),
        ("completed", "fax", Outcome.MACHINE),
        ("busy", "", Outcome.BUSY),
        ("no-answer", "", Outcome.NO_ANSWER),
        ("failed", "", Outcome.FAILED),
        ("canceled", "", Outcome.CANCELED),
        ("cancelled", "", Outcome.CANCELED),
        ("what is this", "", Outcome.LOST),
    ],
)
def test_every_final_status_has_an_outcome(status: str, who: str, expected: Outcome) -> None:
    assert outcome_of(status, who) is expected


def test_who_was_not_reached_is_tried_again_after_the_delay_of_the_outcome() -> None:
    policy = Policy(attempts=3, delays=Delays(busy=60, no_answer=120))
    assert policy.after(Outcome.BUSY, 1).delay == 60
    assert policy.after(Outcome.NO_ANSWER, 2).move is LeadMove.RETRY
    assert policy.after(Outcome.NO_ANSWER, 3).move is LeadMove.FAIL
    assert policy.after(Outcome.ANSWERED, 1).move is LeadMove.SUCCEED


def test_a_call_that_was_lost_or_canceled_is_not_repeated() -> None:
    policy = Policy(attempts=5)
    assert policy.after(Outcome.LOST, 1).move is LeadMove.FAIL
    assert policy.after(Outcome.CANCELED, 1).move is LeadMove.FAIL


def test_a_mailbox_that_was_spoken_to_is_done_and_one_that_was_not_is_called_again() -> None:
    spoken = Policy(attempts=3, machine=Machine.MESSAGE)
    assert spoken.after(Outcome.MACHINE, 1).move is LeadMove.SUCCEED
    hung_up = Policy(attempts=3, machine=Machine.HANG_UP)
    assert hung_up.after(Outcome.MACHINE, 1).move is LeadMove.RETRY
    agents = Policy(attempts=3)
    assert agents.after(Outcome.MACHINE, 1, Machine.MESSAGE).move is LeadMove.SUCCEED
    assert agents.after(Outcome.MACHINE, 1, Machine.HANG_UP).move is LeadMove.RETRY


@pytest.mark.parametrize(
    "wrong",
    [
        {"concurrency": 0},
        {"concurrency": 100_000},
        {"attempts": 0},
        {"max_seconds": 1},
        {"per_second": 0},
        {"breaker_share": 2},
        {"delays": {"busy": -1}},
        {"hours": {"start": "18:00", "end": "09:00"}},
        {"what": 1},
        {"machine": "explode"},
    ],
)
def test_policies_that_cannot_be_kept_are_refused_with_a_sentence(wrong: object) -> None:
    with pytest.raises(PolicyError) as caught:
        read_policy(wrong)
    assert str(caught.value)


def test_a_policy_survives_the_database() -> None:
    policy = Policy(concurrency=4, hours=Hours("09:00", "18:00"), machine=Machine.MESSAGE)
    assert read_policy(msgspec.json.decode(msgspec.json.encode(policy))) == policy


def test_every_move_leads_to_one_state_and_final_states_have_none() -> None:
    for move in LeadMove:
        assert len({to for (_, by), to in LEAD_MOVES.items() if by is move}) == 1
    for each in CampaignMove:
        assert len({to for (_, by), to in CAMPAIGN_MOVES.items() if by is each}) == 1
    assert not [state for state, _ in LEAD_MOVES if state.final]
    assert not [state for state, _ in CAMPAIGN_MOVES if state.final]
    assert lead_after(LeadState.DONE, LeadMove.DIAL) is None
    assert campaign_after(CampaignState.COMPLETED, CampaignMove.RESUME) is None


def test_the_breaker_trips_when_most_of_the_last_calls_failed_and_not_before() -> None:
    breaker = Breaker(window=4)
    for outcome in (Outcome.FAILED, Outcome.FAILED, Outcome.BUSY):
        breaker.ended(outcome)
        assert breaker.tripped is None
    breaker.ended(Outcome.FAILED)
    assert breaker.tripped == "3 of the last 4 calls failed"
    breaker.reset()
    assert breaker.tripped is None


def test_the_breaker_goes_on_with_calls_of_a_life_before_unless_they_were_forgiven() -> None:
    breaker = Breaker(window=3)
    breaker.recall([Outcome.FAILED, Outcome.ANSWERED])
    breaker.ended(Outcome.FAILED)
    assert breaker.tripped == "2 of the last 3 calls failed"
    forgiven = Breaker(window=3)
    forgiven.recall([Outcome.FAILED] * 3)
    forgiven.ended(Outcome.FAILED)
    assert forgiven.tripped is None


def test_busy_and_absent_people_do_not_trip_the_breaker_and_it_can_be_off() -> None:
    breaker, off = Breaker(window=3), Breaker(window=0)
    for _ in range(5):
        breaker.ended(Outcome.NO_ANSWER)
        off.ended(Outcome.FAILED)
    assert breaker.tripped is None
    assert off.tripped is None


def test_the_pace_gives_as_many_turns_as_the_account_allows() -> None:
    pace, now, turns = Pace(2.0), 100.0, 0
    while now < 110.0:
        now = max(now, pace.ready_at(now))
        pace.take(now)
        turns += 1
    assert 20 <= turns <= 22
