"""Who is called by the fake Twilio: whether they answer, what they are, and what they then do."""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from phone import Call as PhoneCall
from phone import CalleeOutcome
from shared.audio import SAMPLE_RATE, pcm16_to_ulaw

BEEP_HZ = 1000.0
BEEP_SECONDS = 0.4


async def _listens(call: PhoneCall) -> None:
    """Stay on the line until it is hung up."""
    await call.ended()


@dataclass(frozen=True, slots=True)
class Callee:
    """Somebody at the other end. Times in seconds, as much faster as the exchange runs.

    Without ``media`` an answered call has no document and no stream: it is just talked for
    ``talk_s``; ``fetches`` lets its document be fetched all the same. With it, ``act`` is what the
    callee does with the phone, in real time; the call ends when it returns.

    A ``machine`` (``beep``, ``silence`` or ``other`` is how its greeting ends, or ``fax``) plays
    its ``greeting`` (μ-law 8 kHz) first, and a beep if it has one. ``verdict_s`` after the answer
    it is told what a callee without media, or a human, was taken for.
    """

    outcome: CalleeOutcome = CalleeOutcome.ANSWERED
    ring_s: float = 3.0
    talk_s: float = 30.0
    media: bool = False
    fetches: bool = False
    act: Callable[[PhoneCall], Awaitable[None]] = _listens
    machine: str | None = None
    greeting: bytes = b""
    verdict_s: float = 4.0
    verdict: str | None = None
    """In place of the right one, as Twilio's may be wrong, too."""

    def taken_for(self, mode: str) -> str:
        """Return ``AnsweredBy`` of ``Enable`` or ``DetectMessageEnd``."""
        if self.verdict is not None:
            return self.verdict
        if self.machine is None or self.machine == "fax":
            return self.machine or "human"
        return "machine_start" if mode == "Enable" else f"machine_end_{self.machine}"


def beep() -> bytes:
    """Return an answering machine's beep, μ-law 8 kHz."""
    count = int(BEEP_SECONDS * SAMPLE_RATE)
    step = 2 * math.pi * BEEP_HZ / SAMPLE_RATE
    return pcm16_to_ulaw(b"".join(_sample(math.sin(step * i)) for i in range(count)))


def _sample(value: float) -> bytes:
    return int(12_000 * value).to_bytes(2, "little", signed=True)
