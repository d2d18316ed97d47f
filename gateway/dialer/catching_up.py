"""What another gateway was told of attempts that are followed here.

Gateways behind one address have the carrier's webhooks by turns: who is told writes it down, and
who follows the call reads it here, some seconds later. It asks nobody but the database.
"""

import asyncio
from collections.abc import Sequence

from gateway.dialer.attempt import Attempt, AttemptState
from gateway.dialer.following import Following
from gateway.dialer.ledger import Ledger, News
from gateway.store.store import StoreError

MOST_AT_A_TIME = 200


class CatchingUp:
    """Reads every ``seconds`` how attempts stand that are open here."""

    def __init__(self, following: Following, ledger: Ledger, seconds: float) -> None:
        self._following, self._ledger, self._seconds = following, ledger, seconds

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            await asyncio.sleep(self._seconds)
            followed = list(self._following)
            for start in range(0, len(followed), MOST_AT_A_TIME):
                try:
                    await self._read(followed[start : start + MOST_AT_A_TIME])
                except StoreError:
                    break  # it is away: what is followed here goes on without

    async def _read(self, followed: Sequence[Attempt]) -> None:
        known = {it.id: it for it in followed}
        for news in await self._ledger.news(list(known)):
            attempt = known[news.id]
            if attempt.is_open:
                self._take(attempt, news)

    def _take(self, attempt: Attempt, news: News) -> None:
        following, state = self._following, news.state
        if news.answered_by:
            following.answered_by(attempt, news.answered_by, written=True)
        if state in (AttemptState.REFUSED, AttemptState.LOST):
            following.fails(attempt, state, news.error, written=True)
        elif news.sid and state is not attempt.state:
            final = state is AttemptState.ENDED
            following.told(attempt, news.sid, news.status, final=final, written=True)
