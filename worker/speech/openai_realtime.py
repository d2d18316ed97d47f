"""OpenAI's realtime voice models: the settings.

What they do in a call is in `worker.speech.openai_realtime_session`. The GA shape of the protocol
is spoken, the old beta is not; audio is μ-law both ways, so nothing is converted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from worker import openai_client
from worker.backoff import Retry
from worker.llm import Brief
from worker.speech import Opening, SpeechListener, SpeechModel, SpeechSession
from worker.speech import openai_realtime_events as wire
from worker.tls import shared_context

Eagerness = Literal["low", "medium", "high", "auto"]
Effort = Literal["minimal", "low", "medium", "high", "xhigh"]

_FORMAT = {"type": "audio/pcmu"}
_OURS = frozenset(
    (
        *("type", "model", "instructions", "audio", "output_modalities", "tools", "tool_choice"),
        *("max_output_tokens", "reasoning", "parallel_tool_calls"),
    )
)
"""What a session is told by a field of ours, or by the agent."""


@dataclass(frozen=True, slots=True)
class ServerVad:
    """A turn is over when it is quiet for a while. Raises ``ValueError`` for what cannot be."""

    threshold: float = 0.5
    """How sure the server must be of speech, 0 to 1; higher on a noisy line."""

    prefix_padding_ms: int = 300
    """Audio from before speech, in ms."""

    silence_duration_ms: int = 500
    """Quiet that ends a turn, in ms; part of every answer's time."""

    idle_timeout_ms: int | None = None
    """Silence after which the model speaks up by itself, in ms; ``None``: it does not."""

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise ValueError("threshold is from 0 to 1")
        if min(self.prefix_padding_ms, self.silence_duration_ms) < 0:
            raise ValueError("prefix_padding_ms and silence_duration_ms are 0 at least")
        if self.idle_timeout_ms is not None and self.idle_timeout_ms <= 0:
            raise ValueError("idle_timeout_ms is above 0; None has the model wait")

    def wire(self) -> dict[str, Any]:
        """Return it as a session has it."""
        found = {
            "type": "server_vad",
            "threshold": self.threshold,
            "prefix_padding_ms": self.prefix_padding_ms,
            "silence_duration_ms": self.silence_duration_ms,
        }
        if self.idle_timeout_ms is not None:
            found["idle_timeout_ms"] = self.idle_timeout_ms
        return found


@dataclass(frozen=True, slots=True)
class SemanticVad:
    """A turn is over when what was said sounds complete: more patient, less quick."""

    eagerness: Eagerness = "auto"
    """Waits 8, 4 or 2 s at most; auto is medium."""

    def wire(self) -> dict[str, Any]:
        """Return it as a session has it."""
        return {"type": "semantic_vad", "eagerness": self.eagerness}


