"""Whom a campaign dials next, and when. No I/O; the clocks are given.

    offer(page) ──> decide ──> Dial(lead) ──> began ─ ... ─> ended(lead)
                       │
                       ├──> Fetch     the page is used up: offer another one
                       ├──> Defer     outside the hours of these leads: not before then
                       ├──> Skip      this lead cannot be called at all
                       ├──> Wait      for something to happen, or for some seconds
                       ├──> Trip      too many calls fail
                       └──> Finish    everybody was called     Rest: halted, and nothing in flight

It holds one page of leads and those in flight, whatever the campaign's size.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.campaigns.breaker import Breaker
from gateway.campaigns.hours import clock, zones_of
from gateway.campaigns.pace import Pace
from gateway.campaigns.policy import Consequence, Policy
from gateway.campaigns.states import LeadMove

MOST_WAIT_SECONDS = 60.0
"""Between two looks at the clock on the wall, which may be set."""

ROOM_SECONDS = 1.0
"""Until it is seen again whether the machine has room for a call."""

ENGAGED_SECONDS = 15.0
"""How long a number that is being called already is left alone."""

ZONE_VARIABLE = "timezone"
"""The variable by which a lead says its time zone itself."""


@dataclass(frozen=True, slots=True)
class Lead:
    """Somebody to be called. ``number`` is its place in the campaign, ``attempts`` those so far."""

    number: int
    phone: str
    attempts: int = 0
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dial:
    """Call this lead now."""

    lead: Lead


@dataclass(frozen=True, slots=True)
class Defer:
    """Do not call these before ``until`` (Unix seconds)."""

    numbers: tuple[int, ...]
    until: float


@dataclass(frozen=True, slots=True)
class Skip:
    """Never call this lead; ``sentence`` says why."""

    number: int
    sentence: str


@dataclass(frozen=True, slots=True)
class Fetch:
    """Offer a page of leads that are due."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do for ``seconds``; ``None``: until something happens."""

    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Trip:
    """Stop the campaign: ``why``."""

    why: str


@dataclass(frozen=True, slots=True)
class Finish:
    """Everybody was called."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Halted, and nothing is in flight any more."""


Decision = Dial | Defer | Skip | Fetch | Wait | Trip | Finish | Rest

_NO_ZONE = "its time zone is not known: give it a variable timezone, or the campaign's hours a zone"


class Scheduler:
    """The order of one campaign's calls. ``halted`` begins no more of them."""

    def __init__(self, policy: Policy, zones: Callable[[str], Sequence[str]] = zones_of) -> None:
        self.policy, self._zones = policy, zones
        self.breaker = Breaker(policy.breaker_calls, policy.breaker_share)
        self.halted = False
        self.in_flight: dict[int, Lead] = {}
        self._pace = Pace(policy.per_second) if policy.per_second is not None else None
        self._page: deque[Lead] = deque()
        self._fetched = False
        self._next_at: float | None = None
        """When a lead is due again, by what is known since the last page; nobody if ``None``."""

    # Facts -------------------------------------------------------------------------------------

    def offer(self, leads: Iterable[Lead], next_at: float | None) -> None:
        """Here are leads that are due, or none; then ``next_at`` is when the next one will be."""
        self._page.extend(leads)
        self._fetched, self._next_at = not self._page, next_at

    def began(self, lead: Lead) -> None:
        """``lead`` is in flight, from a decision or from a life before."""
        self.in_flight[lead.number] = lead

    def ended(self, number: int, then: Consequence | None, wall: float) -> None:
        """A lead is in flight no more; ``then`` is what becomes of it, ``None``: it is another's.

        ``wall`` in Unix seconds.
        """
        self.in_flight.pop(number, None)
        if then is None:
            return
        if then.move is LeadMove.RETRY:
            self._due(wall + then.delay)
        elif then.move is LeadMove.NOT_PLACED:
            self.refresh()  # it comes before those of the page

    def refresh(self) -> None:
        """Forget the page: leads were changed elsewhere."""
        self._page.clear()
        self._fetched = False

    def _due(self, at: float) -> None:
        self._next_at = at if self._next_at is None else min(self._next_at, at)

    # The decision ------------------------------------------------------------------------------

    def decide(
        self,
        mono: float,
        wall: float,
        room: int = 1,
        turn_s: float = 0.0,
        engaged: Collection[str] = (),
    ) -> Decision:
        """Return what is to be done now. ``mono`` is a monotonic clock, ``wall`` Unix seconds.

        ``room`` is how many more calls the machine takes, ``turn_s`` when the account takes the
        next one, ``engaged`` are numbers that are being called. Dial, Defer and Skip take their
        leads out of the page.
        """
        if self.halted:
            return Wait() if self.in_flight else Rest()
        why = self.breaker.tripped
        if why is not None:
            return Trip(why)
        if len(self.in_flight) >= self.policy.concurrency:
            return Wait()
        if not self._page:
            return self._without_page(wall)
        if room <= 0:
            return Wait(ROOM_SECONDS)
        return self._about(self._page[0], mono, wall, turn_s, engaged)

    def _without_page(self, wall: float) -> Decision:
        if not self._fetched:
            return Fetch()
        if self._next_at is None:
            return Wait() if self.in_flight else Finish()
        if self._next_at > wall:
            return Wait(min(self._next_at - wall, MOST_WAIT_SECONDS))
        self._fetched = False
        return Fetch()

    def _about(
        self, lead: Lead, mono: float, wall: float, turn_s: float, engaged: Collection[str]
    ) -> Decision:
        opening = self._opening(lead, wall)
        if opening is None:
            self._page.popleft()
            return Skip(lead.number, _NO_ZONE)
        if opening > wall:
            return self._deferred(opening, wall)
        if lead.phone in engaged or any(lead.phone == it.phone for it in self.in_flight.values()):
            self._page.popleft()
            self._due(wall + ENGAGED_SECONDS)
            return Defer((lead.number,), wall + ENGAGED_SECONDS)
        ready = mono + turn_s if self._pace is None else self._pace.ready_at(mono + turn_s)
        if ready > mono:
            return Wait(ready - mono)
        if self._pace is not None:
            self._pace.take(mono)
        self._page.popleft()
        return Dial(lead)

    def _deferred(self, opening: float, wall: float) -> Defer:
        """Defer all of the page that open when the first one does."""
        same = [it for it in self._page if self._opening(it, wall) == opening]
        numbers = {it.number for it in same}
        self._page = deque(it for it in self._page if it.number not in numbers)
        self._due(opening)
        return Defer(tuple(it.number for it in same), opening)

    def _opening(self, lead: Lead, wall: float) -> float | None:
        hours = self.policy.hours
        if hours is None:
            return wall
        own = lead.variables.get(ZONE_VARIABLE, "")
        zones = (own,) if own and clock(own) is not None else self._zones(lead.phone)
        return hours.opening(zones, wall)
