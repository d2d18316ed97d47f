"""Which Twilio host a region and an edge stand for.

Hosts of two labels such as api.ie1.twilio.com ceased on 2026-04-28, and the SDK still builds them
from a region alone; so a region always gets an edge here (Twilio docs, "Using the Twilio REST API
in a non-US Region"). For REST the edge only helps to name the region.
"""

from dataclasses import dataclass

_EDGES = {"us1": "ashburn", "ie1": "dublin", "au1": "sydney"}


class RegionError(ValueError):
    """A region whose edge is not known. ``region`` is what was given."""

    def __init__(self, region: str) -> None:
        super().__init__(region)
        self.region = region

    def __str__(self) -> str:
        known = ", ".join(_EDGES)
        return (
            f"TWILIO_REGION {self.region!r} is none of {known}; set TWILIO_EDGE as well to use it"
        )


@dataclass(frozen=True, slots=True)
class Placement:
    """Region and edge as the SDK takes them; neither means the default, US1."""

    region: str | None = None
    edge: str | None = None


def placement(region: str | None, edge: str | None) -> Placement:
    """Return where to send requests. An edge alone means US1. Raises ``RegionError``."""
    region, edge = (region or "").strip().lower(), (edge or "").strip().lower()
    if edge:
        return Placement(region or "us1", edge)
    if not region or region == "us1":
        return Placement()
    if region not in _EDGES:
        raise RegionError(region)
    return Placement(region, _EDGES[region])
