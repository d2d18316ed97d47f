"""Records on their way to the database: never waited for, never lost by its absence.

    take ──> memory ──────batch──────> database           direct
               │                          ^
               └──batch──> journal ──batch┘               troubled: until both are empty again

While all is well a batch goes to the database every `GATHER_SECONDS`. The first that it does not
take begins the trouble: from then on batches go to the journal, and from there, in order, to the
database as soon as it takes them. If the journal's disk is full as well they wait in memory, up to
a limit, beyond which the oldest are dropped, counted, and said out loud.

It knows no tables and no SQL: it is given what delivers a batch, and carries bytes.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import structlog

from gateway.store.errors import StoreError
from gateway.store.journal import Journal

log = structlog.get_logger(__name__)

_SAY_SECONDS = 60.0
"""Between two reports of lost records."""

_MORE_PATIENCE = 10
"""A batch of the journal has no other place to go: it may take so many times longer."""

Deliver = Callable[[Sequence[bytes]], Awaitable[None]]
"""Puts entries into the database, all of them. Raises `StoreError` when it is away."""


@dataclass(frozen=True, slots=True)
class WriterLimits:
    """What a writer keeps to. Times in seconds."""

    gather: float = 0.2
    """How long changes are gathered before they are written."""
    batch: int = 500
    """Changes in one transaction."""
    memory: int = 32 << 20
    """Bytes of changes in memory, when neither database nor journal takes them."""
    patience: float = 3.0
    """What a batch may take before it goes to the journal instead."""
    first_retry: float = 0.5
    last_retry: float = 15.0
    """Between two tries of a database that is away; doubled each time, with jitter."""


@dataclass(frozen=True, slots=True)
class WriterStatistics:
    """Where the changes are."""

    waiting: int
    waiting_bytes: int
    journal_bytes: int
    written: int
    dropped: int
    troubled: bool
    last_error: str
    """Why the database was last away; empty if it never was."""


class Writer:
    """Takes changes as bytes and has them delivered in order. ``run`` is its life."""

    def __init__(
        self, deliver: Deliver, journal: Journal, limits: WriterLimits | None = None
    ) -> None:
        self._deliver, self._journal = deliver, journal
        self._limits = limits or WriterLimits()
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._some = asyncio.Event()
        self._hurry = asyncio.Event()
        self._taken = 0
        self._moved = asyncio.Event()
        """Set, and replaced, when something has come to the database or the trouble is over."""
        self._troubled = asyncio.Event()
        self._moving = asyncio.Lock()
        """Held by whoever takes changes out of memory."""
        self._written = self._dropped = 0
        self._say_again = 0.0
        self._journal_full = False
        self._last_error = ""
        if not journal.empty:
            log.info("records of before are being written", bytes=journal.size)
            self._troubled.set()

    # From the calls ----------------------------------------------------------------------------

    def take(self, entry: bytes) -> None:
        """Have ``entry`` written soon."""
        self._waiting.append(entry)
        self._taken += 1
        self._bytes += len(entry)
        if self._bytes > self._limits.memory:
            self._drop()
        if not self._some.is_set():
            self._some.set()
        if len(self._waiting) >= self._limits.batch:
            self._hurry.set()

    async def flush(self, seconds: float) -> bool:
        """Wait until all that was taken by now is in the database; false if it was not in time."""
        last = self._taken
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._has_written(last):
                    self._hurry.set()
                    await self._moved.wait()
        return self._has_written(last)

    def _has_written(self, last: int) -> bool:
        return not self._troubled.is_set() and self._taken - len(self._waiting) >= last

    @property
    def statistics(self) -> WriterStatistics:
        """Where the changes are now."""
        return WriterStatistics(
            waiting=len(self._waiting),
            waiting_bytes=self._bytes,
            journal_bytes=self._journal.size,
            written=self._written,
            dropped=self._dropped,
            troubled=self._troubled.is_set(),
            last_error=self._last_error,
        )

    # Its life ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Write until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._gather())
            tasks.create_task(self._recover())

    async def spill(self) -> int:
        """Put what is in memory into the journal; return how many changes did not fit.

        For the end, when nothing else runs.
        """
        async with self._moving:
            with suppress(OSError):
                await self._to_journal()
        await asyncio.to_thread(self._journal.close)
        return len(self._waiting)

    async def _gather(self) -> None:
        while True:
            await self._some.wait()
            with suppress(TimeoutError):
                # Not wait_for: Python 3.11's loses a cancellation that comes with the result.
                async with asyncio.timeout(self._limits.gather):
                    await self._hurry.wait()
            self._hurry.clear()
            async with self._moving:
                if self._troubled.is_set():
                    await self._put_away()
                else:
                    await self._write_through()
            if self._journal_full:
                await asyncio.sleep(self._limits.gather)

    async def _write_through(self) -> None:
        try:
            await self._from_memory()
        except (StoreError, TimeoutError) as error:
            self._note(error)
            log.error("records cannot be written; they wait", reason=self._last_error)  # noqa: TRY400
            self._troubled.set()
            await self._put_away()
        else:
            self._rest()

    async def _from_memory(self) -> None:
        """Deliver the first batch of what is in memory. Raises what says that it was not."""
        batch, dropped = self._batch(), self._dropped
        async with asyncio.timeout(self._limits.patience):
            await self._deliver(batch)
        self._gone(len(batch), dropped)
        self._written += len(batch)

    async def _put_away(self) -> None:
        try:
            await self._to_journal()
        except OSError as error:
            if not self._journal_full:
                log.error(  # noqa: TRY400
                    "records wait in memory: the journal cannot be written",
                    reason=error.strerror or str(error),
                    most_bytes=self._limits.memory,
                )
            self._journal_full = True
        else:
            self._journal_full = False

    async def _to_journal(self) -> None:
        while batch := self._batch():
            dropped = self._dropped
            await asyncio.to_thread(self._journal.append, batch)
            self._gone(len(batch), dropped)
        self._some.clear()

    # Trouble -----------------------------------------------------------------------------------

    async def _recover(self) -> None:
        """Bring the changes that had to wait to the database, once it takes them, in order."""
        while True:
            await self._troubled.wait()
            count = self._written
            pauses = self._pauses()
            while self._troubled.is_set():
                async with self._moving:
                    found = await asyncio.to_thread(self._journal.oldest)
                if found is not None:
                    await self._replay(*found)
                elif not await self._try_memory():
                    await asyncio.sleep(next(pauses))
            log.info("records are written again", were_waiting=self._written - count)

    async def _replay(self, path: Path, entries: Sequence[bytes]) -> None:
        for start in range(0, len(entries), self._limits.batch):
            batch = entries[start : start + self._limits.batch]
            for pause in self._pauses():
                try:
                    async with asyncio.timeout(self._limits.patience * _MORE_PATIENCE):
                        await self._deliver(batch)
                    break
                except (StoreError, TimeoutError) as error:
                    self._note(error)
                    await asyncio.sleep(pause)
            self._written += len(batch)
        async with self._moving:
            await asyncio.to_thread(self._journal.done, path)

    async def _try_memory(self) -> bool:
        """With an empty journal: bring over what it had no room for; end the trouble."""
        async with self._moving:
            if not self._journal.empty:
                return True
            try:
                if self._waiting:
                    await self._from_memory()
            except (StoreError, TimeoutError) as error:
                self._note(error)
                return False
            if not self._waiting:
                self._troubled.clear()
                self._rest()
            return True

    def _pauses(self) -> Iterator[float]:
        pause = self._limits.first_retry
        while True:
            yield pause * random.uniform(0.5, 1.0)  # noqa: S311
            pause = min(pause * 2, self._limits.last_retry)

    def _note(self, error: StoreError | TimeoutError) -> None:
        slow = "the database is away: it does not answer"
        self._last_error = error.sentence if isinstance(error, StoreError) else slow

    # Memory ------------------------------------------------------------------------------------

    def _batch(self) -> list[bytes]:
        return list(islice(self._waiting, self._limits.batch))

    def _gone(self, count: int, dropped: int) -> None:
        """Forget the first ``count`` of when ``dropped`` was read: some may have been dropped."""
        for _ in range(count - (self._dropped - dropped)):
            self._bytes -= len(self._waiting.popleft())

    def _drop(self) -> None:
        while self._bytes > self._limits.memory:
            self._bytes -= len(self._waiting.popleft())
            self._dropped += 1
        if time.monotonic() >= self._say_again:
            self._say_again = time.monotonic() + _SAY_SECONDS
            log.error(
                "RECORDS ARE LOST: neither database nor journal takes them",
                lost=self._dropped,
                most_bytes=self._limits.memory,
            )

    def _rest(self) -> None:
        if not self._waiting:
            self._some.clear()
        self._moved.set()
        self._moved = asyncio.Event()
