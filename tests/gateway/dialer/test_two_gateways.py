"""Orders given at a gateway that does not dial: the one that does carries them out, once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.dialer import handing_over
from gateway.dialer.dialer import Dialer
from gateway.dialer.errors import DialInDoubtError, DialRefusedError, DialUnavailableError
from gateway.dialer.file_lock import FileLock
from gateway.dialer.holder import Holder
from gateway.dialer.order import Order
from gateway.dialer.right import Right
from tests.fakes.twilio_rest import Trouble
from tests.gateway.dialer.exchange import TO, World, successor, world
from tests.harness import eventually


def right_of(folder: Path, name: str) -> Right:
    """Return a gateway's right to dial for the database of ``folder``."""
    return Right(FileLock(folder / "x.db"), Holder(name, 1, name))


@asynccontextmanager
async def two(folder: Path, **more: Any) -> AsyncIterator[tuple[World, Dialer]]:
    """Open a world whose gateway dials, and another gateway on the same database."""
    async with world(folder, right=right_of(folder, "first"), **more) as it:
        await asyncio.wait_for(it.dialer.right.gained(), 10)
        async with successor(it, right=right_of(folder, "second")) as second:
            await second.right.asked(10)
            assert second.right.elsewhere
            yield it, second


async def test_an_order_given_at_the_other_gateway_is_dialled_by_the_one_that_dials(
    tmp_path: Path,
) -> None:
    async with two(tmp_path) as (it, second):
        order = Order(to=TO, agent="Caller", variables={"name": "Ada"}, key="ada")
        dialled = await second.dial(order)
        (call,) = it.twilio.account.calls.values()
        assert (dialled.call_sid, dialled.repeated) == (call.sid, False)
        followed = it.dialer.following.get(dialled.id)
        assert followed is not None
        assert followed.plan.variables == {"name": "Ada"}
        assert second.following.get(dialled.id) is None
        for gateway in (second, it.dialer):
            again = await gateway.dial(order)
            assert (again.call_sid, again.repeated) == (call.sid, True)
        assert len(it.twilio.account.calls) == 1


async def test_the_same_order_given_at_both_at_once_is_dialled_once(tmp_path: Path) -> None:
    async with two(tmp_path) as (it, second):
        for n in range(5):
            order = Order(to=TO, agent="Caller", key=f"both-{n}")
            given = [gateway.dial(order) for gateway in (second, it.dialer)]
            came = await asyncio.gather(*given, return_exceptions=True)
            assert not [each for each in came if isinstance(each, DialRefusedError)]
        await it.settled()
        assert len(it.twilio.account.calls) == 5


async def test_what_the_carrier_says_no_to_is_refused_at_the_other_gateway(tmp_path: Path) -> None:
    async with two(tmp_path) as (it, second):
        it.twilio.account.blocked[TO] = 21216
        with pytest.raises(DialRefusedError, match="blocks that number"):
            await second.dial(Order(to=TO))
        it.dialer.room = lambda: 0
        with pytest.raises(DialUnavailableError, match="MAX_CALLS"):
            await second.dial(Order(to=TO))
        assert not it.twilio.account.calls


async def test_an_answer_that_is_lost_is_in_doubt_at_the_other_gateway_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handing_over, "ANSWER_SECONDS", 0.3)
    async with two(tmp_path) as (it, second):
        it.twilio.mishap = lambda asked: (
            Trouble.CUT_AFTER if asked.method == "POST" else Trouble.CUT
        )
        it.twilio.exchange.faults.lost = frozenset(
            {"initiated", "ringing", "answered", "completed"}
        )
        with pytest.raises(DialInDoubtError):
            await second.dial(Order(to=TO, key="once"))
        with pytest.raises(DialInDoubtError):
            await second.dial(Order(to=TO, key="once"))
        assert len(it.twilio.account.calls) == 1


