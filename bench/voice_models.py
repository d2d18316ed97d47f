"""Conversations by a speech model, many at once, with models that answer at once.

As in `bench.cascade`: a caller speaks for a second, the reply of some 4.5 s is streamed, and every
other one is interrupted. The model's own audio is what is waited for, so own time is all that lies
between its first frame and the carrier's.
"""

import argparse
import asyncio
from dataclasses import dataclass

from bench.agents import speaking
from bench.cascade import WARM_UP_SECONDS, Held, hold, row
from bench.scene import Scene, scene
from bench.zero_delay import Providers, providers

MODELS = {
    "ultravox": "Ultravox()",
    "elevenlabs": "ElevenLabsAgent()",
    "openai": "OpenAIRealtime()",
}


@dataclass(frozen=True, slots=True)
class Round:
    """One number of calls. Times in ms."""

    calls: int
    own: list[float]
    """From the model's first audio of a reply to the carrier's."""
    clear: list[float]
    """From the model's word that it was interrupted to the carrier's ``clear``."""
    reply: list[float]
    """From the caller's last frame to the reply's first."""
    greetings: list[float]
    """From ``start`` to the greeting's first audio."""
    held: Held


async def measure(
    stage: Scene, they: Providers, calls: int, seconds: float, warm_up: float = WARM_UP_SECONDS
) -> Round:
    """Hold ``calls`` conversations; CPU is counted for ``seconds``, after ``warm_up``."""
    held = await hold(stage, they, calls, seconds, warm_up)
    moments = {(it.what, it.call, it.turn): it.at for it in held.log}
    heard = {(it.what, it.call, it.turn): it.at for it in held.talks.moments}

    def between(begin: str, end: str) -> list[float]:
        pairs = ((moments.get((begin, *it[1:])), at) for it, at in heard.items() if it[0] == end)
        return [(at - began) * 1000 for began, at in pairs if began is not None]

    replies = [
        (at - heard["asked", call, turn]) * 1000
        for (what, call, turn), at in heard.items()
        if what == "first"
    ]
    greetings = [seconds * 1000 for seconds in held.talks.greetings]
    return Round(
        calls, between("audio", "first"), between("cut", "cleared"), replies, greetings, held
    )


def _report(it: Round) -> None:
    cpu, talks = it.held.cpu, it.held.talks
    print(
        f"  {it.calls} calls, {len(it.own)} replies, {len(it.clear)} interrupted (p50 / p99):\n"
        f"    own time {row(it.own)} ms, clear {row(it.clear)} ms, "
        f"greeting {row(it.greetings)} ms\n"
        f"    CPU {cpu.calls + cpu.gateway:.2f} s a call-minute (calls {cpu.calls:.2f}, gateway "
        f"{cpu.gateway:.2f}; not counted: models {cpu.providers:.2f}); "
        f"{it.held.megabytes:.1f} MB private a call\n"
        f"    from the caller's last frame to the reply {row(it.reply, 0)} ms; "
        f"{len(talks.gaps)} gaps over 20 ms ({sum(talks.gaps) * 1000:.0f} ms) in "
        f"{talks.speech:.0f} s of speech; {talks.unanswered} turns unanswered, "
        f"{talks.late} pieces of audio too late",
        flush=True,
    )


async def _all(names: list[str], numbers: list[int], seconds: float, warm_up: float) -> None:
    for name in names:
        print(f"  -- {MODELS[name]}")
        agent = speaking(MODELS[name])
        async with providers() as they, scene(agent, they.environment) as stage:
            for calls in numbers:
                _report(await measure(stage, they, calls, seconds, warm_up))


def main(argv: list[str]) -> int:
    """Print what conversations cost, for each model and number of calls."""
    parser = argparse.ArgumentParser(prog="python -m bench voice", description=__doc__)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--calls", type=int, nargs="+", default=[1, 10, 30])
    parser.add_argument("--seconds", type=float, default=12.0, help="of conversation, each")
    parser.add_argument("--warm-up", type=float, default=WARM_UP_SECONDS, help="seconds before")
    options = parser.parse_args(argv)
    asyncio.run(_all(options.models, options.calls, options.seconds, options.warm_up))
    return 0
