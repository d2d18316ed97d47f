"""How a phone behaves beyond the call it places: every knob, its unit and its default."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from phone.rooms import Rooms


class HangUpStep(Enum):
    """What Twilio does when the caller hangs up during a stream."""

    STOP = "stop"
    CLOSE = "close"
    STREAM_CALLBACK = "stream callback"
    CALL_CALLBACK = "call callback"


HANG_UP_ORDER = (
    HangUpStep.STOP,
    HangUpStep.CLOSE,
    HangUpStep.STREAM_CALLBACK,
    HangUpStep.CALL_CALLBACK,
)
"""The usual order. The HTTP callbacks may as well come before the socket's end."""


class CalleeOutcome(Enum):
    """What becomes of a dialled party, in the words of ``DialCallStatus``."""

    ANSWERED = "completed"
    BUSY = "busy"
    NO_ANSWER = "no-answer"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Callee:
    """A dialled party: rings for ``ring_s``, then talks for ``talk_s`` if it answers.

    One that does not answer rings for the ``<Dial>``'s own time-out and the five seconds that
    Twilio adds.
    """

    outcome: CalleeOutcome = CalleeOutcome.ANSWERED
    ring_s: float = 2.0
    talk_s: float = 5.0


def _answers(number: str) -> Callee:
    del number
    return Callee()


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneSettings:
    """Raises ``ValueError`` for a value that makes no sense."""

    method: Literal["GET", "POST"] = "POST"
    """The voice webhook's method."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Webhook parameters to add or to replace, such as ``StirVerstat`` or ``ForwardedFrom``."""
    status_events: frozenset[str] = frozenset({"completed"})
    """Call status callbacks: ``initiated``, ``ringing``, ``answered``, ``completed``."""
    hang_up_order: tuple[HangUpStep, ...] = HANG_UP_ORDER
    """Steps left out are not done: without ``STOP`` the socket just closes."""
    callee: Callable[[str], Callee] = _answers
    """Who answers a number that the document dials."""
    rooms: Rooms = field(default_factory=Rooms)
    """Where the legs of conferences meet: give several phones the same."""
    verb_speed: float = 1.0
    """How many times faster than life Say, Play, Pause, Dial and Gather pass."""
    silence_frames: bool = True
    """Send 0xFF frames while the caller is silent, as Twilio usually does."""
    loss: float = 0.0
    """Fraction of the caller's frames that never reach Twilio."""
    jitter_ms: float = 0.0
    """The longest time a frame is held; frames then come in bunches."""
    seed: int | None = None
    """Makes loss and jitter repeatable."""
    insecure: bool = False
    """Accept any certificate: for a self-signed one on your own machine."""
    allow_plain: bool = False
    """Open ``ws://`` streams elsewhere than on loopback too. Twilio never does."""
    webhook_limit_ms: int = 15_000
    """The hard limit of a webhook; a URL's connection overrides may only lower it."""
    handshake_limit_s: float = 10.0
    """Until a media socket that does not open is given up (31901)."""
    speech_dbfs: float = -45.0
    """Level from which the agent is heard."""
    quiet_ms: float = 500.0
    """Silence that ends a span of the agent's speech."""
    record: bool = True
    """Keep both sides' audio in memory, 16 bytes a millisecond."""
    time_limit_s: float = 4 * 3600
    """The longest call."""
    max_documents: int = 100
    """Documents fetched in one call before it is taken for a redirect loop."""

    def __post_init__(self) -> None:
        if not 0 <= self.loss <= 1:
            raise ValueError(f"loss is {self.loss}: a fraction from 0 to 1")
        if self.verb_speed <= 0:
            raise ValueError(f"verb_speed is {self.verb_speed}: must be above 0")
        if self.jitter_ms < 0:
            raise ValueError(f"jitter_ms is {self.jitter_ms}: must not be negative")
        order = self.hang_up_order
        if len(set(order)) != len(order):
            raise ValueError("hang_up_order names a step twice")
        if (
            {HangUpStep.STOP, HangUpStep.CLOSE} <= set(order)
            and order.index(HangUpStep.STOP) > order.index(HangUpStep.CLOSE)
        ):  # fmt: skip
            raise ValueError("hang_up_order: nothing can be sent after CLOSE, put STOP before it")
