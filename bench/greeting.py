"""From the stream's ``start`` to the first audio of a greeting that is already made."""

import argparse
import asyncio

from bench.agents import GREETER
from bench.figures import median, percentile
from bench.scene import scene


async def _measure(calls: int) -> list[float]:
    taken: list[float] = []
    async with scene(GREETER) as stage:
        while len(taken) < calls:
            await stage.ring(min(10, calls - len(taken)))
            taken += await stage.crowd.greetings()
            await stage.hang_up()
    return taken


def main(argv: list[str]) -> int:
    """Print the greeting's delay."""
    parser = argparse.ArgumentParser(prog="python -m bench greeting", description=__doc__)
    parser.add_argument("--calls", type=int, default=50)
    options = parser.parse_args(argv)
    taken = asyncio.run(_measure(options.calls))
    print(
        f"  start to first audio ({len(taken)} calls): median {median(taken):.2f} ms, "
        f"p95 {percentile(taken, 95):.2f} ms (goal: median at most 10)"
    )
    return 0
