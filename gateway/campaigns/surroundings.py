"""What the campaigns of a gateway share, and what they need of others."""

import time
from collections import Counter
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from typing import Protocol

from gateway.campaigns.policy import Policy
from gateway.dialer.attempt import Attempt
from gateway.dialer.following import Following
from gateway.dialer.lines import Line
from gateway.dialer.order import Dialled, Order
from gateway.dialer.right import Right


class Dialling(Protocol):
    """What a campaign needs of the dialer."""

    @property
    def following(self) -> Following:
        """The attempts under way."""
        ...

    @property
    def right(self) -> Right:
        """Whether this gateway is the one that dials for the database."""
        ...

    async def dial(self, order: Order) -> Dialled:
        """Place a call. Raises `NumberRefusedError` and `DialError`."""
        ...

    async def line(self, company: int | None) -> Line:
        """Return the way out of a company. Raises `DialRefusedError` and `StoreError`."""
        ...

    async def progress(self, dial_id: str) -> Attempt | None:
        """Return an attempt, ``None`` if there is none. Raises `StoreError`."""
        ...


@dataclass(slots=True)
class Surroundings:
    """The gateway around its campaigns.

    ``free`` is how many more calls the machine takes now; none if it is stopping. ``unserved`` says
    why no agent could talk to whom answered the call of a SID. ``fatal`` are the carrier's error
    codes by which it refuses every call of the account, ``crowded`` those that pass when a call
    ends.
    """

    dialer: Dialling
    free: Callable[[], int]
    unserved: Callable[[str], str | None] = lambda sid: None
    fatal: Container[int] = frozenset()
    crowded: Container[int] = frozenset()
    engaged: Counter[str] = field(default_factory=Counter)
    """The calls to each number."""
    ringing: set[str] = field(default_factory=set)
    """The attempts that were not answered yet, so that ``free`` does not count them."""
    mono: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time

    def room(self) -> int:
        """Return for how many more calls there would be room if all that ring were answered."""
        return self.free() - len(self.ringing)


@dataclass(frozen=True, slots=True)
class Campaign:
    """Which campaign, for whom, and how."""

    id: str
    company: int | None
    policy: Policy
    name: str = ""
    cancelled: bool = False
    """Nobody is called again; what is in flight is followed to its end."""
    halted: bool = False
    """Paused or stopped: as cancelled, for now."""
    forgives: bool = False
    """It was resumed: calls that failed before that do not count."""
