"""Commands about calls: ``calls``, ``show``, ``hangup``, ``transfer``."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import typer

from gateway.cli.configuration import AsJson, DataDir, settings
from gateway.cli.output import as_json, duration, fail, note, table, utc
from gateway.cli.turn_table import turn_table

_PAGE = 200
"""Calls of one request, at most (``gateway.api``)."""

_NAMES = ("agent", "release")

Sid = Annotated[str, typer.Argument(help="The call's SID (CA...).", show_default=False)]


def asked(data_dir: DataDir, method: str, path: str, body: object = None) -> dict[str, Any]:
    """Ask the gateway that runs on ``data_dir``; leave with its problem when it has one."""
    from gateway.client import GatewayError, ask

    try:
        return ask(settings(data_dir=data_dir).data_dir, method, path, body, seconds=30.0)
    except GatewayError as error:
        fail(error)


def path_of(sid: str) -> str:
    """Return where a call is in the API; leave if ``sid`` is empty."""
    if not sid.strip():
        fail("name a call by its SID (CA...): callfarm calls --all lists them", code=2)
    return f"/api/calls/{quote(sid.strip(), safe='')}"


def calls(
    every: Annotated[bool, typer.Option("--all", help="Ended calls as well.")] = False,
    since: Annotated[
        str | None, typer.Option(help="Those since then: 24h, 7d, 2026-11-27T15:00.")
    ] = None,
    number: Annotated[str | None, typer.Option(help="Those from or to this number.")] = None,
    agent: Annotated[str | None, typer.Option(help="Those of this agent (MODULE:CLASS).")] = None,
    outcome: Annotated[str | None, typer.Option(help="Those that ended so.")] = None,
    company: Annotated[int | None, typer.Option(help="Those of this company.", min=1)] = None,
    limit: Annotated[int, typer.Option(help="How many of those that ended.", min=1)] = 50,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """List the calls in progress, or with --all, or any choice, those that ended as well.

    Example: callfarm calls --since 24h --outcome transferred
    """
    chosen = {"since": since, "number": number, "agent": agent, "outcome": outcome}
    given = {name: value for name, value in chosen.items() if value is not None}
    if company is not None:
        given["company"] = str(company)
    past = every or bool(given)
    found = pages(data_dir, "/api/calls", "calls", given, limit) if past else live(data_dir)
    if json:
        as_json(found)
        return
    if not found:
        note("No such calls." if past else "No calls in progress; --all lists those that ended.")
        return
    named = ["company"] if any(call["company"] for call in found) else []
    columns = ("call", "began", "state", "from", "to", *named, *_NAMES, "for", "how it ended")
    table(columns, [_row(call, named) for call in found])


def live(data_dir: DataDir) -> list[dict[str, Any]]:
    """Return the calls in progress."""
    found: list[dict[str, Any]] = asked(data_dir, "GET", "/api/calls?live=true")["calls"]
    return found


def pages(
    data_dir: DataDir, path: str, name: str, query: Mapping[str, str], limit: int
) -> list[dict[str, Any]]:
    """Return the first ``limit`` of what the API gives in pages."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        size = {"limit": str(min(limit - len(found), _PAGE))}
        page = asked(data_dir, "GET", f"{path}?{urlencode({**query, **cursor, **size})}")
        found += page[name]
        if page.get("partial") and not cursor:
            note("The database is away or behind: some of these may be missing.", to_stderr=True)
        if len(found) >= limit or page["next"] is None:
            return found
        cursor = {"cursor": page["next"]}


def _row(call: dict[str, Any], named: Sequence[str]) -> tuple[object, ...]:
    outcome, reason = call["outcome"] or "", call["reason"] or ""
    how = f"{outcome} ({reason})" if reason not in ("", outcome) else outcome
    shown = (call[name] or "-" for name in ("state", "from", "to", *named, *_NAMES))
    return (call["sid"], utc(call["began"]), *shown, duration(call), how)


