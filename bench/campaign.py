"""A campaign of many numbers: does the gateway's memory depend on how many there are?

The gateway is a real one with its database, the carrier the fake Twilio in a process of its own,
which plays callees by a script and without media: they ring, answer and hang up.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.figures import anonymous_megabytes
from tests.e2e.carrier import gateway_of
from tests.fakes.twilio_callee import Callee
from tests.fakes.twilio_rest import TwilioRestServer
from tests.harness import RunningGateway, free_port

_PAGE = 500
_AT_ONCE = 50
_WARM = 0.1
"""The part of a campaign after which memory is first looked at."""


@dataclass(frozen=True, slots=True)
class Look:
    """How many leads were over, and the gateway's MB, ``seconds`` after the start."""

    seconds: float
    over: int
    megabytes: float


async def _enlisted(gateway: RunningGateway, people: int) -> str:
    policy = {"concurrency": _AT_ONCE, "breaker_calls": 0, "max_seconds": 60}
    body: dict[str, Any] = {"name": "bench", "policy": policy}
    campaign = str((await gateway.api("POST", "/api/campaigns", body)).json()["id"])
    for start in range(0, people, _PAGE):
        numbers = range(start, min(start + _PAGE, people))
        leads = [
            {"phone": f"+4930{1_000_000 + n}", "variables": {"name": f"Person {n}"}}
            for n in numbers
        ]
        added = await gateway.api("POST", f"/api/campaigns/{campaign}/leads", {"leads": leads})
        assert added.status_code == 200, added.text
    return campaign


async def _run(people: int, folder: Path, twilio_url: str) -> list[Look]:
    port = free_port()
    async with gateway_of(folder, twilio_url, port, DIAL_CALLS_PER_SECOND="1000") as gateway:
        campaign = await _enlisted(gateway, people)
        began, looks = time.monotonic(), list[Look]()
        assert (await gateway.api("POST", f"/api/campaigns/{campaign}/start")).status_code == 200
        while True:
            it = (await gateway.api("GET", f"/api/campaigns/{campaign}/progress")).json()
            over = it["done"] + it["failed"] + it["skipped"]
            megabytes = anonymous_megabytes(gateway.pid)
            looks.append(Look(time.monotonic() - began, over, megabytes))
            if it["state"] != "running":
                assert it["state"] == "completed", it
                assert it["attempts"] == people, it
                return looks
            await asyncio.sleep(1.0)


@asynccontextmanager
async def _twilio() -> AsyncIterator[str]:
    """Run the carrier in a process of its own; give its address."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.campaign", "--carrier"), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.terminate()
        await process.wait()


async def _carrier() -> None:
    def callee(number: str) -> Callee:
        return Callee(ring_s=2, talk_s=8)

    async with TwilioRestServer(callee=callee, speed=50) as twilio:
        print(twilio.base_url, flush=True)
        while True:
            await asyncio.sleep(1)
            twilio.requests.clear()


async def _measured(people: int) -> list[Look]:
    with tempfile.TemporaryDirectory(prefix="callfarm-bench-") as folder:
        async with _twilio() as url:
            return await _run(people, Path(folder), url)


def main(argv: list[str]) -> int:
    """Print how much the gateway's memory grows from a tenth of the campaign to its end."""
    parser = argparse.ArgumentParser(prog="python -m bench campaign")
    parser.add_argument("--leads", type=int, default=10_000)
    parser.add_argument("--carrier", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.carrier:
        asyncio.run(_carrier())
        return 0
    looks = asyncio.run(_measured(options.leads))
    warm = next(it for it in looks if it.over >= _WARM * options.leads)
    last = looks[-1]
    most = max(it.megabytes for it in looks)
    print(
        f"{options.leads} numbers, {_AT_ONCE} at a time: {last.seconds:.0f} s, "
        f"{last.over / last.seconds:.0f} calls a second"
    )
    print(
        f"gateway: {warm.megabytes:.1f} MB after {warm.over} calls, "
        f"{last.megabytes:.1f} MB after {last.over} ({last.megabytes / warm.megabytes:.2f}), "
        f"at most {most:.1f} MB"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
