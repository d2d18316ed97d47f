"""Commands about companies: ``company list``, ``show``, ``add``, ``change``, ``remove``."""

import sys
from json import dumps
from typing import Annotated, Any

import typer

from gateway.cli.calls import asked
from gateway.cli.company_fields import fields, merged, secrets
from gateway.cli.configuration import AsJson, DataDir
from gateway.cli.output import as_json, fail, note, table

company = typer.Typer(
    help="Companies on whose behalf calls are made and taken: their accounts, numbers, voices.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_PATH = "/api/companies"
_TEXT = 60
"""Letters of a long text that are shown to people."""

Id = Annotated[
    int, typer.Argument(metavar="ID", help="The company's id.", min=1, show_default=False)
]
Fields = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FIELD=VALUE",
        help="account_sid, phone_number, region, edge, caller_id, default_destination, agent, "
        "speech_url, system_prompt, model, voice, first_speaker, settings.NAME. "
        "FIELD=@FILE reads a file, FIELD= takes away.",
        show_default=False,
    ),
]
Secrets = Annotated[
    list[str] | None,
    typer.Option(
        "--secret",
        metavar="NAME",
        help="auth_token, speech_key, or a webhook's: asked for, or a line of standard input. "
        "Repeat for more.",
    ),
]


@company.command("list")
def list_(data_dir: DataDir = None, json: AsJson = False) -> None:
    """List the companies.

    Example: callfarm company list
    """
    found = list[dict[str, Any]]()
    after: int | None = 0
    while after is not None:
        page = asked(data_dir, "GET", f"{_PATH}?after={after}")
        found += page["companies"]
        after = page["next"]
    if json:
        as_json(found)
        return
    if not found:
        note("No companies; callfarm company add makes one.")
        return
    columns = ("id", "name", "account", "number", "agent", "secrets")
    table(columns, [_row(it) for it in found])


def _row(it: dict[str, Any]) -> tuple[object, ...]:
    shown = (it[name] or "-" for name in ("account_sid", "phone_number", "agent"))
    return (it["id"], it["name"], *shown, ", ".join(_secrets_of(it)) or "-")


def _secrets_of(it: dict[str, Any]) -> list[str]:
    """Return the names of the secrets that there are."""
    hidden = [name for name in ("auth_token", "speech_key") if it[f"has_{name}"]]
    return hidden + list(it["secret_names"])


@company.command()
def show(which: Id, data_dir: DataDir = None, json: AsJson = False) -> None:
    """Show a company; of its secrets, only which there are.

    Example: callfarm company show 7
    """
    _told(asked(data_dir, "GET", f"{_PATH}/{which}"), json)


@company.command()
def add(
    name: Annotated[str, typer.Argument(help="Its name, for people.", show_default=False)],
    field: Fields = None,
    secret: Secrets = None,
    id_: Annotated[int | None, typer.Option("--id", help="Default: the next.", min=1)] = None,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Make a company.

    Example: callfarm company add Acme phone_number=+15551234567 account_sid=AC... --secret
    auth_token
    """
    if "=" in name:
        fail(f"the company's name comes first, then {name!r}", code=2)
    plain, nested = fields(field or ())
    body = {"name": name} | {key: it for key, it in plain.items() if it is not None}
    body |= {"settings": merged({}, nested)} if nested else {}
    body |= {"id": id_} if id_ is not None else {}
    _told(asked(data_dir, "POST", _PATH, body | secrets(secret or (), ())), json)


@company.command()
def change(
    which: Id,
    field: Fields = None,
    secret: Secrets = None,
    forget: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Take this secret away. Repeat for more."),
    ] = None,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Change what is named, and nothing else.

    Example: callfarm company change 7 voice=Mark system_prompt=@prompt.md --forget speech_key
    """
    plain, nested = fields(field or ())
    body = dict(plain)
    if nested:
        known = asked(data_dir, "GET", f"{_PATH}/{which}")["settings"]
        body["settings"] = merged(known, nested)
    if not body and not secret and not forget:
        fail("say what is to be changed: FIELD=VALUE, --secret NAME or --forget NAME", code=2)
    body |= secrets(secret or (), forget or ())
    _told(asked(data_dir, "PATCH", f"{_PATH}/{which}", body), json)


@company.command()
def remove(
    which: Id,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")] = False,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Take a company away with its secrets and tokens, for good; its calls stay.

    Example: callfarm company remove 7 --yes
    """
    if not yes:
        name = asked(data_dir, "GET", f"{_PATH}/{which}")["name"]
        if not sys.stdin.isatty():
            fail(f"company {which} ({name}) would be gone for good: say --yes", code=2)
        if not typer.confirm(f"Take {name} away, with its secrets and tokens?", err=True):
            raise typer.Exit(1)
    asked(data_dir, "DELETE", f"{_PATH}/{which}")
    if json:
        as_json({"removed": which})
    else:
        note(f"Company {which} is gone; its calls stay.")


def _told(it: dict[str, Any], json: bool) -> None:
    if json:
        as_json(it)
        return
    note(f"company {it['id']}: {it['name']}")
    apart = {"id", "name", "created", "settings", "secret_names"}
    for name, value in it.items():
        if value is not None and name not in apart and not name.startswith("has_"):
            note(f"  {name:<20} {_short(str(value))}")
    for name, value in it["settings"].items():
        text = value if isinstance(value, str) else dumps(value, ensure_ascii=False)
        note(f"  {'settings.' + name:<20} {_short(text)}")
    note(f"  {'secrets':<20} {', '.join(_secrets_of(it)) or '-'}")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _TEXT else f"{line[:_TEXT]}… ({len(text)} letters)"
