"""Whose call a webhook is about: those of an account count for that account's calls alone.

Companies have accounts of their own. Whoever has an account's token can sign what names that
account, and any call; so the call must be known to be the account's, or not be known at all.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from gateway.calls.registry import Calls
from gateway.carriers.twilio.fields import FieldError, Fields
from gateway.carriers.twilio.signed_request import Parameters
from gateway.store.errors import StoreError

log = structlog.get_logger(__name__)

ANSWER_SECONDS = 0.5
"""What the database has to tell it; somebody may be on the line."""

SENTENCE = "This call is another account's."

AccountOf = Callable[[str], Awaitable[str | None]]
"""Returns the account of a call that is kept, ``None`` if there is none. Raises `StoreError`."""


class Owners:
    """Knows the accounts of calls: of those in memory, and by ``account_of`` of those before.

    ``own`` is the operator's own account, whose webhooks are believed about calls of long ago.
    """

    def __init__(
        self, calls: Calls, account_of: AccountOf | None = None, own: str | None = None
    ) -> None:
        self._calls, self._account_of, self._own = calls, account_of, own

    async def is_anothers(self, parameters: Parameters) -> bool:
        """Tell whether verified parameters name a call that is not their account's."""
        fields = Fields(parameters)
        try:
            sid, account = fields.sid("CallSid", "CA"), fields.sid("AccountSid", "AC")
        except FieldError:
            return False  # whoever needs them refuses it
        if await self._known(sid, account) in (None, "", account):
            return False
        log.warning("webhook about a call of another account", call_sid=sid, account=account)
        return True

    async def _known(self, sid: str, account: str) -> str | None:
        call = self._calls.get(sid)
        if call is not None:
            return call.incoming.account_sid
        past = self._calls.find(sid)
        if past is not None:
            return past.account_sid
        if self._account_of is None or account == self._own:
            return None
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._account_of(sid)
        except (StoreError, TimeoutError):
            return None
