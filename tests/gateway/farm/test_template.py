"""A template's word is believed as far as the kernel confirms it, and no further."""

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.farm import template as module
from gateway.farm.process import CallProcess, ExitReport
from gateway.farm.template import Template, TemplateError, exit_report
from shared import control, messages
from shared.bootstrap import ReleaseSpec
from tests.harness import eventually

SPEC = ReleaseSpec("abc123", "/nowhere", "/nowhere", None, {})
READY = control.Ready(messages.VERSION, ["echo:Echo"], 1.0, 1.0, 1, [])


class Impostor:
    """In a template's place: a process that only sleeps; the test speaks on its control socket."""

    end: socket.socket
    words: int

    def __init__(
        self, end: socket.socket, lifeline: Connection, stderr: Connection, spec: ReleaseSpec
    ) -> None:
        Impostor.end, Impostor.words = end.dup(), os.dup(stderr.fileno())
        self.pid = 0

    def start(self) -> None:
        self.pid = os.posix_spawnp("sleep", ["sleep", "1000"], os.environ, setsid=True)

    def reap(self) -> int | None:
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None


class Stage:
    """A template with an impostor behind it, and what has been told of its death."""

    def __init__(self) -> None:
        self.lifeline, self._writer = Pipe(duplex=False)
        self.deaths: list[Template] = []
        self.template = Template(SPEC, self.lifeline, self.deaths.append)

    async def begin(self, *packets: control.Report, limit: float = 10) -> control.Ready:
        starting = asyncio.create_task(self.template.start(limit))
        await eventually(lambda: self.template.pid or starting.done())
        for packet in packets:
            self.says(packet)
        return await starting

    def says(self, packet: control.Report) -> None:
        control.send(Impostor.end, packet)

    def call(self) -> CallProcess:
        return CallProcess("call", lambda frame: None, lambda report: None)

    async def end(self) -> None:
        self.template.close()
        if self.template.pid is not None:
            await self.template.gone.wait()
        self.lifeline.close()
        self._writer.close()
        Impostor.end.close()
        os.close(Impostor.words)


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr(module, "TemplateProcess", Impostor)
    set_up = Stage()
    yield set_up
    await set_up.end()


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process of the gateway's that is no call: another template, say."""
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as process:
        yield process
        process.kill()


async def test_a_template_is_ready_when_it_says_so(stage: Stage) -> None:
    stages: list[str] = []
    stage.template.on_stage = stages.append
    assert await stage.begin(control.Stage("rehearsing"), READY) == READY
    assert stages == ["rehearsing"]
    assert stage.template.alive
    assert stage.template.ready == READY


async def test_a_refusal_brings_reason_and_traceback(stage: Stage) -> None:
    with pytest.raises(TemplateError) as caught:
        await stage.begin(control.Refused("KeyError: 'x'", "Traceback ..."))
    assert (caught.value.reason, caught.value.report) == ("KeyError: 'x'", "Traceback ...")
    assert str(caught.value) == "KeyError: 'x'\nTraceback ..."
    await stage.template.gone.wait()


async def test_a_worker_of_another_version_never_gets_a_call(stage: Stage) -> None:
    other = control.Ready(messages.VERSION + 1, [], 1.0, 1.0, 1, [])
    with pytest.raises(TemplateError, match="restart the gateway after an upgrade"):
        await stage.begin(other)
    await stage.template.gone.wait()
    assert not stage.template.alive


async def test_one_that_dies_while_loading_leaves_its_last_words(stage: Stage) -> None:
    starting = asyncio.create_task(stage.begin())
    pid = await eventually(lambda: stage.template.pid)
    os.write(Impostor.words, b"Fatal Python error\n")
    await eventually(lambda: stage.template._stderr and stage.template._stderr.text)
    os.kill(pid, signal.SIGSEGV)
    with pytest.raises(TemplateError, match=r"died: killed by SIGSEGV") as caught:
        await starting
    assert "Fatal Python error" in caught.value.report


async def test_nonsense_on_the_control_socket_ends_the_template(stage: Stage) -> None:
    await stage.begin(READY)
    Impostor.end.send(b"\xc1 nonsense")
    await stage.template.gone.wait()
    assert stage.deaths == [stage.template]


