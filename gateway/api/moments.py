"""Points in time as people and programs write them."""

import math
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

import msgspec

from gateway.api.problems import ProblemError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_AGO = re.compile(r"(\d{1,6})([smhdw])")

Moment = Annotated[
    str,
    msgspec.Meta(
        max_length=40,
        pattern=r"^[0-9][0-9A-Za-z:.+\- ]*$",
        description="Seconds since 1970, an ISO 8601 date or time (UTC if it names no zone), or "
        "how long ago: 30m, 24h, 7d.",
    ),
]


def moment(text: str, now: Callable[[], float] = time.time) -> float:
    """Return Unix seconds. Raises `ProblemError`."""
    ago = _AGO.fullmatch(text)
    if ago:
        return now() - int(ago[1]) * _UNITS[ago[2]]
    try:
        found = float(text)
    except ValueError:
        found = _iso(text)
    if not math.isfinite(found):
        raise ProblemError(422, f"{text[:40]!r} is no time: write 2026-11-27T15:00Z, or 24h.")
    return found


def _iso(text: str) -> float:
    # A plus that nobody encoded is a space by now.
    text = re.sub(r" (\d\d:?\d\d)$", r"+\1", text.strip())
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return math.nan
