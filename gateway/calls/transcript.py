"""What was said in a call, as it happened, for whoever asks while it lives and after."""

from dataclasses import dataclass

MOST_LINES = 2000
"""Lines kept of one call; beyond it the oldest go."""


MOST_LETTERS = 4000
"""Letters kept of one line."""


@dataclass(frozen=True, slots=True)
class Line:
    """One utterance, as heard.

    ``at_ms`` counts the caller's audio from the first stream's start. ``reply_ms`` is the
    server's own share of a reply: from the caller's words being known to the first audio.
    """

    role: str
    text: str
    at_ms: float
    reply_ms: float | None
    interrupted: bool
