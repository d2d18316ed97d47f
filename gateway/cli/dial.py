"""``callfarm dial``: place a call through the running gateway, and see how it fares."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.configuration import AsJson, DataDir, settings
from gateway.cli.output import as_json, fail, note

LOOK_SECONDS = 0.5

_OVER = ("ended", "refused", "lost")


def dial(
    number: Annotated[str, typer.Argument(help="Whom to call: +493012345678.")],
    agent: Annotated[
        str | None, typer.Option(help="MODULE:CLASS, or the class; default: that of the number.")
    ] = None,
    var: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE for the agent; may be repeated.")
    ] = None,
    from_: Annotated[
        str | None, typer.Option("--from", help="The number that calls (TWILIO_PHONE_NUMBER).")
    ] = None,
    company: Annotated[int | None, typer.Option(help="On whose behalf.", min=1)] = None,
    machine: Annotated[
        str | None, typer.Option(help="If a machine answers: go-on, hang-up or message.")
    ] = None,
    ring: Annotated[int | None, typer.Option(help="Seconds to let it ring.")] = None,
    max_seconds: Annotated[int | None, typer.Option(help="The longest call, in seconds.")] = None,
    key: Annotated[
        str | None, typer.Option(help="Makes the order one: again with it, nobody is called.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Stay until the call is over.")] = False,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Call somebody.

    Exit code 1 if the call is refused; with --wait also if nobody has answered.

    Example: callfarm dial +493012345678 --agent Receptionist --var name=Ada --wait
    """
    folder = settings(data_dir=data_dir).data_dir
    order = {
        "to": number,
        "from": from_,
        "agent": agent,
        "company": company,
        "variables": dict(_variable(each) for each in var or ()),
        "machine": machine,
        "ring_seconds": ring,
        "max_seconds": max_seconds,
        "key": key,
    }
    given = {name: value for name, value in order.items() if value not in (None, {})}
    made = _ask(folder, "POST", "/api/calls", given)
    if not json:
        note(made.get("detail") or f"{made['sid']} calls {made['to']} from {made['from']}")
    if not wait:
        if json:
            as_json(made)
        return
    try:
        over = _waited(folder, made["id"], quiet=json)
    except KeyboardInterrupt:
        end = f"callfarm hangup {made['sid']}" if made["sid"] else "see callfarm calls"
        note(f"The call goes on without you; once it is answered: {end}", to_stderr=True)
        raise typer.Exit(130) from None
    if json:
        as_json(over)
    if over["status"] != "completed":
        raise typer.Exit(1)


def _waited(folder: Path, dial_id: str, *, quiet: bool) -> dict[str, Any]:
    """Return how the call fared when it is over; tell of each change."""
    from rich.console import Console

    began, told = time.monotonic(), ""
    with Console(stderr=True).status("Calling ...") as status:
        while True:
            it = _ask(folder, "GET", f"/api/dials/{dial_id}", None)
            line = _told(it)
            if line != told and not quiet:
                note(f"{time.monotonic() - began:6.1f} s  {line}")
            told = line
            if it["state"] in _OVER:
                return it
            status.update(f"{line} ...")
            time.sleep(LOOK_SECONDS)


def _told(it: dict[str, Any]) -> str:
    by = f" by {it['answered_by'].replace('_', ' ')}" if it["answered_by"] else ""
    match it["state"]:
        case "creating" | "doubt":
            return it["error"] or "asking Twilio"
        case "answered":
            return f"answered{by}"
        case "ended":
            return f"{it['status']}{', answered' + by if by else ''}"
        case "refused" | "lost":
            return f"{it['state']}: {it['error']}"
        case state:
            return str(state)


def _variable(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        fail(f"{text!r} is no variable: write --var name=value")
    return name, value


def _ask(folder: Path, method: str, path: str, body: object) -> dict[str, Any]:
    from gateway.client import GatewayError, ask

    try:
        return ask(folder, method, path, body, seconds=60.0)
    except GatewayError as error:
        fail(error)
