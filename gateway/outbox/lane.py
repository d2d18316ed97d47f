"""The way to one address: what is to go there next, how it has fared, how much is under way.

Only so many deliveries are in memory; the rest wait in the database until the lane looks for them.
No I/O; the clock is given.
"""

from collections import deque
from collections.abc import Callable
from math import inf

from gateway.outbox.deliveries import Delivery
from gateway.outbox.schedule import Circuit, Tried

WINDOW = 32
"""Deliveries of one address in memory."""

AT_ONCE = 4
"""Requests to one address at a time; while it fails, one."""


class Lane:
    """What goes to one address. ``clock`` is in seconds, as is ``look_at``."""

    def __init__(self, identity: str, clock: Callable[[], float], scale: float = 1.0) -> None:
        self.id = identity
        self.circuit = Circuit(clock, scale)
        self.look_at = inf
        """When the database is asked for more."""
        self.sending = 0
        self.known: set[str] = set()
        """Those in memory, under way included."""
        self._seen: set[str] | None = None
        """While the database is asked: those in memory since then. Its answer may be older."""
        self._ready: deque[Delivery] = deque()
        self._now = clock

    def __len__(self) -> int:
        return len(self._ready)

    @property
    def room(self) -> int:
        """How many more may be in memory."""
        return WINDOW - len(self._ready)

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to remember of it."""
        return not self.known and self.look_at == inf and not self.is_looking

    def add(self, delivery: Delivery) -> bool:
        """Take a delivery, unless there is no room: then it is found in the database later."""
        if self._seen is not None:
            self._seen.add(delivery.id)
        if delivery.id in self.known:
            return True
        if self.room <= 0 or self.look_at <= self._now():
            # Behind those that wait in the database.
            self.look_at = min(self.look_at, self._now())
            return False
        self._ready.append(delivery)
        self.known.add(delivery.id)
        return True

    @property
    def is_looking(self) -> bool:
        """Whether the database is being asked."""
        return self._seen is not None

    def looks(self) -> frozenset[str]:
        """The database is to be asked: return what is known, so that it need not tell that.

        What finds no room meanwhile has it asked again.
        """
        self._seen, self.look_at = set(self.known), inf
        return frozenset(self.known)

    def found(self, deliveries: list[Delivery], more_at: float) -> None:
        """Take what the database had, and when there will be more."""
        seen, self._seen = self._seen or set(), None
        for delivery in deliveries:
            if delivery.id not in seen:
                self._ready.append(delivery)
                self.known.add(delivery.id)
        self.look_at = min(self.look_at, more_at)

    def take(self) -> Delivery | None:
        """Return what is to be sent now, if anything may be."""
        if not self._ready or not self.circuit.may():
            return None
        if self.sending >= (AT_ONCE if self.circuit.is_closed else 1):
            return None
        self.circuit.begun()
        self.sending += 1
        return self._ready.popleft()

    def ended(self, delivery: Delivery, tried: Tried) -> bool:
        """A delivery was tried; true if the address is given up for a while now."""
        self.sending -= 1
        self.known.discard(delivery.id)
        return self.circuit.ended(tried)

    def wants_look(self) -> bool:
        """Tell whether the database is to be asked for more now."""
        now = self._now()
        return (
            not self._ready
            and not self.is_looking
            and self.look_at <= now
            and self.circuit.opens_at <= now
        )

    def wakes_at(self) -> float:
        """Return when there may be something to do, unless something happens before."""
        if self._ready:
            return self.circuit.opens_at
        return max(self.look_at, self.circuit.opens_at) if not self.is_looking else inf
