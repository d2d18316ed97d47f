"""The real gateway, as a process of its own, for end-to-end tests and benchmarks.

Nothing here is a stand-in: `RunningGateway` is ``python -m gateway serve``, forked where that has
been imported (`tests.seed`) or started afresh, on a free port with an agents folder and a data
folder of its own, asked over its control socket as the commands do.
"""

import asyncio
import os
import random
import re
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from gateway.operator_socket import socket_path
from phone import Phone, PhoneSettings
from tests.seed import Sprout, seed

AUTH_TOKEN = "harness-auth-token"
API_TOKEN = "harness-api-token"
ACCOUNT_SID = "AC" + "0" * 32
ROOT = Path(__file__).resolve().parent.parent

ECHO = """
from worker import Agent

class Echo(Agent):
    def on_audio(self, audio):
        self.call.play(audio)
"""
ROUTES = 'default = "echo:Echo"\n'


_PORTS = range(20_000, 32_000)
"""Below those that the kernel gives to connections (``ip_local_port_range``)."""


def free_port() -> int:
    """Return a port that nobody listens on, and that no connection will be given meanwhile."""
    chance = random.SystemRandom()
    while True:
        port = chance.choice(_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@dataclass
class RunningGateway:
    """One gateway process. ``log_text()`` is what it has written so far."""

    process: asyncio.subprocess.Process | Sprout
    url: str
    data_dir: Path
    agents_dir: Path
    log_file: Path
    phones: list[Phone] = field(default_factory=list)

    @property
    def pid(self) -> int:
        """The gateway's own process id."""
        return self.process.pid

    def log_text(self) -> str:
        """Return standard output and error so far."""
        return self.log_file.read_text(errors="replace")

    def write_agent(self, name: str, source: str) -> None:
        """Write a file of the live agents folder (nothing is deployed by that)."""
        path = self.agents_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)

    def phone(self, settings: PhoneSettings | None = None, **changes: Any) -> Phone:
        """Return a phone that calls this gateway."""
        return Phone(
            f"{self.url}/twilio/voice",
            auth_token=AUTH_TOKEN,
            account_sid=ACCOUNT_SID,
            settings=settings or PhoneSettings(),
            status_url=changes.pop("status_url", f"{self.url}/twilio/status"),
            **changes,
        )

    async def api(self, method: str, path: str, body: object = None) -> httpx2.Response:
        """Ask the API over the control socket."""
        transport = httpx2.AsyncHTTPTransport(uds=str(socket_path(self.data_dir)), verify=False)
        async with httpx2.AsyncClient(transport=transport, timeout=120) as client:
            return await client.request(method, f"http://callfarm{path}", json=body)

    async def calls(self, live: bool = True) -> list[dict[str, Any]]:
        """Return the calls in progress (or all remembered)."""
        answer = await self.api("GET", "/api/calls?live=true" if live else "/api/calls")
        found: list[dict[str, Any]] = answer.json()["calls"]
        return found

    async def call_view(self, sid: str) -> dict[str, Any]:
        """Return one call with transcript and agent state."""
        view: dict[str, Any] = (await self.api("GET", f"/api/calls/{sid}")).json()
        return view

    async def command(self, *words: str) -> tuple[int, str]:
        """Run a ``callfarm`` command against this gateway: exit code, and all it printed."""
        arguments = (*words, "--data-dir", str(self.data_dir))
        with tempfile.TemporaryFile() as printed:
            process = await seed().start(
                "gateway", arguments, ROOT, os.environ, printed, new_session=False
            )
            code = await process.wait()
            printed.seek(0)
            return code, printed.read().decode()

    def signal(self, number: int) -> None:
        """Send the gateway a signal."""
        self.process.send_signal(number)

    async def ended(self, seconds: float = 30.0) -> int:
        """Wait for the gateway's exit; return its code."""
        async with asyncio.timeout(seconds):
            return await self.process.wait()


async def eventually(holds: Callable[[], Any], seconds: float = 60.0, every: float = 0.02) -> Any:
    """Return what ``holds`` (plain or async) returns as soon as it is true.

    Raises ``TimeoutError`` when it never is.
    """
    async with asyncio.timeout(seconds):
        while True:
            found = holds()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(every)


@asynccontextmanager
async def running_gateway(
    folder: Path,
    agents: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    options: tuple[str, ...] = (),
    new_session: bool = True,
    program: str = "gateway",
    fresh: bool = False,
) -> AsyncIterator[RunningGateway]:
    """Run a gateway in ``folder`` until the block ends; by default its agent is an echo.

    ``agents`` maps file names to sources; ``program`` is a module that takes the gateway's
    commands. It is forked from the `seed`, or a ``fresh`` process: where it matters what the kernel
    tells of it. What the gateway may leave behind is killed.
    """
    agents_dir, data_dir, log_file = folder / "agents", folder / "var", folder / "gateway.log"
    for name, source in (agents or {"echo.py": ECHO, "routes.toml": ROUTES}).items():
        path = agents_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    variables = {
        **os.environ,
        "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
        "API_TOKEN": API_TOKEN,
        "PYTHONPATH": str(ROOT),
        **(environment or {}),
    }
    arguments = (
        *("serve", "--host", "127.0.0.1", "--port", "0"),
        *("--agents", str(agents_dir), "--data-dir", str(data_dir)),
        *options,
    )
    process: asyncio.subprocess.Process | Sprout
    with log_file.open("wb") as log:
        if fresh:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                program,
                *arguments,
                stdout=log,
                stderr=log,
                stdin=asyncio.subprocess.DEVNULL,
                cwd=folder,
                env=variables,
                start_new_session=new_session,
            )
        else:
            process = await seed().start(
                program, arguments, folder, variables, log, new_session=new_session
            )
    gateway = RunningGateway(process, "", data_dir, agents_dir, log_file)
    try:
        gateway.url = await _address(gateway)
        yield gateway
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                await gateway.ended(20)
            except TimeoutError:
                process.kill()
                await process.wait()


async def _address(gateway: RunningGateway) -> str:
    def announced() -> str:
        if gateway.process.returncode is not None:
            raise AssertionError(f"the gateway did not start:\n{gateway.log_text()}")
        found = re.search(r"callfarm serves (\S+)", gateway.log_text())
        return found[1] if found else ""

    return str(await eventually(announced, seconds=60))
