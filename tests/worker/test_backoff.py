import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.backoff import Backoff, Retry
from worker.errors import ProviderError, ProviderLostError, ProviderRefusedError

LOST = ProviderLostError("acme", "dropped")


def waits(backoff: Backoff, *, up_s: float = 0.0) -> list[float]:
    """Return how long it waits before each try, until it gives up."""
    found: list[float] = []
    while (wait := backoff.failed(LOST, up_s)) is not None:
        found.append(wait)
    return found


def test_the_first_try_comes_at_once_and_each_later_one_after_twice_the_wait() -> None:
    assert waits(Backoff(Retry())) == [
        0.0,
        pytest.approx(0.25, rel=0.21),
        pytest.approx(0.5, rel=0.21),
        pytest.approx(1.0, rel=0.21),
        pytest.approx(2.0, rel=0.21),
    ]


def test_no_wait_grows_past_the_longest() -> None:
    assert max(waits(Backoff(Retry(tries=50)))) <= 2.0 * 1.2


def test_calls_that_lost_it_together_do_not_come_back_together() -> None:
    assert len({waits(Backoff(Retry()))[1] for _ in range(20)}) > 10


def test_a_refusal_is_final() -> None:
    assert Backoff(Retry()).failed(ProviderRefusedError("acme", "no", 401), 0.0) is None
    assert Backoff(Retry()).failed(ProviderRefusedError("acme", "no", 403), 60.0) is None


def test_an_error_of_no_kind_is_worth_another_try() -> None:
    assert Backoff(Retry()).failed(ProviderError("acme", "hm"), 0.0) == 0.0


def test_a_connection_that_was_steady_wipes_the_slate() -> None:
    backoff = Backoff(Retry(tries=2))
    for _ in range(20):
        assert backoff.failed(LOST, up_s=5.0) == 0.0
    assert len(waits(backoff)) == 1


def test_connections_that_open_and_die_at_once_are_given_up() -> None:
    assert len(waits(Backoff(Retry(tries=3)), up_s=4.9)) == 3


def test_the_wait_that_a_provider_asks_for_is_kept() -> None:
    asks = ProviderLostError("acme", "busy", 429, retry_after_s=1.5)
    backoff = Backoff(Retry())
    assert backoff.failed(asks, 0.0) == 1.5
    assert backoff.failed(asks, 0.0) == 1.5


def test_the_wait_that_a_provider_asks_for_does_not_shorten_ours() -> None:
    backoff = Backoff(Retry(first_delay_s=1.0))
    backoff.failed(LOST, 0.0)
    wait = backoff.failed(ProviderLostError("acme", "busy", 429, retry_after_s=0.1), 0.0)
    assert wait is not None
    assert wait >= 0.8


@pytest.mark.parametrize("asked", [3.1, 60.0, math.inf])
def test_a_provider_that_asks_for_more_than_a_caller_waits_is_given_up(asked: float) -> None:
    asks = ProviderLostError("acme", "busy", 503, retry_after_s=asked)
    assert Backoff(Retry()).failed(asks, 0.0) is None


@given(st.lists(st.tuples(st.floats(0, 100), st.none() | st.floats(0, 100))))
def test_no_history_of_failures_makes_a_caller_wait_longer_than_agreed(
    losses: list[tuple[float, float | None]],
) -> None:
    retry = Retry()
    backoff = Backoff(retry)
    quick = 0
    for up_s, asked in losses:
        wait = backoff.failed(ProviderLostError("acme", "x", retry_after_s=asked), up_s)
        quick = 1 if up_s >= retry.steady_s else quick + 1
        if wait is None:
            assert quick > retry.tries or (asked or 0) > retry.most_wait_s
            return
        assert quick <= retry.tries
        assert 0 <= wait <= max(retry.longest_delay_s * 1.2, retry.most_wait_s)
