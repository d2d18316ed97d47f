"""What a call is told to do next, in no carrier's language.

A carrier's routes turn an `Answer` into a document (TwiML, for Twilio); `CallLeg` is how a call
reaches its carrier when the carrier does not come and ask.
"""

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Connect:
    """Open a media socket with ``token``, after pressing ``digits`` if there are any.

    Neither is for the log: one opens a socket, the other may be a caller's PIN.
    """

    token: str = field(repr=False)
    digits: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the call."""


@dataclass(frozen=True, slots=True)
class Dial:
    """Connect the caller with ``number`` (E.164), then ask again."""

    number: str


@dataclass(frozen=True, slots=True)
class Apologise:
    """Say that something went wrong, and connect ``fallback`` when there is one."""

    fallback: str | None


@dataclass(frozen=True, slots=True)
class Busy:
    """Say that there is no room, and connect ``fallback`` when there is one."""

    fallback: str | None


Answer = Connect | HangUp | Dial | Apologise | Busy


class CallLeg(Protocol):
    """One call at its carrier. Every method raises `CarrierError`."""

    @property
    def reachable(self) -> bool:
        """Whether the carrier can be asked to do anything: its credentials are known."""

    async def enforce(self, answer: Answer) -> None:
        """Make the carrier act on ``answer`` now, without being asked."""

    async def start_recording(self) -> None:
        """Record both sides, a channel each."""

    async def stop_recording(self) -> None:
        """Stop the recording when one runs."""

    async def delete_recording(self) -> None:
        """Delete the last recording."""

    async def start_transcription(self) -> None:
        """Transcribe both sides."""

    async def stop_transcription(self) -> None:
        """Stop transcribing."""


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """A call as its carrier announced it. ``parameters`` are the carrier's own fields."""

    sid: str
    account_sid: str
    from_: str
    to: str
    direction: str
    parameters: dict[str, str]
    leg: CallLeg
