"""What turn-taking knows of the agent, and what it has it do: values without behaviour.

`Thinks`, `Speaks` and `Silent` say what the agent does, `Key` what the caller's finger did;
`worker.turns.floor` decides the others.
"""

from dataclasses import dataclass

from worker.turns.policy import Utterance


@dataclass(frozen=True, slots=True)
class Thinks:
    """The agent prepares an answer."""


@dataclass(frozen=True, slots=True)
class Speaks:
    """The agent is heard."""

    interruptible: bool = True


@dataclass(frozen=True, slots=True)
class Silent:
    """The agent has nothing to say, or has said it all."""


@dataclass(frozen=True, slots=True)
class Key:
    """The caller pressed a key: that is meant."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Take back what is not heard yet, at once."""


@dataclass(frozen=True, slots=True)
class Commit:
    """Give up the agent's speech and whatever prepares more of it."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on speaking where it was cut."""


@dataclass(frozen=True, slots=True)
class Take:
    """The caller's turn is the agent's to answer."""

    utterance: Utterance


@dataclass(frozen=True, slots=True)
class Overhear:
    """The caller only listened aloud: no turn."""

    text: str


Decision = Pause | Commit | Resume | Take | Overhear
