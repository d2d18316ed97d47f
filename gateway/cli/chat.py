"""``callfarm chat``: an agent in text, in the terminal, without a phone and without a gateway.

The agent runs in a process of its own, as in a call, with what a call process may see of the
environment and no more. The command turns into that process, so terminal, signals and exit code
are its own.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.configuration import AsJson, settings
from gateway.cli.output import fail
from shared.settings import call_environment

MODULE = "worker.chat"
"""Found by name in the new process: the gateway's side imports nothing of ``worker``."""

_TERMINAL = ("TERM", "COLORTERM", "NO_COLOR", "COLUMNS", "LINES")
"""What a terminal says of itself: no call has one, a chat has."""


def chat(
    agents: Annotated[Path | None, typer.Option(help="Agents folder (AGENTS_DIR).")] = None,
    agent: Annotated[
        str | None, typer.Option(help="MODULE:CLASS to talk to; default: what routes.toml says.")
    ] = None,
    say: Annotated[
        list[str] | None,
        typer.Option(help="Say TEXT, print the answer and leave; may be repeated."),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="No provider is asked: stand-ins take their places.")
    ] = False,
    from_: Annotated[str, typer.Option("--from", help="The caller's number.")] = "+15550002222",
    to: Annotated[
        str, typer.Option(help="The number that is called, for routes.toml.")
    ] = "+15550001111",
    json: AsJson = False,
) -> None:
    """Talk with an agent in text: its model and its tools are real, its ears and voice are not.

    Example: callfarm chat --say "A table for two on Friday" --json
    """
    chosen = settings(agents_dir=agents)
    if not chosen.agents_dir.is_dir():
        fail(f"there is no agents folder {chosen.agents_dir}: name it with --agents or AGENTS_DIR")
    words = [sys.executable, "-m", MODULE, "--agents", str(chosen.agents_dir)]
    words += ["--from", from_, "--to", to]
    words += ["--agent", agent] if agent is not None else []
    for text in say or ():
        # In one word, so that a text that begins with a dash is no option.
        words.append(f"--say={text}")
    words += ["--json"] * json + ["--offline"] * offline
    terminal = {name: os.environ[name] for name in _TERMINAL if name in os.environ}
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execve(  # noqa: S606
            sys.executable, words, {**call_environment(os.environ, chosen), **terminal}
        )
    except OSError as error:
        fail(f"the chat cannot be started: {error}")
