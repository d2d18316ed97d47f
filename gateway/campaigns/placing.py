"""One lead's call as it is asked of the dialer, and what its answer means for the lead and others.

It refuses to know how calls are followed: what comes after the answer comes by `Flights`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from gateway.campaigns.flight import Flight
from gateway.campaigns.surroundings import Campaign, Surroundings
from gateway.carriers.control import CarrierError
from gateway.dialer.errors import (
    DialError,
    DialInDoubtError,
    DialRefusedError,
    DialUnavailableError,
)
from gateway.dialer.numbers import NumberRefusedError
from gateway.dialer.order import Order
from gateway.store.store import StoreError

log = structlog.get_logger(__name__)

_OURS = frozenset({"public-url", "caller-id", "credentials", "company", "agent"})
"""Reasons of the dialer by which every other call would be refused as well."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an answer means for the campaign's other calls.

    ``placed``: the carrier takes calls. ``quiet``: it takes none for the moment. ``stop``: it
    takes none at all, and why.
    """

    placed: bool = False
    quiet: bool = False
    stop: str | None = None


async def place(
    campaign: Campaign, around: Surroundings, flight: Flight, key: str, wanted: Callable[[], bool]
) -> Answer:
    """Have a lead called, and tell its flight what came of that if it was not.

    It is not if it is not ``wanted`` any more when its turn has come.
    """
    try:
        await around.dialer.dial(_order(campaign, flight, key, wanted))
    except DialInDoubtError:
        return Answer()  # the dialer finds it out
    except NumberRefusedError as error:
        flight.skipped(str(error))
    except DialUnavailableError as error:
        flight.not_placed(str(error))
        return Answer(quiet=True)
    except DialRefusedError as error:
        return _refused(around, flight, error)
    except Exception as error:  # whatever it is, it must not end the campaign's other calls
        log.exception("a lead cannot be dialled", campaign=campaign.id, lead=flight.lead.number)
        flight.refused(f"it failed here: {type(error).__name__}")
    else:
        return Answer(placed=True)
    return Answer()


def _refused(around: Surroundings, flight: Flight, error: DialRefusedError) -> Answer:
    sentence = str(error)
    if error.reason in _OURS or error.code in around.fatal:
        flight.not_placed(sentence)
        return Answer(stop=sentence)
    if error.code in around.crowded:
        flight.not_placed(sentence)
        return Answer(quiet=True)
    if error.reason == "carrier":
        flight.refused(sentence)
    else:
        flight.skipped(sentence)
    return Answer()


def _order(campaign: Campaign, flight: Flight, key: str, wanted: Callable[[], bool]) -> Order:
    policy, lead = campaign.policy, flight.lead
    return Order(
        to=lead.phone,
        from_=policy.caller_id,
        agent=policy.agent,
        company=campaign.company,
        variables={**policy.variables, **lead.variables},
        machine=policy.machine,
        ring_seconds=policy.ring_seconds,
        most_seconds=policy.max_seconds,
        key=key,
        campaign=campaign.id,
        lead=lead.number,
        wanted=wanted,
    )


async def end(campaign: Campaign, around: Surroundings, flight: Flight) -> None:
    """End a lead's call, which is too long; it is tried again if the carrier does not do it."""
    log.warning("a call is too long and is ended", campaign=campaign.id, call_sid=flight.sid)
    try:
        line = await around.dialer.line(campaign.company)
        await line.control.hangup(flight.sid)
    except (CarrierError, DialError, StoreError) as error:
        log.warning("it was not ended yet", call_sid=flight.sid, reason=str(error))
