"""The ``callfarm`` command and the order its parts are shown in."""

import typer

from gateway.cli import calls, phone, releases, setup
from gateway.cli.chat import chat
from gateway.cli.latency import latency
from gateway.cli.serve import serve

app = typer.Typer(
    name="callfarm",
    help="A server of your own for AI phone agents: one process per call, agents deployed hot.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


app.command()(serve)
app.command()(phone.demo)
app.command()(phone.call)
app.command()(latency)
app.command()(chat)
app.command()(setup.new)
app.command()(releases.deploy)
app.command()(releases.releases)
app.command()(releases.rollback)
app.command()(calls.calls)
app.command()(calls.show)
app.command()(calls.hangup)
app.command()(calls.transfer)
app.command()(setup.doctor)


def main() -> None:
    """Run the command line."""
    app(prog_name="callfarm")
