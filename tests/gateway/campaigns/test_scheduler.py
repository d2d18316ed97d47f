"""Whom a campaign dials next: never two calls to one lead, never over the limits, all end."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gateway.campaigns.hours import Hours
from gateway.campaigns.outcomes import Outcome
from gateway.campaigns.policy import Delays, Policy
from gateway.campaigns.scheduler import (
    Defer,
    Dial,
    Fetch,
    Finish,
    Lead,
    Rest,
    Scheduler,
    Skip,
    Trip,
    Wait,
)
from gateway.campaigns.states import LeadMove

BERLIN = ("Europe/Berlin",)
FRIDAY_NOON = 1795777200.0  # 2026-11-27 12:00 in Berlin


def lead(number: int, phone: str = "") -> Lead:
    return Lead(number, phone or f"+49301234{number:04}")


def scheduler(**policy: object) -> Scheduler:
    return Scheduler(Policy(**policy), lambda number: BERLIN)  # type: ignore[arg-type]


def test_a_sequential_campaign_begins_no_call_before_the_last_one_ended() -> None:
    it = scheduler()
    assert it.decide(0, 0) == Fetch()
    it.offer([lead(0), lead(1)], None)
    assert it.decide(0, 0) == Dial(lead(0))
    it.began(lead(0))
    assert it.decide(5, 5) == Wait()
    it.ended(0, Policy().after(Outcome.BUSY, 1), 9)
    assert it.decide(9, 9) == Dial(lead(1))


def test_a_campaign_is_finished_when_nobody_waits_and_nobody_is_called() -> None:
    it = scheduler(concurrency=2)
    it.offer([], None)
    assert it.decide(0, 0) == Finish()
    it.began(lead(7))
    assert it.decide(0, 0) == Wait()


def test_a_lead_that_is_to_be_called_again_is_waited_for() -> None:
    it = scheduler(attempts=2, delays=Delays(busy=30))
    it.offer([], None)
    it.began(lead(0))
    it.ended(0, it.policy.after(Outcome.BUSY, 1), wall=100)
    assert it.decide(0, 110) == Wait(20)
    assert it.decide(0, 130) == Fetch()


def test_who_may_not_be_called_now_is_left_until_they_may_all_at_once() -> None:
    it = scheduler(hours=Hours("13:00", "18:00"))
    it.offer([lead(0), lead(1)], None)
    assert it.decide(0, FRIDAY_NOON) == Defer((0, 1), FRIDAY_NOON + 3600)
    assert it.decide(0, FRIDAY_NOON) == Fetch()


def test_a_lead_may_say_its_own_time_zone() -> None:
    it = scheduler(hours=Hours("13:00", "18:00"))
    moscow = Lead(0, "+493012345678", 0, {"timezone": "Europe/Moscow"})
    it.offer([moscow], None)
    assert it.decide(0, FRIDAY_NOON) == Dial(moscow)


def test_a_number_without_a_zone_is_skipped_with_a_sentence() -> None:
    it = Scheduler(Policy(hours=Hours("13:00", "18:00")), lambda number: ())
    it.offer([lead(3)], None)
    decision = it.decide(0, FRIDAY_NOON)
    assert isinstance(decision, Skip)
    assert decision.number == 3
    assert "time zone" in decision.sentence


def test_a_number_that_is_being_called_is_left_alone() -> None:
    it = scheduler(concurrency=3)
    it.offer([lead(0, "+1"), lead(1, "+1"), lead(2, "+2")], None)
    assert it.decide(0, 0) == Dial(lead(0, "+1"))
    it.began(lead(0, "+1"))
    assert it.decide(0, 0) == Defer((1,), 15)
    assert it.decide(0, 0, engaged={"+2"}) == Defer((2,), 15)


def test_the_accounts_pace_the_campaigns_own_and_the_machines_room_are_kept_to() -> None:
    it = scheduler(concurrency=9, per_second=0.5)
    it.offer([lead(0), lead(1), lead(2)], None)
    assert it.decide(0, 0, room=0) == Wait(1.0)
    assert it.decide(0, 0, turn_s=0.25) == Wait(0.25)
    assert it.decide(0, 0) == Dial(lead(0))
    it.began(lead(0))
    decision = it.decide(0, 0)
    assert isinstance(decision, Wait)
    assert 1.9 < (decision.seconds or 0) <= 2.0
    assert it.decide(2.0, 2.0) == Dial(lead(1))


def test_the_breaker_stops_it_and_a_halted_one_rests_when_its_calls_have_ended() -> None:
    it = scheduler(concurrency=5, breaker_calls=2)
    it.offer([lead(0), lead(1), lead(2)], None)
    for _ in range(2):
        it.breaker.ended(Outcome.FAILED)
    assert it.decide(0, 0) == Trip("2 of the last 2 calls failed")
    it.halted = True
    it.began(lead(0))
    assert it.decide(0, 0) == Wait()
    it.ended(0, None, 0)
    assert it.decide(0, 0) == Rest()


# Whole campaigns ---------------------------------------------------------------------------------


@dataclass
class World:
    """A database, people and two clocks, as plain as can be."""

    policy: Policy
    leads: int
    outcomes: Sequence[Outcome]
    seconds: Sequence[float]
    states: dict[int, str] = field(default_factory=dict)
    next_at: dict[int, float] = field(default_factory=dict)
    attempts: dict[int, int] = field(default_factory=dict)
    calls: dict[int, tuple[float, Outcome]] = field(default_factory=dict)
    dialled: list[tuple[float, int]] = field(default_factory=list)
    most: int = 0
    now: float = 0.0

    def run(self, it: Scheduler) -> str:
        self.states = dict.fromkeys(range(self.leads), "waiting")
        self.next_at = dict.fromkeys(range(self.leads), 0.0)
        self.attempts = dict.fromkeys(range(self.leads), 0)
        for _ in range(20_000):
            match it.decide(self.now, FRIDAY_NOON + self.now):
                case Fetch():
                    due = [n for n, s in self.states.items() if s == "waiting"]
                    page = [n for n in due if self.next_at[n] <= FRIDAY_NOON + self.now][:4]
                    following = min((self.next_at[n] for n in due), default=None)
                    leads = [Lead(n, f"+{n}", self.attempts[n]) for n in page]
                    it.offer(leads, None if page else following)
                case Dial(lead):
                    self._dial(it, lead)
                case Defer(numbers, until):
                    assert until > FRIDAY_NOON + self.now
                    self.next_at |= dict.fromkeys(numbers, until)
                case Wait(seconds):
                    self._pass(it, seconds)
                case Finish():
                    return "finished"
                case Trip(_):
                    it.halted = True
                case Rest():
                    return "stopped"
                case other:
                    raise AssertionError(other)
        raise AssertionError("it never ends")

    def _dial(self, it: Scheduler, lead: Lead) -> None:
        n = lead.number
        assert self.states[n] == "waiting", "called twice at a time"
        self.states[n] = "dialling"
        self.attempts[n] += 1
        turn = len(self.dialled)
        outcome = self.outcomes[turn % len(self.outcomes)]
        self.calls[n] = (self.now + self.seconds[turn % len(self.seconds)], outcome)
        self.dialled.append((self.now, n))
        it.began(lead)
        self.most = max(self.most, len(self.calls))

    def _pass(self, it: Scheduler, seconds: float | None) -> None:
        ends = min((end for end, _ in self.calls.values()), default=None)
        if seconds is None:
            assert ends is not None, "it waits for nothing"
            self.now = max(self.now, ends)
        else:
            self.now += max(seconds, 1e-6)
        for n, (end, outcome) in list(self.calls.items()):
            if end <= self.now:
                del self.calls[n]
                then = self.policy.after(outcome, self.attempts[n])
                again = then.move is LeadMove.RETRY
                self.states[n] = "waiting" if again else "final"
                self.next_at[n] = FRIDAY_NOON + self.now + then.delay
                it.breaker.ended(outcome)
                it.ended(n, then, FRIDAY_NOON + self.now)


@given(
    leads=st.integers(0, 30),
    concurrency=st.integers(1, 5),
    attempts=st.integers(1, 3),
    per_second=st.none() | st.sampled_from([0.2, 1.0, 20.0]),
    hours=st.none() | st.just(Hours("11:00", "12:05", ("fri", "sat"))),
    outcomes=st.lists(st.sampled_from(list(Outcome)), min_size=1, max_size=12),
    seconds=st.lists(st.floats(0, 200), min_size=1, max_size=5),
    breaker=st.sampled_from([0, 3, 20]),
)
def test_whatever_happens_no_limit_is_broken_and_the_campaign_ends(
    leads: int,
    concurrency: int,
    attempts: int,
    per_second: float | None,
    hours: Hours | None,
    outcomes: list[Outcome],
    seconds: list[float],
    breaker: int,
) -> None:
    policy = Policy(
        concurrency=concurrency,
        attempts=attempts,
        per_second=per_second,
        hours=hours,
        breaker_calls=breaker,
        delays=Delays(busy=40, no_answer=90, machine=90, failed=20),
    )
    it = Scheduler(policy, lambda number: BERLIN)
    world = World(policy, leads, outcomes, seconds)
    ended = world.run(it)
    assert world.most <= concurrency
    assert all(count <= attempts for count in world.attempts.values())
    assert not world.calls
    if ended == "finished":
        assert all(state == "final" for state in world.states.values())
    else:
        assert breaker
    if per_second is not None:
        times = [when for when, _ in world.dialled]
        assert all(b - a >= 1 / per_second - 0.001 for a, b in pairwise(times))
    if hours is not None:
        for when, _ in world.dialled:
            opening = hours.opening(BERLIN, FRIDAY_NOON + when)
            assert opening == FRIDAY_NOON + when
    if concurrency == 1 and attempts == 1:
        order = [n for _, n in world.dialled]
        assert order == sorted(order)
