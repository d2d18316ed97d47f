"""A process that has imported the gateway, and is forked for each gateway of a test.

    process = await seed().start("gateway", ["serve", ...], folder, variables, log)

What a gateway imports takes a second of a core, and the suite starts hundreds: beside callers who
speak in real time. What is forked runs ``python -m gateway`` from its first line, with arguments,
environment, folder and session of its own, as `tests.harness.running_gateway` would have started
it; only ``/proc/PID/environ`` and the command line are the seed's, so that tests of those ask for a
``fresh`` process.

It refuses to know what a gateway does.
"""

import asyncio
import atexit
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import IO

import msgspec

_ROOT = Path(__file__).resolve().parent.parent
_MOST = 1 << 20
"""Of an order, in bytes: arguments and environment."""

_IMPORTED = (
    "aiosqlite",
    "alembic.command",
    "alembic.runtime.environment",
    "anyio._backends._asyncio",
    "gateway.cli.app",
    "gateway.server",
    "shared.log",
    "sqlalchemy.dialects.sqlite.aiosqlite",
    "uvloop",
)


class Sprout:
    """A forked gateway: what tests use of `asyncio.subprocess.Process`."""

    def __init__(self, pid: int, report: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._report = report
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(report, self._reported)

    def _reported(self) -> None:
        text = self._report.recv(16)
        self._loop.remove_reader(self._report)
        self._report.close()
        self.returncode = int(text)
        self._ended.set()

    async def wait(self) -> int:
        """Wait for its exit; return its code, of a signal the negative number."""
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it is gone."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Send it SIGKILL, unless it is gone."""
        self.send_signal(signal.SIGKILL)


class Seed:
    """The near end. The seed ends with it."""

    def __init__(self) -> None:
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._orders.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MOST)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.seed", str(theirs.fileno())],
                cwd=_ROOT,
                env={name: it for name, it in os.environ.items() if name != "PYTHONPATH"},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                # Not a session of its own: a farm in this process would take it for a stray.
                process_group=0,
            )
        atexit.register(self._end)

    def _end(self) -> None:
        self._orders.close()
        self._process.wait()

    async def start(
        self,
        program: str,
        arguments: Sequence[str],
        folder: Path,
        variables: Mapping[str, str],
        log: IO[bytes],
        *,
        new_session: bool,
    ) -> Sprout:
        """Fork a process that runs module ``program`` in ``folder``, and writes to ``log``."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        order = _Order(program, list(arguments), str(folder), dict(variables), new_session)
        try:
            with theirs:
                descriptors = [log.fileno(), theirs.fileno()]
                socket.send_fds(self._orders, [msgspec.json.encode(order)], descriptors)
            ours.setblocking(False)
            pid = int(await asyncio.get_running_loop().sock_recv(ours, 16))
        except BaseException:
            ours.close()
            raise
        return Sprout(pid, ours)


@cache
def seed() -> Seed:
    """Return the seed of this process; it begins to grow when it is first asked for."""
    return Seed()


class _Order(msgspec.Struct):
    program: str
    arguments: list[str]
    folder: str
    variables: dict[str, str]
    new_session: bool


def _serve(orders: socket.socket) -> None:
    """Fork whenever that is ordered and report how each has ended, until nobody orders any more."""
    for name in _IMPORTED:
        import_module(name)
    waiting = selectors.DefaultSelector()
    waiting.register(orders, selectors.EVENT_READ)
    while True:
        for key, _ in waiting.select():
            if key.data is not None:
                waiting.unregister(key.fd)
                _reap(key.fd, *key.data)
                continue
            text, descriptors, _, _ = socket.recv_fds(orders, _MOST, 2)
            if not text:
                return
            log, report = descriptors
            pid = os.fork()
            if not pid:
                waiting.close()
                orders.detach()
                _run(msgspec.json.decode(text, type=_Order), log)
                return
            os.close(log)
            with suppress(BrokenPipeError):
                os.write(report, str(pid).encode())
            waiting.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, report))


def _reap(descriptor: int, pid: int, report: int) -> None:
    os.close(descriptor)
    _, status = os.waitpid(pid, 0)
    with suppress(BrokenPipeError):
        os.write(report, str(os.waitstatus_to_exitcode(status)).encode())
    os.close(report)


def _run(order: _Order, log: int) -> None:
    """Become what was ordered. Of what the seed had open nothing is kept."""
    if order.new_session:
        os.setsid()
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.chdir(order.folder)
    os.environ.clear()
    os.environ.update(order.variables)
    path = order.variables.get("PYTHONPATH", "")
    sys.path[:1] = [order.folder, *filter(None, path.split(os.pathsep))]
    sys.argv[1:] = order.arguments
    runpy.run_module(order.program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
