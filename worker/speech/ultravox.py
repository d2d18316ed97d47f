"""Ultravox: a hosted model that hears audio, thinks and speaks (https://ultravox.ai).

    speech = Ultravox(voice="Mark")

Needs ``ULTRAVOX_API_KEY``; ``ULTRAVOX_BASE_URL`` names another server. In ``relay`` mode, which is
what is here, the call's audio goes through this process, and everything that an agent can do works;
in ``direct`` mode Twilio talks to Ultravox itself. No SDK: theirs are for browsers and WebRTC.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import msgspec

from worker import rest
from worker.backoff import Retry
from worker.credentials import Credentials, credentials
from worker.rest import Rest
from worker.speech import Opening, SpeechListener, SpeechModel, SpeechSession
from worker.speech.ultravox_calls import Calls, Rates
from worker.speech.ultravox_wire import PROVIDER
from worker.tls import shared_context

KEY = "ULTRAVOX_API_KEY"
URL = "https://api.ultravox.ai"

SAMPLE_RATES = (8000, 16_000, 24_000, 48_000)

_OURS = (
    *("systemPrompt", "model", "medium", "selectedTools", "toolOverrides", "initialMessages"),
    *("firstSpeaker", "firstSpeakerSettings", "inactivityMessages", "metadata", "voice"),
    *("externalVoice", "temperature", "languageHint", "recordingEnabled", "maxDuration"),
    *("timeExceededMessage", "vadSettings", "templateContext"),
)
"""Fields of a call that have one here, or that belong to the agent."""


@dataclass(frozen=True, slots=True)
class Ultravox:
    """Hears, thinks and speaks with ``model``.

    ``None`` leaves an option to the service's own default.
    """

    model: str = "ultravox-v0.7"
    voice: str | None = None
    """Id of a voice, or its name where that is unique; a stage's own voice goes before it."""

    temperature: float | None = None
    """0-1 (0 there)."""

    language_hint: str | None = None
    """BCP 47, as ``de``: what is mostly spoken."""

    mode: Literal["relay", "direct"] = "relay"
    """``direct``: Twilio is joined to Ultravox, and no audio goes through here."""

    sample_rate: int | None = None
    """Samples a second between here and Ultravox, 8000, 16000, 24000 or 48000. ``None`` is the
    telephone's 8000, or 16000 if the service refuses that."""

    client_buffer_ms: int = 30_000
    """How much speech it sends ahead of time, in ms; it is dropped when the caller interrupts."""

    turn_endpoint_delay_s: float | None = None
    """Quiet that ends the caller's turn, in seconds, in steps of 0.032 (0.384 there)."""

    minimum_turn_s: float | None = None
    """Speech that counts as a turn, in seconds (0 there)."""

    minimum_interruption_s: float | None = None
    """Speech that interrupts the agent, in seconds (0.09 there)."""

    frame_activation_threshold: float | None = None
    """0.1-1: how sure it must be that it hears speech (0.1 there)."""

    speaks_first: bool = False
    """It greets in words of its own when the agent has no greeting."""

    corpus_id: str | None = None
    """A knowledge base of the account, looked up by Ultravox itself."""

    corpus_results: int = 5
    """How many passages a look-up gives, 1-20."""

    corpus_score: float | None = None
    """0-1: passages that fit less are left out."""

    builtin_tools: tuple[str, ...] = ()
    """Tools of Ultravox or of the account by name, ``("hangUp",)``. A tool of the agent's with the
    same name goes before it."""

    recording: bool = False
    """Ultravox records the call, too."""

    max_duration_s: float | None = None
    """How long it may last there, in seconds (3600 there)."""

    time_exceeded_message: str | None = None
    """What is said when that is over."""

    external_voice: Mapping[str, Any] | None = None
    """A voice of another provider, ``{"elevenLabs": {"voiceId": "..."}}``; instead of ``voice``."""

    agent_id: str | None = None
    """An agent that is stored there: its prompt, model and tools are used, and its voice unless
    ``voice`` is given. The tools of this agent are added to them."""

    template_context: Mapping[str, Any] = field(default_factory=dict)
    """Values for the stored agent's templates."""

    extra: Mapping[str, Any] = field(default_factory=dict)
    """More fields of a call: ``{"initialState": {...}}``."""

    answer_s: float = 4.0
    """How long it may give no sign on its socket, in seconds; then the call moves to another."""

    retry: Retry = field(
        default_factory=lambda: Retry(tries=3, open_s=3.5, start_s=4.5, most_wait_s=1.5)
    )

    def __post_init__(self) -> None:
        if self.sample_rate not in (None, *SAMPLE_RATES):
            raise ValueError(f"Ultravox' sample_rate is one of {SAMPLE_RATES}")
        if self.mode not in ("relay", "direct"):
            raise ValueError(f"Ultravox' mode is 'relay' or 'direct', not {self.mode!r}")
        for name, value, least, most in (
            ("temperature", self.temperature, 0, 1),
            ("client_buffer_ms", self.client_buffer_ms, 20, 60_000),
            ("turn_endpoint_delay_s", self.turn_endpoint_delay_s, 0.001, 10),
            ("minimum_turn_s", self.minimum_turn_s, 0, 10),
            ("minimum_interruption_s", self.minimum_interruption_s, 0, 10),
            ("frame_activation_threshold", self.frame_activation_threshold, 0.1, 1),
            ("corpus_results", self.corpus_results, 1, 20),
            ("corpus_score", self.corpus_score, 0, 1),
            ("max_duration_s", self.max_duration_s, 10, 86_400),
            ("answer_s", self.answer_s, 0.1, 60),
        ):
            if value is not None and not least <= value <= most:
                raise ValueError(f"Ultravox' {name} is {least} to {most}, not {value}")
        if self.voice is not None and self.external_voice is not None:
            raise ValueError("Ultravox takes voice or external_voice, not both")
        names: object = self.builtin_tools
        if isinstance(names, str):
            raise TypeError(f"builtin_tools is a tuple: write ({names!r},)")
        for name in ("external_voice", "template_context", "extra"):
            try:
                msgspec.json.encode(getattr(self, name))
            except (TypeError, ValueError, RecursionError):
                raise ValueError(f"Ultravox' {name} holds what is no JSON") from None
        if taken := sorted(set(self.extra) & set(_OURS)):
            raise ValueError(f"{', '.join(taken)} in extra: that is set by a field, or for you")

    def prepare(self) -> None:
        """Read the key, and import what calls need. Raises `ProviderRefusedError` without a key."""
        rest.prepare(credentials(PROVIDER, URL).base_url)
        import worker.speech.ultravox_session as session  # here, not in a fork

        del session

    async def connect(self, opening: Opening, listener: SpeechListener) -> SpeechSession:
        """Create a call and join it. Raises `ProviderError`."""
        from worker.speech.ultravox_session import Conversation

        account = credentials(PROVIDER, URL)
        rates = (
            Rates(self.sample_rate) if self.sample_rate is not None else _rates(account.base_url)
        )
        session = Conversation(self, opening, listener, Calls(self, client(account), rates))
        await session.open()
        return session

    def chosen(self, model: str | None, voice: str | None, speaks_first: bool | None) -> "Ultravox":
        """Return it as a company would have it; ``None`` or an empty text leaves it as it is."""
        return replace(
            self,
            model=model or self.model,
            voice=voice or self.voice,
            external_voice=None if voice else self.external_voice,
            speaks_first=self.speaks_first if speaks_first is None else speaks_first,
        )

    def stand_in(self) -> SpeechModel:
        """Return a model that needs no network."""
        from worker.stand_ins import EchoSpeech

        return EchoSpeech()


def client(account: Credentials) -> Rest:
    """Return requests to the API of an account."""
    shared_context()
    return Rest(PROVIDER, KEY, account.base_url, {"X-API-Key": account.key})


@functools.cache
def _rates(base_url: str) -> Rates:
    """Return what is known of the rates that a server takes."""
    del base_url
    return Rates(8000, 16_000)
