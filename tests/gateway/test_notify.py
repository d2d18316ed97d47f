import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.notify import Notifier


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(30)
        yield sock


def received(manager: socket.socket) -> dict[str, str]:
    lines = manager.recv(4096).decode().splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_ready_tells_the_main_process_and_a_status(manager: socket.socket) -> None:
    notifier = Notifier(manager.getsockname())
    assert notifier.ready("release r1,\nno calls")
    assert received(manager) == {
        "READY": "1",
        "MAINPID": str(os.getpid()),
        "STATUS": "release r1, no calls",
    }
    notifier.close()


def test_each_state_has_its_word(manager: socket.socket) -> None:
    notifier = Notifier(manager.getsockname())
    notifier.reloading()
    reload = received(manager)
    assert reload["RELOADING"] == "1"
    assert int(reload["MONOTONIC_USEC"]) > 0
    notifier.stopping("3 calls left")
    assert received(manager) == {"STOPPING": "1", "STATUS": "3 calls left"}
    notifier.status("2 calls")
    assert received(manager) == {"STATUS": "2 calls"}
    notifier.extend(1.5)
    assert received(manager) == {"EXTEND_TIMEOUT_USEC": "1500000"}
    notifier.watchdog()
    assert received(manager) == {"WATCHDOG": "1"}
    notifier.close()


def test_an_abstract_socket_is_reached() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0callfarm-test-{os.getpid()}")
        notifier = Notifier(f"@callfarm-test-{os.getpid()}")
        assert notifier.status("x")
        assert received(manager) == {"STATUS": "x"}
        notifier.close()


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "relative"])
def test_without_a_socket_nothing_happens(address: str) -> None:
    notifier = Notifier(address)
    assert not notifier.ready()
    notifier.close()


def test_a_manager_that_is_gone_is_no_error(tmp_path: Path) -> None:
    notifier = Notifier(str(tmp_path / "nowhere"))
    assert not notifier.ready()
    notifier.close()
    assert not notifier.ready()
    notifier.close()


def test_a_manager_that_does_not_read_never_blocks(manager: socket.socket) -> None:
    notifier = Notifier(manager.getsockname())
    sent = 0
    while notifier.watchdog():
        sent += 1
        assert sent < 1_000_000
    notifier.close()


def test_the_environment_says_where_and_how_often() -> None:
    environ = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "30000000"}
    notifier = Notifier.from_environment(environ)
    assert notifier.watchdog_seconds == 30
    notifier.close()


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "x"},
        {"WATCHDOG_USEC": "5000000", "WATCHDOG_PID": "1"},
    ],
)
def test_a_watchdog_that_is_not_ours_is_not_fed(environ: dict[str, str]) -> None:
    assert Notifier.from_environment(environ).watchdog_seconds is None


async def test_keeping_alive_repeats_until_cancelled(manager: socket.socket) -> None:
    notifier = Notifier(manager.getsockname(), watchdog_seconds=0.01)
    manager.setblocking(False)
    task = asyncio.create_task(notifier.keep_alive())
    loop = asyncio.get_running_loop()
    for _ in range(3):
        assert await loop.sock_recv(manager, 100) == b"WATCHDOG=1"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    notifier.close()


async def test_keeping_alive_ends_at_once_where_nobody_asked_for_it() -> None:
    await Notifier().keep_alive()
