"""What a call is told to do next, in no carrier's language.

A carrier's routes turn an `Answer` into a document (TwiML, for Twilio); `CallLeg` is how a call
reaches its carrier when the carrier does not come and ask.
"""

import asyncio
from collections.abc import Mapping
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
class Join:
    """Connect the call's media with ``url``, a service's and not ours, then ask again.

    ``url`` opens the caller's line to whoever has it, so it is not for the log. ``name`` is what
    the carrier calls the stream. The caller is told ``say`` before, in ``language`` (BCP 47).
    """

    url: str = field(repr=False)
    name: str
    say: str = ""
    language: str = ""


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the call."""


@dataclass(frozen=True, slots=True)
class Dial:
    """Connect the caller with ``number`` (E.164), which rings so long, then ask again."""

    number: str
    ring_seconds: int = 20


@dataclass(frozen=True, slots=True)
class Hold:
    """Play music in ``room`` until somebody comes in, then ask again when they have parted.

    Nobody but its name opens a room. A carrier cannot find it by any other.
    """

    room: str


@dataclass(frozen=True, slots=True)
class Brief:
    """Tell a human what a call is about, and ask whether they take it. Neither is for the log.

    ``marker`` comes back with the answer, ``attempt`` is the how manieth asking this is, from 1.
    """

    marker: str
    attempt: int
    text: str = field(repr=False)
    language: str
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Meet:
    """Bring a human into the room where the caller waits; the talk over, the call is."""

    room: str


@dataclass(frozen=True, slots=True)
class Excuse:
    """Say a last sentence, and hang up."""

    text: str
    language: str


@dataclass(frozen=True, slots=True)
class AskAgain:
    """Leave whatever the call is doing, and ask what is next."""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Say that nobody could take the call, and hang up."""


@dataclass(frozen=True, slots=True)
class Apologise:
    """Say that something went wrong, and connect ``fallback`` when there is one.

    ``unconnected``: there was nobody yet with whom it could.
    """

    fallback: str | None
    unconnected: bool = False


@dataclass(frozen=True, slots=True)
class Busy:
    """Say that there is no room, and connect ``fallback`` when there is one."""

    fallback: str | None


Answer = (
    Connect
    | Join
    | HangUp
    | Dial
    | Hold
    | Brief
    | Meet
    | Excuse
    | AskAgain
    | Unanswered
    | Apologise
    | Busy
)

Asked = Answer | asyncio.Future[Answer]
"""An answer, or the promise of one that is being found out; several may wait for it."""


async def given(asked: Asked) -> Answer:
    """Return the answer once there is one; who gives up waiting takes it from nobody else."""
    return await asyncio.shield(asked) if isinstance(asked, asyncio.Future) else asked


class CallLeg(Protocol):
    """One call at its carrier. Every method raises `CarrierError`."""

    @property
    def reachable(self) -> bool:
        """Whether the carrier can be asked to do anything: its credentials are known."""

    def url(self, path: str) -> str:
        """Return the public address of one of the gateway's own paths."""

    async def enforce(self, answer: Answer) -> None:
        """Make the carrier act on ``answer`` now, without being asked."""

    async def start_recording(self) -> str:
        """Record both sides, a channel each; return the carrier's id of the recording."""

    async def stop_recording(self) -> None:
        """Stop the recording when one runs."""

    async def delete_recording(self) -> str:
        """Delete the last recording; return its id, nothing if there was none."""

    async def start_transcription(self) -> None:
        """Transcribe both sides."""

    async def stop_transcription(self) -> None:
        """Stop transcribing."""

    async def leave_off(self) -> None:
        """Stop what was started of these and goes on."""

    async def pause(self) -> None:
        """Keep nothing of what is said from now on, until `go_on`, as far as it is kept."""

    async def go_on(self) -> None:
        """Keep again what was kept before `pause`."""


@dataclass(frozen=True, slots=True)
class PlacedFor:
    """What a call that we placed is for. ``agent`` and ``machine`` are empty where not ordered.

    ``id`` is the attempt's; ``most_seconds`` limits the call. ``transfer_of`` is the call that it
    is to take over: no agent speaks then.
    """

    id: str
    agent: str
    machine: str
    variables: Mapping[str, str]
    most_seconds: float
    company: int | None = None
    campaign: str | None = None
    lead: int | None = None
    transfer_of: str = ""


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """A call as its carrier announced it. ``parameters`` are the carrier's own fields.

    ``placed`` is set if it is one of ours, and known what for.
    """

    sid: str
    account_sid: str
    from_: str
    to: str
    direction: str
    parameters: dict[str, str]
    leg: CallLeg
    placed: PlacedFor | None = None

    @property
    def own_number(self) -> str:
        """The number of ours: it was called, or it calls."""
        return self.from_ if self.direction.startswith("outbound") else self.to
