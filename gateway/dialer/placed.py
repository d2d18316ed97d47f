"""Which attempt a webhook is about, if it is any business of the account that has signed it.

Companies have accounts of their own, whose tokens they know: whoever signs with one may name any
marker in the URL. It is believed of attempts of that account alone.
"""

import structlog

from gateway.dialer.attempt import Attempt
from gateway.dialer.following import Following
from gateway.dialer.ledger import Ledger
from gateway.dialer.lines import Lines
from gateway.store.store import StoreError

log = structlog.get_logger(__name__)


class Placed:
    """Attempts, open and past, by what the carrier's webhooks say of them."""

    def __init__(self, ledger: Ledger, lines: Lines, following: Following) -> None:
        self._ledger, self._lines, self._following = ledger, lines, following

    async def of(self, marker: str, sid: str, account: str) -> Attempt | None:
        """Return the attempt of ``marker``, or of the call ``sid`` if there is no marker.

        ``None`` if there is none, or if it did not go through ``account``. Raises `StoreError`.
        """
        attempt = self._following.get(marker)
        if attempt is None:
            recalled = await (self._ledger.recall(marker) if marker else self._ledger.of_call(sid))
            if recalled is None:
                return None
            attempt = recalled
        if not await self._went_through(attempt, account):
            log.warning("webhook about an attempt of another account", call_sid=sid)
            return None
        return self._following.adopt(attempt)

    async def known(self, marker: str, sid: str, account: str) -> Attempt | None:
        """Return the same; ``None`` also while the database is away."""
        try:
            return await self.of(marker, sid, account)
        except StoreError as error:
            # It is looked at by REST when it is overdue.
            log.warning("a callback is not noted", error=error.sentence, call_sid=sid)
            return None

    async def _went_through(self, attempt: Attempt, account: str) -> bool:
        asked = attempt.account or await self._lines.account_of(attempt.company)
        return asked in (None, account)
