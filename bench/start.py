"""From the request for a call process to agent code running on its loop, and what it costs.

The farm as the gateway has it, on a uvloop loop; the agent's release imports three SDKs. The
comparison is what `multiprocessing` would do without a template: spawn a process that imports the
same and runs a coroutine.
"""

import argparse
import asyncio
import gc
import multiprocessing
import os
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import uvloop

from bench import agents
from bench.figures import median, percentile, private_megabytes
from gateway.farm.farm import Farm, FarmOptions
from shared import messages
from shared.kernel import become_subreaper
from tests.harness import eventually

_LIMIT_SECONDS = 30.0
_COLLECTED = "collected"


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one start: ms until agent code ran, and MB private after a full collection."""

    ms: float
    megabytes: float


class Start:
    """One call process, from the request on."""

    def __init__(self, farm: Farm, number: int) -> None:
        loop = asyncio.get_running_loop()
        self._running: asyncio.Future[float] = loop.create_future()
        self._collected: asyncio.Future[None] = loop.create_future()
        self._began = time.perf_counter()
        sid = f"CA{number:032x}"
        self.process, release = farm.start_process(sid, self._frame, lambda report: None)
        self._tell(messages.Hello(messages.VERSION))
        self._tell(messages.Metadata(sid, "AC" + "0" * 32, "+1", "+2", "inbound", release, {}))

    def _tell(self, event: messages.Event) -> None:
        self.process.pipe.send(messages.encode(event))

    def _frame(self, frame: bytes) -> None:
        match messages.decode_command(frame):
            case messages.Running():
                self._running.set_result(time.perf_counter())
            case messages.Metric(name) if name == _COLLECTED:
                self._collected.set_result(None)

    async def cost(self) -> Cost:
        """Wait until the process has run and collected; return what that took."""
        async with asyncio.timeout(_LIMIT_SECONDS):
            at = await self._running
            await self._collected
            pid = await eventually(lambda: self.process.pid)  # the fork may outrun its report
        return Cost((at - self._began) * 1000, private_megabytes(pid))

    async def end(self) -> None:
        """End the call and wait for the process."""
        self._tell(messages.CallEnded("over", 1.0))
        async with asyncio.timeout(_LIMIT_SECONDS):
            await self.process.exited


async def forked(starts: int, beside: int) -> list[Cost]:
    """Start ``starts`` processes one after the other while ``beside`` others live."""
    with tempfile.TemporaryDirectory() as folder:
        options = farm_options(Path(folder))
        for name, source in agents.COLLECTING.items():
            (options.agents_dir / name).write_text(source)
        farm = Farm(options)
        try:
            await farm.deploy()
            neighbours = [Start(farm, number) for number in range(beside)]
            for neighbour in neighbours:
                await neighbour.cost()
            costs = []
            for number in range(starts):
                start = Start(farm, beside + number)
                costs.append(await start.cost())
                await start.end()
            return costs
        finally:
            await farm.close()


def farm_options(folder: Path) -> FarmOptions:
    """Return a farm's options with all it writes in ``folder``."""
    agents_dir = folder / "agents"
    agents_dir.mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    return FarmOptions(agents_dir, folder / "var", environment=environment)


def _spawned(ready: Connection) -> None:
    """Do as a process of its own what a template has done before: import, then run a loop."""
    exec(agents.SDKS, {})  # the very source that the agent has

    async def work() -> None:
        ready.send_bytes(b"running")
        gc.collect()
        ready.send_bytes(b"collected")
        await asyncio.to_thread(ready.poll, _LIMIT_SECONDS)

    uvloop.run(work())


def spawned() -> Cost:
    """Spawn one process with `multiprocessing` and end it."""
    ours, theirs = multiprocessing.Pipe()
    began = time.perf_counter()
    process = multiprocessing.get_context("spawn").Process(target=_spawned, args=(theirs,))
    process.start()
    ours.recv_bytes()
    ms = (time.perf_counter() - began) * 1000
    ours.recv_bytes()
    assert process.pid is not None
    cost = Cost(ms, private_megabytes(process.pid))
    process.kill()
    process.join()
    return cost


def main(argv: list[str]) -> int:
    """Print start time and memory of a fork, of a spawned process, and their ratios."""
    parser = argparse.ArgumentParser(prog="python -m bench start", description=__doc__)
    parser.add_argument("--starts", type=int, default=100)
    parser.add_argument("--beside", type=int, default=0, help="idle calls that live meanwhile")
    parser.add_argument("--spawns", type=int, default=3)
    options = parser.parse_args(argv)
    become_subreaper()
    forks = uvloop.run(forked(options.starts, options.beside))
    times = [cost.ms for cost in forks]
    size = median([cost.megabytes for cost in forks])
    print(
        f"  forked from the template ({len(forks)}): median {median(times):.1f} ms, "
        f"p95 {percentile(times, 95):.1f} ms (goal: median at most 10); "
        f"{size:.1f} MB private (goal: at most 8)"
    )
    spawns = [spawned() for _ in range(options.spawns)]
    if spawns:
        ms, megabytes = median([c.ms for c in spawns]), median([c.megabytes for c in spawns])
        print(
            f"  spawned with the same imports ({len(spawns)}): median {ms:.0f} ms, "
            f"{megabytes:.1f} MB private"
        )
        print(
            f"  spawned / forked: {ms / median(times):.0f} times the time, "
            f"{megabytes / size:.0f} times the memory"
        )
    return 0
