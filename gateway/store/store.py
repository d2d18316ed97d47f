"""The database as the gateway uses it: writes that are never waited for, and those that are.

    store.write(Upsert("calls", {...}))      a record: written soon, whatever the database does
    await store.commit(statement, ...)       a decision: durable when this returns
    await store.rows(select(...))            a question

Nothing here knows what a call or a campaign is.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog
from sqlalchemy import URL, Executable, RowMapping
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.store.change import (
    BadChangeError,
    Upsert,
    grouped,
    mended,
    merged,
    packed,
    parameters,
    statement,
    statement_of,
    unpacked,
)
from gateway.store.connections import cut, drivers_of
from gateway.store.errors import FAILURES, StoreError, is_bad_value, store_error
from gateway.store.journal import Journal
from gateway.store.migrations import migrate
from gateway.store.questions import Questions
from gateway.store.refused import RefusedFile
from gateway.store.writer import Writer, WriterLimits, WriterStatistics

__all__ = ["Store", "StoreError", "StoreStatistics", "Upsert", "statement_of"]

log = structlog.get_logger(__name__)

ANSWER_SECONDS = 10.0
"""What a question or a decision may take, waiting for its turn included."""

CLOSE_SECONDS = 5.0

CUT_SECONDS = 1.0
"""What those have whose connection was cut to notice it."""

_ROWS_A_STATEMENT = 64
"""Between two statements the event loop goes round: this many rows cost it about a millisecond."""


@dataclass(frozen=True, slots=True)
class StoreStatistics:
    """Where the records are, and how many no database would take."""

    writer: WriterStatistics
    refused: int
    ready: bool
    """Whether the schema is up to date, so that questions can be answered."""


class Store:
    """One database. Open it with ``gateway.store.engine.open_store``."""

    def __init__(
        self,
        url: URL,
        engine: AsyncEngine,
        folder: Path,
        limits: WriterLimits | None = None,
        gateway: str = "",
    ) -> None:
        """``gateway`` is whose store it is (`gateway.store.gateways`): several share a database."""
        self.url, self.engine, self.gateway = url, engine, gateway
        self.sure_from = 0.0
        """From when on (Unix seconds) it can be told which other gateways are gone."""
        self._drivers = drivers_of(engine)
        self._refused = RefusedFile(folder / "refused-records.jsonl")
        self._writer = Writer(self._deliver, Journal(folder / "journal"), limits)
        self._questions = Questions()
        self._writing = asyncio.Lock()
        """One writer at a time: nobody polls for a lock, and no two lock each other out."""
        self._ready = False
        self._life: asyncio.Task[None] | None = None

    # Questions and decisions -------------------------------------------------------------------

    async def rows(self, question: Executable) -> Sequence[RowMapping]:
        """Return the rows that answer ``question``. Raises `StoreError`."""
        try:
            return await self._questions.ask(self._rows(question), ANSWER_SECONDS)
        except FAILURES as error:
            raise store_error(error) from error

    async def _rows(self, question: Executable) -> Sequence[RowMapping]:
        async with self.engine.connect() as connection:
            return (await connection.execute(question)).mappings().all()

    async def commit(self, *statements: Executable) -> int:
        """Carry all of them out, or none; return how many rows the last one changed.

        Durable when this returns. Raises `StoreError`: if it is ``away``, nobody knows whether it
        was done, as always when an answer is lost.
        """
        try:
            async with asyncio.timeout(ANSWER_SECONDS), self._writing:
                return await self._commit(statements)
        except FAILURES as error:
            raise store_error(error) from error

    async def _commit(self, statements: Sequence[Executable]) -> int:
        async with self.engine.begin() as connection:
            count = 0
            for each in statements:
                count = (await connection.execute(each)).rowcount
        return count

    # Records -----------------------------------------------------------------------------------

    def write(self, *changes: Upsert) -> None:
        """Have these written soon, in this order. Never waits and never fails; none is lost."""
        for change in changes:
            try:
                self._writer.take(packed(change))
            except BadChangeError as error:
                # Not to a file: it would block, and what cannot be packed cannot be kept.
                log.error("a record cannot be kept", reason=error.reason)  # noqa: TRY400

    async def flush(self, seconds: float = CLOSE_SECONDS) -> bool:
        """Wait until all that was written is in the database; false if it was not in time."""
        return await self._writer.flush(seconds)

    @property
    def statistics(self) -> StoreStatistics:
        """Where the records are now."""
        return StoreStatistics(self._writer.statistics, self._refused.count, self._ready)

    async def _deliver(self, entries: Sequence[bytes]) -> None:
        """Put packed changes into the database. Raises `StoreError` when it is away."""
        try:
            if not self._ready:
                await self.prepare()
            refused = await self._put([unpacked(entry) for entry in entries])
        except StoreError:
            raise
        except Exception as error:  # whatever it is, the records wait
            raise store_error(error) from error
        if refused:
            await self._set_aside(refused)

    async def _put(self, changes: Sequence[Upsert]) -> list[tuple[Upsert, str]]:
        """Write changes; return those that no database takes, and why.

        A change that is at fault takes its batch down: the halves are tried, and their halves.
        """
        parts, refused = [changes], list[tuple[Upsert, str]]()
        while parts:
            part = parts.pop()
            try:
                await self._transaction(part)
            except FAILURES as error:
                if not is_bad_value(error):
                    raise
                if len(part) > 1:
                    half = len(part) // 2
                    parts += [part[half:], part[:half]]
                elif (again := mended(part[0])) != part[0]:
                    parts.append([again])
                else:
                    refused.append((part[0], str(store_error(error))))
        return refused

    async def _transaction(self, changes: Sequence[Upsert]) -> None:
        dialect = self.url.get_backend_name()
        async with self._writing, self.engine.begin() as connection:
            for group in grouped(merged(changes), _ROWS_A_STATEMENT):
                made = statement(group[0].table, tuple(sorted(group[0].values)), dialect)
                await connection.execute(made, [parameters(made, each) for each in group])

    async def _set_aside(self, refused: Sequence[tuple[Upsert, str]]) -> None:
        for change, reason in refused:
            log.error("a record does not fit and was set aside", table=change.table, reason=reason)
        try:
            await asyncio.to_thread(self._refused.keep, refused)
        except OSError as error:
            log.error("records that do not fit are lost", reason=error.strerror)  # noqa: TRY400

    # Its life ----------------------------------------------------------------------------------

    async def prepare(self) -> None:
        """Bring the schema up to date. Raises `StoreError`, ``away`` if it is worth a repeat."""
        try:
            await asyncio.to_thread(migrate, self.url)
        except FAILURES as error:
            raise store_error(error) from error
        self._ready = True

    async def open(self, *, need: bool = True) -> None:
        """Bring the schema up to date and begin to write; ``aclose`` ends it.

        With ``need`` false a database that is away is waited for in the background. Raises
        `StoreError`.
        """
        try:
            await self.prepare()
        except StoreError as error:
            if need or not error.away:
                await self.engine.dispose()
                raise
            where = self.url.render_as_string(hide_password=True)
            log.error("calls are taken without the database", reason=error.sentence, url=where)  # noqa: TRY400
        self._life = asyncio.create_task(self._writer.run(), name="records")

    @property
    def ready(self) -> bool:
        """Whether the schema is up to date, so that questions can be answered."""
        return self._ready

    async def aclose(self, seconds: float = CLOSE_SECONDS) -> None:
        """Write what waits; what is not written in time goes to the journal. Let go of all."""
        if self._life is not None:
            await self.flush(seconds)
            self._life.cancel()
            await asyncio.wait([self._life], timeout=seconds)
            if lost := await self._writer.spill():
                log.error("RECORDS ARE LOST: the journal cannot be written", lost=lost)
        try:
            await self._let_go(seconds)
        except TimeoutError:
            log.warning("the database's connections do not end and are cut")
            cut(self._drivers)
            with contextlib.suppress(TimeoutError):
                await self._let_go(CUT_SECONDS)

    async def _let_go(self, seconds: float) -> None:
        async with asyncio.timeout(seconds):
            await self._questions.ended()
            await self.engine.dispose()
