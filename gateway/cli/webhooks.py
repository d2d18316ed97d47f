"""Commands about what webhooks are told: ``webhooks``, with ``show`` and ``redeliver``."""

import time
from typing import Annotated, Any
from urllib.parse import urlencode, urlsplit

import typer

from gateway.cli.configuration import AsJson, DataDir, settings
from gateway.cli.output import ago, as_json, fail, note, table

webhooks = typer.Typer()

Failed = Annotated[bool, typer.Option("--failed", help="Those that were given up.")]


@webhooks.callback(invoke_without_command=True)
def list_webhooks(
    context: typer.Context,
    failed: Failed = False,
    waiting: Annotated[bool, typer.Option("--waiting", help="Those not told yet.")] = False,
    event: Annotated[str | None, typer.Option(help="Those of one event.")] = None,
    sid: Annotated[str | None, typer.Option(help="Those of one call.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many at most.")] = 50,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """List what webhooks were told of calls, the newest first; show it, tell it again.

    Example: callfarm webhooks --failed
    """
    if context.invoked_subcommand is not None:
        return
    if failed and waiting:
        fail("--failed and --waiting are two questions: ask one")
    state = "failed" if failed else "waiting" if waiting else None
    asked = {"state": state, "event": event, "call": sid, "limit": limit}
    query = urlencode({name: value for name, value in asked.items() if value is not None})
    found = _ask(data_dir, "GET", f"/api/webhooks?{query}")["webhooks"]
    if json:
        as_json(found)
    elif not found:
        note("No such deliveries; EVENTS_URL says who is told.")
    else:
        columns = ("id", "event", "state", "tries", "made", "next", "call", "to")
        table(columns, [_row(it) for it in found])


@webhooks.command()
def show(
    delivery: Annotated[str, typer.Argument(help="A delivery's id, dl_…", metavar="ID")],
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Show a delivery: what is sent, and how each try went.

    Example: callfarm webhooks show dl_0f3c
    """
    found = _ask(data_dir, "GET", f"/api/webhooks/{delivery}")
    if json:
        as_json(found)
        return
    note(f"{found['id']}  {found['event']}  {found['state']}  {found['url']}")
    table(
        ("try", "when", "took", "status", "error"),
        [
            (
                each["number"],
                ago(each["at"]),
                "" if each["ms"] is None else f"{each['ms']:.0f} ms",
                each["status"] or "",
                each["error"] or "",
            )
            for each in found["log"]
        ],
    )
    as_json(found["body"])


@webhooks.command()
def redeliver(
    deliveries: Annotated[
        list[str] | None, typer.Argument(help="Deliveries' ids.", metavar="ID")
    ] = None,
    failed: Failed = False,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Tell again what was given up, or what is named, with the same idempotency keys.

    Example: callfarm webhooks redeliver --failed
    """
    if bool(deliveries) == failed:
        fail("name deliveries, or say --failed")
    body = {"ids": deliveries or [], "failed": failed}
    done = _ask(data_dir, "POST", "/api/webhooks/redeliver", body)
    if json:
        as_json(done)
    elif done["addresses"]:
        count = done["addresses"]
        note(f"Being told again: {count} address{'es' if count > 1 else ''}; see callfarm webhooks")
    elif failed:
        note("There is nothing to tell again.")
    else:
        fail("none of these can be told again: they wait to be told, or there are none such")


def _ask(data_dir: DataDir, method: str, path: str, body: object = None) -> dict[str, Any]:
    from gateway.client import GatewayError, ask

    try:
        return ask(settings(data_dir=data_dir).data_dir, method, path, body)
    except GatewayError as error:
        fail(error)


def _soon(unix_seconds: float) -> str:
    seconds = int(unix_seconds - time.time())
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"in {seconds // size} {unit}"
    return f"in {seconds} s" if seconds > 0 else "now"


def _row(it: dict[str, Any]) -> tuple[object, ...]:
    is_next = it["state"] == "waiting" and it["next_at"] is not None
    return (
        it["id"],
        it["event"],
        it["state"],
        it["tries"],
        ago(it["created"]),
        _soon(it["next_at"]) if is_next else "",
        it["call"] or "",
        urlsplit(it["url"]).hostname or "",
    )
