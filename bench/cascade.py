"""Conversations by Deepgram, OpenAI and Cartesia, many at once, with providers that answer at once.

A caller speaks for a second, the final words are sent, the reply of some 4.5 s is streamed, and
every other one is interrupted. Callers and providers are processes of their own on the same
machine and take their share of it; own time does not count what passes inside of the providers.
"""

import argparse
import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bench.agents import CASCADE
from bench.figures import median, percentile, private_megabytes
from bench.relay import cpu_seconds
from bench.scene import Scene, scene
from bench.talkers import Talks
from bench.zero_delay import Moment, Providers, providers

WARM_UP_SECONDS = 6.0
_RINGING_SECONDS = 0.5
_COLLECTING_SECONDS = 1.0
_OVERLOAD_MS = 100.0

PEERS = (
    ("own time p50", "10 ms (Dialog, 10 calls), 119 (Pipecat, 10)"),
    ("own time p99", "40 / 58 / 321 ms (Dialog, 10 / 30 / 50 calls)"),
    ("clear", "0.5-0.8 ms (Dialog), 6-51 (Pipecat)"),
    ("greeting", "596 / 665 / 982 ms (Dialog, 1 / 10 / 50 calls)"),
    ("CPU a call-minute", "2.2 / 1.5 s (Dialog, 10 / 50 calls), 5.3 (Pipecat, 10)"),
    ("memory a call", "22-25 MB (Dialog)"),
)
"""Measured on a machine of this size, with realistic delays taken off."""


@dataclass(frozen=True, slots=True)
class Times:
    """Of all turns, in ms."""

    own: list[float]
    """From the final words to the reply's first frame at the carrier, less the providers' share."""

    legs: tuple[list[float], list[float], list[float]]
    """Of own time: final words to the model asked, first clause written to the voice told, first
    audio made to the carrier."""

    clear: list[float]
    """From the sound that the ears tell of to the carrier's ``clear``."""

    reply: list[float]
    """From the caller's last frame to the reply's first."""

    hush: list[float]
    """From the caller's first frame to the carrier's ``clear``."""


class Cpu(NamedTuple):
    """Seconds of the call processes, of the gateway, and of the providers' process."""

    calls: float
    gateway: float
    providers: float


@dataclass(frozen=True, slots=True)
class Round:
    """One number of calls. CPU in seconds a call-minute, memory in MB a call."""

    calls: int
    times: Times
    talks: Talks
    cpu: Cpu
    megabytes: float

    @property
    def greetings(self) -> list[float]:
        """From ``start`` to the greeting's first audio."""
        return [seconds * 1000 for seconds in self.talks.greetings]


class Held(NamedTuple):
    """Conversations that were held: what callers heard, what the providers did, what it took."""

    talks: Talks
    log: list[Moment]
    cpu: Cpu
    megabytes: float


async def hold(
    stage: Scene, they: Providers, calls: int, seconds: float, warm_up: float = WARM_UP_SECONDS
) -> Held:
    """Hold ``calls`` conversations; CPU is counted for ``seconds``, after ``warm_up``."""
    await they.log()
    await stage.ring(calls)
    await asyncio.sleep(_RINGING_SECONDS)
    pids = [call["pid"] for call in await stage.gateway.calls()]
    assert all(pids), f"a call ended before it began:\n{stage.gateway.log_text()[-5000:]}"
    try:
        talks, used = await _talk(stage, they, pids, seconds, warm_up)
    except* (OSError, EOFError) as errors:
        raise AssertionError(f"a call ended:\n{stage.gateway.log_text()[-5000:]}") from errors
    await asyncio.sleep(_COLLECTING_SECONDS)
    megabytes = median([private_megabytes(pid) for pid in pids])
    await stage.hang_up()
    return Held(talks, await they.log(), used, megabytes)


async def measure(
    stage: Scene, they: Providers, calls: int, seconds: float, warm_up: float = WARM_UP_SECONDS
) -> Round:
    """Hold ``calls`` conversations; CPU is counted for ``seconds``, after ``warm_up``."""
    it = await hold(stage, they, calls, seconds, warm_up)
    return Round(calls, _times(it.talks, it.log), it.talks, it.cpu, it.megabytes)


async def _talk(
    stage: Scene, they: Providers, pids: Sequence[int], seconds: float, warm_up: float
) -> tuple[Talks, Cpu]:
    async with asyncio.TaskGroup() as group:
        talking = group.create_task(stage.crowd.talk(warm_up + seconds))
        await asyncio.sleep(warm_up)
        before = _cpu(stage, they, pids)
        await asyncio.sleep(seconds)
        after = _cpu(stage, they, pids)
    minutes = len(pids) * seconds / 60
    used = Cpu(*((end - begin) / minutes for begin, end in zip(before, after, strict=True)))
    return talking.result(), used


