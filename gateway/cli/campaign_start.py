"""Makes a campaign at the running gateway, gives it its leads, and starts it."""

from itertools import chain, count
from pathlib import Path
from typing import Any

from gateway.campaigns.lead_file import BadRow, Row
from gateway.cli.campaign_rows import tell_bad
from gateway.cli.output import fail

PAGE = 500
"""Leads in one request."""


def enrolled(
    folder: Path,
    name: str,
    policy: dict[str, Any],
    company: int | None,
    people: list[Row],
    *,
    skip_bad: bool,
) -> dict[str, Any]:
    """Return the campaign that was started; leave with the gateway's problem if it has one.

    What the gateway itself refuses is told as rows that are bad; unless they are skipped, the
    draft is cancelled.
    """
    body: dict[str, Any] = {"name": name, "policy": policy}
    if company is not None:
        body["company"] = company
    made = _ask(folder, "POST", "/api/campaigns", body)
    path = f"/api/campaigns/{made['id']}"
    bad, started = list[BadRow](), False
    try:
        bad = _add_all(folder, path, people)
        if bad:
            tell_bad(bad, len(people), skip_bad=skip_bad)
        shown = _ask(folder, "POST", f"{path}/start")
        started = True
    finally:
        if not started:
            _ask(folder, "POST", f"{path}/cancel")
    return shown


def free_name(folder: Path, wanted: str | None, file: Path) -> str:
    """Return a name by which a new campaign can be told from others: ``wanted``, or the file's.

    A wanted one that is taken is refused; the file's gets a number, so that it can be run again.
    """
    every = _ask(folder, "GET", "/api/campaigns?limit=200")["campaigns"]
    taken = {it["name"] for it in every}
    if wanted is not None and wanted in taken:
        fail(f"there is a campaign {wanted!r} already: give this one another --name")
    names = (f"{file.stem}-{number}" for number in count(2))
    return next(it for it in chain([wanted or file.stem], names) if it not in taken)


def _add_all(folder: Path, path: str, people: list[Row]) -> list[BadRow]:
    from rich.console import Console
    from rich.progress import track

    bad, first = list[BadRow](), 0
    pages = range(0, len(people), PAGE)
    console = Console(stderr=True)
    for start in track(
        pages,
        "Handing over leads",
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ):
        page = people[start : start + PAGE]
        leads = [{"phone": it.phone, "variables": dict(it.variables)} for it in page]
        body = {"leads": leads, "first": first, "skip_bad": True}
        added = _ask(folder, "POST", f"{path}/leads", body)
        first = added["total"]
        bad += [BadRow(page[it["row"]].line, it["phone"], it["reason"]) for it in added["refused"]]
    return bad


def _ask(folder: Path, method: str, path: str, body: object = None) -> dict[str, Any]:
    from gateway.client import GatewayError, ask

    try:
        return ask(folder, method, path, body, seconds=60.0)
    except GatewayError as error:
        fail(error)
