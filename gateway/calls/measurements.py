"""What calls measure, added up over all of them, for whoever collects the gateway's figures.

Three kinds: what agents measure by names of their own, how long replies took, and which providers
failed. None of them grows with the number of calls.
"""

from bisect import bisect_left
from collections.abc import Sequence

from gateway.calls.turns import Trouble, TurnTime

MOST_NAMES = 100
_MOST_LETTERS = 80

REPLY_BOUNDS_S = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
"""Limits of the reply times' buckets: finest where callers begin to notice."""

OWN_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Histogram:
    """How many values lie at or below each of ``bounds``, and their sum."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def take(self, value: float) -> None:
        """Add one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    @property
    def buckets(self) -> list[tuple[str, float]]:
        """Pairs of an upper limit and how many values do not pass it, as Prometheus has them."""
        limits = [*(f"{bound:g}" for bound in self._bounds), "+Inf"]
        below, pairs = 0, []
        for limit, count in zip(limits, self._counts, strict=True):
            below += count
            pairs.append((limit, float(below)))
        return pairs


class Measurements:
    """All figures; the names are the agents', and beyond `MOST_NAMES` none is added."""

    def __init__(self) -> None:
        self.totals: dict[str, tuple[int, float]] = {}
        """By the name an agent gave: how often, and the sum."""
        self.reply = Histogram(REPLY_BOUNDS_S)
        """From the caller's last word until the agent was heard, in seconds."""
        self.own = Histogram(OWN_BOUNDS_S)
        """The server's own share of that, in seconds."""
        self.troubles: dict[tuple[str, str], int] = {}
        """By provider and who took over (empty when nobody did): how often."""

    def take(self, name: str, value: float) -> None:
        """Add one measurement of an agent's own."""
        name = name[:_MOST_LETTERS]
        if name not in self.totals and len(self.totals) >= MOST_NAMES:
            return
        count, total = self.totals.get(name, (0, 0.0))
        self.totals[name] = count + 1, total + value

    def turn(self, turn: TurnTime) -> None:
        """Add a turn's times, where it has them. A reply into the caller's words has none."""
        if turn.reply_ms is not None and turn.reply_ms >= 0:
            self.reply.take(turn.reply_ms / 1000)
        if turn.own_ms is not None:
            self.own.take(turn.own_ms / 1000)

    def trouble(self, trouble: Trouble) -> None:
        """Count a provider's failure."""
        key = trouble.provider, trouble.fallback or ""
        if key in self.troubles or len(self.troubles) < MOST_NAMES:
            self.troubles[key] = self.troubles.get(key, 0) + 1
