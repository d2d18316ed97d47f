"""Those who keep guessing wait; those who pass never do."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from gateway.throttle import MOST_WAITING, Throttle
from tests.virtual_time import virtual_time


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_first_failures_are_free_and_then_the_wait_doubles_up_to_its_limit() -> None:
    throttle = Throttle(Clock(), free=3, first_delay_s=0.25, longest_delay_s=5.0)
    delays = [throttle.failed("203.0.113.9") for _ in range(10)]
    assert delays == [0, 0, 0, 0.25, 0.5, 1, 2, 4, 5, 5]


def test_an_address_that_passes_starts_afresh() -> None:
    throttle = Throttle(Clock(), free=1)
    assert [throttle.failed("10.0.0.1") for _ in range(3)][-1] > 0
    throttle.passed("10.0.0.1")
    assert throttle.failed("10.0.0.1") == 0
    throttle.passed("never seen")


def test_addresses_do_not_slow_each_other() -> None:
    throttle = Throttle(Clock(), free=1)
    for _ in range(5):
        throttle.failed("203.0.113.9")
    assert throttle.failed("203.0.113.10") == 0


def test_a_whole_ipv6_network_counts_as_one_and_mapped_addresses_as_ipv4() -> None:
    throttle = Throttle(Clock(), free=1)
    throttle.failed("2001:db8::1")
    assert throttle.failed("2001:db8::ffff") > 0
    assert throttle.failed("2001:db8:0:1::1") == 0
    throttle.failed("192.0.2.1")
    assert throttle.failed("::ffff:192.0.2.1") > 0


def test_a_quiet_address_is_forgotten() -> None:
    clock = Clock()
    throttle = Throttle(clock, free=1, memory_s=600)
    throttle.failed("a")
    clock.now = 599
    assert throttle.failed("a") > 0
    clock.now = 599 + 600
    assert throttle.failed("a") == 0


def test_the_longest_quiet_address_makes_room() -> None:
    throttle = Throttle(Clock(), free=1, limit=2)
    for address in ("a", "b", "a", "c"):
        throttle.failed(address)
    assert len(throttle) == 2
    assert throttle.failed("a") > 0
    assert throttle.failed("b") == 0


def test_endless_failures_cost_no_more_than_the_longest_delay() -> None:
    throttle = Throttle(Clock(), longest_delay_s=5.0)
    assert max(throttle.failed("a") for _ in range(5_000)) == 5.0


@given(st.lists(st.text(max_size=50), max_size=60))
def test_whatever_is_called_an_address_memory_stays_bounded(addresses: list[str]) -> None:
    throttle = Throttle(Clock(), limit=5)
    for address in addresses:
        assert throttle.failed(address) >= 0
        assert len(throttle) <= 5


@virtual_time
async def test_a_bounded_number_is_kept_waiting_and_the_others_are_refused_at_once() -> None:
    loop = asyncio.get_running_loop()
    throttle = Throttle(loop.time, free=0, first_delay_s=5.0, longest_delay_s=5.0)
    began, waited = loop.time(), list[float]()

    async def refuse() -> None:
        await throttle.withhold("203.0.113.9")
        waited.append(loop.time() - began)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(MOST_WAITING + 3):
            tasks.create_task(refuse())
    assert waited[:3] == [0.0] * 3
    assert len(waited) == MOST_WAITING + 3
    assert min(waited[3:]) >= 5.0
    await throttle.withhold("203.0.113.9")
    assert loop.time() - began >= 10.0
