"""Whatever is under way, a gateway that is told to end does so, and in time."""

import asyncio
import signal
from pathlib import Path

from tests.harness import eventually, running_gateway

HANGS = "import time\ntime.sleep(1000)\n"


async def test_a_release_that_hangs_does_not_prolong_the_end(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        gateway.write_agent("echo.py", HANGS)
        gateway.signal(signal.SIGHUP)
        await eventually(lambda: len(list((gateway.data_dir / "releases").glob("[!.]*"))) > 2)
        gateway.signal(signal.SIGTERM)
        async with asyncio.timeout(30):  # of the 60 s that a template may take
            assert await gateway.process.wait() == 0


async def test_a_second_gateway_takes_the_place_of_one_that_was_killed(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        gateway.signal(signal.SIGKILL)
        await gateway.process.wait()
        assert (gateway.data_dir / "control.sock").exists()
    async with running_gateway(tmp_path) as gateway:
        assert (await gateway.api("GET", "/ready")).status_code == 200
