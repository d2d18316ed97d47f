"""Commands about campaigns: ``callfarm campaign run``, ``list``, ``show`` and so on."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli import campaign_options as given
from gateway.cli.calls import asked
from gateway.cli.configuration import AsJson, DataDir, settings
from gateway.cli.output import ago, as_json, fail, note, table

campaign = typer.Typer(
    help="Call many people, some at a time.", no_args_is_help=True, rich_markup_mode=None
)

Which = Annotated[
    str, typer.Argument(help="The campaign's id, its beginning, or its name.", show_default=False)
]


class Format(StrEnum):
    """How a report is written."""

    CSV = "csv"
    JSON = "json"


@campaign.command()
def run(
    leads: given.Leads,
    agent: given.Agent = None,
    name: given.Name = None,
    concurrency: given.Concurrency = 1,
    per_second: given.PerSecond = None,
    hours: given.Hours = None,
    days: given.Days = "mon-sun",
    holiday: given.Holidays = None,
    zone: given.Zone = None,
    attempts: given.Attempts = 1,
    retry_minutes: given.RetryMinutes = None,
    max_duration: given.MaxDuration = 600,
    ring: given.Ring = 30,
    machine: given.MachinePolicy = None,
    from_: given.From = None,
    var: given.Variables = None,
    company: given.Company = None,
    phone_column: given.PhoneColumn = None,
    skip_bad: given.SkipBad = False,
    dry_run: given.DryRun = False,
    detach: given.Detach = False,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Call everybody in a file, and watch how it goes.

    Every other column of the file reaches the agent as a variable. Ctrl-C asks whether to pause;
    pressed twice it leaves the campaign running. Exit code 1 if it did not end by itself.

    Example: callfarm campaign run leads.csv --agent Caller --concurrency 5 --hours 9-18
    """
    from gateway.cli.campaign_rows import checked
    from gateway.cli.campaign_start import enrolled, free_name

    chosen = settings(data_dir=data_dir)
    allowed = given.hours_of(hours, days, holiday or [], zone)
    limits = given.limits_of(concurrency, per_second, attempts, retry_minutes)
    call = given.call_of(agent, from_, machine, var or [], max_duration, ring)
    policy = given.policy_of({**limits, **call, **allowed})
    people = checked(leads, phone_column, chosen, skip_bad=skip_bad)
    if dry_run:
        _checked(len(people), policy, json)
        return
    name = free_name(chosen.data_dir, name, leads)
    made = enrolled(chosen.data_dir, name, policy, company, people, skip_bad=skip_bad)
    if detach:
        _told(made, json)
    else:
        _watched(data_dir, made["id"], json)


def _checked(count: int, policy: dict[str, Any], json: bool) -> None:
    if json:
        as_json({"leads": count, "policy": policy})
    else:
        note(f"{count} could be called; nobody was.")


