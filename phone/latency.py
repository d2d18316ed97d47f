"""How long callers wait, from what both sides of a recording sound like.

    caller  ▁▁▇█▇▇█▇▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▇▇▁▁▁▁▁▁▁▇█▇▁▁▇█▇▁▁▁▁▁▁
                    ├─ took ─┤       │            ├─┤ went on
    agent   ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▇█▇▇█▇▇█▇▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▇█▇▇▁
                                     ├┤ yielded after: an interruption

Pure: levels go in, 20 ms each, times come out. It knows no file and no words. A frame is speech
when it is well above its own line's noise, which is looked up on both sides of it, since the whole
recording is there; what is an utterance then is `shared.speech.endpointing`'s to say.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import repeat
from math import inf
from statistics import median

from phone.display import percentile
from phone.ear import Span
from shared.audio import FRAME_MS
from shared.speech.endpointing import Endpointing, Endpoints, SpeechEnded, SpeechStarted

_MARGIN_DB = 10.0
_QUIETEST_NOISE_DBFS, _LOUDEST_NOISE_DBFS = -55.0, -30.0
"""With the margin, nothing below -45 dBFS is speech, as for the phone, and all above -20 is."""

_NOISE_SHARE = 0.1
"""Noise is what the quietest tenth of 10 s does not pass: speech has that much of pauses."""

_AROUND_FRAMES = 500
_STEP_FRAMES = 50

_A_DAY_MS = 24 * 3600 * 1000


def _endpoints(quiet_ms: int) -> Endpoints:
    """Return the rules for levels that are counted from the line's noise, which is then 0."""
    return Endpoints(
        start_speech_ms=60,  # above a click; the "Of" of "Of course" has 80 ms, then a gap
        end_silence_ms=quiet_ms,
        longest_ms=_A_DAY_MS,
        margin_db=_MARGIN_DB,
        quietest_floor_dbfs=0.0,
        loudest_floor_dbfs=0.0,
    )


_CALLER = _endpoints(500)
"""A pause of half a second ends an utterance."""

_AGENT = _endpoints(200)
"""Shorter: an agent that was interrupted may answer soon after it fell silent."""


class Kind(StrEnum):
    """What came after an utterance of the caller."""

    ANSWERED = "answered"
    OVERLAPPED = "overlapped"
    """The agent began before the caller had ended; ``took_ms`` is negative."""
    INTERRUPTED = "interrupted"
    """The agent was speaking when the caller began."""
    WENT_ON = "went on"
    """The caller spoke again before the agent did."""
    UNANSWERED = "unanswered"


@dataclass(frozen=True, slots=True)
class Utterance:
    """Something the caller said, in ms from the recording's start, to 20 ms.

    ``took_ms`` is from its end until the agent began next; ``yielded_ms``, of an interruption,
    is how long the agent spoke on.
    """

    from_ms: float
    until_ms: float
    kind: Kind
    took_ms: float | None = None
    yielded_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """``count`` times, in ms; the percentile is that of the nearest rank."""

    count: int
    median_ms: float
    p95_ms: float
    worst_ms: float


@dataclass(frozen=True, slots=True)
class Latency:
    """What a recording says. ``greeting_ms`` is when the agent began, if it was the first."""

    seconds: float
    greeting_ms: float | None
    utterances: tuple[Utterance, ...]

    @property
    def replies(self) -> Figures | None:
        """The times of answers to utterances that interrupted nobody."""
        return _figures(it.took_ms for it in self._of(Kind.ANSWERED))

    @property
    def after_interruptions(self) -> Figures | None:
        """The times until the agent spoke again after an interruption."""
        return _figures(it.took_ms for it in self._of(Kind.INTERRUPTED))

    @property
    def yields(self) -> Figures | None:
        """How long the agent spoke on when it was interrupted."""
        return _figures(it.yielded_ms for it in self._of(Kind.INTERRUPTED))

    def _of(self, kind: Kind) -> list[Utterance]:
        return [utterance for utterance in self.utterances if utterance.kind is kind]


def measure(caller: Sequence[float], agent: Sequence[float]) -> Latency:
    """Return what the levels of both tracks, in dBFS and 20 ms each, say about the waiting."""
    heard, said = speech(caller, _CALLER), speech(agent, _AGENT)
    begins = [*(span.from_ms for span in heard), inf]
    is_first = bool(said) and said[0].from_ms < begins[0]
    return Latency(
        seconds=max(len(caller), len(agent)) * FRAME_MS / 1000,
        greeting_ms=said[0].from_ms if is_first else None,
        utterances=tuple(map(_utterance, heard, repeat(said), begins[1:])),
    )


def speech(levels: Sequence[float], endpoints: Endpoints = _CALLER) -> list[Span]:
    """Return where somebody speaks on a track of these levels."""
    machine = Endpointing(endpoints)
    above = [level - floor for level, floor in zip(levels, _noise(levels), strict=True)]
    quiet = [-inf] * (endpoints.end_silence_ms // FRAME_MS)
    spans = []
    began = 0.0
    for level in (*above, *quiet):
        match machine.frame(level):
            case SpeechStarted(at_ms=at_ms):
                began = at_ms
            case SpeechEnded(at_ms=at_ms):
                spans.append(Span(began, at_ms))
    return spans


def _noise(levels: Sequence[float]) -> Iterable[float]:
    """Yield the level of the noise around each frame: before it or after it, whichever is louder.

    So a noise that begins or ends is none that speaks. Near an end both look at the same 10 s.
    """
    for start in range(0, len(levels), _STEP_FRAMES):
        end = start + _STEP_FRAMES
        first = max(0, start - _AROUND_FRAMES)
        before = levels[first : max(end, first + _AROUND_FRAMES)]
        after = levels[max(0, min(start, len(levels) - _AROUND_FRAMES)) : end + _AROUND_FRAMES]
        noise = max(percentile(sorted(side), _NOISE_SHARE) for side in (before, after))
        noise = min(max(noise, _QUIETEST_NOISE_DBFS), _LOUDEST_NOISE_DBFS)
        yield from [noise] * min(_STEP_FRAMES, len(levels) - start)


def _utterance(span: Span, said: Sequence[Span], next_ms: float) -> Utterance:
    cut = next((it for it in said if it.from_ms < span.from_ms < it.until_ms), None)
    begin = next((it.from_ms for it in said if span.from_ms <= it.from_ms < next_ms), None)
    took = begin - span.until_ms if begin is not None else None
    if cut is not None:
        kind = Kind.INTERRUPTED
    elif took is not None:
        kind = Kind.ANSWERED if took >= 0 else Kind.OVERLAPPED
    else:
        kind = Kind.WENT_ON if next_ms < inf else Kind.UNANSWERED
    yielded = cut.until_ms - span.from_ms if cut is not None else None
    return Utterance(span.from_ms, span.until_ms, kind, took, yielded)


def _figures(times: Iterable[float | None]) -> Figures | None:
    ranked = sorted(time for time in times if time is not None)
    if not ranked:
        return None
    return Figures(len(ranked), median(ranked), percentile(ranked, 0.95), ranked[-1])
