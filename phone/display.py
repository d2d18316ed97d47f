"""What the terminal shows of simulated calls: a line an event, and a table at the end."""

import os
import statistics
import sys
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from phone.events import (
    AgentBegan,
    AgentSpoke,
    CallbackSent,
    CallerSpoke,
    Ended,
    Event,
    KeyPressed,
    Noticed,
    StreamEnded,
    StreamStarted,
    VerbBegun,
    WebhookAnswered,
    WebhookFailed,
)
from phone.report import Report


class Screen(Console):
    """A console whose reader may leave (``callfarm call | head``): the call goes on unseen."""

    def on_broken_pipe(self) -> None:
        """Show no more. The stock console would leave the program, from within the call's task."""
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, (sys.stderr if self.stderr else sys.stdout).fileno())
        os.close(nowhere)


class Progress:
    """Prints the events of one call as they happen."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._caller_until_ms: float | None = None

    def show(self, event: Event) -> None:
        """Print ``event`` if it says something to a reader."""
        line = self._line(event)
        if line:
            seconds = f"{event.at_ms / 1000:8.2f} s"
            self._console.print(f"[dim]{seconds}[/]  {line}", highlight=False, soft_wrap=True)

    def _line(self, event: Event) -> str | None:
        match event:
            case CallerSpoke(label=label, until_ms=until_ms):
                self._caller_until_ms = until_ms
                return f"[cyan]caller[/]  {escape(label) or '(audio)'}"
            case AgentBegan(at_ms=at_ms):
                return f"[green]agent[/]   speaks{self._reply(at_ms)}"
            case AgentSpoke(from_ms=from_ms, until_ms=until_ms):
                return f"[green]agent[/]   spoke for {(until_ms - from_ms) / 1000:.1f} s"
        return _plain_line(event)

    def _reply(self, at_ms: float) -> str:
        until_ms, self._caller_until_ms = self._caller_until_ms, None
        return "" if until_ms is None else f", {at_ms - until_ms:.0f} ms after the caller"


def _plain_line(event: Event) -> str | None:
    line = None
    match event:
        case WebhookAnswered(url=url, took_ms=took_ms):
            line = f"webhook answered in {took_ms:.0f} ms: {escape(url)}"
        case WebhookFailed(url=url, problem=problem):
            line = f"[red]{escape(f'{url}: {problem}')}[/]"
        case Noticed(problem=problem):
            line = f"[{'yellow' if problem.warning else 'red'}]{escape(str(problem))}[/]"
        case VerbBegun(verb=verb, detail=detail):
            line = f"<{verb}> {escape(detail)}"
        case StreamStarted(number=number):
            line = f"stream {number} started"
        case StreamEnded(how=how):
            line = f"stream ended: {how.value}"
        case KeyPressed(key=key):
            line = f"[cyan]caller[/]  pressed {key}"
        case CallbackSent(what=what, status=status):
            line = f"callback {what}: {status or 'failed'}"
        case Ended(status=status, how=how):
            line = f"[bold]call {status}[/]: {how.value}"
    return line


def greeting_ms(report: Report) -> float | None:
    """Return the time from the first ``start`` until the agent was heard."""
    started, began = report.of(StreamStarted), report.of(AgentBegan)
    return began[0].at_ms - started[0].at_ms if started and began else None


def answer_ms(report: Report) -> float | None:
    """Return how long the first webhook took."""
    answered = report.of(WebhookAnswered)
    return answered[0].took_ms if answered else None


def reply_times(reports: Sequence[Report]) -> list[float]:
    """Return the times of all replies, in ms."""
    return [
        reply.took_ms for report in reports for reply in report.replies if reply.took_ms is not None
    ]


def _times(reports: Sequence[Report], of: Callable[[Report], float | None]) -> list[float]:
    return [value for report in reports if (value := of(report)) is not None]


def summary(reports: Sequence[Report]) -> Table:
    """Return medians over all calls, and what went wrong."""
    table = Table(title=f"{len(reports)} call{'s' if len(reports) != 1 else ''}")
    for column in ("", "n", "median", "p95", "worst"):
        table.add_column(column, justify="left" if not column else "right")
    for name, values in (
        ("webhook answered", _times(reports, answer_ms)),
        ("start to greeting heard", _times(reports, greeting_ms)),
        ("reply heard after the caller", reply_times(reports)),
    ):
        table.add_row(name, str(len(values)), *_figures(values))
    return table


def _figures(values: list[float]) -> list[str]:
    if not values:
        return ["-", "-", "-"]
    ranked = sorted(values)
    figures = (statistics.median(ranked), percentile(ranked, 0.95), ranked[-1])
    return [f"{figure:.0f} ms" for figure in figures]


def percentile(ranked: Sequence[float], fraction: float) -> float:
    """Return the nearest-rank percentile of sorted values."""
    return ranked[min(len(ranked) - 1, round(fraction * (len(ranked) - 1)))]