@campaign.command("list")
def list_(
    every: Annotated[bool, typer.Option("--all", help="Those that are over as well.")] = False,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """List campaigns, the newest first.

    Example: callfarm campaign list --all
    """
    found = asked(data_dir, "GET", "/api/campaigns?limit=200")["campaigns"]
    shown = [it for it in found if every or it["state"] not in {"completed", "cancelled"}]
    if json:
        as_json(shown)
        return
    if not shown:
        note("No campaigns." if every else "No campaign is open; --all lists those that are over.")
        return
    columns = ("campaign", "name", "state", "leads", "made", "why")
    table(
        columns,
        [
            (it["id"], it["name"], it["state"], it["total"], ago(it["created"]), it["why"] or "")
            for it in shown
        ],
    )
    for elsewhere in {it["elsewhere"] for it in shown if it.get("elsewhere")}:
        note(elsewhere)


@campaign.command()
def show(which: Which, data_dir: DataDir = None, json: AsJson = False) -> None:
    """Show how far a campaign is.

    Example: callfarm campaign show spring
    """
    it = asked(data_dir, "GET", f"/api/campaigns/{_found(data_dir, which)}/progress")
    if json:
        as_json(it)
        return
    from gateway.cli.campaign_bar import counts, outcomes, when

    note(f"{it['id']}  {it['name']}  {it['state']}{': ' + it['why'] if it['why'] else ''}")
    note(counts(it))
    if it["outcomes"]:
        note(outcomes(it))
    if it.get("elsewhere"):
        note(it["elsewhere"])
    if it["next_at"] and it["state"] == "running" and not it["dialling"] + it["in_progress"]:
        note(f"the next call is due {when(it['next_at'])}")


@campaign.command()
def watch(which: Which, data_dir: DataDir = None, json: AsJson = False) -> None:
    """Watch a campaign that runs, as run does.

    Example: callfarm campaign watch spring
    """
    _watched(data_dir, _found(data_dir, which), json)


@campaign.command()
def pause(which: Which, data_dir: DataDir = None, json: AsJson = False) -> None:
    """Call nobody new; calls in progress go on.

    Example: callfarm campaign pause spring
    """
    _order(data_dir, which, "pause", json)


@campaign.command()
def resume(which: Which, data_dir: DataDir = None, json: AsJson = False) -> None:
    """Go on with a campaign that is paused or stopped.

    Example: callfarm campaign resume spring
    """
    _order(data_dir, which, "resume", json)


@campaign.command()
def cancel(which: Which, data_dir: DataDir = None, json: AsJson = False) -> None:
    """Call nobody any more; calls in progress go on.

    Example: callfarm campaign cancel spring
    """
    _order(data_dir, which, "cancel", json)


@campaign.command()
def report(
    which: Which,
    format_: Annotated[Format, typer.Option("--format", help="csv or json.")] = Format.CSV,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file.")] = None,
    state: Annotated[
        str | None, typer.Option(help="Only leads in this state: done, failed, skipped, ...")
    ] = None,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Write what came of every lead, in the order of the file.

    Example: callfarm campaign report spring -o spring.csv
    """
    from gateway.cli.campaign_report import write_report

    path = f"/api/campaigns/{_found(data_dir, which)}/leads"
    as_lines = json or format_ is Format.JSON
    try:
        count = write_report(settings(data_dir=data_dir).data_dir, path, state, output, as_lines)
    except BrokenPipeError:  # whoever reads it has seen enough
        raise
    except OSError as error:
        fail(f"{output} cannot be written: {error.strerror}")
    if output is not None:
        note(f"{count} leads in {output}")


def _watched(data_dir: DataDir, which: str, json: bool) -> None:
    from gateway.cli.campaign_bar import counts, outcomes, watch_to_the_end

    it = watch_to_the_end(settings(data_dir=data_dir).data_dir, which)
    if json:
        as_json(it)
    else:
        note(f"{it['name']} is {it['state']}{': ' + it['why'] if it['why'] else ''}")
        note(counts(it))
        if it["outcomes"]:
            note(outcomes(it))
    if it["state"] != "completed":
        raise typer.Exit(1)


def _order(data_dir: DataDir, which: str, order: str, json: bool) -> None:
    it = asked(data_dir, "POST", f"/api/campaigns/{_found(data_dir, which)}/{order}")
    _told(it, json)


def _told(it: dict[str, Any], json: bool) -> None:
    if json:
        as_json(it)
    else:
        note(f"{it['id']}  {it['name']} is {it['state']}, {it['total']} leads")
        if it.get("elsewhere"):
            note(it["elsewhere"])


def _found(data_dir: DataDir, which: str) -> str:
    """Return the id of the campaign that is meant; leave if none is, or several are."""
    every = asked(data_dir, "GET", "/api/campaigns?limit=200")["campaigns"]
    meant = [it for it in every if it["id"].startswith(which) or it["name"] == which]
    exact = [it for it in meant if it["id"] == which]
    if len(exact or meant) == 1:
        return str((exact or meant)[0]["id"])
    if meant:
        ids = ", ".join(f"{it['id']} ({ago(it['created'])})" for it in meant[:5])
        fail(f"several campaigns are meant by {which!r}, say it by id: {ids}")
    return which  # the gateway says that there is none, or knows an older one
