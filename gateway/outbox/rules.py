"""What the outbox keeps to: how much at once, how long, how often."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OutboxRules:
    """Times in seconds. ``scale`` shortens all waiting, for tests."""

    at_once: int = 16
    flush: float = 5.0
    retry_look: float = 5.0
    look: float = 10.0
    sweep: float = 3600.0
    keep: float = 30 * 86400.0
    scale: float = 1.0
