"""A house: one choice of providers, with the servers that stand for their services.

What a provider is called and how its fake is handled is written down here once for each; the
conversations that every house must hold (``test_*.py``) know no provider. It refuses to know
gateways and phones: `tests.conformance.stage` does.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from tests.fakes.voice_model import Script

Sources = Mapping[str, str]
"""Lines of an agent's class: ``{"stt": "Deepgram()"}`` is ``stt = Deepgram()``. ``{spare}`` in it
is the URL of a server of OpenAI's API that no test harms."""


class Can(Enum):
    """What a house is excused from, if it says why."""

    FILL = "speak while a tool is at work"
    STAGE_TOOLS = "have other tools in another stage"
    KEEP_GREETING = "greet without being interrupted"
    GO_ON = "go on after its connection was lost, with the same provider"
    KEEP_WORDS = "hear what the caller was saying when its connection was lost"
    WRITE_DOWN = "write down what the caller says"
    RECALL = "tell what the model remembers of its own words"
    BE_READ = "be understood word for word from the audio of its voice"


Reasons = Mapping[Can, str]
"""What a house cannot do, and why."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a model was told when it answered a line."""

    instructions: str
    tools: tuple[str, ...]
    spoken: tuple[str, ...]
    """Its own words, as it remembers them."""


class Service(Protocol):
    """One account at a provider's, as its fake lets it be handled."""

    @property
    def open(self) -> int:
        """How many connections and requests are open now."""

    async def lose(self, code: int | None) -> None:
        """End all connections with a close code; ``None`` cuts them without a close."""

    def revoke(self) -> None:
        """Refuse the key from now on."""

    def restore(self) -> None:
        """Take the key again."""


class Premises(Protocol):
    """The running servers of a house."""

    @property
    def environment(self) -> Mapping[str, str]:
        """What leads the providers to them: URLs and keys."""

    @property
    def keys(self) -> Sequence[str]:
        """What must never be logged."""

    @property
    def spare(self) -> str:
        """The URL of a server of OpenAI's API that is never harmed."""

    @property
    def script(self) -> Script:
        """What the model answers, and what it has understood."""

    @property
    def services(self) -> Mapping[str, Service]:
        """The services, by name."""

    def told(self, line: str) -> Told:
        """Return what the model is told that is just being asked for its answer to a caller's line.

        Raises ``LookupError`` when ``line`` is none of a caller's.
        """


@dataclass(frozen=True, slots=True)
class House:
    """``name`` is how its tests are called."""

    name: str
    providers: Sources
    open: Callable[[], AbstractAsyncContextManager[Premises]]
    mortal: tuple[str, ...]
    """The services whose death is tried here."""
    spares: Sources
    """Who takes over: behind the provider of the same line, or as the cascade behind a model."""
    cannot: Reasons = field(default_factory=dict)
    forgets: int = 1
    """How many words of what was heard of a cut reply it may not remember."""
    imagines: int = 0
    """How many words more than were heard it may remember: a service may only reckon."""
    imports: str = ""
    """What the agents import besides `worker.providers`."""

    def lines(self, spare: str | None = None) -> str:
        """Return the lines of an agent's class; with ``spare`` the spares behind the providers."""
        lines = dict(self.providers)
        if spare is not None:
            for name, source in self.spares.items():
                other = source.replace("{spare}", spare)
                lines[name] = f"[{lines[name]}, {other}]" if name in lines else other
        return "\n".join(f"    {name} = {source}" for name, source in lines.items())
