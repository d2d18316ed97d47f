"""Commands for setting up: ``new`` and ``doctor``."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.configuration import AsJson, settings
from gateway.cli.output import as_json, fail, note


def new(
    name: Annotated[str, typer.Argument(help="The agent's name, such as front_desk.")],
    agents: Annotated[Path | None, typer.Option(help="Agents folder (AGENTS_DIR).")] = None,
    json: AsJson = False,
) -> None:
    """Write a first agent that runs at once, and routes.toml if there is none.

    Example: callfarm new front_desk
    """
    from gateway.scaffold import ScaffoldError, new_agent

    try:
        made = new_agent(name, settings(agents_dir=agents).agents_dir)
    except (ScaffoldError, OSError) as error:
        fail(error)
    if json:
        routes = str(made.routes) if made.routes is not None else None
        as_json(
            {
                "path": str(made.path),
                "agent": made.agent,
                "routes": routes,
                "command": made.command,
            }
        )
        return
    folder = f" --agents {agents}" if agents is not None else ""
    written = f"{made.path} is written"
    if made.routes is not None:
        written += f", and {made.routes}, by which it answers every number"
    note(f"{written}. Hear it:\n\n    {made.command}{folder}\n    callfarm call\n")
    if made.routes is None:
        note(
            "To let it answer a number of its own, under [numbers] of routes.toml:"
            f"\n\n    {made.route}"
        )


def doctor(json: AsJson = False) -> None:
    """Show every setting with its source, and what would keep calls from working.

    Exit code 1 when something would.

    Example: callfarm doctor --json
    """
    from rich.console import Console

    from gateway.doctor import render, report_of, run_doctor
    from shared.settings import SettingsError, load_settings

    try:
        report = run_doctor(load_settings())
    except SettingsError as error:
        report = report_of(error)
    if json:
        as_json(report.as_json())
    else:
        render(report, Console(highlight=False))
    raise typer.Exit(report.exit_code)
