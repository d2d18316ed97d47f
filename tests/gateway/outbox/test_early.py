"""Events that happen before it is known which companies want to be told of any."""

import asyncio
from ipaddress import ip_network
from typing import cast

import pytest
from sqlalchemy import select

from gateway.outbox import early
from gateway.outbox.early import Early, EarlyEvent
from gateway.outbox.event import Endpoint
from gateway.outbox.outbox import Outbox
from gateway.outbox.reports import ended_event
from gateway.store.store import Store
from gateway.store.tables import deliveries
from tests.fakes.n8n import N8nFake
from tests.gateway.outbox.post_office import CALL, Listeners, booking, outbox
from tests.harness import eventually

LOOPBACK = (ip_network("127.0.0.0/8"),)


def at(n8n: N8nFake, owner: int | None = None) -> Endpoint:
    return Endpoint(n8n.url + "/webhook/calls", owner)


def becomes_known(box: Outbox, *endpoints: Endpoint) -> None:
    """The list of those who want to know is read."""
    listeners = cast("Listeners", box._audience)
    listeners.endpoints += endpoints
    listeners.keys |= {it.owner: () for it in endpoints}
    listeners.known.set()


async def test_a_companys_events_wait_until_it_is_known_whether_it_wants_them(
    store: Store,
) -> None:
    async with N8nFake() as theirs, outbox(store, known=False, allowed=LOOPBACK) as box:
        assert box.tells(7)
        for number in range(3):
            box.post(booking(number, company=7))
            box.post(booking(number, company=8))
        await asyncio.sleep(0.1)
        becomes_known(box, at(theirs, 7))
        await eventually(lambda: len(theirs.bodies()) == 3)
        # Four at a time go to one address: on a busy machine they may overtake each other.
        assert {it["data"]["number"] for it in theirs.bodies()} == {0, 1, 2}
        assert await box.settle(1)
        assert box.tells(7)
        assert not box.tells(8)


async def test_the_operator_is_told_at_once_and_once(store: Store) -> None:
    async with (
        N8nFake() as ours,
        N8nFake() as theirs,
        outbox(store, at(ours), known=False, allowed=LOOPBACK) as box,
    ):
        box.post(booking(1, company=7))
        await eventually(ours.bodies)
        becomes_known(box, at(theirs, 7))
        await eventually(theirs.bodies)
        await asyncio.sleep(0.1)
        assert [it["id"] for it in ours.bodies()] == [it["id"] for it in theirs.bodies()]
        assert len(ours.bodies()) == len(theirs.bodies()) == 1


async def test_what_was_held_early_is_told_as_it_was_posted(store: Store) -> None:
    async with N8nFake() as theirs, outbox(store, known=False, allowed=LOOPBACK) as box:
        for again in (False, True):
            call = {**CALL, "sid": f"CA{again}", "company": 7}
            box.hold(ended_event(call, {"outcome": None}, again=again))
            box.post(ended_event(call, {"outcome": "completed"}, again=again))
        box.hold(ended_event({**CALL, "sid": "CAheld", "company": 7}, {}, again=False))
        becomes_known(box, at(theirs, 7))
        await eventually(lambda: len(theirs.bodies()) == 2)
        assert {it["data"]["outcome"] for it in theirs.bodies()} == {"completed"}
        assert await box.settle(1)
        await store.flush()
        rows = await store.rows(select(deliveries.c.state).order_by(deliveries.c.state))
        assert [row["state"] for row in rows] == ["delivered", "delivered", "held"]


async def test_an_event_of_a_transaction_waits_as_well(store: Store) -> None:
    async with N8nFake() as theirs, outbox(store, known=False, allowed=LOOPBACK) as box:
        it = box.prepared(booking(1, company=7))
        becomes_known(box, at(theirs, 7))
        await asyncio.sleep(0.1)
        assert theirs.bodies() == []  # it was not done yet
        box.send(it)
        await eventually(theirs.bodies)


async def test_what_is_emitted_early_is_durable_when_that_is_said(store: Store) -> None:
    async with N8nFake() as theirs, outbox(store, known=False, allowed=LOOPBACK) as box:
        asked = asyncio.create_task(box.posted(booking(1, company=7)))
        await asyncio.sleep(0.1)
        assert not asked.done()
        becomes_known(box, at(theirs, 7))
        assert await asyncio.wait_for(asked, 5)
        assert len(await store.rows(select(deliveries.c.id))) == 1


async def test_of_too_many_the_oldest_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early, "MOST_EARLY", 2)
    waiting, taken = Early(), list[str]()
    for name in "abcb":
        waiting.put(EarlyEvent(booking(company=7), name, "waiting"))
    while waiting:
        taken.append((await waiting.take()).id)
    assert taken == ["b", "c"]
