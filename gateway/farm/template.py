"""The gateway's side of a template: starts it, asks it for forks, learns of every death.

A template's word is believed only as far as the kernel confirms it: a process id counts once a
pidfd for it is open and its parent is this template (or this gateway, which adopts orphans).
"""

import asyncio
import os
import signal
import socket
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Connection

import structlog

from gateway.farm.process import CallProcess, ExitReport
from gateway.farm.stderr import StderrTail
from shared import control, messages
from shared.bootstrap import ReleaseSpec, TemplateProcess
from shared.kernel import parent_of, session_of

log = structlog.get_logger(__name__)

_REAP_RETRY_SECONDS = 0.02
_REAP_TRIES = 100
_DUMP_SECONDS = 0.5
_RETRY_SECONDS = 0.005

ANSWER_SECONDS = 10.0
"""A template that leaves an order unanswered for so long hangs, and is ended: its calls go on."""


class TemplateError(Exception):
    """The release did not become ready. ``reason`` in a sentence, ``report`` with a traceback."""

    def __init__(self, reason: str, report: str = "") -> None:
        self.reason, self.report = reason, report
        super().__init__(reason, report)

    def __str__(self) -> str:
        return f"{self.reason}\n{self.report}".rstrip()


class Template:
    """One template process. Use `start` once, then `fork`; `close` ends it."""

    def __init__(
        self, spec: ReleaseSpec, lifeline: Connection, on_death: Callable[["Template"], None]
    ) -> None:
        self.spec = spec
        self.pid: int | None = None
        self.ready: control.Ready | None = None
        self.processes: dict[int, CallProcess] = {}
        self._forking: dict[int, CallProcess] = {}
        self._waiting: deque[CallProcess] = deque()
        self._dead_waiting: dict[int, CallProcess] = {}
        self._lifeline, self._on_death = lifeline, on_death
        self._loop = asyncio.get_running_loop()
        self._becoming: asyncio.Future[control.Ready] = self._loop.create_future()
        self._control: socket.socket | None = None
        self._pidfd: int | None = None
        self._stderr: StderrTail | None = None
        self._process: TemplateProcess | None = None
        self._key = 0
        self._memory_limit = 0
        self._retry: asyncio.TimerHandle | None = None
        self.on_stage: Callable[[str], object] = lambda stage: None
        self.gone = asyncio.Event()

    @property
    def alive(self) -> bool:
        """Whether the process runs and its control socket is open."""
        return self._control is not None and self._pidfd is not None

    async def start(self, limit: float) -> control.Ready:
        """Start the process; return when it is ready to fork.

        Raises `TemplateError` when it refuses, dies, or takes longer than ``limit`` seconds.
        """
        try:
            await self._start()
        except (OSError, RuntimeError) as error:  # no descriptor, process or thread to be had
            raise TemplateError(f"no process for the template: {error}") from error
        return await self._become_ready(limit)

    async def _start(self) -> None:
        read, write = os.pipe()
        stderr = Connection(write, readable=False)
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError:
            os.close(read)
            stderr.close()
            raise
        ours.setblocking(False)
        process = TemplateProcess(theirs, self._lifeline, stderr, self.spec)
        try:
            await asyncio.to_thread(process.start)
        except BaseException:
            ours.close()
            os.close(read)
            raise
        finally:
            theirs.close()
            stderr.close()
        self._control, self._process = ours, process
        self._stderr = StderrTail(read, self._line)
        self.pid = process.pid
        self._watch()

    def _watch(self) -> None:
        assert self.pid is not None
        assert self._control is not None
        self._pidfd = os.pidfd_open(self.pid)
        self._loop.add_reader(self._pidfd, self._died)
        self._loop.add_reader(self._control.fileno(), self._reported)

    async def _become_ready(self, limit: float) -> control.Ready:
        try:
            async with asyncio.timeout(limit):
                ready = await asyncio.shield(self._becoming)
        except TimeoutError:
            self.kill(signal.SIGUSR1)
            self.kill(signal.SIGUSR2)
            await asyncio.sleep(_DUMP_SECONDS)
            words = self._stderr.text if self._stderr is not None else ""
            self._becoming.cancel()
            self.close()
            raise TemplateError(
                f"not ready within {limit:g} s: something hangs at import or in the rehearsal "
                "(TEMPLATE_TIMEOUT_SECONDS)",
                words,
            ) from None
        except BaseException:
            self.close()
            raise
        if ready.pipe_version != messages.VERSION:
            self.close()
            raise TemplateError(
                f"its worker speaks version {ready.pipe_version} of the pipe, this gateway "
                f"{messages.VERSION}: restart the gateway after an upgrade"
            )
        self.ready = ready
        return ready

    # Forks -----------------------------------------------------------------------------------

    def fork(self, process: CallProcess, memory_limit: int) -> None:
        """Ask for a fork that will be ``process``; it learns of its success or failure."""
        self._memory_limit = memory_limit
        process.reap = self.reap
        self._waiting.append(process)
        self._send_waiting()

    def _send_waiting(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        while self._waiting:
            process = self._waiting[0]
            self._key += 1
            order = control.Fork(self._key, process.title, self._memory_limit)
            try:
                if self._control is None:
                    raise BrokenPipeError("the template is gone")
                control.send(self._control, order, process.descriptors())
            except BlockingIOError:
                self._retry = self._loop.call_later(_RETRY_SECONDS, self._send_waiting)
                return
            except OSError as error:
                self._waiting.popleft()
                process.ended(ExitReport(problem=f"no process: {error}"))
                continue
            self._waiting.popleft()
            process.handed_over()
            self._forking[self._key] = process
            self._loop.call_later(ANSWER_SECONDS, self._overdue, self._forking, self._key)

    def _overdue(self, orders: dict[int, CallProcess], number: int) -> None:
        """End a template that neither forks nor reaps: somebody waits for it on the phone."""
        if number in orders and self.alive:
            log.error("template hangs: killed", release=self.spec.release, pid=self.pid)
            self.close()

    def _forked(self, key: int, pid: int) -> None:
        process = self._forking.pop(key, None)
        if process is None:
            return
        try:
            if pid in self.processes:
                raise ProcessLookupError(f"process {pid} has its call already")
            process.started(pid)
            # The pidfd is open: from here on the number cannot come to mean another process.
            if not self._is_own(pid):
                raise ProcessLookupError(f"process {pid} is not this template's")
        except OSError as error:
            process.ended(ExitReport(problem=f"no process: {error}"))
            return
        self.processes[pid] = process

    def _is_own(self, pid: int) -> bool:
        """Tell whether ``pid`` is a child of this template, or was before the template died."""
        parent = parent_of(pid)
        return parent == self.pid or (parent == os.getpid() and session_of(pid) == self.pid)

    # Deaths ------------------------------------------------------------------------------------

    def reap(self, process: CallProcess) -> None:
        """``process`` is dead: learn its status, from the template or from the kernel."""
        assert process.pid is not None
        self._dead_waiting[process.pid] = process
        try:
            if self._control is None:
                raise BrokenPipeError
            control.send(self._control, control.Reap(process.pid))
        except BlockingIOError:
            self._loop.call_later(_RETRY_SECONDS, self.reap, process)
        except OSError:
            self._adopt(process, _REAP_TRIES)
        else:
            self._loop.call_later(ANSWER_SECONDS, self._overdue, self._dead_waiting, process.pid)

    def _adopt(self, process: CallProcess, tries: int) -> None:
        """Wait for an orphan; it becomes this process's child when its template is reaped."""
        assert process.pid is not None
        if process.pid not in self._dead_waiting:
            return
        try:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        except ChildProcessError:
            pid = 0
        if pid:
            cpu = usage.ru_utime + usage.ru_stime
            self._exited(control.Exited(pid, status, cpu, usage.ru_maxrss * 1024))
        elif tries:
            self._loop.call_later(_REAP_RETRY_SECONDS, self._adopt, process, tries - 1)
        else:
            self._forget(process.pid)
            process.ended(ExitReport(problem="exit status lost with its template"))

    def _exited(self, report: control.Exited) -> None:
        process = self._dead_waiting.get(report.pid)
        if process is None:
            return
        self._forget(report.pid)
        process.ended(exit_report(report.status, report.cpu, report.memory))

    def _forget(self, pid: int) -> None:
        self._dead_waiting.pop(pid, None)
        self.processes.pop(pid, None)

    def _died(self) -> None:
        """The template itself is dead: its calls go on, adopted by this process."""
        assert self._process is not None
        code = self._process.reap()
        report = ExitReport(code) if code is None or code >= 0 else ExitReport(signal=-code)
        how = str(report)
        self._drain_control()
        self._release_descriptors()
        # What it wrote last was perhaps read only now.
        words = self._stderr.text if self._stderr is not None else ""
        if not self._becoming.done():
            self._becoming.set_exception(TemplateError(f"the template died: {how}", words))
        for process in [*self._forking.values(), *self._waiting]:
            process.ended(ExitReport(problem=f"no process: its template died ({how})"))
        self._forking.clear()
        self._waiting.clear()
        for process in list(self._dead_waiting.values()):
            self._adopt(process, _REAP_TRIES)
        self.gone.set()
        self._on_death(self)

    # What the template says --------------------------------------------------------------------

    def _drain_control(self) -> None:
        while self._control is not None and self._read_report():
            pass

    def _reported(self) -> None:
        self._read_report()

    def _read_report(self) -> bool:
        assert self._control is not None
        try:
            data = self._control.recv(control.MAX_PACKET)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(self._control.fileno())
            return False
        try:
            report = control.decode_report(data)
        except control.ControlError as error:
            log.warning("template ended: nonsense on its control socket", error=str(error))
            self.kill()
            return False
        self._act_on(report)
        return True

    def _act_on(self, report: control.Report) -> None:
        match report:
            case control.Stage(name):
                self.on_stage(name)
            case control.Ready() if not self._becoming.done():
                self._becoming.set_result(report)
            case control.Refused(reason, text) if not self._becoming.done():
                self._becoming.set_exception(TemplateError(reason, text))
            case control.Forked(key, pid):
                self._forked(key, pid)
            case control.ForkFailed(key, problem):
                process = self._forking.pop(key, None)
                if process is not None:
                    process.ended(ExitReport(problem=f"no process: {problem}"))
            case control.Exited():
                self._exited(report)

    def _line(self, line: str) -> None:
        log.warning("stderr", process=f"template {self.spec.release}", line=line[:2000])

    # The end -------------------------------------------------------------------------------------

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the template; nothing happens when it is gone."""
        if self._pidfd is not None:
            try:
                signal.pidfd_send_signal(self._pidfd, number)
            except ProcessLookupError:
                return

    def close(self) -> None:
        """End the template; its calls, if any, go on. Its death is reported as any other.

        It is not ready from here on, whenever the kernel gets to it.
        """
        self.ready = None
        self.kill()

    def _release_descriptors(self) -> None:
        if self._control is not None:
            self._loop.remove_reader(self._control.fileno())
            self._control.close()
            self._control = None
        if self._pidfd is not None:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None
        if self._stderr is not None:
            self._stderr.close()


def exit_report(status: int | None, cpu_seconds: float = 0.0, peak_bytes: int = 0) -> ExitReport:
    """Return the report of a wait status, ``None`` for one that nobody knows."""
    if status is None:
        return ExitReport()
    if os.WIFSIGNALED(status):
        return ExitReport(None, os.WTERMSIG(status), cpu_seconds, peak_bytes)
    # Anything else, such as "stopped", is no exit: nothing that a template may claim is one.
    code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
    return ExitReport(code, None, cpu_seconds, peak_bytes)
