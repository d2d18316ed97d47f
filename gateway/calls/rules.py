"""What the operator set for every call, or a company for its own."""

from dataclasses import dataclass, field

from gateway.calls.metadata import CallCompany
from gateway.dialer.numbers import NumberRules


@dataclass(frozen=True, slots=True)
class CallRules:
    """Times in seconds, numbers in E.164."""

    stream_seconds: float
    """How long a stream may take to come."""
    most_seconds: float
    """How long a call may last."""
    hang_seconds: float
    """A process that is silent for so long is ended."""
    fallback: str | None
    """Who is called when something has gone wrong."""
    destinations: dict[str, str]
    """Named numbers a caller may be transferred to."""
    ring_seconds: int = 20
    """How long the phone of somebody rings to whom a caller is transferred."""
    numbers: NumberRules = field(default_factory=NumberRules)
    """Which numbers without a name a caller may be transferred to."""
    company: CallCompany | None = None
    """Whose call it is."""
