from phone.ticker import BEAT_S, Ticker
from tests.phone.clock import HandClock


class Member:
    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self.beats: list[float] = []

    def __call__(self) -> None:
        self.beats.append(self.clock.now())


def test_a_member_is_called_fifty_times_a_second_without_drift() -> None:
    clock = HandClock()
    ticker, member = Ticker(clock), Member(clock)
    ticker.join(member)
    clock.advance(60)
    assert len(member.beats) in (3000, 3001)
    first = member.beats[0]
    assert all(abs(at - first - n * BEAT_S) < 1e-6 for n, at in enumerate(member.beats))


def test_missed_beats_follow_a_stall_at_once() -> None:
    clock = HandClock()
    ticker, member = Ticker(clock), Member(clock)
    ticker.join(member)
    clock.advance(1)
    before = len(member.beats)
    clock.stall(1)
    clock.advance(0)
    assert len(member.beats) == before + 50


def test_members_are_spread_over_the_beat() -> None:
    clock = HandClock()
    ticker = Ticker(clock)
    members = [Member(clock) for _ in range(8)]
    for member in members:
        ticker.join(member)
    clock.advance(0.1)
    phases = sorted(round(member.beats[0] % BEAT_S * 1000) for member in members)
    assert phases == [0, 0, 5, 5, 10, 10, 15, 15]


def test_joining_in_the_middle_costs_nobody_a_beat() -> None:
    clock = HandClock()
    ticker = Ticker(clock)
    first = Member(clock)
    ticker.join(first)
    others = []
    for n in range(40):
        clock.advance(0.0137)
        if n % 7 == 3:
            clock.stall(0.031)
        others.append(Member(clock))
        ticker.join(others[-1])
        if n % 3 == 0:
            ticker.leave(others.pop(0))
    clock.advance(1)
    assert len(first.beats) == int(clock.now() / BEAT_S) + 1


def test_without_members_there_is_no_timer() -> None:
    clock = HandClock()
    ticker, member = Ticker(clock), Member(clock)
    ticker.join(member)
    ticker.leave(member)
    ticker.leave(member)
    assert clock.pending == 0
    clock.advance(1)
    assert member.beats == []
    ticker.join(member)
    clock.advance(0.1)
    assert len(member.beats) >= 5
