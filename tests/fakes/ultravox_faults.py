"""What may befall a call at the fake Ultravox, and how its model is told to behave."""

from dataclasses import dataclass, field
from typing import Literal

Phase = Literal["joined", "caller", "thinking", "speaking", "tool"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request, or an upgrade, is answered with a status."""

    status: int
    retry_after: str | None = None
    body: str = '{"detail": "as programmed"}'


@dataclass(frozen=True, slots=True)
class Falls:
    """The socket ends when the call comes to ``phase``; ``None`` cuts it without a close.

    ``after_ms`` is of the audio of the speech that is being said. ``reason`` is the call's
    ``endReason`` then.
    """

    phase: Phase
    code: int | None = 1011
    after_ms: float = 0.0
    reason: str = "system_error"


@dataclass(frozen=True, slots=True)
class Mute:
    """The socket is accepted, and nothing is ever said on it."""


Fault = Falls | Mute


@dataclass(slots=True)
class Manners:
    """How the fake talks."""

    transcripts: Literal["delta", "text"] = "delta"
    """How an agent's words are told while they are spoken."""
    transcript_delay_s: float = 0.0
    """From the end of a caller's turn to its words; longer than the answer takes is late."""
    late_audio_ms: float = 0.0
    """Audio that still comes after an interruption."""
    late_tools: bool = False
    """Tools are wanted although the words before them were interrupted."""
    odd: bool = False
    """Audio is cut in the middle of a sample."""
    noise: tuple[str, ...] = ()
    """Text frames that are sent first, and before everything that is said."""
    tells_sounds: bool = True
    """``userStartedSpeaking`` and its like work when they are asked for."""
    endpoint_ms: int = 200
    """Quiet that ends a turn, unless the call's ``vadSettings`` say."""
    greeting: str = "Hello there."
    """What the model says first, when it is not told what."""
    faults: list[Fault | None] = field(default_factory=list)
    """What befalls the calls, one for each that is joined."""
