"""The control socket: where it is, who may open it, and who may not speak on it."""

import os
import socket
import subprocess
from pathlib import Path

from gateway.operator_socket import bind, may_command, socket_path


def test_only_its_owner_can_open_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with bind(tmp_path / "control.sock"):
            assert (tmp_path / "control.sock").stat().st_mode & 0o777 == 0o600
        assert os.umask(0) == 0, "the process's own mask is as it was"
    finally:
        os.umask(before)


def test_a_socket_that_a_crash_left_behind_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    bind(path).close()
    assert path.exists()
    with bind(path), socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(path))


def test_a_path_too_long_for_the_kernel_gives_way_to_a_short_one(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["folder"] * 20)
    deep.mkdir(parents=True)
    short = socket_path(deep)
    assert short.parent != deep
    assert short == socket_path(deep)
    assert short != socket_path(deep.parent)
    with bind(short), socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(short))
    short.unlink()


def test_a_short_path_is_in_the_data_folder(tmp_path: Path) -> None:
    assert socket_path(Path("/var/lib/callfarm")) == Path("/var/lib/callfarm/control.sock")


def test_what_the_gateway_started_may_not_command_it() -> None:
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as child:
        assert not may_command(child.pid, os.getuid())
        child.kill()
    assert not may_command(os.getpid(), os.getuid())


def test_a_process_that_is_gone_may_not_either() -> None:
    with subprocess.Popen(["true"]) as child:
        child.wait()
    assert not may_command(child.pid, os.getuid())


def test_the_operator_may_and_a_stranger_may_not() -> None:
    assert may_command(os.getppid(), os.getuid())
    assert may_command(os.getppid(), 0)
    assert not may_command(os.getppid(), os.getuid() + 12345)
