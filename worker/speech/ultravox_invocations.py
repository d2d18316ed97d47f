"""Which tools the model waits for, and until when. Pure; times are of the loop's clock.

The conversation is frozen while it waits. Ultravox gives up a tool after its time-out; a call that
was lost takes its tools with it; and one that is to be thawed sooner is told that the result
follows. An answer after any of that is late: nobody waits for it under its name.
"""

from dataclasses import dataclass

from worker.speech import Brief, Call
from worker.speech.ultravox_tools import tool_seconds

_MOST = 64


@dataclass(frozen=True, slots=True)
class Answered:
    """What was answered; ``in_time`` if the model still waits for it."""

    call: Call
    in_time: bool


class Invocations:
    """The tools of one conversation that were wanted."""

    def __init__(self) -> None:
        self._calls: dict[str, Call] = {}
        self._until: dict[str, float] = {}

    def open(self, call: Call, brief: Brief, now: float) -> None:
        """A tool is wanted."""
        self._calls[call.id] = call
        self._until[call.id] = now + tool_seconds(brief, call.name)
        while len(self._calls) > _MOST:
            oldest = next(iter(self._calls))
            del self._calls[oldest]
            self._until.pop(oldest, None)

    def close(self, invocation: str, now: float) -> Answered | None:
        """It is answered: return what, ``None`` if it was not wanted, or was answered before."""
        call, until = self._calls.pop(invocation, None), self._until.pop(invocation, None)
        return None if call is None else Answered(call, until is not None and now < until)

    def thaw(self, now: float) -> list[str]:
        """Nothing is waited for any more: return what was."""
        waited = [invocation for invocation, until in self._until.items() if now < until]
        self._until.clear()
        return waited

    def lost(self) -> None:
        """The call that waited is gone."""
        self._until.clear()
