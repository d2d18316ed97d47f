"""The way of the audio: caller, gateway, pipe, call process, and back; many calls at once.

Measured once every process runs and has spoken for a while, so forks are not part of it; in
several rounds, of which the median counts, since a busy machine spoils one or the other.
"""

import argparse
import asyncio
from dataclasses import dataclass

from bench.agents import ECHO
from bench.figures import median, percentile
from bench.people import Talk
from bench.relay import cpu_seconds
from bench.scene import Scene, scene

_WARM_UP_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Round:
    """What callers heard, and the CPU of the gateway in ms per call-second."""

    talk: Talk
    cpu: float

    def delay(self, percent: float) -> float:
        """Return the time there and back in ms that ``percent`` of the frames do not exceed."""
        return percentile(self.talk.latencies, percent) * 1000


async def _round(stage: Scene, calls: int, seconds: float) -> Round:
    before = cpu_seconds(stage.gateway.pid)
    talk = await stage.crowd.converse(seconds)
    used = cpu_seconds(stage.gateway.pid) - before
    return Round(talk, used * 1000 / calls / seconds)


async def _rounds(stage: Scene, calls: int, seconds: float, rounds: int) -> list[Round]:
    await stage.connect(calls)
    await stage.crowd.converse(_WARM_UP_SECONDS)
    done = [await _round(stage, calls, seconds) for _ in range(rounds)]
    await stage.hang_up()
    return done


async def _measure(numbers: list[int], seconds: float, rounds: int) -> list[list[Round]]:
    async with scene(ECHO) as stage:
        return [await _rounds(stage, calls, seconds, rounds) for calls in numbers]


def _report(calls: int, rounds: list[Round]) -> None:
    tails = [each.delay(99) for each in rounds]
    goal = "; goal: at most 5" if calls == 50 else ""
    lost = sum(each.talk.lost for each in rounds)
    frames = sum(len(each.talk.latencies) for each in rounds) + lost
    print(
        f"  {calls:>4} calls: p50 {median([each.delay(50) for each in rounds]):.2f} ms, "
        f"p99 {median(tails):.2f} ms ({min(tails):.2f}-{max(tails):.2f}{goal}), "
        f"{lost} of {frames} frames lost; "
        f"gateway {median([each.cpu for each in rounds]):.2f} ms CPU a call-second"
    )


def main(argv: list[str]) -> int:
    """Print the echo's delay for each number of calls."""
    parser = argparse.ArgumentParser(prog="python -m bench echo", description=__doc__)
    parser.add_argument("--calls", type=int, nargs="+", default=[1, 10, 50, 100])
    parser.add_argument("--seconds", type=float, default=3.0, help="a round")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(argv)
    measured = asyncio.run(_measure(options.calls, options.seconds, options.rounds))
    for calls, rounds in zip(options.calls, measured, strict=True):
        _report(calls, rounds)
    return 0
