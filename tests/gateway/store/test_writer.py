"""Records are never lost by a database that is away, nor out of order; a test a rule."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from typing_extensions import Buffer

from gateway.store.errors import StoreError
from gateway.store.journal import Journal
from gateway.store.writer import Writer, WriterLimits
from tests.harness import eventually

LIMITS = WriterLimits(gather=0.005, batch=10, first_retry=0.005, last_retry=0.02, patience=0.2)


class Database:
    """Takes entries, unless it is away or too slow."""

    def __init__(self) -> None:
        self.entries: list[bytes] = []
        self.batches: list[int] = []
        self.away = False
        self.slow = False

    async def deliver(self, entries: Sequence[bytes]) -> None:
        if self.slow:
            await asyncio.sleep(60)
        await asyncio.sleep(0)
        if self.away:
            raise StoreError("the database is away: gone fishing", away=True)
        self.batches.append(len(entries))
        self.entries += entries


@asynccontextmanager
async def writing(
    database: Database, folder: Path, limits: WriterLimits = LIMITS
) -> AsyncIterator[Writer]:
    writer = Writer(database.deliver, Journal(folder), limits)
    life = asyncio.create_task(writer.run())
    try:
        yield writer
    finally:
        life.cancel()
        with suppress(asyncio.CancelledError):
            await life
        await writer.spill()


def numbers(count: int, start: int = 0) -> list[bytes]:
    return [b"%d" % number for number in range(start, start + count)]


async def test_changes_arrive_in_batches_and_in_order(tmp_path: Path) -> None:
    database = Database()
    async with writing(database, tmp_path) as writer:
        for entry in numbers(35):
            writer.take(entry)
        assert await writer.flush(5)
        assert database.entries == numbers(35)
        assert database.batches == [10, 10, 10, 5]
        assert writer.statistics.written == 35
        assert not writer.statistics.waiting_bytes


async def test_what_comes_while_the_database_is_away_is_on_disk_and_arrives_in_order(
    tmp_path: Path,
) -> None:
    database = Database()
    database.away = True
    async with writing(database, tmp_path) as writer:
        for entry in numbers(20):
            writer.take(entry)
        await eventually(lambda: not writer.statistics.waiting, every=0.001)
        assert writer.statistics.troubled
        assert writer.statistics.journal_bytes == sum(map(len, numbers(20))) + 20 * 8
        assert "gone fishing" in writer.statistics.last_error
        for entry in numbers(20, 20):
            writer.take(entry)
        assert not await writer.flush(0.05)
        database.away = False
        assert await writer.flush(5)
        assert database.entries == numbers(40)
        done = writer.statistics
        assert (done.troubled, done.journal_bytes) == (False, 0)


async def test_a_database_that_comes_and_goes_gets_each_entry_in_order(tmp_path: Path) -> None:
    database = Database()
    async with writing(database, tmp_path) as writer:
        for number in range(400):
            database.away = number // 37 % 2 == 1
            writer.take(b"%d" % number)
            await asyncio.sleep(0.001)
        database.away = False
        assert await writer.flush(10)
    assert database.entries == numbers(400)


async def test_a_database_that_hangs_is_as_one_that_is_away(tmp_path: Path) -> None:
    database = Database()
    database.slow = True
    async with writing(database, tmp_path) as writer:
        writer.take(b"0")
        await eventually(lambda: writer.statistics.journal_bytes)
        assert "does not answer" in writer.statistics.last_error


async def test_what_the_journal_holds_at_the_end_is_written_at_the_next_start(
    tmp_path: Path,
) -> None:
    database = Database()
    database.away = True
    async with writing(database, tmp_path) as writer:
        for entry in numbers(25):
            writer.take(entry)
    database.away = False
    async with writing(database, tmp_path) as writer:
        writer.take(b"25")
        assert await writer.flush(5)
    assert database.entries == numbers(26)


async def test_with_a_full_disk_as_well_they_wait_in_memory_up_to_its_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int, data: bytes, offset: int) -> int:
        raise OSError(28, "No space left on device")

    database = Database()
    database.away = True
    limits = WriterLimits(gather=0.005, batch=10, memory=600, first_retry=0.005, last_retry=0.02)
    async with writing(database, tmp_path, limits) as writer:
        with monkeypatch.context() as disk:
            disk.setattr(os, "pwrite", full)
            for number in range(100):
                writer.take(b"%06d" % number)
                await asyncio.sleep(0.001)
                if number == 99:  # all of those that fit
                    database.away = False
            assert await writer.flush(5)
        assert writer.statistics.dropped == 0
        assert database.entries == [b"%06d" % number for number in range(100)]

        database.away = True
        with monkeypatch.context() as disk:
            disk.setattr(os, "pwrite", full)
            for number in range(150):
                writer.take(b"%06d" % number)
                await asyncio.sleep(0.001)
            assert writer.statistics.dropped == 50
            assert writer.statistics.waiting_bytes == 600
            await eventually(lambda: not list(tmp_path.iterdir()))  # each try makes a file
        assert not await writer.flush(0.05)
        assert writer.statistics.journal_bytes, "the disk has room again"
        database.away = False
        assert await writer.flush(5)
    assert database.entries[100:] == [b"%06d" % number for number in range(50, 150)]


class Fate(RuleBasedStateMachine):
    """Whatever becomes of the database and of the disk, all arrives, once or more, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.database = Database()
        self.taken = 0
        self.disk = DiskFate()
        self.runner.run(self._begin())

    async def _begin(self) -> None:
        limits = WriterLimits(
            gather=0.0005, batch=3, first_retry=0.0005, last_retry=0.001, patience=0.005
        )
        self.writer = Writer(self.database.deliver, Journal(Path(self.folder.name), 100), limits)
        self.life = asyncio.create_task(self.writer.run())

    async def _end(self) -> None:
        self.life.cancel()
        with suppress(asyncio.CancelledError):
            await self.life
        await self.writer.spill()

    @rule(count=st.integers(1, 10), pause=st.sampled_from([0, 0.001, 0.003]))
    def write(self, count: int, pause: float) -> None:
        async def writes() -> None:
            for _ in range(count):
                self.writer.take(b"%d" % self.taken)
                self.taken += 1
            await asyncio.sleep(pause)

        self.runner.run(writes())

    @rule(away=st.booleans(), slow=st.booleans())
    def database_changes(self, away: bool, slow: bool) -> None:
        self.database.away, self.database.slow = away, slow

    @rule(full=st.booleans())
    def disk_changes(self, full: bool) -> None:
        self.disk.full = full

    @precondition(lambda self: not self.disk.full)
    @rule()
    def restart(self) -> None:
        self.runner.run(self._end())
        self.runner.run(self._begin())

    def teardown(self) -> None:
        async def settles() -> bool:
            self.database.away = self.database.slow = self.disk.full = False
            return await self.writer.flush(60)

        try:
            assert self.runner.run(settles())
            self.runner.run(self._end())
            first: dict[bytes, int] = {}
            last: dict[bytes, int] = {}
            for place, entry in enumerate(self.database.entries):
                first.setdefault(entry, place)
                last[entry] = place
            assert list(first) == numbers(self.taken), "each, in order"
            assert sorted(last, key=last.__getitem__) == numbers(self.taken), "the newest last"
            assert not self.writer.statistics.dropped
        finally:
            self.disk.undo()
            self.runner.close()
            self.folder.cleanup()


class DiskFate:
    """The journal's disk, which may be full."""

    def __init__(self) -> None:
        self.full = False
        self._real = os.pwrite
        os.pwrite = self._write

    def _write(self, fd: int, data: Buffer, offset: int, /) -> int:
        if self.full:
            self._real(fd, bytes(data)[:3], offset)
            raise OSError(28, "No space left on device")
        return self._real(fd, data, offset)

    def undo(self) -> None:
        os.pwrite = self._real


TestFate = Fate.TestCase
TestFate.settings = settings(max_examples=20, stateful_step_count=20, deadline=None)
