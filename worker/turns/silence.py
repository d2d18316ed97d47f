"""How long nobody may speak, and how long a call may last.

busy ──quiet──> waiting ──silence_s──> Ask ──busy, quiet──> waiting ──…──> Leave
                   └── the caller says a word: all is forgotten

start ─────────────── longest_s - warn_s: Warn ─────── longest_s: TimeUp
"""

from dataclasses import dataclass

from worker.turns.policy import Turns


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask whether the caller is still there."""


@dataclass(frozen=True, slots=True)
class Leave:
    """Say goodbye and hang up."""


@dataclass(frozen=True, slots=True)
class Warn:
    """Tell the caller that time is running out."""


@dataclass(frozen=True, slots=True)
class TimeUp:
    """Say so and hang up."""


class Silence:
    """Silence on both sides. ``now`` is monotonic seconds."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self._asked = 0
        self._left = False
        self._is_minded = True
        self.deadline: float | None = None

    def caller(self) -> None:
        """The caller said a word, or pressed a key. A mere sound is none."""
        self._asked = 0
        self.deadline = None

    def busy(self) -> None:
        """The agent speaks or prepares to."""
        self.deadline = None

    def quiet(self, now: float) -> None:
        """From now on nobody speaks. Said again, it changes nothing."""
        if not self._is_minded or self._left or self.turns.silence_s is None:
            return
        if self.deadline is None:
            self.deadline = now + self.turns.silence_s

    def mind(self, is_minded: bool) -> None:
        """Whether silence is minded here, from now on; else somebody else does, or nobody."""
        self._is_minded = is_minded
        if not is_minded:
            self.deadline = None

    def tick(self, now: float) -> Ask | Leave | None:
        """Return what has become due, once."""
        if self.deadline is None or now < self.deadline:
            return None
        self.deadline = None
        if self._asked >= self.turns.ask_times:
            self._left = True
            return Leave()
        self._asked += 1
        return Ask()


class Duration:
    """The length of a call."""

    def __init__(self, turns: Turns, now: float) -> None:
        self._due: list[tuple[float, Warn | TimeUp]] = []
        if turns.longest_s is not None:
            end = now + turns.longest_s
            if 0 < turns.warn_s < turns.longest_s:
                self._due.append((end - turns.warn_s, Warn()))
            self._due.append((end, TimeUp()))

    @property
    def deadline(self) -> float | None:
        """When something becomes due."""
        return self._due[0][0] if self._due else None

    def tick(self, now: float) -> Warn | TimeUp | None:
        """Return what has become due, once; a warning that comes too late is none."""
        found: Warn | TimeUp | None = None
        while self._due and now >= self._due[0][0]:
            found = self._due.pop(0)[1]
        return found
