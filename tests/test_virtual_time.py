import asyncio
import socket

import pytest

from tests.virtual_time import VirtualLoop, virtual_time


@virtual_time
async def test_an_hour_passes_at_once_and_on_the_loops_clock() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.sleep(3600)
    assert loop.time() - began == pytest.approx(3600)


@virtual_time
async def test_timers_fire_in_the_order_of_their_times() -> None:
    loop, fired = asyncio.get_running_loop(), list[str]()
    loop.call_later(2, fired.append, "second")
    loop.call_later(1, fired.append, "first")
    await asyncio.sleep(3)
    assert fired == ["first", "second"]


@virtual_time
async def test_a_socket_that_is_readable_comes_before_any_timer() -> None:
    loop, order = asyncio.get_running_loop(), list[str]()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        loop.add_reader(ours, lambda: order.append(ours.recv(1).decode()))
        loop.call_later(1, order.append, "timer")
        theirs.send(b"s")
        await asyncio.sleep(2)
        loop.remove_reader(ours)
    assert order == ["s", "timer"]


def test_what_is_raised_into_the_loop_fails_the_test() -> None:
    @virtual_time
    async def case() -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await asyncio.sleep(1)

    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        case()


def test_failures_are_kept_by_the_loop_itself() -> None:
    loop = VirtualLoop()
    loop.call_soon(lambda: 1 / 0)
    loop.run_until_complete(asyncio.sleep(1))
    loop.close()
    assert isinstance(loop.failures[0]["exception"], ZeroDivisionError)