async def test_a_process_that_is_not_the_templates_is_not_taken_for_a_call(
    stage: Stage, bystander: subprocess.Popen[bytes]
) -> None:
    await stage.begin(READY)
    for key, pid in enumerate((1, os.getpid(), bystander.pid, 1 << 29), start=1):
        call = stage.call()
        stage.template.fork(call, 0)
        stage.says(control.Forked(key, pid))
        report = await call.exited
        assert report.problem.startswith("no process")
        call.kill()
    assert stage.template.processes == {}
    assert bystander.poll() is None, "a foreign process was killed"


async def test_a_call_cannot_be_declared_dead_while_it_lives(stage: Stage) -> None:
    await stage.begin(READY)
    call = stage.call()
    stage.template.fork(call, 0)
    child = stage.template.pid
    assert child is not None
    stage.says(control.Exited(child, 0, 0.0, 0))
    stage.says(control.Exited(1 << 29, 9, 0.0, 0))
    stage.says(control.Stage("done"))
    seen: list[str] = []
    stage.template.on_stage = seen.append
    await eventually(lambda: seen)
    assert not call.exited.done()


async def test_forks_in_flight_fail_with_their_template(stage: Stage) -> None:
    await stage.begin(READY)
    calls = [stage.call() for _ in range(3)]
    for call in calls:
        stage.template.fork(call, 0)
    stage.template.close()
    for call in calls:
        assert "its template died (killed by SIGKILL)" in str(await call.exited)
    late = stage.call()
    stage.template.fork(late, 0)
    assert str(await late.exited).startswith("no process")


async def test_a_fork_that_the_kernel_refuses_is_that_calls_problem_alone(stage: Stage) -> None:
    await stage.begin(READY)
    call = stage.call()
    stage.template.fork(call, 0)
    stage.says(control.ForkFailed(1, "Resource temporarily unavailable"))
    assert "Resource temporarily unavailable" in (await call.exited).problem
    assert stage.template.alive


async def test_a_template_that_leaves_an_order_unanswered_is_ended(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.05)
    await stage.begin(READY)
    call = stage.call()
    stage.template.fork(call, 0)
    assert "its template died (killed by SIGKILL)" in str(await call.exited)
    assert stage.deaths == [stage.template]


async def test_a_template_being_ended_is_not_ready_for_another_call(stage: Stage) -> None:
    await stage.begin(READY)
    stage.template.close()
    assert stage.template.ready is None


async def test_no_descriptor_for_a_template_is_a_refusal_not_a_crash(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: object) -> None:
        raise OSError(24, "Too many open files")

    before = len([*Path("/proc/self/fd").iterdir()])
    with monkeypatch.context() as patch:
        patch.setattr(socket, "socketpair", exhausted)
        with pytest.raises(TemplateError, match="Too many open files"):
            await stage.template.start(1)
    assert len([*Path("/proc/self/fd").iterdir()]) == before
    await stage.begin(READY)


_pids = st.sampled_from([1, 2, os.getpid(), 1 << 29]) | st.integers(1, 1 << 22)
_hostile = st.one_of(
    st.builds(control.Stage, st.text(max_size=20)),
    st.builds(control.Forked, st.integers(0, 100), _pids),
    st.builds(control.ForkFailed, st.integers(0, 100), st.text(max_size=20)),
    st.builds(control.Exited, _pids, st.none() | st.integers(0, 0xFFFF), st.floats(), st.just(0)),
    st.builds(control.Refused, st.text(max_size=20), st.text(max_size=20)),
    st.just(READY),
)


async def test_no_order_of_reports_brings_a_foreign_process_in(stage: Stage) -> None:
    await stage.begin(READY)

    @settings(max_examples=30, deadline=None)
    @given(st.lists(_hostile, max_size=12))
    def say(packets: list[control.Report]) -> None:
        calls = [stage.call() for _ in range(3)]
        for call in calls:
            stage.template.fork(call, 0)
        for packet in packets:
            stage.template._act_on(packet)
        assert stage.template.processes == {}
        for call in calls:
            call.ended(ExitReport())

    say()
    assert stage.template.alive


@given(st.integers(0, 0xFFFF))
def test_any_wait_status_can_be_told(status: int) -> None:
    report = exit_report(status, 0.5, 10)
    assert str(report)
    assert report.clean == (status & 0x7F == 0 and status >> 8 == 0)


def test_a_status_that_nobody_knows_is_no_clean_end() -> None:
    assert not exit_report(None).clean
    assert str(exit_report(None)) == "exit status unknown"
    assert str(exit_report(int(signal.SIGRTMIN) + 3)) == f"killed by signal {signal.SIGRTMIN + 3}"
    assert msgpack.packb(str(exit_report(9))) == msgpack.packb("killed by SIGKILL")
