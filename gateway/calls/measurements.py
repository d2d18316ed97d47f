"""What agents measure, added up over all calls, for whoever collects the gateway's figures."""

MOST_NAMES = 100
_MOST_LETTERS = 80


class Measurements:
    """Count and sum by name; the names are the agents', and beyond `MOST_NAMES` none is added."""

    def __init__(self) -> None:
        self.totals: dict[str, tuple[int, float]] = {}

    def take(self, name: str, value: float) -> None:
        """Add one measurement."""
        name = name[:_MOST_LETTERS]
        if name not in self.totals and len(self.totals) >= MOST_NAMES:
            return
        count, total = self.totals.get(name, (0, 0.0))
        self.totals[name] = count + 1, total + value
