"""What the processes of a gateway show, and what they hide from one another."""

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from tests.e2e import processes
from tests.e2e.saboteur import SABOTEURS
from tests.harness import API_TOKEN, AUTH_TOKEN, RunningGateway, eventually, running_gateway

# Root may read any process by its capabilities: they would hide whether the rule for all holds.
_NO_CAPABILITY = """
import ctypes
libc = ctypes.CDLL(None)
header = (ctypes.c_uint32 * 2)(0x20080522, 0)
data = (ctypes.c_uint32 * 6)()
assert libc.capget(header, data) == 0
for effective_or_permitted in (0, 1, 3, 4):
    data[effective_or_permitted] = 0
assert libc.capset(header, data) == 0
"""


async def test_every_process_says_what_it_is_and_knows_no_secret_of_its_gateway(
    tmp_path: Path,
) -> None:
    secrets = {"SECRET_KEY": "s3cret-of-the-database", "OPENAI_API_KEY": "key-of-a-provider"}
    async with (
        running_gateway(tmp_path, SABOTEURS, secrets, fresh=True) as gateway,
        gateway.phone().dial() as call,
    ):
        await call.connected()
        await call.press("9")
        await eventually(lambda: len(processes.titled(gateway.pid, "sleep")) == 2)
        release = await _release(gateway)
        family = processes.descendants(gateway.pid)
        titles = {processes.title(pid) for pid in family}
        assert f"callfarm template {release}" in titles
        assert f"callfarm call {call.sid} {release}" in titles
        hidden = (AUTH_TOKEN, API_TOKEN, secrets["SECRET_KEY"])
        for pid in family:
            environment = processes.environment(pid)
            assert not [secret for secret in hidden if secret in environment], pid
        (program,) = processes.titled(gateway.pid, "sh")
        assert "OPENAI_API_KEY=key-of-a-provider" in processes.environment(program)
    assert not re.search("|".join(map(re.escape, hidden)), gateway.log_text())


@pytest.mark.parametrize("secret", ["environ", "fd/1", "maps"])
async def test_no_process_of_the_same_user_can_read_the_gateways(
    tmp_path: Path, secret: str
) -> None:
    (tmp_path / "sitecustomize.py").write_text(_NO_CAPABILITY)
    path = os.pathsep.join((str(tmp_path), str(Path(__file__).parents[2])))
    async with running_gateway(tmp_path, environment={"PYTHONPATH": path}, fresh=True) as gateway:
        assert "CapPrm:\t0000000000000000" in Path(f"/proc/{gateway.pid}/status").read_text()
        other = await _python("print(flush=True); import time; time.sleep(60)", path)
        try:
            assert other.stdout is not None
            await other.stdout.readline()
            assert await _readable(other.pid, secret, path)
            assert not await _readable(gateway.pid, secret, path)
        finally:
            other.kill()
            await other.communicate()


async def _readable(pid: int, secret: str, path: str) -> bool:
    """Tell whether a process with no more rights than the gateway can read its ``secret``."""
    read = "os.readlink(path)" if "fd" in secret else "open(path, 'rb').read()"
    process = await _python(f"import os; path = '/proc/{pid}/{secret}'; {read}", path)
    words, _ = await process.communicate()
    assert process.returncode == 0 or b"PermissionError" in words, words.decode()
    return process.returncode == 0


async def _python(code: str, path: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code,
        env={"PYTHONPATH": path},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def _release(gateway: RunningGateway) -> str:
    releases = (await gateway.api("GET", "/api/releases")).json()["releases"]
    return str(next(release["id"] for release in releases if release["current"]))
