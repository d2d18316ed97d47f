"""When each turn of a call reached its stages, on the call's one monotonic clock.

A turn opens with the caller's words (turn 0 is the greeting's). What is reached before they are
final, because the model was asked early, is put down for the turn to come. The gateway is told as
things become known; nothing here waits for a turn to be complete.
"""

from collections.abc import Callable

from shared import messages
from shared.audio import FRAME_BYTES, SAMPLE_RATE
from shared.turn_stages import Stage

_EARLY = (Stage.MODEL_ASKED, Stage.FIRST_TOKEN, Stage.FIRST_CLAUSE, Stage.FIRST_AUDIO)
"""Stages that an answer prepared early has passed before its turn began."""

_TOLD_AT = (Stage.FIRST_SENT, Stage.FIRST_HEARD, Stage.COMMITTED, Stage.RESUMED)
"""Stages after which the gateway is told: few messages a turn, and nothing lost for long."""


class TurnTimes:
    """Keeps the stages of the turn in progress and tells the gateway of them."""

    def __init__(
        self, clock: Callable[[], float], tell: Callable[[messages.TurnTimed], None]
    ) -> None:
        self._now, self._tell = clock, tell
        self._number = 0
        self._stages: dict[Stage, float] = {}
        self._early: dict[Stage, float] = {}
        self._is_early = self._untold = False
        self.origin: float | None = None
        """When the first stream started. Before that nothing is told."""

    @property
    def number(self) -> int:
        """The turn in progress."""
        return self._number

    def early(self, is_early: bool, *, kept: bool = False) -> None:
        """From now on (until told otherwise) an answer is prepared for a turn to come.

        Or no longer: what was reached is ``kept`` for that turn, or forgotten.
        """
        self._is_early = is_early
        if is_early or not kept:
            self._early = {}

    def turn(self, final_at: float, stopped_at: float | None) -> None:
        """The caller's words are final: a new turn begins. Times on the call's clock."""
        self.flush()
        self._number += 1
        self._is_early = False
        self._stages, self._early = dict(self._early), {}
        self._stages[Stage.STT_FINAL] = final_at
        self._untold = True
        if stopped_at is not None:
            self._stages[Stage.CALLER_STOPPED] = min(stopped_at, final_at)

    def reached(self, stage: Stage) -> bool:
        """The turn in progress, or the one prepared early, has come to ``stage``.

        Tells whether it is the first time; only that counts.
        """
        stages = self._early if self._is_early and stage in _EARLY else self._stages
        if stage in stages:
            return False
        stages[stage] = self._now()
        if stages is self._stages:
            self._untold = True
            if stage in _TOLD_AT:
                self.flush()
        return True

    def flush(self) -> None:
        """Tell the gateway what is known of the turn in progress, if it has not been told."""
        if self._untold and self.origin is not None:
            self._untold = False
            told = {str(at): (it - self.origin) * 1000 for at, it in self._stages.items()}
            self._tell(messages.TurnTimed(self._number, told))

    def took_ms(self) -> float | None:
        """Return the time from the final words to the first audio sent: the server's own share."""
        if Stage.STT_FINAL not in self._stages or Stage.FIRST_SENT not in self._stages:
            return None
        return (self._stages[Stage.FIRST_SENT] - self._stages[Stage.STT_FINAL]) * 1000


class AudioClock:
    """Which moment a place in the caller's audio belongs to.

    Audio comes as it is spoken, with gaps: a place every so often is remembered with its time.
    """

    _EVERY = 4000  # bytes, half a second
    _MOST = 240

    def __init__(self) -> None:
        self._size = 0
        self._known: list[tuple[int, float]] = []

    def restart(self) -> None:
        """Count from 0 again: other ears hear from here on."""
        self._size, self._known = 0, []

    def posted(self, size: int, now: float) -> None:
        """``size`` bytes were handed on."""
        if not self._known or self._size - self._known[-1][0] >= self._EVERY:
            # Audio of more than a frame has begun to come before now.
            began = now - max(0, size - FRAME_BYTES) / SAMPLE_RATE
            self._known.append((self._size, began))
            if len(self._known) > self._MOST:
                del self._known[: self._MOST // 2]
        self._size += size

    def time_of(self, at_ms: float) -> float | None:
        """Return when the audio at ``at_ms`` came; ``None`` when that is not known any more."""
        place = int(at_ms * 8)
        for known, when in reversed(self._known):
            if known <= place:
                return when + (min(place, self._size) - known) / 8000
        return None
