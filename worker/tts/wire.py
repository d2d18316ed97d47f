"""A voice's wire without its spelling: what is told to a provider of contexts, and what it says.

A context is one piece of continuous speech on a shared socket, with a name of ours. Cartesia and
ElevenLabs both work so; how each spells it is in `worker.tts.cartesia_wire` and
`worker.tts.elevenlabs_wire`. Nothing here knows a socket, a clock or an utterance.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from worker.errors import ProviderError
from worker.tts import Timing

Said = Mapping[str, object]
"""A message to the provider, to be sent as JSON."""


@dataclass(frozen=True, slots=True)
class Audio:
    """μ-law 8 kHz of a context, in order."""

    context: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Words:
    """When words of a context are spoken, in ms from the beginning of the context's audio."""

    context: str
    timings: Sequence[Timing]


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing more comes of a context."""

    context: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """The provider complains: of a context, or of the whole socket when ``context`` is ``None``."""

    context: str | None
    error: ProviderError


Heard = Audio | Words | Ended | Trouble


class Wire(Protocol):
    """One connection's spelling. Raises nothing: what cannot be read is a `Trouble`."""

    def say(self, context: str, text: str, *, last: bool) -> Iterable[Said]:
        """Speak ``text`` in a context, which its first text opens; ``last`` ends it, too."""

    def end(self, context: str) -> Iterable[Said]:
        """No more text comes for a context: what was said is spoken, then it ends."""

    def cancel(self, context: str) -> Iterable[Said]:
        """A context is not to be heard any more."""

    def keep_alive(self) -> Iterable[Said]:
        """Say that the socket is still wanted."""

    def read(self, raw: bytes) -> Iterable[Heard]:
        """Return what a message says; nothing for one of a kind that is not known."""
