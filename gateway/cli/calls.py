"""Commands about calls: ``calls``, ``show``, ``hangup``, ``transfer``."""

from typing import Annotated, Any

import typer

from gateway.cli.configuration import AsJson, DataDir, settings
from gateway.cli.output import as_json, duration, fail, note, table
from gateway.cli.turn_table import turn_table

Sid = Annotated[str, typer.Argument(help="The call's SID (CA...).", show_default=False)]


def asked(data_dir: DataDir, method: str, path: str, body: object = None) -> dict[str, Any]:
    """Ask the gateway that runs on ``data_dir``; leave with its problem when it has one."""
    from gateway.client import GatewayError, ask

    try:
        return ask(settings(data_dir=data_dir).data_dir, method, path, body, seconds=30.0)
    except GatewayError as error:
        fail(error)


def calls(
    every: Annotated[bool, typer.Option("--all", help="Ended calls as well.")] = False,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """List the calls in progress.

    Example: callfarm calls --all
    """
    found = asked(data_dir, "GET", f"/api/calls?live={'false' if every else 'true'}")["calls"]
    if json:
        as_json(found)
        return
    if not found:
        note("No calls." if every else "No calls in progress; --all lists those that ended.")
        return
    columns = ("call", "state", "from", "to", "agent", "release", "for", "how it ended")
    table(
        columns,
        [
            (
                c["sid"],
                c["state"],
                c["from_"],
                c["to"],
                c["agent"],
                c["release"],
                duration(c),
                c["reason"],
            )
            for c in found
        ],
    )


def show(sid: Sid, data_dir: DataDir = None, json: AsJson = False) -> None:
    """Show one call: what was said, how fast each turn was, and the agent's state.

    Example: callfarm show CA0123456789abcdef0123456789abcdef
    """
    call = asked(data_dir, "GET", f"/api/calls/{sid}")
    if json:
        as_json(call)
        return
    note(f"{call['sid']}  {call['state']}  {call['from_']} -> {call['to']}  {duration(call)}")
    note(f"agent {call['agent']}, release {call['release']}, {call['reason'] or 'in progress'}")
    for line in call["lines"]:
        took = f"  [server {line['reply_ms']:.0f} ms]" if line["reply_ms"] is not None else ""
        cut = " --" if line["interrupted"] else ""
        note(f"{line['at_ms'] / 1000:7.1f}  {line['role']:>6}  {line['text']}{cut}{took}")
    for trouble in call["troubles"]:
        then = f"; {trouble['fallback']} took over" if trouble["fallback"] else ""
        note(f"trouble: {trouble['provider']}: {trouble['sentence']}{then}")
    if call["turns"]:
        note("\nturns: ms after the caller's last word, or after the first stage known")
        table(*turn_table(call["turns"]))
    if call["agent_state"]:
        note(f"state: {call['agent_state']}")


def hangup(sid: Sid, data_dir: DataDir = None, json: AsJson = False) -> None:
    """Hang a call up.

    Example: callfarm hangup CA0123456789abcdef0123456789abcdef
    """
    _done(asked(data_dir, "POST", f"/api/calls/{sid}/hangup"), json)


def transfer(
    sid: Sid,
    to: Annotated[str, typer.Argument(help="A name of TRANSFER_NUMBERS, or +E.164.")],
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Connect a caller with somebody else.

    Example: callfarm transfer CA0123456789abcdef0123456789abcdef manager
    """
    _done(asked(data_dir, "POST", f"/api/calls/{sid}/transfer", {"to": to}), json)


def _done(answer: dict[str, Any], json: bool) -> None:
    if json:
        as_json(answer)
    else:
        note(f"{answer['sid']} is {answer['state']}")
