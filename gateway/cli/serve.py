"""``callfarm serve``: the gateway itself."""

import asyncio
import gc
import os
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.configuration import DataDir, settings
from gateway.cli.output import fail, note
from shared.settings import SettingsError


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on (HOST).")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one (PORT).")] = None,
    agents: Annotated[Path | None, typer.Option(help="Agents folder (AGENTS_DIR).")] = None,
    agent: Annotated[
        str | None, typer.Option(help="MODULE:CLASS that answers, over routes.toml's default.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Deploy whenever a file changes.")] = False,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate (TLS_CERT_FILE).")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key (TLS_KEY_FILE).")] = None,
    data_dir: DataDir = None,
) -> None:
    """Answer calls until told to stop; calls in progress are then finished first.

    Example: callfarm serve --port 8000 --watch
    """
    chosen = settings(
        host=host,
        port=port,
        agents_dir=agents,
        tls_cert_file=tls_cert,
        tls_key_file=tls_key,
        data_dir=data_dir,
    )
    _tell_misspelt()
    warnings.simplefilter("ignore", DeprecationWarning)

    gc.disable()  # until it serves

    import uvloop

    from gateway.notify import Notifier
    from gateway.server import Gateway, ServeError, claim, farm_options, prepare_process
    from shared import log
    from shared.local_secrets import LocalSecretError

    sink = log.configure(chosen.log_level, chosen.log_format, threaded=True)
    notifier = Notifier.from_environment(os.environ)

    async def run() -> None:
        gateway = Gateway(chosen, secrets, farm_options(chosen, agent, environment))
        await gateway.run(notifier, _serving, watch)

    try:
        claim(chosen.data_dir)
        secrets, environment = prepare_process(chosen)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run())
    except (ServeError, LocalSecretError, OSError) as error:
        sink.close()
        fail(error)
    finally:
        gc.enable()
        sink.close()
        notifier.close()
    sys.stdout.flush()


def _tell_misspelt() -> None:
    from gateway.misspelt import unknown_names

    with suppress(SettingsError):
        for name, near in unknown_names():
            if near:
                note(f".env: {name} is no setting; did you mean {near}?", to_stderr=True)


def _serving(url: str) -> None:
    # All that was made and imported until now lives as long as the process. Looking for garbage in
    # it would cost an eighth of the start, and later stop the audio for as long.
    gc.freeze()
    gc.enable()
    note(f"callfarm serves {url}")
