"""Two gateways that share a database: each tells its own, and what a dead one owes is told once."""

import asyncio
import time

from sqlalchemy import select, update

from gateway.outbox.deliveries import HELD, WAITING, Deliveries
from gateway.outbox.made import tell_lost
from gateway.outbox.outbox import Outbox
from gateway.outbox.upkeep import Upkeep
from gateway.store.recorder import StoreRecords, mark_lost
from gateway.store.records import CallBook
from gateway.store.store import Store
from gateway.store.tables import deliveries
from tests.fakes.n8n import Answer, N8nFake
from tests.gateway.calls.actors import SID, incoming
from tests.gateway.outbox.post_office import booking, outbox
from tests.gateway.outbox.test_outbox import DEAD, at
from tests.gateway.store.conftest import dies
from tests.harness import eventually

Pair = tuple[Store, Store]
LOOK = 0.05


async def owners(*stores: Store) -> set[str]:
    for store in stores:
        assert await store.flush()
    return {row["gateway"] for row in await stores[0].rows(select(deliveries.c.gateway))}


async def leave(store: Store, n8n: N8nFake, count: int, state: str = WAITING) -> None:
    """Let a gateway write down what it does not come to tell."""
    async with outbox(store, at(n8n)) as box:
        for each in range(count):
            for it in box.prepared(booking(each)).deliveries:
                box.deliveries.add(it, state)
    assert await store.flush()


def numbers(n8n: N8nFake) -> list[int]:
    return sorted(body["data"]["number"] for body in n8n.bodies())


async def test_each_tells_its_own_and_what_failed_is_not_the_others(pair: Pair) -> None:
    a, b = pair
    async with (
        N8nFake() as n8n,
        outbox(a, at(n8n), look=LOOK, scale=0.02) as first,
        outbox(b, at(n8n), look=LOOK) as second,
    ):
        n8n.answers = [Answer(500), Answer(500)]
        first.post(booking(1))
        await eventually(lambda: first.statistics.delivered == 1)
        second.post(booking(2))
        await eventually(lambda: second.statistics.delivered == 1)
        assert (first.statistics.tries, second.statistics.tries) == (3, 1)
    assert await owners(a, b) == {"a", "b"}


async def test_what_a_gateway_has_yet_to_tell_is_left_to_it_while_it_is_there(pair: Pair) -> None:
    a, b = pair
    async with N8nFake() as n8n:
        await leave(a, n8n, 3)
        async with outbox(b, at(n8n), look=LOOK):
            await asyncio.sleep(10 * LOOK)
            assert n8n.received == []
            await dies(a)
            await eventually(lambda: len(n8n.received) == 3)
        assert await owners(b) == {"b"}


async def test_of_several_that_are_left_one_tells_each(pair: Pair) -> None:
    a, b = pair
    async with N8nFake() as n8n:
        for name in (None, "c"):
            await leave(a, n8n, 40)
            await a.commit(update(deliveries).values(gateway=name))
        assert len(n8n.received) == 0
        async with (
            outbox(a, at(n8n), look=LOOK) as first,
            outbox(b, at(n8n), look=LOOK) as second,
        ):
            await eventually(lambda: first.statistics.delivered + second.statistics.delivered == 80)
            await asyncio.sleep(4 * LOOK)
        assert numbers(n8n) == sorted([*range(40), *range(40)])


async def test_what_was_taken_is_not_taken_again(pair: Pair) -> None:
    a, b = pair
    async with N8nFake() as n8n:
        await leave(a, n8n, 100)
    await a.commit(update(deliveries).values(gateway="c"))
    now = time.time()
    taken = await asyncio.gather(*(Upkeep(it).take_over(now, now) for it in (a, b, a, b)))
    assert sum(taken) == 100


async def test_nothing_is_taken_while_it_is_not_known_who_is_there(pair: Pair) -> None:
    a, b = pair
    async with N8nFake() as n8n:
        await leave(a, n8n, 3)
    await dies(a)
    now = time.time()
    b.sure_from = now + 60
    assert await Upkeep(b).take_over(now, now) == 0
    b.sure_from = now
    assert await Upkeep(b).take_over(now, now) == 3


async def test_the_end_that_a_gateway_held_when_it_died_is_told_by_the_other(pair: Pair) -> None:
    a, b = pair
    async with N8nFake() as n8n:
        await leave(a, n8n, 1, HELD)
        async with outbox(b, at(n8n), look=LOOK):
            await asyncio.sleep(4 * LOOK)
            assert n8n.received == []
            await dies(a)
            await eventually(lambda: numbers(n8n) == [0])


async def test_a_call_that_was_lost_with_a_gateway_is_told_by_whichever_ends_it(
    pair: Pair,
) -> None:
    a, b = pair
    StoreRecords(a).of(incoming(), known=False).begun("r1", direct=False)
    assert await a.flush()
    await dies(a)
    assert await mark_lost(b, 0.0, longest=-60.0) == 1
    async with N8nFake() as n8n, outbox(a, at(n8n)) as first, outbox(b, at(n8n)) as second:

        async def told(store: Store, box: Outbox) -> int:
            return await tell_lost(store, CallBook(store), box, 0.0, [])

        assert await told(a, first) == 0
        assert await told(b, second) == 1
        await eventually(lambda: n8n.bodies("call.ended"))
        assert n8n.bodies("call.ended")[0]["call"]["sid"] == SID


async def test_what_failed_is_told_again_by_the_gateway_that_is_asked(pair: Pair) -> None:
    a, b = pair
    async with outbox(a, DEAD) as box:
        box.post(booking(7))
        await eventually(lambda: box.statistics.tries >= 1)
    assert await a.flush()
    async with N8nFake() as n8n:
        await a.commit(update(deliveries).values(state="failed", url=at(n8n).url))
        async with outbox(a, at(n8n), look=LOOK) as first, outbox(b, at(n8n)) as second:
            assert await second.redeliver(None) == 1
            await eventually(lambda: second.statistics.delivered == 1)
            assert first.statistics.tries == 0
        assert numbers(n8n) == [7]
        assert await Deliveries(a).again(None, time.time()) == []
