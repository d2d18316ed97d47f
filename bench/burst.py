"""Many calls at once: every webhook answered, every process running agent code.

The agent notes when its code first ran; both sides read the machine's monotonic clock.
"""

import argparse
import asyncio

from bench.agents import LOADED
from bench.figures import median
from bench.scene import Scene, scene


async def _round(stage: Scene, calls: int) -> tuple[float, float]:
    """Return ms from the first webhook to the last answer, and to the last process running."""
    ring = await stage.ring(calls)
    await stage.hang_up()
    states = [await stage.agent_state(ring.first + number) for number in range(calls)]
    last_running = max(state["running_at"] for state in states)
    answered = (max(ring.answered_at) - ring.sent_at) * 1000
    return answered, (last_running - ring.sent_at) * 1000


async def _measure(calls: int, rounds: int) -> list[tuple[float, float]]:
    async with scene(LOADED) as stage:
        return [await _round(stage, calls) for _ in range(rounds)]


def main(argv: list[str]) -> int:
    """Print how long a burst of calls takes."""
    parser = argparse.ArgumentParser(prog="python -m bench burst", description=__doc__)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(argv)
    rounds = asyncio.run(_measure(options.calls, options.rounds))
    answered, running = zip(*rounds, strict=True)
    print(
        f"  {options.calls} webhooks at once, {options.rounds} rounds, none refused: the last "
        f"answered after {median(answered):.0f} ms (median), the last process runs agent code "
        f"after {median(running):.0f} ms ({min(running):.0f}-{max(running):.0f}; "
        "goal: at most 1000)"
    )
    return 0
