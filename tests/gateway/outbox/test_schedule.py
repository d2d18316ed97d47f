import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.outbox.schedule import DELAYS, Circuit, Next, Tried, after, retry_after


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_two_hundreds_are_deliveries(status: int) -> None:
    assert after(Tried(status), 1, 0.5)[0] is Next.DONE


@pytest.mark.parametrize("status", [301, 400, 401, 404, 409, 422, 429, 500, 503, None])
def test_all_else_is_tried_again_for_a_day(status: int | None) -> None:
    tried, waited = Tried(status, "no"), 0.0
    for number in range(1, len(DELAYS) + 1):
        following, seconds = after(tried, number, 0.5)
        assert following is Next.AGAIN
        waited += seconds
    assert 23 * 3600 < waited < 25 * 3600
    assert after(tried, len(DELAYS) + 1, 0.5)[0] is Next.GIVEN_UP


def test_an_address_that_is_gone_is_given_up_at_once() -> None:
    assert after(Tried(410, "answered 410"), 1, 0.5)[0] is Next.GIVEN_UP
    assert after(Tried(error="not public", hopeless=True), 1, 0.5)[0] is Next.GIVEN_UP


@given(st.floats(0, 1), st.integers(1, len(DELAYS)))
def test_jitter_is_a_fifth_either_way(jitter: float, number: int) -> None:
    _, seconds = after(Tried(500), number, jitter)
    assert 0.79 * DELAYS[number - 1] < seconds < 1.21 * DELAYS[number - 1]


def test_a_retry_after_is_waited_for() -> None:
    assert after(Tried(429, "busy", retry_after=90.0), 1, 0.5)[1] == 90.0
    assert after(Tried(429, "busy", retry_after=1.0), 1, 0.5)[1] == 5.0


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Fri, 27 Nov 2026 15:00:30 GMT", 30.0),
        ("Fri, 27 Nov 2026 14:00:00 GMT", 0.0),
        ("999999999999", 6 * 3600.0),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("１２", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, expected: float | None) -> None:
    assert retry_after(value, 1795791600.0) == expected


@given(st.text(max_size=40))
def test_a_hostile_retry_after_is_no_error(value: str) -> None:
    found = retry_after(value, 1795791600.0)
    assert found is None or 0 <= found <= 6 * 3600


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


DEAD = Tried(error="no connection")


def test_an_address_rests_after_some_failures_and_then_gets_one_try() -> None:
    clock = Clock()
    circuit = Circuit(clock)
    for _ in range(circuit.FAILURES - 1):
        assert circuit.may()
        circuit.begun()
        assert not circuit.ended(DEAD)
    circuit.begun()
    assert circuit.ended(DEAD)
    assert not circuit.may()
    clock.now = circuit.opens_at
    assert circuit.may()
    circuit.begun()
    assert not circuit.may()
    assert not circuit.ended(DEAD)
    assert circuit.opens_at == clock.now + 2 * circuit.FIRST_SECONDS
    clock.now = circuit.opens_at
    circuit.begun()
    circuit.ended(Tried(200))
    assert circuit.is_closed
    assert circuit.may()


@pytest.mark.parametrize("status", [301, 400, 401, 404, 500])
def test_an_address_that_refuses_is_alive(status: int) -> None:
    circuit = Circuit(Clock())
    for _ in range(20):
        circuit.begun()
        assert not circuit.ended(Tried(status, "answered"))
    assert circuit.is_closed


def test_those_under_way_when_it_is_given_up_do_not_prolong_its_rest() -> None:
    clock = Clock()
    circuit = Circuit(clock)
    for _ in range(circuit.FAILURES + 3):
        circuit.begun()
    rests = [circuit.ended(DEAD) for _ in range(circuit.FAILURES + 3)]
    assert rests.count(True) == 1
    assert circuit.opens_at == clock.now + circuit.FIRST_SECONDS


def test_an_address_that_asks_to_be_left_alone_is() -> None:
    clock = Clock()
    circuit = Circuit(clock)
    circuit.begun()
    circuit.ended(Tried(429, "busy", retry_after=30.0))
    assert not circuit.may()
    clock.now += 30
    assert circuit.may()


@given(st.lists(st.sampled_from([DEAD, Tried(200), Tried(503), Tried(404)]), max_size=60))
def test_an_address_never_rests_longer_than_the_longest(history: list[Tried]) -> None:
    clock = Clock()
    circuit = Circuit(clock)
    for tried in history:
        assert circuit.may()
        circuit.begun()
        circuit.ended(tried)
        assert circuit.opens_at <= clock.now + circuit.LAST_SECONDS
        clock.now = max(clock.now, circuit.opens_at)
