"""What the kernel is asked, asked of the real one."""

import mmap
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from shared import kernel


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as process:
        yield process
        process.kill()


def test_a_childs_lineage_leads_here_and_on(sleeper: subprocess.Popen[bytes]) -> None:
    found = kernel.lineage(sleeper.pid)
    assert found[:2] == [sleeper.pid, os.getpid()]
    assert kernel.parent_of(sleeper.pid) == os.getpid()
    assert kernel.session_of(sleeper.pid) == sleeper.pid
    assert sleeper.pid in kernel.children_of_self()


def test_descent_is_of_ancestors_and_oneself_only(sleeper: subprocess.Popen[bytes]) -> None:
    assert kernel.is_descendant(sleeper.pid, os.getpid())
    assert kernel.is_descendant(os.getpid(), os.getpid())
    assert not kernel.is_descendant(os.getpid(), sleeper.pid)


def test_a_process_that_is_gone_has_no_lineage() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    with pytest.raises(ProcessLookupError):
        kernel.lineage(process.pid)
    assert not kernel.is_descendant(process.pid, os.getpid())
    with pytest.raises(ProcessLookupError):
        kernel.private_bytes(process.pid)


def test_a_name_full_of_brackets_does_not_confuse_the_fields() -> None:
    renames = "import ctypes; ctypes.CDLL(None).prctl(15, b') R 1 1 ('); print(1, flush=True)"
    script = f"{renames}; input()"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert kernel.parent_of(process.pid) == os.getpid()
        process.kill()


def test_threads_and_sockets_of_this_process_are_counted() -> None:
    sockets, done = kernel.open_sockets(), threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    assert thread.native_id in kernel.kernel_tasks()
    done.set()
    thread.join()
    with socket.socket() as opened:
        assert set(kernel.open_sockets()) - set(sockets) == {opened.fileno()}


def test_a_lifeline_ends_even_an_endless_loop() -> None:
    read, write = os.pipe()
    armed, arm = os.pipe()
    child = os.fork()
    if not child:
        os.close(write)
        kernel.arm_lifeline(kernel.reopen(read), os.getpid())
        os.write(arm, b"x")
        while True:
            pass
    os.read(armed, 1)
    for fd in (read, write, armed, arm):
        os.close(fd)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL


def test_a_lifeline_whose_writer_is_gone_is_seen() -> None:
    read, write = os.pipe()
    os.set_blocking(read, False)
    assert not kernel.lifeline_cut(read)
    os.close(write)
    assert kernel.lifeline_cut(read)
    os.close(read)


def test_private_memory_is_what_a_process_alone_has() -> None:
    before = kernel.private_bytes()
    # Fresh pages: the heap would reuse what other tests have freed.
    with mmap.mmap(-1, 8 << 20) as hoard:
        hoard.write(os.urandom(8 << 20))
        assert kernel.private_bytes() - before > 6 << 20


def test_threads_that_end_while_they_are_looked_at_are_passed_over() -> None:
    def churn() -> None:
        for _ in range(300):
            thread = threading.Thread(target=int)
            thread.start()
            thread.join()

    churning = threading.Thread(target=churn)
    churning.start()
    while churning.is_alive():
        kernel.kernel_tasks()
        kernel.children_of_self()


def test_what_is_private_is_a_part_of_what_is_resident() -> None:
    resident = kernel.resident_bytes()
    assert kernel.private_bytes() <= resident + (1 << 20)
    with mmap.mmap(-1, 8 << 20) as hoard:
        hoard.write(os.urandom(8 << 20))
        assert kernel.resident_bytes() - resident > 6 << 20


def test_the_memory_of_a_process_that_is_gone_is_not_known() -> None:
    with pytest.raises(ProcessLookupError):
        kernel.resident_bytes(2**22 + 1)
