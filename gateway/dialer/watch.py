"""How one open attempt is watched: when it is looked at next, and who waits for its news."""

import asyncio
from dataclasses import dataclass, field

from gateway.dialer.attempt import Attempt


@dataclass(slots=True)
class Watch:
    """When an attempt is looked at next, and how that went so far. Times on a monotonic clock."""

    attempt: Attempt
    at: float
    give_up_at: float
    looks: int = 0
    failures: int = 0
    looking: bool = False
    unwanted: bool = False
    """It is to be ended as soon as it is known to exist."""
    waiting: list["asyncio.Future[None]"] = field(default_factory=list)
