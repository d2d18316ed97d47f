"""What is counted of deliveries."""

from dataclasses import dataclass


@dataclass(slots=True)
class OutboxStatistics:
    """What has become of deliveries since the start. ``lanes`` rest that are given up for now."""

    posted: int = 0
    delivered: int = 0
    failed: int = 0
    tries: int = 0
    sending: int = 0
    resting: int = 0
