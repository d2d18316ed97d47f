"""Where speech begins and ends, by its energy, on the audio's own clock.

Pure: the level of one 20 ms frame after the other goes in, events come out. It keeps no audio,
knows no wall clock and no words. A frame is *loud* when its level is `margin_db` above the noise
floor, which falls to quieter frames within 0.1 s and rises slowly, so that a new steady noise
becomes floor and stops counting as speech.

    level   ▁▁▁█▁▁▁▁▁▁▇█▇▇█▇▇▁▁▇██▇▇▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁
               │      ├──┤   ├┤    ├──────────┤
               │      │  │   │     │          └ end_silence_ms: SpeechEnded(at_ms = ┐, SILENCE)
               │      │  │   │     └ after the last loud frame: here ───────────────┘
               │      │  │   └ a gap shorter than end_silence_ms changes nothing
               │      │  └ start_speech_ms of it: SpeechStarted(at_ms = ┐)
               │      └ first loud frame: here ─────────────────────────┘
               └ a click is too short to be speech

    music   ▁▁▁▇█▇▇█▇▇█▇▇█▇▇█▇▇█▇▇█▇▇█▇▇█▇▇█▇▇█▇▇█▇▇█▇▇
               ├──────── longest_ms ─────────┤
                                             └ SpeechEnded(TOO_LONG): no sound can stall a turn
"""

import math
from dataclasses import dataclass
from enum import Enum

from shared.audio import FRAME_MS

_FALL = 0.25
"""Part of the way down that the floor goes with each quieter frame."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What counts as speech, and when it has ended. Times in ms, levels in dB and dBFS."""

    start_speech_ms: int = 100
    """Loudness needed before it is speech: above a click, below the shortest word."""

    end_silence_ms: int = 500
    """Quiet that ends an utterance: above the pauses inside one, and part of every reply time."""

    longest_ms: int = 12_000
    """When an utterance ends although there is no quiet."""

    margin_db: float = 10.0
    """How far above the noise floor speech is."""

    quietest_floor_dbfs: float = -64.0
    """The floor of a digitally silent line: what is `margin_db` above it is loud."""

    loudest_floor_dbfs: float = -30.0
    """The floor never passes this, so that shouting over noise is heard."""

    floor_rise_db_per_second: float = 3.0
    """How fast a steady noise becomes floor; the gaps between words undo it."""

    def __post_init__(self) -> None:
        if not FRAME_MS <= self.start_speech_ms < self.longest_ms:
            raise ValueError("start_speech_ms is a frame (20 ms) at least and below longest_ms")
        if self.end_silence_ms < FRAME_MS:
            raise ValueError("end_silence_ms is a frame (20 ms) at least")
        if self.quietest_floor_dbfs > self.loudest_floor_dbfs:
            raise ValueError("quietest_floor_dbfs is above loudest_floor_dbfs")


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Someone speaks, since ``at_ms`` of the audio; ``level_dbfs`` is how loud so far."""

    at_ms: int
    level_dbfs: float


class EndReason(Enum):
    """Why an utterance ended."""

    SILENCE = "silence"
    TOO_LONG = "too long"
    ASKED = "asked"


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """The utterance is over; it was loud last at ``at_ms`` of the audio."""

    at_ms: int
    reason: EndReason


class Endpointing:
    """Feed it the level of every frame, in order; it answers with what that frame brought."""

    def __init__(self, endpoints: Endpoints | None = None) -> None:
        self._endpoints = endpoints or Endpoints()
        self._needed = -(-self._endpoints.start_speech_ms // FRAME_MS)
        self._floor = self._endpoints.loudest_floor_dbfs  # falls to the line's own in 0.2 s
        self._now_ms = 0
        self._loud = 0
        """Loud frames of a possible start, less the quiet ones since; at `_needed` it is one."""
        self._power = 0.0
        self._frames = 0
        self._began_ms = 0
        self._last_loud_ms = 0
        self._is_speaking = False

    @property
    def is_speaking(self) -> bool:
        """Between `SpeechStarted` and `SpeechEnded`."""
        return self._is_speaking

    @property
    def floor_dbfs(self) -> float:
        """The level of the noise as it is believed to be."""
        return self._floor

    def frame(self, level_dbfs: float) -> SpeechStarted | SpeechEnded | None:
        """Take the level of the next 20 ms; return the event it completes, if any."""
        is_loud = level_dbfs > self._floor + self._endpoints.margin_db
        self._follow_floor(level_dbfs)
        began = self._now_ms
        self._now_ms += FRAME_MS
        if self._is_speaking:
            return self._speaking(is_loud)
        return self._quiet(is_loud, level_dbfs, began)

    def end(self) -> SpeechEnded | None:
        """End the utterance here, if there is one: somebody else has had enough of it."""
        return self._end(EndReason.ASKED) if self._is_speaking else None

    def _follow_floor(self, level: float) -> None:
        limits = self._endpoints
        level = max(level, limits.quietest_floor_dbfs)
        if level < self._floor:
            self._floor += _FALL * (level - self._floor)
        else:
            rise = limits.floor_rise_db_per_second * FRAME_MS / 1000
            self._floor = min(level, self._floor + rise, limits.loudest_floor_dbfs)

    def _quiet(self, is_loud: bool, level: float, began: int) -> SpeechStarted | None:
        if not is_loud:
            self._loud = max(0, self._loud - 1)
            return None
        if self._loud == 0:
            self._began_ms, self._power, self._frames = began, 0.0, 0
        self._loud += 1
        self._frames += 1
        self._power += math.pow(10, level / 10)
        if self._loud < self._needed:
            return None
        self._loud = 0
        self._is_speaking = True
        self._last_loud_ms = self._now_ms
        return SpeechStarted(self._began_ms, 10 * math.log10(self._power / self._frames))

    def _speaking(self, is_loud: bool) -> SpeechEnded | None:
        if is_loud:
            self._last_loud_ms = self._now_ms
        if self._now_ms - self._last_loud_ms >= self._endpoints.end_silence_ms:
            return self._end(EndReason.SILENCE)
        if self._now_ms - self._began_ms >= self._endpoints.longest_ms:
            return self._end(EndReason.TOO_LONG)
        return None

    def _end(self, reason: EndReason) -> SpeechEnded:
        self._is_speaking = False
        return SpeechEnded(self._last_loud_ms, reason)
