"""Commands about tokens of the API: ``tokens create``, ``tokens list``, ``tokens revoke``."""

from enum import StrEnum
from typing import Annotated
from urllib.parse import quote

import typer

from gateway.cli.calls import asked
from gateway.cli.configuration import AsJson, DataDir
from gateway.cli.output import ago, as_json, note, table

tokens = typer.Typer(
    help="Make, list and revoke tokens of the API.", no_args_is_help=True, rich_markup_mode=None
)


class ScopeName(StrEnum):
    """What a token is for (``gateway.api.caller``)."""

    READ = "read"
    CALLS = "calls"
    ADMIN = "admin"


@tokens.command()
def create(
    name: Annotated[str, typer.Argument(help="What it is for, for people.", show_default=False)],
    scope: Annotated[
        list[ScopeName],
        typer.Option(help="read: see; calls: place and steer calls; admin: all. Repeat for more."),
    ],
    company: Annotated[
        int | None, typer.Option(help="It sees and does what is this company's alone.", min=1)
    ] = None,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Make a token. It is shown this once: only its hash is kept.

    Example: callfarm tokens create website --scope calls --company 7
    """
    body = {"name": name, "scopes": sorted(set(scope)), "company": company}
    made = asked(data_dir, "POST", "/api/tokens", body)
    if json:
        as_json(made)
    else:
        note(made["token"])


@tokens.command("list")
def list_(data_dir: DataDir = None, json: AsJson = False) -> None:
    """List the tokens, without what they open.

    Example: callfarm tokens list
    """
    found = asked(data_dir, "GET", "/api/tokens")["tokens"]
    if json:
        as_json(found)
        return
    if not found:
        note("No tokens but API_TOKEN; callfarm tokens create makes one.")
        return
    rows = [
        (
            it["id"],
            it["name"],
            ", ".join(it["scopes"]),
            it["company"] or "-",
            ago(it["created"]),
            ago(it["revoked"]) if it["revoked"] else "-",
        )
        for it in found
    ]
    table(("token", "name", "scopes", "company", "made", "revoked"), rows)


@tokens.command()
def revoke(
    name: Annotated[str, typer.Argument(help="A token's id, or a name: all of it.")],
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Revoke a token: it opens nothing any more, at once.

    Example: callfarm tokens revoke website
    """
    asked(data_dir, "DELETE", f"/api/tokens/{quote(name, safe='')}")
    if json:
        as_json({"revoked": name})
    else:
        note(f"{name} opens nothing any more")
