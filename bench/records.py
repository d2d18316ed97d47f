"""What records cost: the echo of live calls while a thousand finished ones a minute are written.

With and without, one after the other and for the same time, since a noisy machine is noisy in
both. Then how long a page of the list of calls takes of few calls and of many.
"""

import argparse
import asyncio
import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.agents import ECHO
from bench.figures import median, percentile
from bench.people import Talk
from bench.relay import cpu_seconds
from bench.scene import Scene, scene
from gateway.store.call_rows import CallQuery
from gateway.store.engine import open_store
from gateway.store.records import CallBook
from gateway.store.store import Store, Upsert

_WARM_UP_SECONDS = 2.0
_OURS = "+15550001111"


@dataclass(frozen=True, slots=True)
class Round:
    """What callers heard in peace and while records were written, and the CPU these took."""

    peace: Talk
    writing: Talk
    cpu: float
    written: float


async def _written(stage: Scene) -> float:
    told = (await stage.gateway.api("GET", "/api/records")).json()
    return float(told["writer"]["written"])


async def _round(stage: Scene, seconds: float) -> Round:
    pid = stage.gateway.pid
    before = cpu_seconds(pid)
    peace = await stage.crowd.converse(seconds)
    peaceful = cpu_seconds(pid) - before
    first = await _written(stage)
    stage.gateway.signal(signal.SIGUSR1)
    before = cpu_seconds(pid)
    writing = await stage.crowd.converse(seconds)
    busy = cpu_seconds(pid) - before
    stage.gateway.signal(signal.SIGUSR1)
    await asyncio.sleep(0.5)
    return Round(peace, writing, busy - peaceful, await _written(stage) - first)


async def _echo(calls: int, seconds: float, rounds: int, a_minute: int) -> list[Round]:
    environment = {"SCRIBE_CALLS": str(a_minute)}
    async with scene(ECHO, environment, program="bench.scribe") as stage:
        await stage.connect(calls)
        await stage.crowd.converse(_WARM_UP_SECONDS)
        done = [await _round(stage, seconds) for _ in range(rounds)]
        await stage.hang_up()
        return done


def _delay(talk: Talk, percent: float) -> float:
    return percentile(talk.latencies, percent) * 1000


def _report_echo(rounds: list[Round], calls: int, seconds: float, a_minute: int) -> None:
    figures = {}
    for percent in (50, 99):
        peace = [_delay(each.peace, percent) for each in rounds]
        writing = [_delay(each.writing, percent) for each in rounds]
        ratios = [w / p for w, p in zip(writing, peace, strict=True)]
        figures[percent] = median(peace), median(writing), median(ratios)
    (a, b, ratio50), (c, d, ratio99) = figures[50], figures[99]
    cpu = median([each.cpu for each in rounds]) * 1000 / seconds
    changes = median([each.written for each in rounds]) / seconds
    lost = sum(each.writing.lost for each in rounds)
    print(
        f"  {calls} echo calls, {a_minute} finished calls a minute ({changes:.0f} changes/s): "
        f"p50 {a:.2f} -> {b:.2f} ms, p99 {c:.2f} -> {d:.2f} ms, ratios {ratio50:.2f} and "
        f"{ratio99:.2f} (goal: about 1); {cpu:.0f} ms CPU a second; {lost} frames lost"
    )


async def _fill(store: Store, first: int, last: int) -> None:
    for number in range(first, last):
        values = {
            "sid": f"CA{number:032x}",
            "began": float(number),
            "from_number": f"+1555{number % 5000:07d}",
            "to_number": _OURS,
            "direction": "inbound",
            "agent": f"agent:{number % 7}",
            "state": "ended",
            "outcome": "failed" if number % 50 == 0 else "completed",
        }
        store.write(Upsert("calls", values))
        if number % 5000 == 4999:
            await store.flush(60)
    await store.flush(60)


async def _page_ms(book: CallBook, query: CallQuery, cursor: str | None) -> float:
    times = []
    for _ in range(40):
        began = time.perf_counter()
        await book.page(query, cursor)
        times.append(time.perf_counter() - began)
    return median(times) * 1000


async def _pages(few: int, many: int) -> None:
    queries = {
        "newest": CallQuery(),
        "of our number": CallQuery(number=_OURS),
        "of a caller": CallQuery(number="+15550000042"),
        "failed": CallQuery(outcome="failed"),
    }
    with tempfile.TemporaryDirectory() as folder:
        store = await open_store(None, Path(folder))
        book = CallBook(store)
        measured = []
        for first, last in ((0, few), (few, many)):
            await _fill(store, first, last)
            deep = (await book.page(CallQuery(began_to=last / 2))).next
            took = {name: await _page_ms(book, query, None) for name, query in queries.items()}
            took["from the middle"] = await _page_ms(book, CallQuery(), deep)
            measured.append(took)
        await store.aclose()
    shown = ", ".join(
        f"{name} {ms:.1f} -> {measured[1][name]:.1f}" for name, ms in measured[0].items()
    )
    print(f"  a page of 50 calls, of {few} -> of {many} (ms, medians): {shown}")


def main(argv: list[str]) -> int:
    """Print what records cost."""
    parser = argparse.ArgumentParser(prog="python -m bench records", description=__doc__)
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--a-minute", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=5.0, help="a round, each way")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--few", type=int, default=1_000)
    parser.add_argument("--many", type=int, default=100_000)
    options = parser.parse_args(argv)
    rounds = asyncio.run(_echo(options.calls, options.seconds, options.rounds, options.a_minute))
    _report_echo(rounds, options.calls, options.seconds, options.a_minute)
    asyncio.run(_pages(options.few, options.many))
    return 0
