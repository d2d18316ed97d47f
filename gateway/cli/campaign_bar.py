"""A campaign watched from a terminal: a bar, what is going on, how fast, how long still."""

import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from gateway.cli.output import fail, note

LOOK_SECONDS = 0.7
_RATE_SECONDS = 120.0

_OPEN = {"draft", "running"}


class Rate:
    """How many leads are done with a minute, of late."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def see(self, now: float, over: int) -> None:
        """At ``now`` (seconds) so many were over."""
        self._seen.append((now, over))
        while now - self._seen[0][0] > _RATE_SECONDS:
            self._seen.popleft()

    @property
    def a_minute(self) -> float:
        """The rate; 0 while it is not known."""
        (began, first), (now, last) = self._seen[0], self._seen[-1]
        return 60 * (last - first) / (now - began) if now - began >= 1 else 0.0


def over(it: dict[str, Any]) -> int:
    """Return how many leads are done with."""
    return int(it["done"] + it["failed"] + it["skipped"] + it["cancelled"])


def counts(it: dict[str, Any]) -> str:
    """Return where the leads are."""
    names = ("dialling", "in_progress", "done", "failed", "skipped", "cancelled", "waiting")
    named = [name for name in names if it[name] or name in {"done", "failed"}]
    shown = [f"{over(it)} of {it['total']} over"]
    shown += [f"{it[name]} {name.replace('_', ' ')}" for name in named]
    return "  ".join(shown)


def outcomes(it: dict[str, Any]) -> str:
    """Return how many calls there were, and what the last one to each number came to."""
    by_count = sorted(it["outcomes"].items(), key=lambda pair: -pair[1])
    came = ", ".join(f"{count} {name}" for name, count in by_count)
    return f"{it['attempts']} calls" + (f"; people: {came}" if came else "")


def when(unix_seconds: float) -> str:
    """Return a time of day, with the date if it is not today's."""
    at, now = time.localtime(unix_seconds), time.localtime()
    return time.strftime("%H:%M" if at[:3] == now[:3] else "%Y-%m-%d %H:%M", at)


def eta(it: dict[str, Any], a_minute: float) -> str:
    """Return how long it will still take, as far as that can be told."""
    if it["next_at"] and not it["dialling"] + it["in_progress"]:
        return f"next call {when(it['next_at'])}"
    if not a_minute:
        return ""
    minutes = (it["total"] - over(it)) / a_minute
    left = f"about {minutes:.0f} min" if minutes < 120 else f"about {minutes / 60:.1f} h"
    return f"{a_minute:.0f} a minute, {left if minutes >= 1 else 'less than a minute'} left"


def watch_to_the_end(folder: Path, campaign: str) -> dict[str, Any]:
    """Show a campaign until it does not run any more; return its progress then.

    Ctrl-C asks whether to pause it, a second one leaves it running.
    """
    while True:
        try:
            return _shown(folder, campaign)
        except KeyboardInterrupt:
            _interrupted(folder, campaign)


def _shown(folder: Path, campaign: str) -> dict[str, Any]:
    rate = Rate()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[doing]}"),
    )
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("", total=None, doing="")
        while True:
            it = _ask(folder, "GET", f"/api/campaigns/{campaign}/progress")
            rate.see(time.monotonic(), over(it))
            doing = (
                f"{it['dialling']} dialling  {it['in_progress']} in progress  "
                f"[green]{it['done']} done[/]  [red]{it['failed']} failed[/]  "
                f"[dim]{eta(it, rate.a_minute)}[/]"
            )
            bar.update(
                task,
                description=it["name"].replace("[", r"\["),
                total=it["total"],
                completed=over(it),
                doing=doing,
            )
            if it["state"] not in _OPEN and not it["dialling"] + it["in_progress"]:
                return it
            time.sleep(LOOK_SECONDS)


def _interrupted(folder: Path, campaign: str) -> None:
    """Ask what an interrupt was meant to say; return if the campaign is to be watched on."""
    later = f"callfarm campaign watch {campaign}"
    try:
        if not sys.stdin.isatty():
            raise KeyboardInterrupt
        if typer.confirm("Pause the campaign? (Ctrl-C again leaves it running)"):
            _ask(folder, "POST", f"/api/campaigns/{campaign}/pause")
            note(
                f"Calls in progress go on to their end. Later: callfarm campaign resume {campaign}"
            )
    except (KeyboardInterrupt, typer.Abort):
        note(f"\nIt goes on without you: {later}")
        raise typer.Exit(130) from None


def _ask(folder: Path, method: str, path: str) -> dict[str, Any]:
    from gateway.client import GatewayError, ask

    try:
        return ask(folder, method, path, seconds=30.0)
    except GatewayError as error:
        fail(error)
