"""What a gateway keeps: its memory after many frames, its descriptors after many calls.

Frames go there and back as fast as they come, a few under way for each call, so that none is
dropped; by default a part of an hour's worth, with ``--full`` all of it.
"""

import argparse
import asyncio
from dataclasses import dataclass

from bench.agents import ECHO
from bench.figures import anonymous_megabytes, descriptors
from bench.scene import Scene, scene
from shared.kernel import parent_of

_HOUR_FRAMES = 180_000
_WINDOW = 16
_WARM_FRAMES = 1_000
_AT_ONCE = 20
_SLICES = 5


@dataclass(frozen=True, slots=True)
class Growth:
    """MB of its own after warming up, then after each slice of the frames."""

    calls: int
    frames: int
    lost: int
    seconds: float
    megabytes: list[float]


@dataclass(frozen=True, slots=True)
class Kept:
    """Open descriptors after a first batch of calls and at the end; the gateway's MB half way
    (by then it remembers as many ended calls as it ever will) and at the end."""

    calls: int
    gateway: tuple[int, int]
    template: tuple[int, int]
    megabytes: tuple[float, float]


async def _growth(stage: Scene, calls: int, frames: int) -> Growth:
    await stage.connect(calls)
    pid = stage.gateway.pid
    await stage.crowd.pump(_WARM_FRAMES, _WINDOW)
    megabytes, done, lost, seconds = [anonymous_megabytes(pid)], 0, 0, 0.0
    for _ in range(_SLICES):
        pumped = await stage.crowd.pump(frames // _SLICES, _WINDOW)
        megabytes.append(anonymous_megabytes(pid))
        done, lost, seconds = done + pumped.frames, lost + pumped.lost, seconds + pumped.seconds
    await stage.hang_up()
    return Growth(calls, done, lost, seconds, megabytes)


async def _kept(stage: Scene, calls: int) -> Kept:
    gateway: list[int] = []
    template: list[int] = []
    megabytes: list[float] = []
    pid = stage.gateway.pid
    while len(gateway) * _AT_ONCE < calls + _AT_ONCE:  # the first batch is what is compared with
        await stage.connect(_AT_ONCE)
        forks_from = parent_of((await stage.gateway.calls())[0]["pid"])
        await stage.hang_up()
        gateway.append(descriptors(pid))
        template.append(descriptors(forks_from))
        megabytes.append(anonymous_megabytes(pid))
    half = len(megabytes) // 2
    return Kept(
        (len(gateway) - 1) * _AT_ONCE,
        (gateway[0], gateway[-1]),
        (template[0], template[-1]),
        (megabytes[half], megabytes[-1]),
    )


async def _measure(calls: int, frames: int, many: int) -> tuple[Growth, Kept]:
    async with scene(ECHO) as stage:
        return await _growth(stage, calls, frames), await _kept(stage, many)


def main(argv: list[str]) -> int:
    """Print the growth of memory, and of descriptors."""
    parser = argparse.ArgumentParser(prog="python -m bench memory", description=__doc__)
    parser.add_argument("--streams", type=int, default=100, help="calls that speak at once")
    parser.add_argument("--frames", type=int, default=30_000, help="for each of them")
    parser.add_argument("--full", action="store_true", help=f"{_HOUR_FRAMES} frames each")
    parser.add_argument("--calls", type=int, default=1000, help="short calls, for descriptors")
    options = parser.parse_args(argv)
    frames = _HOUR_FRAMES if options.full else options.frames
    growth, kept = asyncio.run(_measure(options.streams, frames, options.calls))
    begin, end = growth.megabytes[0], growth.megabytes[-1]
    print(
        f"  {growth.calls} calls, {growth.frames / growth.calls:.0f} frames each "
        f"({growth.frames / growth.calls / 3000:.0f} minutes of speech) in {growth.seconds:.0f} s, "
        f"{growth.frames / growth.seconds:.0f} a second, {growth.lost} lost: the gateway went from "
        f"{begin:.2f} to {end:.2f} MB, {end - begin:+.2f} (goal: at most +2 in an hour's worth)"
    )
    print("    on the way: " + ", ".join(f"{size:.2f}" for size in growth.megabytes))
    print(
        f"  {kept.calls} more calls, {_AT_ONCE} at once: descriptors of the gateway "
        f"{kept.gateway[0]} -> {kept.gateway[1]}, of the template "
        f"{kept.template[0]} -> {kept.template[1]}; the gateway from "
        f"{kept.megabytes[0]:.2f} MB half way to {kept.megabytes[1]:.2f}"
    )
    return 0
