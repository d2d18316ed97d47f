"""Commands about what was kept: ``export``, ``prune``, ``rotate``."""

import asyncio
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TextIO

import typer
from rich.console import Console

from gateway.cli.configuration import AsJson, DataDir, settings
from gateway.cli.output import as_json, fail, note
from gateway.store.export_kinds import Form, What

_SPAN = re.compile(r"(\d{1,6})([hdw])")
_UNIT_DAYS = {"h": 1 / 24, "d": 1.0, "w": 7.0}


def export(
    what: Annotated[What, typer.Argument(help="What: calls, lines (transcripts), turns, leads.")],
    form: Annotated[Form, typer.Option("--format", help="csv or jsonl.")] = Form.CSV,
    since: Annotated[
        str | None, typer.Option(help="Of calls that began since then: 2026-11-01, 7d, 24h.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="A file; without one to standard output.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Write what was kept for other programs. It needs no running gateway.

    Example: callfarm export lines --format jsonl --since 7d -o lines.jsonl
    """
    from gateway.store.errors import StoreError

    began = None if since is None else _moment(since)
    try:
        if out is None:
            asyncio.run(_export(data_dir, what, form, began, sys.stdout))
            sys.stdout.flush()
            return
        with out.open("w", encoding="utf-8", newline="") as file:
            count = asyncio.run(_export(data_dir, what, form, began, file))
        note(f"{count} {what} in {out}")
    except BrokenPipeError:
        # Whoever read it has enough, as head has. Nothing is to be written at the exit, either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        fail(f"cannot write {error.filename or out or 'the output'}: {error.strerror}")
    except StoreError as error:
        fail(error)


async def _export(
    data_dir: Path | None, what: What, form: Form, since: float | None, file: TextIO
) -> int:
    from gateway.store.connections import database_url
    from gateway.store.engine import make_store
    from gateway.store.exporting import exported

    chosen = settings(data_dir=data_dir)
    written = chosen.database_url
    url = database_url(written.get_secret_value() if written else None, chosen.data_dir)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        fail(f"there is no database {url.database}: name the data folder, or DATABASE_URL")
    store = make_store(url, chosen.data_dir)
    count = 0
    with Console(stderr=True).status(f"Exporting {what} ...") as status:
        try:
            async for rows, text in exported(store, what, form, since):
                file.write(text)
                count += rows
                status.update(f"Exporting {what}: {count} ...")
        finally:
            await store.aclose()
    return count


def prune(
    older_than: Annotated[
        str, typer.Option("--older-than", help="90d, 12w, 48h.", show_default=False)
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would go.")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Take everything (0d) away without asking.")
    ] = False,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Take away old calls with their transcripts, recordings and deliveries, for good.

    Example: callfarm prune --older-than 90d --dry-run
    """
    from gateway.client import GatewayError, ask

    days = _days(older_than)
    if not (days or dry_run or yes):
        _ask_for_all(older_than)
    body = {"older_than_days": days, "dry_run": dry_run}
    try:
        with Console(stderr=True).status("Counting ..." if dry_run else "Pruning ..."):
            gone = ask(
                settings(data_dir=data_dir).data_dir,
                "POST",
                "/api/records/prune",
                body,
                seconds=3600.0,
            )
    except GatewayError as error:
        fail(error)
    if json:
        as_json(gone)
        return
    told = ", ".join(
        f"{gone[name]} {name}" for name in ("calls", "recordings", "deliveries", "campaigns")
    )
    note(f"{told} {'would go' if dry_run else 'are gone'}")
    if gone["files_left"]:
        fail(f"{gone['files_left']} recordings' files could not be removed; their calls stay")


def _ask_for_all(older_than: str) -> None:
    """Leave unless everything is to go."""
    if not sys.stdin.isatty():
        fail(f"--older-than {older_than} takes every call that is over: say --yes", code=2)
    if not typer.confirm("Take every call that is over away, for good?", err=True):
        raise typer.Exit(1)


def rotate(data_dir: DataDir = None, json: AsJson = False) -> None:
    """Encrypt the secrets in the database anew with the first key of SECRET_KEY.

    Put the new key in front of the old one (SECRET_KEY=NEW,OLD), restart the gateway, run this,
    then take the old one away.

    Example: callfarm rotate
    """
    from gateway.client import GatewayError, ask

    try:
        done = ask(settings(data_dir=data_dir).data_dir, "POST", "/api/records/rotate")
    except GatewayError as error:
        fail(error)
    if json:
        as_json(done)
    else:
        note(f"{done['secrets']} secrets are encrypted with the first key of SECRET_KEY")


def _days(text: str) -> float:
    found = _SPAN.fullmatch(text)
    if found is None:
        fail(f"{text!r} is no span of time: write 90d, 12w or 48h", code=2)
    return int(found[1]) * _UNIT_DAYS[found[2]]


def _moment(text: str) -> float:
    """Return Unix seconds: of a date or time (UTC if it names no zone), or of so long ago."""
    if _SPAN.fullmatch(text):
        return datetime.now(UTC).timestamp() - _days(text) * 86_400
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        fail(f"{text!r} is no time: write 2026-11-01, 2026-11-01T15:00 or 7d", code=2)
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
