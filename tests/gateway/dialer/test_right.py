"""One gateway dials for a database, and stops as soon as it cannot be sure of it."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.dialer.advisory_lock import AdvisoryLock
from gateway.dialer.file_lock import FileLock, holder_now, lock_file
from gateway.dialer.holder import Holder
from gateway.dialer.right import LEASE_SECONDS, Lock, Right, Standing
from gateway.store.connections import database_url, make_engine
from tests.gateway.store.postgres import Server, own_server
from tests.harness import eventually

FIRST, SECOND = Holder("alpha", 11, "aaaaaaaa"), Holder("beta", 22, "bbbbbbbb")


@asynccontextmanager
async def striving(right: Right) -> AsyncIterator[Right]:
    """Have a right sought while the block lasts."""
    running = asyncio.create_task(right.run())
    try:
        await right.asked(10)
        yield right
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


class Promise:
    """A lock that answers what a test says."""

    def __init__(self) -> None:
        self.is_ours = True
        self.lost: Callable[[], None] = lambda: None

    async def take(self, me: Holder, lost: Callable[[], None]) -> bool:
        self.lost = lost
        return self.is_ours

    async def confirm(self) -> bool:
        return self.is_ours

    async def holder(self) -> Holder | None:
        return SECOND

    async def release(self) -> None:
        pass


# What it is ----------------------------------------------------------------------------------


async def test_without_a_lock_there_is_nobody_else_and_it_is_always_ours() -> None:
    right = Right()
    assert right.held
    assert right.elsewhere is None
    await right.gained()


async def test_it_is_not_believed_in_longer_than_its_lease_even_by_a_process_that_stood_still() -> (
    None
):
    now = [100.0]
    right = Right(Promise(), FIRST, lambda: now[0])
    async with striving(right):
        assert right.held
        now[0] += LEASE_SECONDS
        assert right.standing is Standing.HERE, "nobody has had time to see it"
        assert not right.held


async def test_it_is_lost_in_the_moment_in_which_the_connection_is() -> None:
    lock = Promise()
    right = Right(lock, FIRST)
    heard = list[bool]()
    right.listeners.append(lambda: heard.append(right.held))
    async with striving(right):
        lock.is_ours = False
        lock.lost()
        assert not right.held
        assert heard == [True, False]
        await eventually(lambda: right.standing is Standing.ELSEWHERE)
        assert right.elsewhere is not None
        assert "process 22 on beta" in right.elsewhere


async def test_who_leaves_does_not_come_back() -> None:
    right = Right(Promise(), FIRST)
    async with striving(right):
        right.leave()
        assert not right.held
        await asyncio.sleep(0.05)
        assert right.standing is Standing.UNKNOWN


def test_a_signature_is_read_back_and_fits_into_what_postgresql_shows(tmp_path: Path) -> None:
    me = Holder.of(tmp_path)
    assert Holder.read(me.signature) == me
    assert len(Holder("h" * 28, 2**22, "01234567").signature) < 64
    assert me.is_at(Holder.of(tmp_path))
    assert not me.is_at(Holder.of(tmp_path / "other"))
    assert Holder.read("psql") is None
    assert Holder.read("callfarm dials x y z") is None


# SQLite --------------------------------------------------------------------------------------

_HOLD = """
import asyncio, sys
from pathlib import Path
from gateway.dialer.file_lock import FileLock
from gateway.dialer.holder import Holder
async def main():
    lock = FileLock(Path(sys.argv[1]))
    assert await lock.take(Holder("gamma", 33, "cccccccc"), print)
    print("held", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


async def test_a_gateway_that_is_killed_leaves_an_sqlite_file_to_the_next(tmp_path: Path) -> None:
    database = tmp_path / "x.db"
    words = [sys.executable, "-c", _HOLD, str(database)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as other:  # noqa: ASYNC220
        assert other.stdout is not None
        assert await asyncio.to_thread(other.stdout.readline) == "held\n"
        link = tmp_path / "link.db"
        link.symlink_to(database)
        async with striving(Right(FileLock(link), FIRST)) as right:
            assert right.standing is Standing.ELSEWHERE
            assert "process 33 on gamma" in str(right.elsewhere)
            assert holder_now(lock_file(database)) == Holder("gamma", 33, "cccccccc")
            os.kill(other.pid, signal.SIGKILL)
            await asyncio.wait_for(right.gained(), 10)
            assert holder_now(lock_file(database)) == FIRST
    assert holder_now(lock_file(database)) is None


async def test_a_lock_whose_file_was_taken_away_is_lost(tmp_path: Path) -> None:
    database = tmp_path / "x.db"
    async with striving(Right(FileLock(database), FIRST)) as right:
        assert right.held
        lock_file(database).unlink()
        await asyncio.wait_for(right.lost(), 10)
        await asyncio.wait_for(right.gained(), 10)


# PostgreSQL ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with own_server() as it:
        yield it


def lock(server: Server) -> Lock:
    return AdvisoryLock(database_url(server.url, Path()))


async def sql(server: Server, statement: str) -> object:
    engine = make_engine(database_url(server.url, Path()))
    try:
        async with engine.connect() as connection:
            return (await connection.execute(text(statement))).scalar()
    finally:
        await engine.dispose()


async def test_one_of_two_has_it_on_postgresql_and_the_other_when_that_one_leaves(
    server: Server,
) -> None:
    async with striving(Right(lock(server), FIRST)) as first:
        assert first.held
        async with striving(Right(lock(server), SECOND)) as second:
            assert second.standing is Standing.ELSEWHERE
            assert "process 11 on alpha" in str(second.elsewhere)
            first.leave()
            await asyncio.wait_for(second.gained(), 10)


async def test_a_session_that_is_ended_loses_it_at_once_and_is_followed_by_another(
    server: Server,
) -> None:
    async with striving(Right(lock(server), FIRST)) as right:
        ours = "application_name like 'callfarm dials%'"
        await sql(server, f"select pg_terminate_backend(pid) from pg_stat_activity where {ours}")
        await asyncio.wait_for(right.lost(), 0.5)
        await asyncio.wait_for(right.gained(), 10)


async def test_the_server_does_not_wait_long_for_a_machine_that_is_gone(server: Server) -> None:
    it = AdvisoryLock(database_url(server.url, Path()))
    assert await it.take(FIRST, lambda: None)
    assert it._session is not None
    for name, value in (("idle", "5"), ("interval", "2"), ("count", "3")):
        assert await it._session.fetchval(f"show tcp_keepalives_{name}") == value
    await it.release()


async def test_a_server_that_stands_still_or_dies_is_believed_in_no_longer_than_the_lease(
    server: Server,
) -> None:
    async with striving(Right(lock(server), FIRST)) as right:
        server.freeze()
        try:
            await asyncio.wait_for(right.lost(), LEASE_SECONDS + 3)
        finally:
            server.thaw()
        await asyncio.wait_for(right.gained(), 20)
        server.kill()
        await asyncio.wait_for(right.lost(), 1)
        server.start()
        await asyncio.wait_for(right.gained(), 20)
