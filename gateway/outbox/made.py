"""The outbox as the gateway has it: made of the settings, living beside the calls.

It refuses to know what an event is; it puts the parts together and looks after their life.
"""

import asyncio
import ssl
import time
from collections.abc import Callable, Collection

import structlog
from sqlalchemy import select

from gateway.calls.first_message import FirstMessages
from gateway.outbox.audience import Subscribers, listed
from gateway.outbox.courier import Courier
from gateway.outbox.deliveries import Deliveries
from gateway.outbox.dialling import Lines
from gateway.outbox.event import Endpoint, Shape
from gateway.outbox.first_message import AskedFirstMessages
from gateway.outbox.outbox import Outbox
from gateway.outbox.reports import ReportingRecords, lost
from gateway.outbox.rules import OutboxRules
from gateway.store.companies import Companies
from gateway.store.gateways import is_ours
from gateway.store.records import CallBook
from gateway.store.store import Store, StoreError
from gateway.store.tables import calls, deliveries
from shared.settings import Settings

log = structlog.get_logger(__name__)

LOST_SECONDS = 60.0
"""What the carrier has to bring back a call whose gateway died, before it is told to be lost."""

LOST_AGAIN_SECONDS = 600.0
"""Between two looks for calls that were lost with another gateway."""

LOAD_SECONDS = 30.0
"""How old what is known of companies' addresses may be."""

FIRST_LOAD_SECONDS = 1.0
"""Between two tries while nothing is known of them: their events wait."""

SETTLE_SECONDS = 5.0
"""What the last events have when the server stops; the rest is told at the next start."""

_DAY = 86400.0
_MOST_LOST = 500


class Webhooks:
    """All that leaves by webhooks. Build it before the first process: it loads certificates."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        companies: Companies,
        context: ssl.SSLContext | None = None,
    ) -> None:
        secrets = listed(
            settings.events_secret.get_secret_value() if settings.events_secret else ""
        )
        names, shape = frozenset(settings.events), Shape(settings.events_format)
        own = [Endpoint(url, None, secrets, names, shape) for url in settings.events_url]
        self.subscribers = Subscribers(own, companies, own_secrets=secrets)
        lines = Lines(context or ssl.create_default_context(), settings.events_allow_private)
        self._courier = Courier(lines, settings.events_timeout_seconds)
        rules = OutboxRules(keep=settings.events_keep_days * _DAY)
        self.outbox = Outbox(Deliveries(store), self.subscribers, self._courier, rules)
        self.records = ReportingRecords(store, companies.company_of, self.outbox)
        self.first_messages: FirstMessages = AskedFirstMessages(
            self._courier,
            self.subscribers,
            companies.company_of,
            settings.first_message_url,
            settings.first_message_seconds,
        )
        self._store, self._book, self._began = store, CallBook(store), time.time()

    async def run(self, live: Callable[[], Collection[str]]) -> None:
        """Tell what there is to tell until cancelled. ``live`` are the calls in progress."""
        while True:
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self.outbox.run())
                    tasks.create_task(self._load())
                    tasks.create_task(self._tell_lost(live))
            except Exception:  # whatever it is, calls go on, and what is to be told is kept
                log.exception("webhooks begin anew")
                await asyncio.sleep(1.0)

    async def settle(self) -> None:
        """Let the last events be told, in bounded time."""
        if not await self.outbox.settle(SETTLE_SECONDS):
            log.info("webhooks are left for the next start")

    async def aclose(self) -> None:
        """Close all connections."""
        await self._courier.aclose()

    async def _load(self) -> None:
        while True:
            try:
                await self.subscribers.load()
            except StoreError as error:
                log.warning("companies' webhooks are not read", reason=error.sentence)
            known = self.subscribers.known.is_set()
            await asyncio.sleep(LOAD_SECONDS if known else FIRST_LOAD_SECONDS)

    # Calls that died with a gateway --------------------------------------------------------------

    async def _tell_lost(self, live: Callable[[], Collection[str]]) -> None:
        """Tell the end of calls that no gateway was there to see, this one's and those it ended."""
        await asyncio.sleep(LOST_SECONDS)
        told = 0.0
        while True:
            now, since = time.time(), max(self._began, told) - _DAY
            try:
                await tell_lost(self._store, self._book, self.outbox, since, live(), told)
                told, pause = now - LOST_SECONDS, LOST_AGAIN_SECONDS
            except StoreError:
                pause = LOAD_SECONDS
            await asyncio.sleep(pause)


async def tell_lost(
    store: Store,
    book: CallBook,
    outbox: Outbox,
    since: float,
    live: Collection[str],
    ended: float = 0.0,
) -> int:
    """Post the end of calls that were lost and of which nobody knows; return how many.

    They are this gateway's, began ``since`` and were ended after ``ended``. Raises ``StoreError``.
    """
    c = calls.c
    told = select(deliveries.c.call_sid).where(
        deliveries.c.event == "call.ended", deliveries.c.call_sid == calls.c.sid
    )
    rows = await store.rows(
        select(c.sid)
        .where(c.outcome == "lost", c.began > since, c.ended >= ended)
        .where(is_ours(c.gateway, store), ~told.exists())
        .limit(_MOST_LOST)
    )
    count = 0
    for row in rows:
        whole = None if row["sid"] in live else await book.call(row["sid"])
        if whole is not None and whole.call.outcome == "lost":
            count += bool(outbox.post(lost(whole)))
    return count
