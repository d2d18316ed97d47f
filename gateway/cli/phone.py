"""Commands that place calls by the built-in phone: ``call`` and ``demo``."""

import asyncio
import socket
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.configuration import AsJson, DataDir, settings
from gateway.cli.output import fail
from shared.local_secrets import LocalSecretError, twilio_auth_token
from shared.settings import Settings


def call(
    url: Annotated[
        str | None,
        typer.Option(help="Voice webhook to call; default: PUBLIC_URL's, or that on this machine."),
    ] = None,
    say: Annotated[list[str] | None, typer.Option(help="Speak TEXT; may be repeated.")] = None,
    wav: Annotated[Path | None, typer.Option(help="Play a WAV file.", exists=True)] = None,
    dtmf: Annotated[str, typer.Option(help="Press keys: 0-9 * # A-D.")] = "",
    calls: Annotated[int, typer.Option(help="How many calls, all at once.", min=1)] = 1,
    out: Annotated[Path | None, typer.Option(help="Write what was heard as a stereo WAV.")] = None,
    to: Annotated[str, typer.Option(help="The number that is called.")] = "+15550001111",
    auth_token: Annotated[
        str | None,
        typer.Option(help="Auth token to sign with; default: that of these settings."),
    ] = None,
    account_sid: Annotated[
        str | None,
        typer.Option(
            help="Account whose call it is, a company's or yours; default: one that is nobody's."
        ),
    ] = None,
    loss: Annotated[float, typer.Option(help="Share of frames lost on the way, 0 to 1.")] = 0.0,
    jitter_ms: Annotated[float, typer.Option(help="How much frames bunch up, ms.")] = 0.0,
    insecure: Annotated[bool, typer.Option(help="Accept any certificate.")] = False,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Call a server as Twilio would, with a simulated phone, and report what happens.

    Example: callfarm call --say "A table for two, please" --out call.wav
    """
    from phone.command import CallOptions, call_command
    from phone.phone import ACCOUNT_SID

    chosen = settings(data_dir=data_dir)
    try:
        token = auth_token or twilio_auth_token(chosen)
    except (LocalSecretError, OSError) as error:
        fail(error)
    options = CallOptions(
        url=url or _voice_webhook(chosen),
        auth_token=token,
        account_sid=account_sid or ACCOUNT_SID,
        to=to,
        say=tuple(say or ()),
        wav=wav,
        dtmf=dtmf,
        calls=calls,
        out=out,
        json=json,
        loss=loss,
        jitter_ms=jitter_ms,
        insecure=insecure,
    )
    try:
        raise typer.Exit(asyncio.run(call_command(options)))
    except (ValueError, OSError) as error:
        fail(error)


def _is_served(port: int) -> bool:
    """Whether a server on this machine takes connections there."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2.0).close()
    except OSError:
        return False
    return True


def _voice_webhook(chosen: Settings) -> str:
    """Return the address whose signature the gateway of these settings checks."""
    if chosen.public_url is not None:
        return f"{str(chosen.public_url).rstrip('/')}/twilio/voice"
    if not _is_served(chosen.port):
        fail(
            f"nobody listens on port {chosen.port}: start callfarm serve, or name a server by --url"
        )
    scheme = "http" if chosen.tls_cert_file is None else "https"
    return f"{scheme}://127.0.0.1:{chosen.port}/twilio/voice"


def demo(
    listen: Annotated[
        bool, typer.Option("--listen", help="Play the call aloud, where a sound device is.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Make one whole call on this machine: no key, no account, no network.

    Starts a gateway of its own, calls it, books a table, interrupts the agent, hangs up, and
    shows both sides. Exit code 1 when the booking did not arrive in the agent's state.

    Example: callfarm demo
    """
    from gateway.demo import DemoError, run_demo

    try:
        raise typer.Exit(run_demo(listen=listen, as_json=json))
    except DemoError as error:
        fail(error)
