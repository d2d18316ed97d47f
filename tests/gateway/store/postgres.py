"""PostgreSQL for tests: databases on the server of ``TEST_POSTGRES_URL``, and servers of our own.

A server of our own is for what one does to nobody else's: kill it, start it again. And for a whole
run: ``python -m tests.gateway.store.postgres COMMAND`` runs a command with one, as CI does.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import create_async_engine

SERVER_URL = os.environ.get("TEST_POSTGRES_URL", "")
"""A server, and a user of it who may make databases."""


@asynccontextmanager
async def new_database(server: str) -> AsyncIterator[str]:
    """Give the address of an empty database; it is dropped afterwards."""
    name = f"callfarm_test_{secrets.token_hex(6)}"
    await _execute(server, f"CREATE DATABASE {name}")
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        await _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


async def _execute(server: str, sql: str) -> None:
    url = make_url(server).set(drivername="postgresql+asyncpg")
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.exec_driver_sql(sql)
    await engine.dispose()


class Server:
    """A cluster in a folder of its own. It is run as ``postgres`` where we are root."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs, self._folder = programs, folder
        self._user = "postgres" if os.getuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = str(probe.getsockname()[1])
        self.url = f"postgresql://postgres@127.0.0.1:{self._port}/postgres"

    def make(self) -> None:
        """Make the cluster."""
        words = ("-D", "data", "-U", "postgres", "-A", "trust", "--no-sync")
        assert self._run("initdb", *words).wait() == 0, self._said()

    def start(self) -> None:
        """Start it, and wait until it answers. After a crash it recovers first."""
        words = ["-D", "data", "-p", self._port, "-h", "127.0.0.1", "-k", str(self._folder)]
        # What a killed server has written is there without it; it would take power to lose it.
        words += ["-c", "fsync=off"]
        self._process = self._run("postgres", *words)
        for _ in range(200):
            if self._run("pg_isready", "-q", "-h", "127.0.0.1", "-p", self._port).wait() == 0:
                return
            assert self._process.poll() is None, self._said()
            time.sleep(0.05)
        raise AssertionError(self._said())

    def kill(self) -> None:
        """End all of it at once."""
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def freeze(self) -> None:
        """Let all of it stand still: what is asked finds no answer, and no refusal."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        """Send it to the server's process, then to those that it has."""
        assert self._process is not None
        listed = subprocess.run(
            ["pgrep", "-P", str(self._process.pid)], capture_output=True, text=True, check=False
        )
        self._process.send_signal(number)
        for pid in map(int, listed.stdout.split()):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def stop(self) -> None:
        """Stop it, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()

    def _run(self, program: str, *words: str) -> "subprocess.Popen[bytes]":
        with open(self._folder / "log", "ab") as log:
            return subprocess.Popen(
                [str(self._programs / program), *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                user=self._user,
            )

    def _said(self) -> str:
        return (self._folder / "log").read_text(errors="replace")


@contextmanager
def own_server() -> Iterator[Server]:
    """Give a running server of our own."""
    programs = _programs()
    if programs is None:
        assert not SERVER_URL, "PostgreSQL's programs are not installed here"
        pytest.skip("PostgreSQL is not installed")
    folder = Path(tempfile.mkdtemp(prefix="callfarm-postgres-"))
    try:
        if os.getuid() == 0:
            shutil.chown(folder, "postgres")
        server = Server(programs, folder)
        server.make()
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    on_path = shutil.which("pg_ctl")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


def main(command: list[str]) -> int:
    """Run a command with ``TEST_POSTGRES_URL`` set; return its exit code."""
    with own_server() as server:
        environment = {**os.environ, "TEST_POSTGRES_URL": server.url}
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
