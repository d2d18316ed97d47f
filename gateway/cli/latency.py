"""``callfarm latency``: how long the caller waited, from a recording of the call."""

import dataclasses
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.configuration import AsJson, DataDir, settings
from gateway.cli.output import as_json, fail, note, table
from gateway.cli.turn_table import turn_table

if TYPE_CHECKING:
    from phone.latency import Figures, Latency
    from phone.stereo import Levels


def latency(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="A stereo WAV: caller left, agent right. Without one: --sid's own recording.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    swapped: Annotated[bool, typer.Option("--swapped", help="Caller right, agent left.")] = False,
    sid: Annotated[
        str | None,
        typer.Option(help="The call: its recording, and the stages of its turns beneath."),
    ] = None,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Measure a recorded call: for each time the caller spoke, how long until the agent did.

    Reads the gateway's own recordings, what callfarm call --out writes, and Twilio's dual-channel
    recordings. Interruptions count apart. With --sid the gateway is asked where the time went.

    Example: callfarm latency --sid CA0123456789abcdef0123456789abcdef
    """
    from gateway.cli.calls import asked, path_of
    from phone.latency import measure
    from phone.stereo import RecordingError

    if file is None and sid is None:
        fail("name a recording, or a call that was recorded: --sid", code=2)
    try:
        left, right = _levels(file, sid, data_dir)
    except (RecordingError, OSError) as error:
        fail(error)
    found = measure(right, left) if swapped else measure(left, right)
    turns = asked(data_dir, "GET", path_of(sid))["turns"] if sid is not None else None
    if json:
        as_json(_object(file, found) | ({} if turns is None else {"turns": turns}))
        return
    _show(found)
    if turns:
        note("\nturns: ms after the caller's last word, or after the first stage known")
        table(*turn_table(turns))
    elif turns is not None:
        note("\nthe gateway knows of no turn of this call")


def _levels(file: Path | None, sid: str | None, data_dir: Path | None) -> "tuple[Levels, Levels]":
    """Return the levels of a file, or of the recording that the gateway has of a call."""
    from gateway.cli.calls import path_of
    from gateway.client import GatewayError, download
    from phone.stereo import track_levels

    if file is not None:
        return track_levels(file)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "call.wav"
        try:
            where = f"{path_of(sid or '')}/recording"
            download(settings(data_dir=data_dir).data_dir, where, path)
        except GatewayError as error:
            fail(error)
        return track_levels(path)


def _object(file: Path | None, found: "Latency") -> dict[str, object]:
    figures = {
        name: dataclasses.asdict(value) if value is not None else None
        for name, value in _figures(found).items()
    }
    return {"file": str(file) if file is not None else None, **dataclasses.asdict(found), **figures}


def _figures(found: "Latency") -> dict[str, "Figures | None"]:
    return {
        "replies": found.replies,
        "after_interruptions": found.after_interruptions,
        "yields": found.yields,
    }


def _show(found: "Latency") -> None:
    if found.greeting_ms is not None:
        note(f"the agent is heard first after {found.greeting_ms:.0f} ms")
    if not found.utterances:
        note("nobody speaks on the caller's track; are the tracks the other way round (--swapped)?")
        return
    rows = [
        (
            f"{it.from_ms / 1000:.2f} s",
            f"{(it.until_ms - it.from_ms) / 1000:.2f} s",
            it.kind,
            _ms(it.took_ms),
            _ms(it.yielded_ms),
        )
        for it in found.utterances
    ]
    table(("caller spoke at", "for", "then", "agent after it", "agent spoke on"), rows)
    note("")
    names = ("replies", "after interruptions", "agent spoke on")
    summary = [
        (name, it.count, _ms(it.median_ms), _ms(it.p95_ms), _ms(it.worst_ms))
        for name, it in zip(names, _figures(found).values(), strict=True)
        if it is not None
    ]
    table(("", "n", "median", "p95", "worst"), summary or [("replies", 0, "-", "-", "-")])


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"
