"""Asks an operator's own service what an agent is to say first, as VoxFlow asked its n8n.

    POST {"route": "1", "number": "+49…", "data": "empty", "to": …, "call_sid": …, "direction": …}

The answer is JSON (``firstMessage`` or ``first_message``) or plain text. Nothing, a status of 400
and above, an answer that comes too late or makes no sense: the agent says its own. It is asked
once.
A call that was placed with a variable ``first_message`` has its message already.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec
import structlog

from gateway.calls.answers import IncomingCall
from gateway.calls.first_message import Asking, FirstMessages
from gateway.outbox.audience import Subscribers
from gateway.outbox.courier import Courier
from gateway.outbox.parcel import Parcel, signed
from shared import messages

log = structlog.get_logger(__name__)

MOST_LETTERS = 1000
"""Of a first message: about a minute of speech."""

VARIABLE = "first_message"
_NAMES = ("firstMessage", "first_message")


@dataclass(frozen=True, slots=True)
class Known:
    """A message that need not be asked for."""

    text: str = field(repr=False)
    seconds: float = 1.0

    async def tell(self, call: Callable[[messages.Event], None]) -> None:
        """Tell it."""
        call(messages.FirstMessage(self.text))


@dataclass(frozen=True, slots=True)
class Question:
    """A question about one call."""

    courier: Courier
    incoming: IncomingCall
    company: int | None
    url: str = field(repr=False)
    trusted: bool
    keys: Sequence[str] = field(repr=False)
    seconds: float

    async def tell(self, call: Callable[[messages.Event], None]) -> None:
        """Ask, and tell what came. Never fails."""
        answered = await self.courier.bring(self._parcel(), self.seconds)
        tried = answered.tried
        text = message_of(answered.body) if tried.is_delivered else ""
        if not text:
            log.warning(
                "no first message came: the agent says its own",
                call_sid=self.incoming.sid,
                why=tried.error or "the answer holds none",
            )
        call(messages.FirstMessage(text))

    def _parcel(self) -> Parcel:
        it = self.incoming
        outbound = it.direction.startswith("outbound")
        body = msgspec.json.encode(
            {
                "route": "1",
                "number": (it.to if outbound else it.from_) or "Unknown",
                "data": "empty",
                "to": it.from_ if outbound else it.to,
                "call_sid": it.sid,
                "direction": it.direction,
                "company": self.company,
            }
        )
        return Parcel(self.url, body, signed(body, self.keys, voxflow=True), self.trusted)


class AskedFirstMessages(FirstMessages):
    """Asks the company's service, or else the operator's at ``url``."""

    def __init__(
        self,
        courier: Courier,
        subscribers: Subscribers,
        company_of: Callable[[str, str], int | None],
        url: str | None,
        seconds: float,
    ) -> None:
        self._courier, self._subscribers, self._company_of = courier, subscribers, company_of
        self._url, self._seconds = url, seconds

    def ask(self, incoming: IncomingCall) -> Asking | None:
        """Return the question about this call."""
        placed, subscribers = incoming.placed, self._subscribers
        if placed is not None and placed.variables.get(VARIABLE):
            return Known(plain(placed.variables[VARIABLE]))
        company = self._company_of(incoming.account_sid, incoming.own_number)
        if placed is not None:
            company = placed.company
        theirs = subscribers.first_message_url(company)
        url = theirs or self._url
        if url is None:
            return None
        keys = subscribers.secrets(company if theirs else None) or ()
        return Question(self._courier, incoming, company, url, theirs is None, keys, self._seconds)


def message_of(body: bytes) -> str:
    """Return the message in an answer, empty when there is none that could be said."""
    text = body.decode("utf-8", "replace").strip().removeprefix("\ufeff").strip()
    if not text or text[0] == "<":  # a page for people, not for callers
        return ""
    if text[0] not in '{["':
        return plain(text)
    try:
        found = msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, RecursionError):
        return ""
    if isinstance(found, list) and found:  # n8n, "all items"
        found = found[0]
    if isinstance(found, dict):
        found = next((found[name] for name in _NAMES if isinstance(found.get(name), str)), "")
    return plain(found) if isinstance(found, str) else ""


def plain(text: str) -> str:
    """Return a text as one line that can be spoken, of bounded length."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(printable.split())[:MOST_LETTERS].strip()
