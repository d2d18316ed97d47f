"""What the dialer says of an attempt, and what its lead becomes."""

from gateway.campaigns.flight import AGAIN_SECONDS, LOST_SECONDS, VERDICT_SECONDS, Flight
from gateway.campaigns.outcomes import Outcome
from gateway.campaigns.policy import Policy
from gateway.campaigns.scheduler import Lead
from gateway.campaigns.states import LeadMove
from gateway.carriers.placing import Machine
from gateway.dialer.attempt import Attempt, AttemptState, CallPlan

POLICY = Policy(attempts=2, max_seconds=60, ring_seconds=20)


def flight(recovered: bool = False) -> Flight:
    return Flight(Lead(3, "+491"), "k1", POLICY, 100.0, recovered)


def attempt(machine: Machine = Machine.GO_ON) -> Attempt:
    return Attempt("k1", "+491", "+492", None, CallPlan(machine=machine), 0.0, "c1", 3)


def test_a_call_that_is_too_long_is_ended_by_us_again_and_again_until_it_is() -> None:
    it, call = flight(), attempt()
    call.exists("CA1", "in-progress", 0)
    assert it.heard(call, 110.0)
    assert not it.heard(call, 111.0)
    assert not it.passed(110 + 60)
    assert it.next_at == 110 + 63
    assert it.passed(110 + 63)
    assert not it.passed(110 + 64)
    assert it.passed(110 + 63 + AGAIN_SECONDS)
    call.exists("CA1", "completed", 0, final=True)
    it.heard(call, 300.0)
    assert it.outcome is Outcome.ANSWERED
    assert it.settlement(5.0).move is LeadMove.SUCCEED


def test_a_call_of_which_nobody_ever_tells_the_end_is_lost_and_not_repeated() -> None:
    it, call = flight(), attempt()
    call.exists("CA1", "ringing", 0)
    it.heard(call, 101.0)
    it.passed(100 + 80 + LOST_SECONDS)
    settled = it.settlement(5.0)
    assert (settled.move, settled.outcome, settled.attempts) == (LeadMove.FAIL, "lost", 1)


def test_the_word_on_who_answered_may_come_after_the_end_and_is_waited_for_a_little() -> None:
    it, call = flight(), attempt(Machine.HANG_UP)
    call.exists("CA1", "completed", 0, final=True)
    it.heard(call, 110.0)
    assert not it.settled
    call.answered_by = "machine_start"
    it.heard(call, 111.0)
    assert it.settlement(5.0).move is LeadMove.RETRY
    late, other = flight(), attempt(Machine.HANG_UP)
    other.exists("CA1", "completed", 0, final=True)
    late.heard(other, 110.0)
    late.passed(110 + VERDICT_SECONDS)
    assert late.outcome is Outcome.ANSWERED


def test_an_attempt_that_was_never_a_call_does_not_count() -> None:
    it, call = flight(), attempt()
    call.fails(AttemptState.DOUBT, "?", 0)
    it.heard(call, 101.0)
    assert not it.settled
    call.fails(AttemptState.LOST, "the carrier has no such call", 0)
    it.heard(call, 102.0)
    settled = it.settlement(5.0)
    assert (settled.move, settled.attempts, settled.next_at) == (LeadMove.NOT_PLACED, 0, 0.0)


def test_why_a_call_was_refused_is_told_by_the_dialer_unless_it_was_in_another_life() -> None:
    call = attempt()
    call.fails(AttemptState.REFUSED, "no", 0)
    now, before = flight(), flight(recovered=True)
    now.heard(call, 101.0)
    before.heard(call, 101.0)
    assert (now.settled, before.settled) == (False, True)
    now.refused("Twilio blocks that number")
    assert now.settlement(5.0).move is LeadMove.FAIL


def test_news_of_another_attempt_change_nothing() -> None:
    it = flight()
    other = Attempt("k0", "+491", "+492", None, CallPlan(), 0.0, "c1", 3)
    other.exists("CA0", "completed", 0, final=True)
    assert not it.heard(other, 101.0)
    assert not it.settled


def test_of_a_cancelled_campaign_nobody_waits_for_another_call() -> None:
    busy, never = flight(), flight()
    call = attempt()
    call.exists("CA1", "busy", 0, final=True)
    busy.heard(call, 101.0)
    never.not_placed("no")
    for it in (busy, never):
        it.cancelled()
    assert busy.settlement(5.0).move is LeadMove.FAIL
    assert never.settlement(5.0).move is LeadMove.CANCEL
