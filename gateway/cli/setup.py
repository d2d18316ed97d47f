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
    """Write a first agent that runs at once.

    Example: callfarm new front_desk
    """
    from gateway.scaffold import ScaffoldError, new_agent

    try:
        made = new_agent(name, settings(agents_dir=agents).agents_dir)
    except (ScaffoldError, OSError) as error:
        fail(error)
    if json:
        as_json({"path": str(made.path), "agent": made.agent, "command": made.command})
        return
    folder = f" --agents {agents}" if agents is not None else ""
    note(f"{made.path} is written. Hear it:\n\n    {made.command}{folder}\n    callfarm call\n")
    note(f"To let it answer a number of its own, under [numbers] of routes.toml:\n\n{made.route}")


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
