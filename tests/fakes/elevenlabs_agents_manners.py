"""How a fake of an ElevenLabs agent behaves and misbehaves: programmed by a test."""

from dataclasses import dataclass
from typing import Literal

from tests.fakes.elevenlabs_agents_voice import Spelling

Phase = Literal["begin", "greeting", "caller", "thinking", "speech", "tool"]
"""Before the metadata; in the first message; while the caller speaks; before an answer; in the
middle of one; while a tool runs."""


@dataclass(frozen=True, slots=True)
class Breaks:
    """The conversation breaks at the first ``phase``: with ``code`` (``None``: no close frame).

    ``kind`` is told by an ``error`` event before.
    """

    phase: Phase
    code: int | None = 1011
    kind: str = ""
    reason: str = ""


@dataclass(slots=True)
class Manners:
    """How the server behaves, and how it misbehaves. Times in seconds."""

    breaks: Breaks | None = None
    silent: bool = False
    """It takes everything, and says nothing at all."""
    ping_s: float = 5.0
    transport_timeout_s: float = 60.0
    """So long without the caller's audio ends the conversation."""
    pace_s: float = 0.0
    """Between two chunks of audio; 0 sends all of it at once."""
    spelling: Spelling | None = "snake"
    """Of alignments; ``None`` sends none."""
    numbers: Literal["each", "response"] = "each"
    """Whether every event has its own number, or those of a response share one."""
    text_first: bool = False
    """The text of a response comes before its audio, and not after the first chunk."""
    interrupts: bool = True
    late_transcript_s: float = 0.0
    """The caller's words come so much later; the answer does not wait for them."""
    stale_audio: bool = False
    """Audio of what was interrupted comes after the interruption."""
    corrects_first: bool = False
    """The correction comes before the interruption."""
    tool_after_cut: str = ""
    """This tool is wanted right after an interruption."""
    noise: tuple[str, ...] = ()
    """Said between everything else: events that nobody knows, or no events at all."""
    ended_by: str = "Call ended by the agent"
