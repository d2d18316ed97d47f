"""The options of ``callfarm campaign run``, and what they mean as the API takes it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.output import fail

Leads = Annotated[Path, typer.Argument(help="CSV or JSON with a number and more per row.")]
Name = Annotated[str | None, typer.Option(help="The campaign's name; default: the file.")]
Company = Annotated[int | None, typer.Option(help="On whose behalf.", min=1)]
PhoneColumn = Annotated[str | None, typer.Option(help="The column with the number.")]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave out rows that cannot be called.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Read and check the file, and call nobody.")
]
Detach = Annotated[bool, typer.Option("--detach", help="Start it, and do not watch.")]

# Limits
Concurrency = Annotated[int, typer.Option(help="Calls at a time; 1: one after the other.")]
PerSecond = Annotated[
    float | None, typer.Option(help="Calls a second, if fewer than the account allows.")
]
Attempts = Annotated[int, typer.Option(help="How often to try to reach somebody.")]
RetryMinutes = Annotated[
    float | None, typer.Option(help="Between two attempts; default: by what came of the first.")
]

# When
Hours = Annotated[
    str | None, typer.Option(help="When people may be called, by their own clock: 9-18.")
]
Days = Annotated[str, typer.Option(help="On which days: mon-fri, or mon,wed.")]
Holidays = Annotated[
    list[str] | None,
    typer.Option("--holiday", help="A day without calls: 2026-12-25. Repeat for more."),
]
Zone = Annotated[
    str | None, typer.Option(help="Time zone of numbers that do not tell theirs: Europe/Berlin.")
]

# Each call
Agent = Annotated[
    str | None, typer.Option(help="MODULE:CLASS, or the class; default: that of the number.")
]
MaxDuration = Annotated[int, typer.Option(help="The longest call, in seconds.")]
Ring = Annotated[int, typer.Option(help="Seconds to let it ring.")]
MachinePolicy = Annotated[
    str | None,
    typer.Option(
        "--machine", help="If a machine answers: hang-up, message or go-on; default: the agent's."
    ),
]
From = Annotated[
    str | None, typer.Option("--from", help="The number that calls (TWILIO_PHONE_NUMBER).")
]
Variables = Annotated[
    list[str] | None,
    typer.Option("--var", help="NAME=VALUE for the agent in every call. Repeat for more."),
]


def limits_of(
    concurrency: int, per_second: float | None, attempts: int, retry_minutes: float | None
) -> dict[str, Any]:
    """Return a policy's limits."""
    kinds = ("busy", "no-answer", "machine", "failed")
    delays = None if retry_minutes is None else dict.fromkeys(kinds, retry_minutes * 60)
    return {
        "concurrency": concurrency,
        "per_second": per_second,
        "attempts": attempts,
        "delays": delays,
    }


def call_of(
    agent: str | None,
    from_: str | None,
    machine: str | None,
    variables: list[str],
    max_seconds: int,
    ring_seconds: int,
) -> dict[str, Any]:
    """Return what a policy says of each call."""
    return {
        "agent": agent,
        "caller_id": from_,
        "machine": machine,
        "variables": dict(_variable(each) for each in variables),
        "max_seconds": max_seconds,
        "ring_seconds": ring_seconds,
    }


def hours_of(hours: str | None, days: str, holidays: list[str], zone: str | None) -> dict[str, Any]:
    """Return a policy's calling hours; leave with a sentence if they cannot be read."""
    from gateway.campaigns.hours import HoursError, read_days, read_hours

    if not (hours or holidays or zone or days != "mon-sun"):
        return {}
    try:
        start, end = read_hours(hours or "0-24")
        named = {"start": start, "end": end, "days": read_days(days), "holidays": holidays}
    except HoursError as error:
        fail(error)
    return {"hours": named | ({"zone": zone} if zone else {})}


def policy_of(parts: dict[str, Any]) -> dict[str, Any]:
    """Return the policy as the API takes it; leave with a sentence if it cannot be meant."""
    import msgspec

    from gateway.campaigns.policy import PolicyError, read_policy

    try:
        policy = read_policy({name: it for name, it in parts.items() if it is not None})
    except PolicyError as error:
        fail(error)
    shown: dict[str, Any] = msgspec.to_builtins(policy)
    return shown


def _variable(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        fail(f"{text!r} is no variable: write --var name=value")
    return name, value
