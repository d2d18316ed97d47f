"""The report of a campaign as a file: a row for each lead, whatever the campaign's size."""

import csv
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from gateway.cli.output import fail, writing

PAGE = 200

_COLUMNS = (
    *("number", "phone", "state", "outcome", "attempts", "called", "seconds", "status"),
    *("answered_by", "next_at", "call_sid", "error"),
)
_MOMENTS = frozenset({"called", "next_at"})
"""Unix seconds in the API; here what a spreadsheet takes for a date and a time, of this machine."""


def write_report(
    folder: Path, path: str, state: str | None, output: Path | None, as_lines: bool
) -> int:
    """Write a report to ``output`` or to standard output; return how many leads are in it.

    ``path`` is where the API has the leads. As JSON it is one list. A file is there as a whole, or
    as it was before. Raises ``OSError``.
    """
    with _opened(output, "utf-8" if as_lines else "utf-8-sig") as out:
        if as_lines:
            return _as_json(out, _leads(folder, path, state))
        names: dict[str, None] = {}
        for it in _leads(folder, path, state):
            names |= dict.fromkeys(it["variables"])
        return _as_csv(out, _leads(folder, path, state), list(names))


@contextmanager
def _opened(output: Path | None, encoding: str) -> Iterator[IO[str]]:
    """Open ``output``; a CSV file says that it is UTF-8, or Excel takes it for something else."""
    if output is None:
        with writing():
            yield sys.stdout
            sys.stdout.flush()
        return
    if output.exists() and not output.is_file():  # a pipe, say
        with output.open("w", newline="", encoding=encoding) as out:
            yield out
        return
    file = output.resolve()
    part = file.with_name(file.name + ".part")
    try:
        with part.open("w", newline="", encoding=encoding) as out:
            yield out
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def _as_csv(out: IO[str], leads: Iterator[dict[str, Any]], variables: list[str]) -> int:
    writer = csv.writer(out)
    writer.writerow([*_COLUMNS, *(f"variables.{name}" for name in variables)])
    count = 0
    for it in leads:
        cells = [_cell(name, it[name]) for name in _COLUMNS]
        cells[0] += 1  # people count from 1
        cells += [it["variables"].get(name) for name in variables]
        writer.writerow([_safe(cell) for cell in cells])
        count += 1
    return count


def _as_json(out: IO[str], leads: Iterator[dict[str, Any]]) -> int:
    count = 0
    for count, it in enumerate(leads, 1):
        out.write(("[\n  " if count == 1 else ",\n  ") + json.dumps(it, ensure_ascii=False))
    out.write("\n]\n" if count else "[]\n")
    return count


def _cell(name: str, value: Any) -> Any:
    if value is None:
        return ""
    if name in _MOMENTS:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(value))
    return round(value) if isinstance(value, float) else value


def _safe(cell: object) -> object:
    """Return a cell that no spreadsheet takes for a formula; a number with + is none."""
    if isinstance(cell, str) and cell[:1] in {"=", "@", "\t", "\r", "-", "+"}:
        return cell if cell[1:].replace(" ", "").isdigit() else "'" + cell
    return cell


def _leads(folder: Path, path: str, state: str | None) -> Iterator[dict[str, Any]]:
    from gateway.client import GatewayError, ask

    after, only = -1, f"&state={state}" if state else ""
    while True:
        try:
            page = ask(folder, "GET", f"{path}?after={after}&limit={PAGE}{only}", seconds=60.0)
        except GatewayError as error:
            fail(error)
        yield from page["leads"]
        if page["next"] is None:
            return
        after = page["next"]
