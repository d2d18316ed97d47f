"""``callfarm connect``: point a number of the Twilio account at this server."""

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.carriers.control import CarrierError
from gateway.carriers.placing import NumberSettings, OwnNumber
from gateway.cli.configuration import AsJson, settings
from gateway.cli.output import as_json, fail, note, table

if TYPE_CHECKING:
    from gateway.carriers.twilio.origin import Origin
    from gateway.carriers.twilio.placing import TwilioPlacing


def connect(
    number: Annotated[str, typer.Argument(help="The account's number: +15551234567.")],
    url: Annotated[
        str | None, typer.Option(help="This server's public address; default: PUBLIC_URL.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show it, change nothing.")] = False,
    json: AsJson = False,
) -> None:
    """Have Twilio send a number's calls here: sets its voice, fallback and status URLs.

    Example: callfarm connect +15551234567 --dry-run
    """
    from gateway.carriers.twilio.account import rest_control
    from gateway.carriers.twilio.origin import Origin, OriginError
    from gateway.carriers.twilio.region import RegionError
    from shared.e164 import NumberError, phone_number

    chosen = settings(public_url=url)
    try:
        wanted = phone_number(number)
        if chosen.public_url is None:
            fail("where Twilio reaches this server is not known: set PUBLIC_URL, or give --url")
        origin = Origin.parse(str(chosen.public_url))
        control = rest_control(chosen)
    except (NumberError, OriginError, RegionError) as error:
        fail(error)
    if control is None:
        fail("the account is not known: set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN")

    try:
        before, after = asyncio.run(_point(control, wanted, origin, dry_run=dry_run))
    except CarrierError as error:
        fail(error)
    if json:
        as_json(
            {
                "number": after.number,
                "before": dataclasses.asdict(before.settings),
                "after": dataclasses.asdict(after.settings),
                "changed": before != after and not dry_run,
            }
        )
        return
    _show(before, after, dry_run=dry_run)


def urls(origin: str) -> NumberSettings:
    """Return what a number is set to. The fallback is the same door: it may be open again."""
    from gateway.carriers.twilio.placing import STATUS_PATH, VOICE_PATH
    from gateway.carriers.twilio.twiml import RETRIES

    voice = f"{origin}{VOICE_PATH}#{RETRIES}"
    return NumberSettings(voice, voice, f"{origin}{STATUS_PATH}#{RETRIES}")


async def _point(
    control: "TwilioPlacing", number: str, origin: "Origin", *, dry_run: bool
) -> tuple[OwnNumber, OwnNumber]:
    """Return the number as it was, and as it is or would be. Raises `CarrierError`."""
    try:
        before = await control.own_number(number)
        if before is None:
            fail(f"{number} is not a number of this account (a region has its own numbers)")
        if before.occupied_by:
            fail(
                f"{number} is answered by {before.occupied_by} before any URL: take the trunk "
                "or application off the number in the Console"
            )
        planned = dataclasses.replace(before, settings=urls(origin.url("")))
        if dry_run or planned == before:
            return before, planned
        return before, await control.point(before, planned.settings)
    finally:
        await control.aclose()


def _show(before: OwnNumber, after: OwnNumber, *, dry_run: bool) -> None:
    old, new = dataclasses.asdict(before.settings), dataclasses.asdict(after.settings)
    names = {"voice_url": "voice", "fallback_url": "fallback", "status_url": "status"}
    rows = [(names[name], old[name] or "-", new[name] or "-") for name in names]
    table(("", "before", "after"), rows)
    if before == after:
        note(f"{after.number} comes here already.")
    elif dry_run:
        note(f"{after.number} is unchanged (--dry-run).")
    else:
        note(f"{after.number} comes here now. Hear it: call it, or try callfarm doctor.")
