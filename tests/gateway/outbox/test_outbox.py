import asyncio
import time

from sqlalchemy import select, update

from gateway.outbox.deliveries import Deliveries
from gateway.outbox.event import Endpoint, Event
from gateway.outbox.lane import AT_ONCE, WINDOW
from gateway.outbox.rules import OutboxRules
from gateway.outbox.schedule import DELAYS, Circuit
from gateway.outbox.upkeep import Upkeep
from gateway.store.store import Store
from gateway.store.tables import deliveries
from tests.fakes.n8n import Answer, N8nFake, Received
from tests.gateway.outbox.post_office import CALL, booking, outbox
from tests.harness import eventually

DEAD = Endpoint("http://127.0.0.1:1/webhook/calls", None)


def at(n8n: N8nFake, owner: int | None = None) -> Endpoint:
    return Endpoint(f"{n8n.url}/webhook/calls", owner)


async def states(store: Store) -> list[str]:
    await store.flush()
    rows = await store.rows(select(deliveries.c.state).order_by(deliveries.c.created))
    return [row["state"] for row in rows]


async def test_an_event_is_told_signed_and_written_down(store: Store) -> None:
    async with N8nFake(secrets=("new",)) as n8n, outbox(store, at(n8n), keys=("new", "old")) as box:
        box.post(booking(7))
        await eventually(lambda: n8n.taken("booking"))
        told = n8n.taken("booking")[0]
        assert told.json["data"] == {"number": 7}
        assert told.key.startswith("dl_")
        assert told.headers["x-callfarm-event"] == "booking"
        await eventually(lambda: box.statistics.delivered == 1)
        assert await states(store) == ["delivered"]
        one = await box.deliveries.one(told.key)
        assert one is not None
        assert [(it["number"], it["status"]) for it in one["log"]] == [(1, 200)]


async def test_either_of_two_secrets_proves_it(store: Store) -> None:
    async with N8nFake(secrets=("old",)) as n8n, outbox(store, at(n8n), keys=("new", "old")) as box:
        box.post(booking())
        await eventually(n8n.taken)


async def test_a_failure_is_tried_again_with_the_same_key(store: Store) -> None:
    async with N8nFake() as n8n, outbox(store, at(n8n)) as box:
        n8n.answers = [Answer(500), Answer(404), Answer(cut=True)]
        box.post(booking())
        await eventually(n8n.taken)
        assert len({it.key for it in n8n.received}) == 1
        assert [it.headers["x-callfarm-try"] for it in n8n.received] == ["1", "2", "3", "4"]
        await eventually(lambda: box.statistics.delivered == 1)
        await store.flush()
        one = await box.deliveries.one(n8n.received[0].key)
        assert one is not None
        assert [it["status"] for it in one["log"]] == [500, 404, None, 200]


async def test_an_address_that_is_gone_is_told_once(store: Store) -> None:
    async with N8nFake() as n8n, outbox(store, at(n8n)) as box:
        n8n.otherwise = Answer(410)
        box.post(booking())
        await eventually(lambda: box.statistics.failed == 1)
        assert await states(store) == ["failed"]
        assert len(n8n.received) == 1


async def test_a_day_of_failures_gives_it_up_and_a_command_tells_it_again(store: Store) -> None:
    async with N8nFake() as n8n, outbox(store, at(n8n), scale=1e-5) as box:
        n8n.otherwise = Answer(404)
        box.post(booking())
        await eventually(lambda: box.statistics.failed == 1)
        assert len(n8n.received) == len(DELAYS) + 1
        n8n.otherwise = Answer()
        assert await box.redeliver(None) == 1
        await eventually(n8n.taken)
        assert {it.key for it in n8n.received} == {n8n.received[0].key}
        await eventually(lambda: box.statistics.delivered == 1)
        assert await states(store) == ["delivered"]


