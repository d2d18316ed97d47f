"""The gateway's records as one thing: the database, its secrets, the companies, what calls leave.

Everything that keeps or asks for records is made of what is here.
"""

import asyncio
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from math import inf

from gateway.store.companies import Companies
from gateway.store.engine import make_store
from gateway.store.gateways import gateway_id, keep_present
from gateway.store.recorder import StoreRecords, mark_lost
from gateway.store.records import CallBook
from gateway.store.retention import prune_daily
from gateway.store.secrets import Secrets
from gateway.store.store import StoreError
from shared.settings import Settings

_RETRY_SECONDS = 2.0
_COMPANIES_SECONDS = 3.0

LOST_SECONDS = 3600.0
"""Between two looks for calls of a gateway that is gone."""

_SPARE_SECONDS = 600.0
"""What a call may last beyond its longest time: it is ended, and that is told."""


class Archive:
    """Opened before the first call, closed after the last."""

    def __init__(self, settings: Settings, own_token: str) -> None:
        """Make what needs no database yet. Blocks for a moment.

        ``own_token`` is the operator's own account's. Raises `StoreError`, ``OSError`` and
        ``LocalSecretError``.
        """
        url = settings.database_url
        self.store = make_store(
            url.get_secret_value() if url else None,
            settings.data_dir,
            gateway=gateway_id(settings.data_dir),
        )
        self.store.sure_from = inf  # until the others could be heard
        self.secrets = Secrets.of(settings)
        self.companies = Companies(self.store, self.secrets, (own_token,))
        self.calls = CallBook(self.store)
        self.records = StoreRecords(self.store, self.companies.company_of)
        self.data_dir = settings.data_dir
        self._days, self._began = settings.retention_days, time.time()
        self._longest = settings.max_call_seconds + _SPARE_SECONDS
        self.needed: Callable[[], Collection[str]] = tuple
        """Returns the calls that are not to be pruned: live, or still being recorded."""

    async def open(self) -> None:
        """Begin to write. A database that is away is waited for beside the calls.

        Raises `StoreError` for one that can never be used.
        """
        await self.store.open(need=False)
        if self.store.ready:
            # Before the first webhook: those of companies are refused until their tokens are known.
            with suppress(StoreError, TimeoutError):
                async with asyncio.timeout(_COMPANIES_SECONDS):
                    await self.companies.load()

    async def keep(self, live: Callable[[], Collection[str]]) -> None:
        """Look after the records until cancelled. ``live`` are the calls in progress."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(keep_present(self.store))
            await self.companies.load_when_possible()
            await self._end_lost(live)
            if self._days is not None:
                tasks.create_task(prune_daily(self.store, self._days, self.data_dir, self.needed))
            while True:
                await asyncio.sleep(LOST_SECONDS)
                await self._end_lost(live)

    async def _end_lost(self, live: Callable[[], Collection[str]]) -> None:
        """End calls that are nobody's, once all that an earlier life has told is in the database.

        Those are an earlier life's, and those of another gateway that is gone.
        """
        while True:
            try:
                if await self.store.flush():
                    await mark_lost(self.store, self._began, live(), self._longest)
                    return
            except StoreError:
                pass
            await asyncio.sleep(_RETRY_SECONDS)

    async def aclose(self) -> None:
        """Write what is left, here or in the journal."""
        await self.store.aclose()