def show(sid: Sid, data_dir: DataDir = None, json: AsJson = False) -> None:
    """Show one call: what was said, how fast each turn was, and the agent's state.

    Example: callfarm show CA0123456789abcdef0123456789abcdef
    """
    call = asked(data_dir, "GET", path_of(sid))
    if json:
        as_json(call)
        return
    when = f"{utc(call['began'])}, {duration(call)}"
    note(f"{call['sid']}  {call['state']}  {call['from']} -> {call['to']}  {when}")
    note(f"agent {call['agent']}, release {call['release']}, {call['reason'] or 'in progress'}")
    if call["company"]:
        note(f"company {call['company']}" + _of_campaign(call))
    elif call["campaign"]:
        note(_of_campaign(call).removeprefix(", "))
    if call["conversation_id"]:
        note(f"conversation {call['conversation_id']}")
    if call["outcome"] and not call["live"]:
        note(f"outcome {call['outcome']}" + _transferred(call))
    for line in call["lines"]:
        took = f"  [server {line['reply_ms']:.0f} ms]" if line["reply_ms"] is not None else ""
        cut = " --" if line["interrupted"] else ""
        note(f"{(line['at_ms'] or 0.0) / 1000:7.1f}  {line['role']:>6}  {line['text']}{cut}{took}")
    folder = settings(data_dir=data_dir).data_dir
    for it in call["recordings"]:
        note(f"recording: {_recorded(it, call['sid'], folder)}")
    for trouble in call["troubles"]:
        then = f"; {trouble['fallback']} took over" if trouble["fallback"] else ""
        note(f"trouble: {trouble['provider']}: {trouble['sentence']}{then}")
    if call["turns"]:
        note("\nturns: ms after the caller's last word, or after the first stage known")
        table(*turn_table(call["turns"]))
    if call["agent_state"]:
        note(f"state: {call['agent_state']}")


def _transferred(call: dict[str, Any]) -> str:
    return f", to {call['transferred_to']}" if call["transferred_to"] else ""


def _of_campaign(call: dict[str, Any]) -> str:
    return f", campaign {call['campaign']}" if call["campaign"] else ""


def _recorded(it: dict[str, Any], sid: str, folder: Path) -> str:
    """Return what there is of a recording, and its file if it lies on this machine."""
    lasts = f", {it['seconds']:.0f} s" if it["seconds"] is not None else ""
    if it["kind"] != "own":
        return f"the carrier's, {it['status']}{lasts}"
    day = time.strftime("%Y/%m/%d", time.gmtime(it["created"]))
    file = folder / "recordings" / day / f"{sid}.wav"
    return f"{it['status']}{lasts}" + (f", {file}" if file.exists() else "")


def hangup(sid: Sid, data_dir: DataDir = None, json: AsJson = False) -> None:
    """Hang a call up.

    Example: callfarm hangup CA0123456789abcdef0123456789abcdef
    """
    _done(asked(data_dir, "POST", f"{path_of(sid)}/hangup"), json)


def transfer(
    sid: Sid,
    to: Annotated[str, typer.Argument(help="A name of TRANSFER_NUMBERS, or +E.164.")],
    warm: Annotated[
        bool, typer.Option("--warm", help="Ask them first; the caller hears music meanwhile.")
    ] = False,
    summary: Annotated[
        str | None, typer.Option(help="What they are told of the call, with --warm.")
    ] = None,
    ring: Annotated[
        int | None, typer.Option(help="Seconds that their phone rings, with --warm.")
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="Language of the summary, with --warm: de-DE.")
    ] = None,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Connect a caller with somebody else.

    Example: callfarm transfer CA0123456789abcdef0123456789abcdef manager --warm
    --summary "Ada Lovelace wants to move her appointment."
    """
    more = {"summary": summary, "ring_seconds": ring, "language": language}
    given = {name: value for name, value in more.items() if value is not None}
    if given and not warm:
        fail("--summary, --ring and --language are for --warm: who is not asked is told nothing")
    order = {"to": to, **({"warm": True, **given} if warm else {})}
    _done(asked(data_dir, "POST", f"{path_of(sid)}/transfer", order), json)


def _done(answer: dict[str, Any], json: bool) -> None:
    if json:
        as_json(answer)
    else:
        note(f"{answer['sid']} is {answer['state']}")
