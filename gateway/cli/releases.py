"""Commands about releases: ``deploy``, ``releases``, ``rollback``."""

from typing import Annotated, Any

import typer
from rich.console import Console

from gateway.cli.configuration import AsJson, DataDir, settings
from gateway.cli.output import ago, as_json, fail, note, table


def deploy(data_dir: DataDir = None, json: AsJson = False) -> None:
    """Make the agents folder, as it is now, answer every new call.

    Calls in progress stay on the code they began with. Exit code 1, with the traceback, when the
    new code is not fit for calls: everything then stays as it was.

    Example: callfarm deploy
    """
    _go_live("Deploying ...", "/api/releases", None, data_dir, json)


def rollback(
    release: Annotated[str | None, typer.Argument(help="A release's id, or its beginning.")] = None,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Make the release before (or the one named) answer every new call.

    Example: callfarm rollback
    """
    body = {"release": release}
    _go_live("Rolling back ...", "/api/releases/rollback", body, data_dir, json)


def _go_live(title: str, path: str, body: object, data_dir: DataDir, json: bool) -> None:
    from gateway.client import GatewayError, ask

    folder = settings(data_dir=data_dir).data_dir
    try:
        with Console(stderr=True).status(title):
            live = ask(folder, "POST", path, body)
    except GatewayError as error:
        fail(error)
    if json:
        as_json(live)
    else:
        took = live["load_ms"] + live["rehearse_ms"]
        note(
            f"{live['id']} is live: every new call gets {', '.join(live['agents'])} "
            f"(loaded and rehearsed in {took / 1000:.1f} s, {live['memory'] >> 20} MB)"
        )


def releases(data_dir: DataDir = None, json: AsJson = False) -> None:
    """List the releases the running gateway knows.

    Example: callfarm releases
    """
    from gateway.client import GatewayError, ask

    try:
        found = ask(settings(data_dir=data_dir).data_dir, "GET", "/api/releases")["releases"]
    except GatewayError as error:
        fail(error)
    if json:
        as_json(found)
        return
    table(
        ("", "release", "state", "warm", "calls", "made", "agents"),
        [_row(release) for release in found],
    )


def _row(release: dict[str, Any]) -> tuple[object, ...]:
    return (
        "*" if release["current"] else "",
        release["id"],
        release["state"],
        "yes" if release["warm"] else "no",
        release["calls"],
        ago(release["created"]),
        ", ".join(release["agents"]) or release["error"].partition("\n")[0],
    )
