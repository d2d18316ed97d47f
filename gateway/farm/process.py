"""One call process as the gateway holds it: pipe, pidfd, standard error, exit report.

    forking ──> running ──> exited
       └──────────────────────┘

The pipe can be written to from the first moment; the process finds everything there.
"""

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

import structlog

from gateway.farm.stderr import StderrTail
from shared.kernel import private_bytes, resident_bytes
from shared.pipe import Pipe

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ExitReport:
    """How a call process ended.

    ``code`` is its exit code, or ``signal`` what killed it; both are ``None`` when it never ran
    or its status was lost with its template. CPU in seconds, memory in bytes.
    """

    code: int | None = None
    signal: int | None = None
    cpu_seconds: float = 0.0
    peak_bytes: int = 0
    last_words: str = ""
    problem: str = ""

    @property
    def clean(self) -> bool:
        """Whether the process ended of itself and without an error."""
        return self.code == 0

    def __str__(self) -> str:
        if self.problem:
            return self.problem
        if self.signal is not None:
            return f"killed by {_signal_name(self.signal)}"
        return f"exit code {self.code}" if self.code is not None else "exit status unknown"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # the real-time ones have no names of their own
        return f"signal {number}"


class CallProcess:
    """A fork of a template, from the request for it to its exit."""

    def __init__(
        self,
        title: str,
        on_frame: Callable[[bytes], None],
        on_exit: Callable[[ExitReport], None],
    ) -> None:
        self.title = title
        self.reap: Callable[[CallProcess], None] | None = None
        self.pid: int | None = None
        self._pidfd: int | None = None
        self._on_exit = on_exit
        self._report: ExitReport | None = None
        self._loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[ExitReport] = self._loop.create_future()
        ours, theirs = multiprocessing.Pipe(duplex=True)
        self._theirs: Connection | None = theirs
        self.pipe = Pipe(ours, on_frame, self._pipe_closed)
        read, self._stderr_end = os.pipe()
        self.stderr = StderrTail(read, self._stderr_line)

    def descriptors(self) -> tuple[int, int]:
        """Return what the fork needs: the pipe's other end, the write end of standard error."""
        assert self._theirs is not None
        return self._theirs.fileno(), self._stderr_end

    def handed_over(self) -> None:
        """The descriptors are on their way: close this side's copies."""
        if self._theirs is not None:
            self._theirs.close()
            self._theirs = None
            os.close(self._stderr_end)

    def started(self, pid: int) -> None:
        """The fork exists and is a child of ours. Raises ``OSError`` when it is gone already."""
        self._pidfd = os.pidfd_open(pid)
        self.pid = pid
        self._loop.add_reader(self._pidfd, self._died)

    def _died(self) -> None:
        assert self._pidfd is not None
        self._loop.remove_reader(self._pidfd)
        if self.reap is not None:
            self.reap(self)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal; nothing happens when the process is gone or not there yet."""
        if self._pidfd is not None and self._report is None:
            try:
                signal.pidfd_send_signal(self._pidfd, number)
            except ProcessLookupError:
                return

    def dump_stacks(self) -> None:
        """Have the process write its stacks to its standard error, whatever it is doing."""
        self.kill(signal.SIGUSR2)

    def resident_bytes(self) -> int:
        """Return all its memory, that of its template which it shares included: quickly known."""
        return resident_bytes(self.pid) if self.pid is not None else 0

    def private_bytes(self) -> int:
        """Return the memory that this process shares with nobody (blocking: use a thread)."""
        return private_bytes(self.pid) if self.pid is not None else 0

    def ended(self, report: ExitReport) -> None:
        """The exit status is known, or known to be lost. Only the first report counts."""
        if self._report is not None:
            return
        self.handed_over()
        self.stderr.close()
        self._report = ExitReport(
            report.code,
            report.signal,
            report.cpu_seconds,
            report.peak_bytes,
            self.stderr.text,
            report.problem,
        )
        # What the process wrote before it died is still in the pipe, and is read first.
        self.pipe.finish()
        self.pipe.close()
        if self._pidfd is not None:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None
        self.exited.set_result(self._report)
        self._on_exit(self._report)

    def _pipe_closed(self, error: Exception | None) -> None:
        if error is not None:
            log.warning("call ended: nonsense on its pipe", process=self.title, error=str(error))
            self.kill()

    def _stderr_line(self, line: str) -> None:
        log.warning("stderr", process=self.title, line=line[:2000])
