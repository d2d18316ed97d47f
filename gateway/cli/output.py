"""How commands print: to people by rich, to programs as JSON, errors to standard error."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

_WIDEST = 1000  # columns; a terminal breaks a long line itself, and a pipe has no width


def fail(problem: object, code: int = 1) -> NoReturn:
    """Print a problem to standard error and leave with ``code``."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(
        str(problem), style="red", markup=False
    )
    raise typer.Exit(code)


@contextmanager
def writing() -> Iterator[None]:
    """Leave with a sentence if standard output takes no more; a reader who left is no trouble."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        fail(f"the output cannot be written: {error.strerror}; what was asked for may be done")


def note(text: str, *, to_stderr: bool = False) -> None:
    """Print a line for people."""
    with writing():
        Console(stderr=to_stderr, highlight=False, soft_wrap=True).print(text, markup=False)


def as_json(data: object) -> None:
    """Print ``data`` for programs."""
    with writing():
        typer.echo(json.dumps(data, indent=2, default=str))


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table for people. A cell is never broken, so that it can be copied and searched."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        grid.add_column(column, no_wrap=True)
    for row in rows:
        grid.add_row(*(str(cell) for cell in row))
    with writing():
        Console(highlight=False, width=_WIDEST).print(grid)


def ago(unix_seconds: float) -> str:
    """Return how long ago something was, in the largest unit that fits."""
    seconds = max(0, int(time.time() - unix_seconds))
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def utc(unix_seconds: float) -> str:
    """Return a point in time as the log writes it, and as ``--since`` takes it, in seconds."""
    return datetime.fromtimestamp(unix_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def duration(call: dict[str, Any]) -> str:
    """Return how long a call lasts or lasted."""
    end = call["ended"] or time.time()
    return f"{end - call['began']:.0f} s"
