"""What came of a call, in words that campaigns decide by. No I/O."""

from enum import StrEnum

_SILENT_ENDS = {"busy": "busy", "no-answer": "no-answer", "failed": "failed"}


class Outcome(StrEnum):
    """How one attempt to reach somebody ended."""

    ANSWERED = "answered"
    MACHINE = "machine"
    """A mailbox or a fax took the call."""
    BUSY = "busy"
    NO_ANSWER = "no-answer"
    FAILED = "failed"
    """The carrier could not connect the call or would not, or the agent could not serve it."""
    CANCELED = "canceled"
    """Ended before it was answered, by us."""
    LOST = "lost"
    """A call was created, and nobody could say in time what became of it. It is not repeated."""

    @property
    def broken(self) -> bool:
        """Tell whether something was wrong with us or the carrier, and not with the callee."""
        return self in BROKEN


BROKEN = frozenset({Outcome.FAILED, Outcome.LOST})


def outcome_of(status: str, answered_by: str = "") -> Outcome:
    """Return the outcome of a call with this final status and this verdict on who answered.

    Both are the carrier's words; an unknown final status counts as lost.
    """
    if status == "completed":
        machine = answered_by.startswith("machine") or answered_by == "fax"
        return Outcome.MACHINE if machine else Outcome.ANSWERED
    if status in {"canceled", "cancelled"}:
        return Outcome.CANCELED
    return Outcome(_SILENT_ENDS.get(status, "lost"))
