"""Text-to-speech by OpenAI's ``/audio/speech``, and by servers that speak it: the settings.

What they do in a call is in `worker.tts.openai_speaking`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from worker import openai_client
from worker.tts import TTS, TTSListener, TTSSession
from worker.tts.openai_speaking import Voice


@dataclass(frozen=True, slots=True)
class OpenAISpeech:
    """A voice behind ``/audio/speech``. ``OPENAI_API_KEY`` and ``OPENAI_BASE_URL`` say whose.

    Raises ``ValueError`` for settings out of range.
    """

    voice: str = "marin"
    model: str = "gpt-4o-mini-tts"

    speed: float = 1.0
    """0.25 to 4."""

    instructions: str | None = None
    """How to speak; not with the models ``tts-1``."""

    base_url: str | None = None
    """Another server, with the version in its path; goes before ``OPENAI_BASE_URL``."""

    first_audio_s: float = 5.0
    """Seconds from a request to its first audio."""

    stall_s: float = 5.0
    """Seconds between two pieces of audio."""

    extra_body: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the request that are not here."""

    warm: bool = True
    """Connect before the first clause, and learn at once of a key that is no good."""

    warm_s: float = 1.5
    """Seconds that may take."""

    def __post_init__(self) -> None:
        if not self.voice or not self.model:
            raise ValueError("voice and model are not empty")
        if not 0.25 <= self.speed <= 4:
            raise ValueError("speed is from 0.25 to 4")
        if self.instructions and self.model.startswith("tts-1"):
            raise ValueError("instructions do not go with tts-1: leave them out")
        if min(self.first_audio_s, self.stall_s, self.warm_s) <= 0:
            raise ValueError("first_audio_s, stall_s and warm_s are above 0")

    def prepare(self) -> None:
        """Import the SDK and build its client. Raises `ProviderRefusedError` without a key."""
        account = openai_client.account(self.base_url)
        openai_client.template_client(account.key, account.base_url)

    async def connect(self, listener: TTSListener) -> TTSSession:
        """Open a session. Raises `ProviderRefusedError` when the key is no good."""
        client = openai_client.call_client(self.base_url)
        if self.warm:
            try:
                await openai_client.warm(client, self.warm_s)
            except BaseException:
                await openai_client.close(client)
                raise
        return Voice(self, client, listener)

    def stand_in(self) -> TTS:
        """Return a voice that needs no network."""
        from worker.stand_ins import ToneTTS

        return ToneTTS()

    def request(self, text: str) -> dict[str, Any]:
        """Return the body of a request that speaks ``text``."""
        request: dict[str, Any] = {
            "model": self.model,
            "voice": self.voice,
            "input": text,
            "response_format": "pcm",
        }
        if self.speed != 1.0:
            request["speed"] = self.speed
        if self.instructions:
            request["instructions"] = self.instructions
        return request | dict(self.extra_body)