@dataclass(frozen=True, slots=True)
class OpenAIRealtime:
    """Hears, thinks and speaks with ``model``.

    ``OPENAI_API_KEY`` and ``OPENAI_BASE_URL`` say at whose server. Raises ``ValueError`` for
    settings that do not fit.
    """

    model: str = "gpt-realtime-2.1"

    voice: str = "marin"
    """A voice's name, or the id of one of the account's own (``voice_...``). It holds for a
    session: a stage's own voice is taken by the session that begins with it."""

    speed: float = 1.0
    """0.25 to 1.5."""

    turn_detection: ServerVad | SemanticVad = field(default_factory=ServerVad)

    noise_reduction: Literal["near_field", "far_field"] | None = None
    """For handsets, or for hands-free rooms."""

    transcription: str | None = "gpt-4o-mini-transcribe"
    """The model that writes down what the caller says, beside the one that answers; ``None``: no
    words of the caller's in transcript and hooks."""

    language: str | None = None
    """Of the caller, ISO 639-1 such as ``en``, for the transcription; ``None`` has it guessed."""

    transcription_prompt: str | None = None
    """What to expect, in words."""

    max_output_tokens: int | None = None
    """Of one answer, calls of tools included: 1 to 4096; ``None``: no limit."""

    reasoning: Effort | None = None
    """How long to think before answering; models that reason only. ``None``: the model's own."""

    parallel_tool_calls: bool | None = None
    """Whether several tools may be called at once; models that reason only."""

    speaks_first: bool = False
    """Without a greeting: begin the conversation, in words of the model's own."""

    answer_s: float = 15.0
    """How long OpenAI may be silent while it owes an answer, in seconds; then the connection is
    opened anew."""

    session_s: float = 55 * 60.0
    """Age at which a session is replaced, in seconds, in a quiet moment. OpenAI's limit is said
    to be 60 minutes."""

    base_url: str | None = None
    """Another server, with the version in its path; goes before ``OPENAI_BASE_URL``."""

    extra: Mapping[str, Any] = field(default_factory=dict)
    """More fields of the session, such as ``{"truncation": "auto"}``."""

    retry: Retry = field(default_factory=Retry)

    def __post_init__(self) -> None:
        if not self.model or not self.voice:
            raise ValueError("model and voice are names, such as gpt-realtime-2.1 and marin")
        if not 0.25 <= self.speed <= 1.5:
            raise ValueError("speed is from 0.25 to 1.5")
        if self.max_output_tokens is not None and not 1 <= self.max_output_tokens <= 4096:
            raise ValueError("max_output_tokens is from 1 to 4096; None for no limit")
        if self.transcription is None and (self.language or self.transcription_prompt):
            raise ValueError("language and transcription_prompt need a transcription model")
        if min(self.answer_s, self.session_s) <= 0:
            raise ValueError("answer_s and session_s are above 0")
        if taken := sorted(_OURS & set(self.extra)):
            raise ValueError(f"{', '.join(taken)} in extra: that is set by a field, or for you")

    def prepare(self) -> None:
        """Read the key, build what a socket needs. Raises `ProviderRefusedError` without a key."""
        import worker.speech.openai_realtime_session

        openai_client.account(self.base_url)
        shared_context()
        del worker

    async def connect(self, opening: Opening, listener: SpeechListener) -> SpeechSession:
        """Begin a conversation. Raises `ProviderError`."""
        from worker.speech.openai_realtime_session import Session

        session = Session(self, opening, listener)
        await session.open()
        return session

    def stand_in(self) -> SpeechModel:
        """Return a model that needs no network."""
        from worker.stand_ins import EchoSpeech

        return EchoSpeech()

    # As a session has them -------------------------------------------------------------------

    def session(self, brief: Brief) -> dict[str, Any]:
        """Return all settings of a session; ``null`` says *off* where there is a default."""
        voice = brief.voice or self.voice
        found: dict[str, Any] = {
            **self.extra,
            "instructions": brief.system,
            "output_modalities": ["audio"],
            "audio": {
                "input": {
                    "format": _FORMAT,
                    "noise_reduction": self.noise_reduction and {"type": self.noise_reduction},
                    "transcription": self._transcription(),
                    "turn_detection": self.detection(),
                },
                "output": {
                    "format": _FORMAT,
                    "voice": {"id": voice} if voice.startswith("voice_") else voice,
                    "speed": self.speed,
                },
            },
            "tools": wire.tools_of(brief.tools),
            "tool_choice": "auto",
        }
        if self.max_output_tokens is not None:
            found["max_output_tokens"] = self.max_output_tokens
        if self.reasoning is not None:
            found["reasoning"] = {"effort": self.reasoning}
        if self.parallel_tool_calls is not None:
            found["parallel_tool_calls"] = self.parallel_tool_calls
        return found

    def detection(self, *, interrupts: bool = True) -> dict[str, Any]:
        """Return how turns are found, and whether the caller interrupts what is said."""
        turns = self.turn_detection.wire()
        return {**turns, "create_response": True, "interrupt_response": interrupts}

    def _transcription(self) -> dict[str, Any] | None:
        if self.transcription is None:
            return None
        given = {"language": self.language, "prompt": self.transcription_prompt}
        wanted = {name: value for name, value in given.items() if value}
        return {"model": self.transcription, **wanted}
