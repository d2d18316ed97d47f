"""A campaign's moves and the events that tell them: both are in the database, or neither."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from gateway.campaigns.errors import CampaignStateError
from gateway.campaigns.moves import EVENTS, CampaignMoves, foreseen
from gateway.campaigns.policy import Policy
from gateway.campaigns.register import Register
from gateway.campaigns.states import CAMPAIGN_MOVES, CampaignMove, CampaignState
from gateway.outbox.event import Event
from gateway.outbox.prepared import Prepared
from gateway.store.store import Store, StoreError
from gateway.store.tables import deliveries
from tests.fakes.twilio_callee import Callee
from tests.gateway.campaigns.farm import numbers, outbox_of, yard
from tests.gateway.store.conftest import database, store

__all__ = ["database", "store"]

QUICK = Callee(ring_s=1, talk_s=5)


async def told(store: Store) -> list[dict[str, Any]]:
    rows = await store.rows(select(deliveries).order_by(deliveries.c.created))
    assert all(row["state"] == "waiting" for row in rows)
    return [msgspec.json.decode(row["body"]) for row in rows]


async def draft(store: Store, campaign: str = "c1") -> None:
    register = Register(store)
    await register.create(campaign, "x", None, Policy(), 1.0)
    await register.add(campaign, 0, [("+491", {}), ("+492", {}), ("+493", {})])


async def test_every_move_is_told_with_the_figures_it_leads_to(store: Store) -> None:
    await draft(store)
    moves = CampaignMoves(store, outbox_of(store))
    walk = (CampaignMove.START, CampaignMove.PAUSE, CampaignMove.RESUME, CampaignMove.TRIP)
    for at, move in enumerate((*walk, CampaignMove.CANCEL), 2):
        assert await moves.make("c1", move, float(at), "why" if move is CampaignMove.TRIP else None)
        view = await Register(store).get("c1")
        assert view is not None
        event = (await told(store))[-1]
        assert event["event"] == EVENTS[move]
        shown = await Register(store).progress(view)
        assert event["data"]["campaign"] == msgspec.to_builtins(shown)
    assert len(await told(store)) == 5


async def test_a_move_that_is_not_made_is_not_told(store: Store) -> None:
    await draft(store)
    moves = CampaignMoves(store, outbox_of(store))
    assert not await moves.make("c1", CampaignMove.PAUSE, 2.0)
    assert not await moves.make("c0", CampaignMove.START, 2.0)
    assert await moves.make("c1", CampaignMove.START, 2.0)
    assert not await moves.make("c1", CampaignMove.START, 3.0)
    assert [event["event"] for event in await told(store)] == ["campaign.started"]


async def test_two_who_pause_at_once_are_told_of_as_one(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await draft(store)
    moves, other = (CampaignMoves(store, outbox_of(store)) for _ in range(2))
    await moves.make("c1", CampaignMove.START, 2.0)
    seen = await other._told("c1", CampaignMove.PAUSE, 3.0, None)
    assert await moves.make("c1", CampaignMove.PAUSE, 3.0)

    async def as_seen_before(*_: object) -> Prepared | None:
        return seen

    monkeypatch.setattr(other, "_told", as_seen_before)
    assert not await other.make("c1", CampaignMove.PAUSE, 3.0)
    names = [event["event"] for event in await told(store)]
    assert names == ["campaign.started", "campaign.paused"]


async def test_an_event_is_not_lost_with_a_gateway_that_dies_before_it_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with yard(tmp_path, lambda number: QUICK) as it:
        sent = list[str]()
        monkeypatch.setattr(it.outbox, "send", lambda it: sent.append(it.deliveries[0].event))
        campaign = await it.begun(numbers(1))
        await it.ended(campaign.id)
        # Nothing but the database knows of them now.
        assert [event["event"] for event in await told(it.store)] == sent
        assert sent == ["campaign.started", "campaign.completed"]


async def test_a_database_that_refuses_the_event_refuses_the_move(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with yard(tmp_path) as it:
        made = await it.campaigns.create("x", Policy())
        await it.campaigns.add(made.id, numbers(1))
        prepared = it.outbox.prepared

        def twice(event: Event) -> Prepared:
            return Prepared(prepared(event).deliveries * 2)

        monkeypatch.setattr(it.outbox, "prepared", twice)
        with pytest.raises(StoreError):
            await it.campaigns.start(made.id)
        assert (await it.campaigns.get(made.id)).state == "draft"
        assert await it.events() == []


async def test_an_order_that_does_not_fit_tells_nobody(tmp_path: Path) -> None:
    async with yard(tmp_path, lambda number: QUICK) as it:
        campaign = await it.begun(numbers(1))
        await it.ended(campaign.id)
        with pytest.raises(CampaignStateError):
            await it.campaigns.cancel(campaign.id)
        assert len(await it.events()) == 2


async def test_nobody_is_asked_for_figures_that_nobody_wants(store: Store) -> None:
    await draft(store)
    outbox = outbox_of(store)
    outbox._audience.endpoints.clear()  # type: ignore[attr-defined]
    moves = CampaignMoves(store, outbox)
    assert await moves.make("c1", CampaignMove.START, 2.0)
    assert await told(store) == []


async def test_what_a_cancelled_campaign_cancels_is_foreseen(store: Store) -> None:
    await draft(store)
    view = await Register(store).get("c1")
    assert view is not None
    progress = await Register(store).progress(view)
    for (state, move), to in CAMPAIGN_MOVES.items():
        here = msgspec.structs.replace(progress, state=state.value)
        after = foreseen(here, move, 9.0, None)
        assert after is not None
        assert (after.state, after.ended) == (to.value, 9.0 if to.final else None)
        is_cancelled = move is CampaignMove.CANCEL
        assert (after.waiting, after.cancelled) == ((0, 3) if is_cancelled else (3, 0))
    over = msgspec.structs.replace(progress, state=CampaignState.COMPLETED.value)
    assert foreseen(over, CampaignMove.CANCEL, 9.0, None) is None