async def test_what_a_killed_gateway_left_is_told_by_the_next(store: Store) -> None:
    async with outbox(store, DEAD) as box:
        for number in range(3):
            box.post(booking(number))
        await eventually(lambda: box.statistics.tries >= 3)
    async with N8nFake() as n8n:
        await store.flush()
        await store.commit(
            update(deliveries).values(url=at(n8n).url, next_at=time.time()),
        )
        async with outbox(store, at(n8n)):
            await eventually(lambda: len(n8n.taken()) == 3)


async def test_an_answer_that_was_not_written_down_is_asked_for_again(store: Store) -> None:
    async with N8nFake() as n8n:
        n8n.otherwise = Answer(delay_s=0.3)
        async with outbox(store, at(n8n)) as box:
            await box.posted(booking())
            await eventually(lambda: n8n.received)
        n8n.otherwise = Answer()
        async with outbox(store, at(n8n)):
            await eventually(lambda: len(n8n.received) == 2)
        assert n8n.received[0].key == n8n.received[1].key


async def test_what_was_held_is_told_by_the_next_gateway(store: Store) -> None:
    ended = Event("call.ended", CALL, {"outcome": "completed"}, key="CA1\nended")
    async with N8nFake() as n8n:
        async with outbox(store, at(n8n)) as box:
            box.hold(ended)
            await store.flush()
            await asyncio.sleep(0.05)
            assert not n8n.received
        async with outbox(store, at(n8n)):
            await eventually(lambda: n8n.bodies("call.ended"))


async def test_what_was_held_and_is_posted_is_told_once(store: Store) -> None:
    async with N8nFake() as n8n, outbox(store, at(n8n)) as box:
        box.hold(Event("call.ended", CALL, {"outcome": "?"}, key="CA1\nended"))
        box.post(Event("call.ended", CALL, {"outcome": "completed"}, key="CA1\nended"))
        await eventually(lambda: box.statistics.delivered == 1)
        assert [it["data"]["outcome"] for it in n8n.bodies()] == ["completed"]
        assert await states(store) == ["delivered"]


async def test_a_dead_address_does_not_hold_up_others(store: Store) -> None:
    async with N8nFake() as alive, N8nFake() as slow:
        slow.otherwise = Answer(delay_s=30)
        async with outbox(store, at(slow), DEAD, at(alive), seconds=20.0) as box:
            for number in range(50):
                box.post(booking(number))
            await eventually(lambda: len(alive.taken()) == 50, 10)
            assert slow.most_open <= AT_ONCE


async def test_an_address_that_fails_gets_one_request_at_a_time(store: Store) -> None:
    async with N8nFake() as n8n, outbox(store, at(n8n)) as box:
        n8n.otherwise = Answer(503, delay_s=0.02)
        for number in range(30):
            box.post(booking(number))
        await eventually(lambda: box.statistics.resting == 1)
        await eventually(lambda: n8n.open == 0)
        n8n.most_open = 0
        seen = len(n8n.received)
        await eventually(lambda: len(n8n.received) > seen + 2)
        assert n8n.most_open == 1
        n8n.otherwise = Answer()
        await eventually(lambda: len({it.key for it in n8n.taken()}) == 30)
        assert Circuit.FAILURES <= AT_ONCE + 1


async def test_more_than_fits_in_memory_is_found_in_the_database(store: Store) -> None:
    async with N8nFake() as n8n, outbox(store, at(n8n)) as box:
        count = 10 * WINDOW
        for number in range(count):
            box.post(booking(number))
        lane = next(iter(box._lanes.values()))
        assert len(lane) <= WINDOW
        await eventually(lambda: len(n8n.taken()) >= count)
        assert sorted(it["data"]["number"] for it in n8n.bodies()) == list(range(count))
        await eventually(lambda: not box._lanes)


async def test_a_company_is_told_of_its_own_calls_alone(store: Store) -> None:
    async with N8nFake() as ours:
        theirs = Endpoint("https://hooks.invalid/x", 7)
        async with outbox(store, at(ours), theirs) as box:
            assert box.post(booking(1, company=7)) == 2
            assert box.post(booking(2, company=8)) == 1
            assert box.post(booking(3)) == 1
            await eventually(lambda: len(ours.taken()) == 3)


