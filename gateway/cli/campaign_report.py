"""The report of a campaign as a file: a row for each lead, whatever the campaign's size."""

import csv
import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Any

from gateway.cli.output import fail

PAGE = 200

_COLUMNS = (
    *("number", "phone", "state", "outcome", "attempts", "status", "answered_by", "seconds"),
    *("call_sid", "error"),
)


def write_report(
    folder: Path, path: str, state: str | None, output: Path | None, as_lines: bool
) -> int:
    """Write a report to ``output`` or to standard output; return how many leads are in it.

    ``path`` is where the API has the leads. As JSON it is one list. Raises ``OSError``.
    """
    where = nullcontext(sys.stdout) if output is None else output.open("w", newline="")
    with where as out:
        if as_lines:
            return _as_json(out, _leads(folder, path, state))
        names: dict[str, None] = {}
        for it in _leads(folder, path, state):
            names |= dict.fromkeys(it["variables"])
        return _as_csv(out, _leads(folder, path, state), list(names))


def _as_csv(out: IO[str], leads: Iterator[dict[str, Any]], variables: list[str]) -> int:
    writer = csv.writer(out)
    writer.writerow([*_COLUMNS, *(f"variables.{name}" for name in variables)])
    count = 0
    for it in leads:
        cells = [it[name] for name in _COLUMNS]
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
