"""A language model as the call sees it: settings that make sessions, a session per call, a
streamed answer per request.

What is said to the model is a `Prompt` of immutable items; what it answers is a stream of `Text`,
`Call` and `Usage`. Nothing here knows a provider's wire.
"""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as a model is told of it; ``parameters`` is the JSON schema of an object."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """The model wants a tool called. ``arguments`` is JSON text as it wrote it, unchecked."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Sound:
    """A turn of the caller as it sounded: ``audio``, μ-law 8 kHz.

    ``noted`` is what the ears have written down of it; what a line's text says beyond that is
    somebody else's, who wants the model to read it, too.
    """

    audio: bytes = field(repr=False)
    noted: str


@dataclass(frozen=True, slots=True)
class Said:
    """A line of the conversation: instructions (``system``), the caller's or the agent's words.

    An agent's line may end with ``calls``; each is answered by a `Returned` that follows. The
    caller's may have a ``sound``, if the agent's model hears (`HearsAudio`).
    """

    role: Literal["system", "user", "assistant"]
    text: str
    calls: tuple[Call, ...] = ()
    sound: Sound | None = None


@dataclass(frozen=True, slots=True)
class Returned:
    """What a tool has returned, as the model reads it."""

    call_id: str
    text: str


Item = Said | Returned


@dataclass(frozen=True, slots=True)
class Brief:
    """What a model is told at the moment, besides the conversation.

    ``limits_s`` says how long each tool may take, by name, for a service that keeps time itself;
    ``voice`` is the stage's own voice, for one that can change it.
    """

    system: str
    tools: tuple[ToolSpec, ...]
    limits_s: Mapping[str, float] = field(default_factory=dict)
    voice: str | None = None


@dataclass(frozen=True, slots=True)
class Prompt:
    """One request: the conversation so far, instructions first, and the tools at hand."""

    items: tuple[Item, ...]
    tools: tuple[ToolSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of the answer; the pieces put together as they are make the whole of it."""

    delta: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What a request cost, in tokens; ``extra`` is whatever else the provider counted."""

    prompt_tokens: int
    completion_tokens: int
    extra: Mapping[str, int] = field(default_factory=dict)


Answer = Text | Call | Usage


class LLMSession(Protocol):
    """One call's line to a model."""

    def reply(self, prompt: Prompt) -> AsyncGenerator[Answer, None]:
        """Stream the answer: text as it comes, then calls, whole, then usage where it is known.

        Closing the generator (``aclose``) closes the request, so that a server stops. Raises
        `ProviderError` from the iteration.
        """

    async def aclose(self) -> None:
        """Release everything, in bounded time. May be called twice."""


class LLM(Protocol):
    """A language model's provider and its settings."""

    def prepare(self) -> None:
        """Import and build what every call needs, once, in the template, before any fork.

        Must leave no thread, no event loop and no open socket behind. Raises `ProviderError` when
        no call could use it.
        """

    async def connect(self) -> LLMSession:
        """Open a session for one call, connected where the provider allows that beforehand."""

    def stand_in(self) -> "LLM":
        """Return what a rehearsal uses instead."""


@runtime_checkable
class HearsAudio(Protocol):
    """A model that hears the caller: lines of the conversation come with their `Sound`."""

    hears_audio: bool


def hears_audio(llm: object) -> bool:
    """Tell whether a provider, or one of several, is a model that hears."""
    several = llm if isinstance(llm, list | tuple) else (llm,)
    return any(isinstance(each, HearsAudio) and each.hears_audio for each in several)
