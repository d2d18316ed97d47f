"""An event and what it tells of are written down together, or neither is."""

import asyncio

import pytest
from sqlalchemy import exists, insert, select, update

from gateway.outbox.event import Event
from gateway.store.store import Store, StoreError
from gateway.store.tables import campaigns
from tests.fakes.n8n import N8nFake
from tests.gateway.outbox.post_office import outbox
from tests.gateway.outbox.test_outbox import at
from tests.harness import eventually

DRAFT = exists(select(campaigns.c.id).where(campaigns.c.id == "c1", campaigns.c.state == "draft"))
STARTED = Event("campaign.started", {}, {"campaign": {"id": "c1"}})


async def make(store: Store) -> None:
    row = {"id": "c1", "name": "x", "state": "draft", "settings": {}, "total": 0, "created": 1.0}
    await store.commit(insert(campaigns).values(row))


def move() -> object:
    return update(campaigns).where(campaigns.c.state == "draft").values(state="running")


async def test_what_was_done_is_told_and_what_was_done_before_is_not(store: Store) -> None:
    await make(store)
    async with N8nFake() as n8n, outbox(store, at(n8n)) as box:
        for done in (1, 0):
            made = box.prepared(STARTED)
            assert await store.commit(*made.statements(DRAFT), move()) == done  # type: ignore[arg-type]
            if done:
                box.send(made)
        await eventually(lambda: n8n.bodies("campaign.started"))
        assert await box.settle(5.0)
        assert len(n8n.received) == 1
        (row,) = await box.deliveries.page()
        assert (row["event"], row["company_id"]) == ("campaign.started", None)


async def test_a_gateway_that_dies_in_between_has_the_next_one_tell_it(store: Store) -> None:
    await make(store)
    async with N8nFake() as n8n:
        async with outbox(store, at(n8n)) as box:
            made = box.prepared(STARTED)
            await store.commit(*made.statements(DRAFT), move())  # type: ignore[arg-type]
        async with outbox(store, at(n8n)):
            await eventually(lambda: n8n.bodies("campaign.started"))


async def test_what_was_committed_and_the_answer_was_lost_is_told_all_the_same(
    store: Store,
) -> None:
    await make(store)
    async with N8nFake() as n8n, outbox(store, at(n8n), look=0.05) as box:
        await asyncio.sleep(0.1)  # it has looked for what was left, and found nothing
        await store.commit(*box.prepared(STARTED).statements(DRAFT), move())  # type: ignore[arg-type]
        await eventually(lambda: n8n.bodies("campaign.started"))
        await asyncio.sleep(0.2)
        assert len(n8n.received) == 1


async def test_what_cannot_be_done_is_not_told(store: Store) -> None:
    async with N8nFake() as n8n, outbox(store, at(n8n)) as box:
        made = box.prepared(STARTED)
        wrong = insert(campaigns).values(id="c2", name=None, state="draft", settings={})
        with pytest.raises(StoreError):
            await store.commit(*made.statements(), wrong)
        assert await box.deliveries.page() == []
        assert box.prepared(STARTED).statements(DRAFT)  # written nowhere by itself
        assert await box.settle(5.0)
        assert n8n.received == []
