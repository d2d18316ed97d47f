"""What a gateway may ask of a carrier to call somebody, and to find out what became of it.

Placing is the one request that must never be repeated blindly: `CarrierUnavailableError` with
``perhaps_done`` says that a phone may be ringing all the same, and `find_placed` finds that out.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from gateway.calls.answers import PlacedFor
from gateway.carriers.control import CallControl


class Machine(StrEnum):
    """What is done when an answering machine answers."""

    GO_ON = "go-on"
    """Nothing; nobody is asked to tell a machine from a human."""
    HANG_UP = "hang-up"
    MESSAGE = "message"
    """Something is said after its beep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCall:
    """A call to be placed. Numbers are E.164, ``origin`` is the gateway's public URL.

    ``marker`` is ours and comes back with every webhook of the call. Times in seconds.
    """

    marker: str
    to: str
    from_: str
    origin: str
    ring_seconds: int
    most_seconds: int
    machine: Machine


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedCall:
    """A call as the carrier has it. ``status`` is in the carrier's words.

    ``created`` is in Unix seconds, ``None`` if it is not told; ``seconds`` since it was answered.
    """

    sid: str
    status: str
    final: bool
    created: float | None
    answered_by: str
    seconds: int | None


@dataclass(frozen=True, slots=True)
class NumberSettings:
    """Where the carrier turns to about calls to one of the account's numbers; empty: nowhere."""

    voice_url: str
    fallback_url: str
    status_url: str


@dataclass(frozen=True, slots=True)
class OwnNumber:
    """A number of the account. ``id`` is the carrier's.

    ``occupied_by`` is the carrier's id of what answers in place of the URLs, if anything does.
    """

    id: str
    number: str
    settings: NumberSettings
    occupied_by: str = ""


class CallPlacing(CallControl, Protocol):
    """Requests that begin calls, beside those about calls in progress. All raise `CarrierError`."""

    async def place(self, call: NewCall) -> PlacedCall:
        """Call somebody. Sent once: an error says whether it was perhaps done."""
        ...

    async def find_placed(
        self, to: str, from_: str, after: float, marker: str, known: Collection[str] = ()
    ) -> PlacedCall | None:
        """Return the call that was placed with ``marker``, if there is one.

        ``after`` is when it was asked for (Unix seconds); ``known`` are calls that are others. The
        carrier's list may lag behind: absence counts only some seconds after the request.
        """
        ...

    async def look(self, sid: str) -> PlacedCall:
        """Return how a call stands."""
        ...

    async def own_number(self, number: str) -> OwnNumber | None:
        """Return one of the account's numbers, ``None`` if it is not the account's."""
        ...

    async def point(self, number: OwnNumber, settings: NumberSettings) -> OwnNumber:
        """Have the carrier turn to these URLs about calls to ``number``; return what it says."""
        ...


class PlacedCalls:
    """Who knows the calls that were placed, for a carrier's webhooks. Here nobody placed any.

    ``marker`` is a `NewCall`'s, empty when a webhook carries none; ``account`` has signed the
    webhook, and has no say in what others placed. None of these fails.
    """

    async def plan(self, marker: str, sid: str, account: str) -> PlacedFor | None:
        """Return what the call ``sid`` is for, now that it was answered."""
        return None

    async def told(self, marker: str, sid: str, status: str, account: str, *, final: bool) -> None:
        """The carrier reported a call's status."""

    async def answered_by(self, marker: str, sid: str, verdict: str, account: str) -> None:
        """The carrier knows who has answered."""

    async def control_of(self, account_sid: str) -> CallControl | None:
        """Return the REST of an account that is not the operator's own."""
        return None
