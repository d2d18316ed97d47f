"""Events that an earlier gateway may have told already: the database is asked before they are.

A call that is taken up after its gateway died ends a second time, and one that was told to be lost
may come back. Whoever was told of its end is not told of another one.
"""

import asyncio
from collections import deque
from collections.abc import Callable

import structlog

from gateway.outbox.deliveries import WAITING, Deliveries
from gateway.outbox.prepared import Prepared
from gateway.store.errors import StoreError

log = structlog.get_logger(__name__)

MOST_WAITING = 500
"""Events that wait for the database; beyond them it is better told twice than not at all."""


class Once:
    """Writes down, and has sent by ``send``, what was not told before. ``run`` is its life.

    ``flush`` and ``retry`` are in seconds: what is waited for the database, and between two tries.
    """

    def __init__(
        self,
        deliveries: Deliveries,
        send: Callable[[Prepared], None],
        flush: float,
        retry: float,
    ) -> None:
        self._deliveries, self._send = deliveries, send
        self._flush, self._retry = flush, retry
        self._waiting: deque[tuple[Prepared, str]] = deque()
        self._some = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, it: Prepared, state: str) -> bool:
        """Take an event that is to be in ``state``; false if too many wait."""
        if len(self._waiting) >= MOST_WAITING:
            return False
        self._waiting.append((it, state))
        self._some.set()
        return True

    async def run(self) -> None:
        """Tell them, in their order, until cancelled."""
        while True:
            await self._some.wait()
            while self._waiting:
                it, state = self._waiting[0]
                try:
                    told = await self._told(it)
                except StoreError as error:
                    log.warning("events wait for the database", reason=error.sentence)
                    await asyncio.sleep(self._retry)
                    continue
                left = Prepared(tuple(each for each in it.deliveries if each.id not in told))
                for each in left.deliveries:
                    self._deliveries.add(each, state)
                self._waiting.popleft()
                if state == WAITING:
                    self._send(left)
            self._some.clear()

    async def _told(self, it: Prepared) -> frozenset[str]:
        if not await self._deliveries.written(self._flush):
            raise StoreError("records wait", away=True)
        return await self._deliveries.told([each.id for each in it.deliveries])