def _cpu(stage: Scene, they: Providers, pids: Sequence[int]) -> Cpu:
    calls = sum(map(cpu_seconds, pids))
    return Cpu(calls, cpu_seconds(stage.gateway.pid), cpu_seconds(they.pid))


def _times(talks: Talks, log: list[Moment]) -> Times:
    moments = {(it.what, it.call, it.turn): it.at for it in log}
    moments |= {(f"caller {it.what}", it.call, it.turn): it.at for it in talks.moments}

    def between(begin: str, end: str, call: int, turn: int) -> float:
        return (moments[end, call, turn] - moments[begin, call, turn]) * 1000

    times = Times([], ([], [], []), [], [], [])
    for what, *turn in list(moments):
        if what == "caller first":
            legs = (
                between("final", "asked", *turn),
                between("clause", "text", *turn),
                between("audio", what, *turn),
            )
            times.own.append(sum(legs))
            for leg, took in zip(times.legs, legs, strict=True):
                leg.append(took)
            times.reply.append(between("caller asked", what, *turn))
        elif what == "caller cleared":
            times.clear.append(between("sound", what, *turn))
            times.hush.append(between("caller began", what, *turn))
    return times


def row(values: list[float], digits: int = 1) -> str:
    """Return median and 99th percentile."""
    if not values:
        return "none"
    return f"{median(values):.{digits}f} / {percentile(values, 99):.{digits}f}"


def _report(it: Round) -> None:
    times, talks = it.times, it.talks
    replies, cut = len(times.own), len(times.clear)
    print(
        f"  {it.calls} calls, {replies} replies, {cut} interrupted (p50 / p99):\n"
        f"    own time {row(times.own)} ms: to the model {row(times.legs[0])}, on to the "
        f"voice {row(times.legs[1])}, on to the carrier {row(times.legs[2])}\n"
        f"    clear {row(times.clear)} ms, greeting {row(it.greetings)} ms\n"
        f"    CPU {it.cpu.calls + it.cpu.gateway:.2f} s a call-minute (calls {it.cpu.calls:.2f}, "
        f"gateway {it.cpu.gateway:.2f}; not counted: providers {it.cpu.providers:.2f}); "
        f"{it.megabytes:.1f} MB private a call\n"
        f"    from the caller's last frame to the reply {row(times.reply, 0)} ms, "
        f"from the first one to the clear {row(times.hush, 0)} ms\n"
        f"    {len(talks.gaps)} gaps over 20 ms ({sum(talks.gaps) * 1000:.0f} ms) in "
        f"{talks.speech:.0f} s of speech; {talks.unanswered} turns unanswered, "
        f"{talks.late} pieces of audio too late",
        flush=True,
    )


def _goals() -> None:
    print(
        "  goals: own time at most 5 ms (p50), 20 (p99, 30 calls), 40 (p99, 50 calls); clear 5 ms; "
        "greeting 10 ms; CPU 1.0 s a call-minute; 10 MB"
    )
    for what, figures in PEERS:
        print(f"  to beat, {what}: {figures}")


async def _all(numbers: list[int], seconds: float) -> None:
    async with providers() as they, scene(CASCADE, they.environment) as stage:
        for calls in numbers:
            _report(await measure(stage, they, calls, seconds))


async def _overload(begin: int, step: int, seconds: float) -> None:
    """Raise the number of calls until the 99th percentile of their own time is too long."""
    async with providers() as they, scene(CASCADE, they.environment) as stage:
        calls, held = begin, 0
        while True:
            it = await measure(stage, they, calls, seconds)
            _report(it)
            own = it.times.own
            if not own or percentile(own, 99) > _OVERLOAD_MS or it.talks.unanswered:
                break
            calls, held = calls + step, calls
    print(f"  {held} calls hold a p99 of {_OVERLOAD_MS:.0f} ms, {calls} do not")


def main(argv: list[str]) -> int:
    """Print what conversations cost, for each number of calls."""
    parser = argparse.ArgumentParser(prog="python -m bench cascade", description=__doc__)
    parser.add_argument("--calls", type=int, nargs="+", default=[1, 10, 30, 50])
    parser.add_argument("--seconds", type=float, default=12.0, help="of conversation, each")
    parser.add_argument("--until-overload", action="store_true", help="instead: --calls, and more")
    parser.add_argument("--step", type=int, default=10, help="how many more")
    options = parser.parse_args(argv)
    if options.until_overload:
        begin = options.calls[0] if len(options.calls) == 1 else 50
        asyncio.run(_overload(begin, options.step, options.seconds))
    else:
        asyncio.run(_all(options.calls, options.seconds))
    _goals()
    return 0
