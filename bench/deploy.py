"""What a deploy does to the calls in progress: their echo's delay with and without deploys.

Both in one run, one after the other and for the same time, since a noisy machine is noisy in both.
"""

import argparse
import asyncio
from dataclasses import dataclass

from bench.agents import ECHO, LOADED
from bench.figures import median, percentile
from bench.people import Talk
from bench.scene import Scene, scene

_WARM_UP_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What callers heard in peace, and during ``deploys`` in ``seconds``."""

    peace: Talk
    deploying: Talk
    deploys: int
    seconds: float


def _source(number: int) -> str:
    return f"# release {number}\n{LOADED['echo.py']}"


async def _deploy(stage: Scene, number: int) -> None:
    stage.gateway.write_agent("echo.py", _source(number))
    answer = await stage.gateway.api("POST", "/api/releases")
    assert answer.status_code == 200, answer.text


async def _disturb(stage: Scene, deploys: int, first: int) -> Disturbance:
    loop = asyncio.get_running_loop()
    began = loop.time()
    stage.crowd.converse_on()
    for number in range(deploys):
        await _deploy(stage, first + number)
    deploying = await stage.crowd.stop()
    seconds = loop.time() - began
    return Disturbance(await stage.crowd.converse(seconds), deploying, deploys, seconds)


async def _measure(calls: int, deploys: int, rounds: int) -> list[Disturbance]:
    agents = {**ECHO, "echo.py": _source(0)}
    async with scene(agents) as stage:
        await stage.connect(calls)
        await stage.crowd.converse(_WARM_UP_SECONDS)
        return [await _disturb(stage, deploys, 1 + number * deploys) for number in range(rounds)]


def _p99(talk: Talk) -> float:
    return percentile([seconds * 1000 for seconds in talk.latencies], 99)


def main(argv: list[str]) -> int:
    """Print the echo's p99 with and without deploys, and their ratio."""
    parser = argparse.ArgumentParser(prog="python -m bench deploy", description=__doc__)
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--deploys", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(argv)
    rounds = asyncio.run(_measure(options.calls, options.deploys, options.rounds))
    peace = [_p99(each.peace) for each in rounds]
    deploying = [_p99(each.deploying) for each in rounds]
    ratios = [with_ / without for with_, without in zip(deploying, peace, strict=True)]
    lost_in_peace = sum(each.peace.lost for each in rounds)
    lost = sum(each.deploying.lost for each in rounds)
    print(
        f"  {options.calls} echo calls, {options.rounds} rounds of {options.deploys} deploys in "
        f"{median([each.seconds for each in rounds]):.0f} s (medians): p99 "
        f"{median(peace):.2f} ms in peace, {median(deploying):.2f} ms during deploys, "
        f"ratio {median(ratios):.1f}; frames lost {lost_in_peace} and {lost}"
    )
    return 0
