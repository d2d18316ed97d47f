"""What turn-taking makes of the caller: values without behaviour, decided by `Listening`.

Of each turn come, in order: `Began`; then `Sounds`, `Stopped`, `Words`, `ProbablyEnded` and
`NotEnded` as often as need be, and `AskEnd` at most once; at last `Ended` or `Faded`, exactly one.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Began:
    """The caller makes a sound: a turn may begin. ``lasting``: its end will be told, too."""

    lasting: bool = False


@dataclass(frozen=True, slots=True)
class Sounds:
    """The caller makes a sound again, in the same turn."""

    lasting: bool = False


@dataclass(frozen=True, slots=True)
class Stopped:
    """The sound is over; words of it may be on their way."""


@dataclass(frozen=True, slots=True)
class Words:
    """The caller's words in this turn so far."""

    text: str


@dataclass(frozen=True, slots=True)
class Faded:
    """It was no turn: the sound was no speech."""


@dataclass(frozen=True, slots=True)
class ProbablyEnded:
    """An answer to ``text`` may be prepared."""

    text: str


@dataclass(frozen=True, slots=True)
class NotEnded:
    """It was prepared in vain."""


@dataclass(frozen=True, slots=True)
class AskEnd:
    """Ask the provider to end the turn."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The turn is over; ``text`` is empty when no word of it was understood.

    ``at_ms`` is where in the posted audio it ended, if that is known. ``sound_ms`` is how long
    somebody spoke, when that is all that the ears know of it; ``text`` says so then.
    """

    text: str
    at_ms: float | None = None
    sound_ms: float = 0.0


Decision = Began | Sounds | Stopped | Words | Faded | ProbablyEnded | NotEnded | AskEnd | Ended
