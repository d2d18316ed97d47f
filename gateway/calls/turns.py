"""How fast a call's turns were, and which of its providers failed, as its process tells.

Bounded whatever a process says: so many turns, the known stages of each, so many troubles. It
reckons with `shared.turn_stages` and knows no provider.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass

from shared.turn_stages import Stage, known, own_ms, reply_ms

MOST_TURNS = 1000
"""Turns kept of one call; beyond it the oldest go."""

MOST_TROUBLES = 20
"""Troubles kept of one call, the newest."""

MOST_LETTERS = 500
"""Letters kept of a trouble's sentence; of a provider's name a tenth."""

_FARTHEST_MS = 1e9
"""No call lasts eleven days: what is beyond is nonsense, and ignored."""


@dataclass(frozen=True, slots=True)
class TurnTime:
    """One turn: its stages in ms from the first stream's start, and what follows from them.

    ``reply_ms`` is what the caller waited, ``own_ms`` the server's share of it; ``None`` where a
    stage is missing.
    """

    number: int
    stages: dict[Stage, float]
    reply_ms: float | None
    own_ms: float | None


@dataclass(frozen=True, slots=True)
class Trouble:
    """A provider was given up; ``fallback`` took over, if anybody. ``at`` is in Unix seconds."""

    provider: str
    sentence: str
    fallback: str | None
    at: float


class TurnLog:
    """The turns and troubles of one call."""

    def __init__(self) -> None:
        self._turns: OrderedDict[int, TurnTime] = OrderedDict()
        self._troubles: deque[Trouble] = deque(maxlen=MOST_TROUBLES)

    @property
    def turns(self) -> tuple[TurnTime, ...]:
        """The turns, in the order in which they were first told of."""
        return tuple(self._turns.values())

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """The troubles, in the order in which they came."""
        return tuple(self._troubles)

    def turn(self, number: int) -> TurnTime:
        """Return all that is known of a turn. Raises ``KeyError``."""
        return self._turns[number]

    def timed(self, number: int, stages: dict[str, float]) -> TurnTime | None:
        """Take the stages of a turn; what was known of it stays, unless it is told anew.

        Returns a turn that holds only the figures that were not known before, for statistics;
        ``None`` when nothing in it makes sense.
        """
        sound = {s: ms for s, ms in known(stages).items() if abs(ms) <= _FARTHEST_MS}
        if number < 0 or not sound:
            return None
        before = self._turns.get(number)
        both = sound if before is None else before.stages | sound
        turn = TurnTime(number, both, reply_ms(both), own_ms(both))
        self._turns[number] = turn
        if len(self._turns) > MOST_TURNS:
            self._turns.popitem(last=False)
        if before is None:
            return turn
        return TurnTime(
            number,
            sound,
            turn.reply_ms if before.reply_ms is None else None,
            turn.own_ms if before.own_ms is None else None,
        )

    def trouble(self, provider: str, sentence: str, fallback: str | None, at: float) -> Trouble:
        """Take a provider's failure; return it as it is kept."""
        names = MOST_LETTERS // 10
        trouble = Trouble(
            provider[:names],
            sentence[:MOST_LETTERS],
            fallback[:names] if fallback is not None else None,
            at,
        )
        self._troubles.append(trouble)
        return trouble


def weight(turns: tuple[TurnTime, ...], troubles: tuple[Trouble, ...]) -> int:
    """Return about how many bytes they take."""
    letters = sum(len(trouble.sentence) for trouble in troubles)
    return 700 * len(turns) + 200 * len(troubles) + 4 * letters
