"""An agent that is set up at ElevenLabs: it hears, thinks and speaks, callfarm brings the call.

The settings; what they do in a call is in `worker.speech.elevenlabs_session`. Needs
``ELEVENLABS_API_KEY`` and the agent's id; ``ELEVENLABS_BASE_URL`` names another server or region.
No SDK: theirs runs tools on threads of its own and passes over errors.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from worker import rest
from worker.backoff import Retry
from worker.credentials import Credentials, credentials
from worker.errors import ProviderRefusedError
from worker.speech import Opening, SpeechListener, SpeechModel, SpeechSession
from worker.speech.elevenlabs_entry import AGENT, KEY
from worker.speech.elevenlabs_opening import RESERVED
from worker.speech.elevenlabs_session import Session
from worker.speech.elevenlabs_wire import PROVIDER
from worker.tls import shared_context

_URL = "https://api.elevenlabs.io"
_ADDRESS = "ELEVENLABS_BASE_URL"


@dataclass(frozen=True, slots=True)
class ElevenLabsAgent:
    """Talks by the agent ``agent_id``. Raises ``ValueError`` for settings out of range."""

    agent_id: str | None = None
    """``None`` reads ``ELEVENLABS_AGENT_ID``."""

    override_prompt: bool = True
    """Send the agent's instructions as its system prompt; ``False`` leaves ElevenLabs' own."""

    waits: bool = False
    """Without a greeting the caller speaks first; else ElevenLabs' own first message is said."""

    llm: str | None = None
    """Another language model, by ElevenLabs' name for it. ``None``, here and below: its own."""

    language: str | None = None
    """ISO 639-1."""

    voice_id: str | None = None
    """A stage's own voice goes before, if a call begins in it."""

    stability: float | None = None
    """0-1."""

    speed: float | None = None
    """0.7-1.2."""

    similarity_boost: float | None = None
    """0-1."""

    dynamic_variables: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    """For ``{{name}}`` in ElevenLabs' texts. ``call_sid``, ``from``, ``to`` and ``direction`` are
    there by themselves."""

    user_id: str | None = None
    """Whom ElevenLabs' records name as the user."""

    public: bool = False
    """The agent needs no authentication: no key, and no request before the socket."""

    query: Mapping[str, str] = field(default_factory=dict)
    """More parameters of the request: ``branch_id``, ``environment``."""

    extra: Mapping[str, object] = field(default_factory=dict)
    """More of ``conversation_initiation_client_data``, laid over what is sent."""

    retry: Retry = field(default_factory=Retry)
    """Patience until a conversation has begun; after that nothing is tried again."""

    def __post_init__(self) -> None:
        for name, value, least, most in (
            ("stability", self.stability, 0.0, 1.0),
            ("similarity_boost", self.similarity_boost, 0.0, 1.0),
            ("speed", self.speed, 0.7, 1.2),
        ):
            if value is not None and not least <= value <= most:
                raise ValueError(f"ElevenLabs' {name} is {least} to {most}, not {value}")
        for name in self.dynamic_variables:
            if name.startswith(RESERVED):
                raise ValueError(f"{name}: names with {RESERVED} are ElevenLabs' own")

    def prepare(self) -> None:
        """Read key and agent, import what a call needs. Raises `ProviderRefusedError`."""
        account = self._account()
        self._agent()
        if self.public:
            shared_context()
        else:
            rest.prepare(account.base_url)

    async def connect(self, opening: Opening, listener: SpeechListener) -> SpeechSession:
        """Begin a conversation. Raises `ProviderError`."""
        session = Session(self, self._account(), self._agent(), opening, listener)
        await session.open()
        return session

    def stand_in(self) -> SpeechModel:
        """Return a model that needs no network."""
        from worker.stand_ins import EchoSpeech

        return EchoSpeech()

    def _account(self) -> Credentials:
        is_theirs = not os.environ.get(_ADDRESS, "").strip()
        if self.public and is_theirs and not os.environ.get(KEY, "").strip():
            return Credentials("none", _URL)
        return credentials(PROVIDER, _URL, needs_key=not self.public)

    def _agent(self) -> str:
        agent_id = self.agent_id or os.environ.get(AGENT, "").strip()
        if not agent_id:
            sentence = f"there is no agent: set {AGENT}, or ElevenLabsAgent(agent_id='...')"
            raise ProviderRefusedError(PROVIDER, sentence)
        return agent_id
