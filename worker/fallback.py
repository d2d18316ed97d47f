"""One provider or several in order, as an author declares them, made into one.

    tts = Cartesia(voice="...")                           that one
    tts = [Cartesia(voice="..."), ElevenLabs(), Espeak()] the first, and who takes over from it

What the several are is in `worker.tts.fallback`, `worker.stt.fallback` and `worker.llm.fallback`.
"""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast, overload

from worker import succession
from worker.llm import LLM
from worker.llm.fallback import FallbackLLM
from worker.stt import STT
from worker.stt.fallback import FallbackSTT
from worker.succession import Troubled
from worker.tts import TTS
from worker.tts.fallback import FallbackTTS


class Provider(Protocol):
    """What every kind of provider can do without being asked for a session."""

    def prepare(self) -> None:
        """Build what every call needs. Raises `ProviderError`."""

    def stand_in(self) -> Any:
        """Return what a rehearsal uses instead."""


@dataclass(frozen=True, slots=True)
class _Several:
    """Providers of a kind that shows only when a session is asked for: by who listens to it."""

    providers: Sequence[Any]
    on_trouble: Troubled | None = field(default=None, compare=False)

    def prepare(self) -> None:
        """Prepare all; those that refuse are left out. Raises `ProviderError` if none is left."""
        succession.prepare(self.providers)

    def stand_in(self) -> Any:
        """Return what stands in for the first."""
        return self.providers[0].stand_in()

    def connect(self, listener: Any = None) -> Awaitable[Any]:
        """Open a session with the first that can be had. Raises `ProviderError`."""
        if listener is None:
            return FallbackLLM(self.providers, self.on_trouble).connect()
        if hasattr(listener, "timed"):
            return FallbackTTS(self.providers, self.on_trouble).connect(listener)
        return FallbackSTT(self.providers, self.on_trouble).connect(listener)


@overload
def fallback_of(value: STT | Sequence[STT], on_trouble: Troubled | None = None) -> STT: ...
@overload
def fallback_of(value: TTS | Sequence[TTS], on_trouble: Troubled | None = None) -> TTS: ...
@overload
def fallback_of(value: LLM | Sequence[LLM], on_trouble: Troubled | None = None) -> LLM: ...
@overload
def fallback_of(value: object, on_trouble: Troubled | None = None) -> Provider: ...
def fallback_of(value: object, on_trouble: Troubled | None = None) -> Any:
    """Return a provider: the one given, or one that makes several into one.

    ``on_trouble`` is told when one of several fails. Raises ``ValueError`` for an empty list.
    """
    if not isinstance(value, list | tuple):
        return value
    several = succession.checked(cast("Sequence[Provider]", value))
    return several[0] if len(several) == 1 else _Several(several, on_trouble)
