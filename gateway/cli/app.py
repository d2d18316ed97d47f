"""The ``callfarm`` command and the order its parts are shown in."""

import typer

from gateway.cli import calls, phone, records, releases, setup
from gateway.cli.campaign import campaign
from gateway.cli.chat import chat
from gateway.cli.company import company
from gateway.cli.connect import connect
from gateway.cli.dial import dial
from gateway.cli.latency import latency
from gateway.cli.serve import serve
from gateway.cli.tokens import tokens
from gateway.cli.webhooks import webhooks

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
app.command()(connect)
app.command()(releases.deploy)
app.command()(releases.releases)
app.command()(releases.rollback)
app.command()(calls.calls)
app.command()(calls.show)
app.command()(calls.hangup)
app.command()(calls.transfer)
app.command()(dial)
app.add_typer(campaign, name="campaign")
app.add_typer(company, name="company")
app.command()(records.export)
app.command()(records.prune)
app.command()(records.rotate)
app.add_typer(webhooks, name="webhooks")
app.add_typer(tokens, name="tokens")
app.command()(setup.doctor)


def main() -> None:
    """Run the command line."""
    app(prog_name="callfarm")
