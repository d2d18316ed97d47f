"""Whose call a webhook is about: those of an account count for that account's calls alone.

Companies have accounts of their own. Whoever has an account's token can sign what names that
account, and any call; so the call must be known to be the account's, or not be known at all.

    in progress, or remembered ──its account──┐
    asked of the database ──its account───────┴──> OWN | ANOTHERS
      ├──there is no such call ──────────────────> OWN: it begins
      └──no answer ──────────────────────────────> UNKNOWN

What is UNKNOWN is refused, to be told again, unless a caller waits to be spoken to: calls never
wait for the database. Such a call is the asking account's own conversation, its record stays with
the account that had it first (`gateway.store.tables`), and it is ended when the database says that
it is another's.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from enum import Enum, auto

import structlog

from gateway.calls.registry import Calls
from gateway.calls.state import Plan
from gateway.carriers.twilio.fields import FieldError, Fields
from gateway.carriers.twilio.signed_request import Parameters
from gateway.store.errors import StoreError

log = structlog.get_logger(__name__)

ANSWER_SECONDS = 0.5
"""What the database has to tell it while somebody is on the line."""

PATIENT_SECONDS = 8.0
"""What it has while nobody is: the carrier waits for 15 s."""

MOST_PATIENT = 200
"""Webhooks that wait so long; more wait as if somebody were on the line."""

MOST_REMEMBERED = 20_000
"""Calls whose accounts are kept in memory, the newest."""

MOST_DOUBTS = 1000
"""Calls that were taken without an answer and are asked about until there is one."""

AGAIN_SECONDS = 2.0

ANOTHERS = "This call is another account's.", 403
NOT_NOW = "Whose call this is cannot be found out now, tell it again: the database is away.", 503

AccountOf = Callable[[str], Awaitable[str | None]]
"""Returns the account of a call that is kept, ``None`` if there is none. Raises `StoreError`."""


class Whose(Enum):
    """What is known of a webhook's call."""

    OWN = auto()
    """It is the account's, or nobody's yet."""
    ANOTHERS = auto()
    UNKNOWN = auto()
    """The database did not answer in time."""


class Owners:
    """Knows the accounts of calls: of those in memory, and by ``account_of`` of those before.

    ``own`` is the operator's own account, whose webhooks are believed about calls of long ago.
    """

    def __init__(
        self, calls: Calls, account_of: AccountOf | None = None, own: str | None = None
    ) -> None:
        self._calls, self._account_of, self._own = calls, account_of, own
        self._accounts: OrderedDict[str, str] = OrderedDict()
        self._doubts: OrderedDict[str, str] = OrderedDict()
        self._doubted = asyncio.Event()
        self._patient = 0

    async def refusal(self, parameters: Parameters, on_the_line: bool) -> tuple[str, int] | None:
        """Return the sentence and status that refuse verified parameters, ``None`` if nothing does.

        ``on_the_line``: a caller waits to be told how the call goes on, unless a dial is over.
        """
        fields = Fields(parameters)
        try:
            sid, account = fields.sid("CallSid", "CA"), fields.sid("AccountSid", "AC")
        except FieldError:
            return None  # whoever needs them refuses it
        on_the_line = on_the_line and not fields.text("DialCallStatus")
        match await self._whose(sid, account, on_the_line=on_the_line):
            case Whose.OWN:
                return None
            case Whose.ANOTHERS:
                log.warning("webhook about a call of another account", call_sid=sid)
                return ANOTHERS
        log.warning("the database does not tell whose call it is", call_sid=sid)
        if not on_the_line:
            return NOT_NOW
        self._doubt(sid, account)
        return None

    async def _whose(self, sid: str, account: str, *, on_the_line: bool) -> Whose:
        known = self._known(sid, account)
        if known is None and self._account_of is not None and account != self._own:
            try:
                known = await self._asked(sid, on_the_line=on_the_line)
            except (StoreError, TimeoutError):
                # A first webhook may have come meanwhile.
                known = self._known(sid, account)
                if known is None:
                    return Whose.UNKNOWN
        if known:
            self._remember(sid, known)
        return Whose.OWN if known in (None, "", account) else Whose.ANOTHERS

    def _known(self, sid: str, account: str) -> str | None:
        """Return the account of a call in memory, ``None`` if it is not there."""
        if self._doubts.get(sid, account) != account:
            return None  # whoever was first is not believed about it
        call = self._calls.get(sid)
        if call is not None:
            return call.incoming.account_sid
        if sid in self._accounts:
            return self._accounts[sid]
        past = self._calls.find(sid)
        return past.account_sid if past is not None else None

    def _remember(self, sid: str, account: str) -> None:
        if sid in self._doubts:
            return  # nobody has said so but the webhook
        self._accounts[sid] = account
        self._accounts.move_to_end(sid)
        if len(self._accounts) > MOST_REMEMBERED:
            self._accounts.popitem(last=False)

    async def _asked(self, sid: str, *, on_the_line: bool) -> str | None:
        """Ask the database, in bounded time. Raises ``StoreError`` and ``TimeoutError``."""
        assert self._account_of is not None
        patient = not on_the_line and self._patient < MOST_PATIENT
        self._patient += patient
        try:
            async with asyncio.timeout(PATIENT_SECONDS if patient else ANSWER_SECONDS):
                return await self._account_of(sid)
        finally:
            self._patient -= patient

    # Calls that were taken without an answer -----------------------------------------------------

    def _doubt(self, sid: str, account: str) -> None:
        """A call is taken although nobody knows whose it is: find it out."""
        self._doubts.setdefault(sid, account)
        if len(self._doubts) > MOST_DOUBTS:
            self._doubts.popitem(last=False)
        self._doubted.set()

    async def run(self) -> None:
        """End calls that turn out to be another account's, until cancelled."""
        while True:
            await self._doubted.wait()
            self._doubted.clear()
            while self._doubts:
                try:
                    await self._settle(next(iter(self._doubts)))
                except (StoreError, TimeoutError):
                    await asyncio.sleep(AGAIN_SECONDS)

    async def _settle(self, sid: str) -> None:
        known = await self._asked(sid, on_the_line=False)
        account = self._doubts.pop(sid, known)
        call = self._calls.get(sid)
        if known not in (None, "", account):
            log.error("a call that was taken is another account's", call_sid=sid, account=account)
            self._remember(sid, known or "")
            if call is not None and call.incoming.account_sid == account:
                call.leave(Plan.HANG_UP, "the call is another account's")
