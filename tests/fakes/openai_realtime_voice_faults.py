"""How a realtime voice session of the fake behaves, and what goes wrong with it."""

from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

from tests.fakes.openai_refusal import Refusal
from tests.fakes.voice_model import Script

if TYPE_CHECKING:
    from tests.fakes.openai_realtime_voice import VoiceSession


class Phase(Enum):
    """When in a session something happens."""

    OPENING = auto()
    """The session is to be set up."""
    LISTENING = auto()
    """The caller has begun to speak."""
    THINKING = auto()
    """A response was begun, and nothing of it was said."""
    SPEAKING = auto()
    """A response is being said."""
    TOOL = auto()
    """Tools were wanted."""


@dataclass(frozen=True, slots=True)
class Dies:
    """The connection ends, by a close with ``code`` or without any (``None``).

    In `Phase.SPEAKING` after so many ``pieces`` of audio.
    """

    phase: Phase
    code: int | None = None
    pieces: int = 1


@dataclass(slots=True)
class Voicing:
    """What all voice sessions of a fake have in common."""

    script: Script = field(default_factory=Script)
    session_s: float = 3600.0
    """How long a session may last."""
    pace_s: float = 0.0
    """Before each piece of audio; 0 is much faster than real time."""
    transcribe_s: float = 0.0
    """From a turn's end to its words."""
    semantic_ms: int = 300
    """The quiet that ends a turn of ``semantic_vad``."""
    deaths: deque[Dies] = field(default_factory=deque)
    """Each happens once, in this order."""
    failing: deque[Refusal] = field(default_factory=deque)
    """The next responses end so; ``max_output_tokens`` and ``content_filter`` are incomplete."""
    mute: int = 0
    """So many of the next responses begin, and nothing comes of them."""
    is_silent: bool = False
    """Sockets are accepted, and nothing is ever said on them."""
    late_pieces: int = 0
    """Pieces of audio that still come of a response that was cancelled."""
    is_chatty: bool = False
    """Between all else come events that nobody knows."""
    echoes_metadata: bool = True
    """A response says the metadata that it was asked for with."""
    sessions: "list[VoiceSession]" = field(default_factory=list)

    def death(self, phase: Phase, pieces: int = 0) -> Dies | None:
        """Return how the connection ends now, if it does."""
        if not self.deaths:
            return None
        dies = self.deaths[0]
        if dies.phase is not phase or (phase is Phase.SPEAKING and pieces < dies.pieces):
            return None
        return self.deaths.popleft()
