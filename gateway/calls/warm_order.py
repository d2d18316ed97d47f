"""What is asked of a warm transfer, and why it is refused before it begins."""

import re
from dataclasses import dataclass, field

MOST_SUMMARY = 1000
"""Letters of what a human is told."""

MIN_RING, MAX_RING = 5, 120

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")


class TransferRefusedError(Exception):
    """A warm transfer that cannot even be tried: ``code`` is for programs."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(code, sentence)
        self.code, self.sentence = code, sentence

    def __str__(self) -> str:
        return self.sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmOrder:
    """Who is to take the call: ``to`` is their name, ``number`` is in E.164.

    ``request`` is the process's, 0 when somebody outside has ordered it.
    """

    to: str
    number: str
    summary: str = field(repr=False)
    ring_seconds: int
    language: str = "en-US"
    request: int = 0

    def check(self) -> None:
        """Raise `TransferRefusedError` for what cannot be carried out whatever the call does."""
        if not self.summary.strip() or len(self.summary) > MOST_SUMMARY:
            sentence = f"the summary is what the human is told: 1 to {MOST_SUMMARY} letters"
            raise TransferRefusedError("summary", sentence)
        if not MIN_RING <= self.ring_seconds <= MAX_RING:
            sentence = f"a phone rings for {MIN_RING} to {MAX_RING} s, not {self.ring_seconds}"
            raise TransferRefusedError("ring-time", sentence)
        if not _LANGUAGE.fullmatch(self.language):
            raise TransferRefusedError("language", "write the summary's language like en-US")
