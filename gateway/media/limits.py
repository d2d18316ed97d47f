"""How long, and how much, a media socket waits for its peer."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How long, and how much, a media socket waits for its peer."""

    ping_seconds: float = 20.0
    """Between two pings; a peer that sent nothing at all between them is given up as lost."""

    close_seconds: float = 3.0
    """For the peer to close after our close frame, or after the carrier's stop."""

    unread_bytes: int = 8 * 1024 * 1024
    """What may wait for the peer to read. Twilio plays at most ten minutes ahead, 6.4 MB as
    base64: more than this waits only for somebody who does not read."""


DEFAULT_LIMITS = Limits()