async def test_a_companys_address_inside_is_given_up_at_once(store: Store) -> None:
    async with N8nFake() as n8n:
        theirs = Endpoint(f"https://127.0.0.1:{n8n.port}/webhook/calls", 7)
        inside = Endpoint("https://127.0.0.1/webhook/calls", 7)
        async with outbox(store, theirs, inside) as box:
            box.post(booking(company=7))
            await eventually(lambda: box.statistics.failed == 2)
        assert not n8n.received
        await store.flush()
        page = await Deliveries(store).page()
        assert {it["state"] for it in page} == {"failed"}


async def test_a_company_that_is_gone_is_told_no_more(store: Store) -> None:
    async with outbox(store, Endpoint("https://hooks.invalid/x", 7)) as box:
        box._audience.keys.clear()  # type: ignore[attr-defined]
        box.post(booking(company=7))
        await eventually(lambda: box.statistics.failed == 1)


async def test_a_retry_after_keeps_the_address_alone(store: Store) -> None:
    async with N8nFake() as n8n, outbox(store, at(n8n)) as box:
        n8n.answers = [Answer(429, headers={"Retry-After": "1"})]
        box.post(booking())
        await eventually(lambda: box.statistics.tries == 1)
        box.post(booking())
        await asyncio.sleep(0.3)
        assert len(n8n.received) == 1
        await eventually(lambda: len(n8n.taken()) == 2)
        assert n8n.received[1].at - n8n.received[0].at > 0.9


async def test_what_waited_too_long_is_given_up_and_what_is_old_is_taken_away(store: Store) -> None:
    async with outbox(store, DEAD) as box:
        box.post(booking())
        await eventually(lambda: box.statistics.tries >= 1)
    await store.flush()
    upkeep = Upkeep(store)
    assert await upkeep.expire(time.time()) == 0
    assert await upkeep.expire(time.time() + 30 * 3600) == 1
    assert await upkeep.forget(time.time() - 3600) == 0
    assert await upkeep.forget(time.time() + 31 * 3600) == 1
    assert await Deliveries(store).page() == []


async def test_the_last_events_are_let_go_before_the_end(store: Store) -> None:
    async with N8nFake() as n8n, outbox(store, at(n8n)) as box:
        n8n.otherwise = Answer(delay_s=0.1)
        for number in range(5):
            box.post(booking(number))
        assert await box.settle(5)
        assert len(n8n.taken()) == 5
        n8n.otherwise = Answer(delay_s=30)
        box.post(booking())
        assert not await box.settle(0.2)


async def test_of_a_hundred_that_fail_at_random_each_is_told(store: Store) -> None:
    def coin(it: Received) -> Answer:
        return (
            Answer(500)
            if int(it.key[-2:], 16) % 3 == 0 and it.headers["x-callfarm-try"] < "3"
            else Answer()
        )

    async with N8nFake() as n8n, outbox(store, at(n8n)) as box:
        n8n.otherwise = coin
        for number in range(100):
            box.post(booking(number))
        await eventually(lambda: len({it.key for it in n8n.taken()}) == 100, 30)
        await eventually(lambda: box.statistics.delivered == 100)
        assert await states(store) == ["delivered"] * 100


async def test_slow_addresses_of_one_company_do_not_hold_up_anothers(store: Store) -> None:
    async with N8nFake() as slow, N8nFake() as quick:
        slow.otherwise = Answer(delay_s=0.3)
        theirs = [Endpoint(f"{slow.url}/webhook/calls?n={n}", None) for n in range(6)]
        async with outbox(store, *theirs, Endpoint(f"{quick.url}/webhook/calls", None)) as box:
            quick_alone = box._audience.endpoints.pop()  # type: ignore[attr-defined]
            for number in range(12):
                box.post(booking(number))
            await eventually(lambda: slow.received)
            box._audience.endpoints[:] = [quick_alone]  # type: ignore[attr-defined]
            box.post(booking(99))
            await eventually(quick.taken)
            assert len(slow.received) <= 3 * OutboxRules().at_once
