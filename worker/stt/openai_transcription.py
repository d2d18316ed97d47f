"""Speech-to-text by OpenAI's realtime transcription sessions: the settings.

What they do in a call is in `worker.stt.openai_session`. The GA shape of the protocol is spoken,
the old beta is not. Whether sessions of transcription take μ-law is said by the types of OpenAI's
SDK and doubted by one of its docstrings: ``audio_format`` has the other way.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from shared.speech.endpointing import Endpoints
from worker import openai_client
from worker.stt import STT, STTListener, STTSession
from worker.stt import openai_events as wire
from worker.stt.openai_session import Ears
from worker.tls import shared_context

NO_VAD = ("gpt-live-transcribe", "gpt-realtime-whisper")
"""Models for which ``turn_detection`` must be null (SDK's docstrings, current guide)."""


@dataclass(frozen=True, slots=True)
class OpenAITranscription:
    """Hears with ``model``. ``OPENAI_API_KEY`` and ``OPENAI_BASE_URL`` say at whose server.

    Raises ``ValueError`` for settings that do not fit.
    """

    model: str = "gpt-4o-mini-transcribe"

    language: str | None = None
    """ISO 639-1, such as ``en``; ``None`` has it guessed."""

    prompt: str | None = None
    """What to expect, in words; not with gpt-realtime-whisper."""

    keywords: tuple[str, ...] = ()
    """Names and terms; gpt-transcribe and gpt-live-transcribe only."""

    turn_detection: Literal["server_vad", "semantic_vad"] | None = "server_vad"
    """Who ends a turn: the server by silence, by meaning, or we (``None``).

    Models without detection have ours.
    """

    threshold: float = 0.5
    """server_vad: how sure it must be of speech, 0 to 1."""

    prefix_padding_ms: int = 300
    """server_vad: audio from before speech."""

    silence_duration_ms: int = 500
    """server_vad: quiet that ends speech."""

    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    """semantic_vad: waits 8, 4 or 2 s at most; auto is medium."""

    endpoints: Endpoints = field(default_factory=Endpoints)
    """Ours, where the server has no turn detection."""

    noise_reduction: Literal["near_field", "far_field"] | None = None
    """For handsets, or for hands-free rooms."""

    audio_format: Literal["audio/pcmu", "audio/pcm"] = "audio/pcmu"
    """μ-law as it comes, or upsampled to PCM16 24 kHz (six times the bytes)."""

    base_url: str | None = None
    """Another server, with the version in its path; goes before ``OPENAI_BASE_URL``."""

    renew_s: float = 3300.0
    """Age at which a session is replaced, in seconds."""

    def __post_init__(self) -> None:
        if not self.model:
            raise ValueError("model is empty: name one, such as gpt-4o-mini-transcribe")
        if not 0 <= self.threshold <= 1:
            raise ValueError("threshold is from 0 to 1")
        if min(self.prefix_padding_ms, self.silence_duration_ms) < 0:
            raise ValueError("prefix_padding_ms and silence_duration_ms are 0 at least")
        if self.prompt and self.model == "gpt-realtime-whisper":
            raise ValueError("prompt does not go with gpt-realtime-whisper: leave it out")
        if self.keywords and self.model not in ("gpt-transcribe", "gpt-live-transcribe"):
            raise ValueError(f"keywords do not go with {self.model}: write them into prompt")

    @property
    def is_detected_here(self) -> bool:
        """We find speech and its end, not the server."""
        return self.turn_detection is None or self.model in NO_VAD

    def prepare(self) -> None:
        """Read the key, build what a socket needs. Raises `ProviderRefusedError` without a key."""
        openai_client.account(self.base_url)
        shared_context()

    async def connect(self, listener: STTListener) -> STTSession:
        """Open a session that is set up. Raises `ProviderError`."""
        session = Ears(self, listener)
        await session.open()
        return session

    def stand_in(self) -> STT:
        """Return ears that need no network."""
        from worker.stand_ins import EnergySTT

        return EnergySTT()

    def update(self) -> bytes:
        """Return the event that sets a session up."""
        transcription: dict[str, Any] = {"model": self.model}
        if self.language:
            transcription["language"] = self.language
        if self.prompt:
            transcription["prompt"] = self.prompt
        if self.keywords:
            transcription["keywords"] = list(self.keywords)
        turns = None if self.is_detected_here else self._detection()
        return wire.session_update(self.audio_format, transcription, turns, self.noise_reduction)

    def _detection(self) -> dict[str, Any]:
        if self.turn_detection == "semantic_vad":
            return {"type": "semantic_vad", "eagerness": self.eagerness}
        return {
            "type": "server_vad",
            "threshold": self.threshold,
            "prefix_padding_ms": self.prefix_padding_ms,
            "silence_duration_ms": self.silence_duration_ms,
        }
