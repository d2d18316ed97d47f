"""Stops a campaign whose calls mostly fail, before everybody was called in vain. No I/O."""

from collections import deque
from collections.abc import Iterable

from gateway.campaigns.outcomes import Outcome


class Breaker:
    """Looks at the last ``window`` calls; trips when more than ``share`` of them were broken.

    Somebody who is busy or does not answer is no failure of ours, and does not count.
    """

    def __init__(self, window: int = 20, share: float = 0.5) -> None:
        self._share, self._last = share, deque[bool](maxlen=max(1, window))
        self._on = window > 0

    def ended(self, outcome: Outcome) -> None:
        """A call has ended so."""
        self._last.append(outcome.broken)

    @property
    def tripped(self) -> str | None:
        """Why the campaign must stop, ``None`` while it need not."""
        if not self._on or len(self._last) < (self._last.maxlen or 0):
            return None
        broken = sum(self._last)
        if broken <= self._share * len(self._last):
            return None
        return f"{broken} of the last {len(self._last)} calls failed"

    def recall(self, outcomes: Iterable[Outcome]) -> None:
        """Calls of a life before have ended so, the newest last; the campaign still runs.

        If they would stop it, it was resumed since, and they do not count any more.
        """
        self._last.clear()
        self._last.extend(outcome.broken for outcome in outcomes)
        if self.tripped is not None:
            self.reset()

    def reset(self) -> None:
        """Forget the past: the operator says that it is mended."""
        self._last.clear()