async def test_an_order_that_nobody_takes_is_withdrawn_and_dialled_by_nobody_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handing_over, "TAKEN_SECONDS", 0.5)
    lock, me = FileLock(tmp_path / "x.db"), Holder("silent", 7, "silent")
    assert await lock.take(me, lambda: None)
    async with world(tmp_path, right=right_of(tmp_path, "second")) as it:
        with pytest.raises(DialUnavailableError, match="process 7 on silent"):
            await it.dialer.dial(Order(to=TO, key="k"))
        await lock.release()
        await asyncio.wait_for(it.dialer.right.gained(), 10)
        await asyncio.sleep(0.6)
        assert not it.twilio.account.calls
        assert (await it.dialer.dial(Order(to=TO, key="k"))).call_sid, "it may be given again"
        assert len(it.twilio.account.calls) == 1


async def test_an_order_whose_gateway_was_killed_is_dialled_if_it_is_young_and_else_by_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = FileLock(tmp_path / "x.db")
    assert await lock.take(Holder("silent", 7, "silent"), lambda: None)
    async with world(tmp_path, right=right_of(tmp_path, "second")) as it:
        async with successor(it, right=right_of(tmp_path, "third")) as third:
            giving = [
                asyncio.create_task(third.dial(Order(to=TO, key=key))) for key in ("old", "young")
            ]

            async def waiting() -> int:
                return len(await third._ledger.ordered(9))

            await eventually(lambda: _is(waiting, 2))
            for each in giving:
                each.cancel()
        (old, _) = await it.dialer._ledger.ordered(9)
        old.created -= handing_over.STALE_SECONDS + 1
        it.dialer._ledger.write(old)
        assert await it.store.flush()
        await lock.release()
        await eventually(lambda: it.twilio.account.calls, seconds=10)
        await it.settled()
        assert len(it.twilio.account.calls) == 1
        gone = await it.dialer.progress(old.id)
        assert gone is not None
        assert (gone.state.value, gone.error) == ("refused", "nobody has dialled in time")


async def test_a_human_who_takes_a_call_over_is_called_by_the_gateway_that_has_the_caller(
    tmp_path: Path,
) -> None:
    async with two(tmp_path) as (_, second):
        dialled = await second.dial(Order(to=TO, transfer_of="CA1"))
        assert second.following.get(dialled.id) is not None


async def test_the_next_gateway_finds_out_what_became_of_a_call_in_doubt(tmp_path: Path) -> None:
    async with two(tmp_path) as (it, second):
        it.twilio.trouble(Trouble.CUT_AFTER)
        it.twilio.exchange.faults.lost = frozenset({"initiated", "ringing", "answered"})
        giving = asyncio.create_task(it.dialer.dial(Order(to=TO, key="k")))
        await eventually(lambda: it.twilio.account.calls)
        it.dialer.draining = True
        await asyncio.wait_for(second.right.gained(), 10)
        giving.cancel()

        async def found() -> bool:
            attempts = list(second.following)
            return not attempts and second.following.recovered.is_set()

        await eventually(found, seconds=20)
        assert len(it.twilio.account.calls) == 1
        assert (await second.dial(Order(to=TO, key="k"))).repeated


async def test_no_right_is_no_calls_for_a_key_and_an_order_without_one_does_not_wait(
    tmp_path: Path,
) -> None:
    class Away(FileLock):
        async def take(self, me: Holder, lost: object) -> bool:
            raise OSError(5, "the disk is gone")

    right = Right(Away(tmp_path / "x.db"), Holder("first", 1, "first"))
    async with world(tmp_path, right=right) as it:
        with pytest.raises(DialUnavailableError, match="right to dial"):
            await it.dialer.dial(Order(to=TO, key="k"))
        assert not it.twilio.account.calls
        await it.dialer.dial(Order(to=TO))
        assert len(it.twilio.account.calls) == 1


async def _is(count: Any, wanted: int) -> bool:
    return bool(await count() == wanted)
