"""Settings for commands: loaded once, with what the command line says on top."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.output import fail
from shared.settings import Settings, SettingsError, load_settings

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="The gateway's data folder (DATA_DIR).", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def settings(**overrides: object) -> Settings:
    """Return the settings; wrong ones end the command with a sentence for each."""
    try:
        return load_settings(overrides)
    except SettingsError as error:
        fail(error)
