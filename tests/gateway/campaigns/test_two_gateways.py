"""Campaigns of one database at two gateways: one runs them, the other takes over."""

import asyncio
from collections import Counter
from pathlib import Path

from sqlalchemy import delete

from gateway.campaigns.ledger import CampaignLedger
from gateway.campaigns.policy import Policy
from gateway.campaigns.register import Register
from gateway.campaigns.scheduler import Lead
from gateway.campaigns.states import CampaignMove
from gateway.carriers.placing import Machine
from gateway.dialer.attempt import Attempt, CallPlan
from gateway.dialer.ledger import Ledger
from gateway.store.store import Store
from gateway.store.tables import attempts, campaigns, leads
from tests.fakes.twilio_callee import Callee
from tests.gateway.campaigns.farm import ENDLESS, LONG, numbers, successor, yard
from tests.gateway.dialer.test_two_gateways import right_of
from tests.gateway.store.conftest import database, store
from tests.harness import eventually

__all__ = ["database", "store"]

QUICK = Callee(ring_s=1, talk_s=5)


async def test_orders_at_the_other_gateway_reach_the_one_that_dials_and_are_shown_so(
    tmp_path: Path,
) -> None:
    async with yard(tmp_path, lambda _: ENDLESS, right=right_of(tmp_path, "first")) as it:
        await asyncio.wait_for(it.world.dialer.right.gained(), 10)
        async with successor(it, right=right_of(tmp_path, "second")) as other:
            await other.world.dialer.right.asked(10)
            campaign = await other.begun(numbers(5), concurrency=2, max_seconds=LONG)
            assert "process 1 on first" in str(campaign.elsewhere)
            assert (await it.campaigns.get(campaign.id)).elsewhere is None
            await eventually(lambda: len(it.live()) == 2, seconds=20)
            assert other.campaigns.statistics.running == 0
            assert it.campaigns.statistics.dials
            assert not other.campaigns.statistics.dials

            paused = await other.campaigns.pause(campaign.id)
            assert paused.elsewhere is None, "nobody dials it"
            for call in it.live():
                it.end(call)
            await asyncio.sleep(0.3)
            assert len(it.dialled()) == 2

            await other.campaigns.cancel(campaign.id)
            leads = await it.ended(campaign.id)
            assert Counter(lead.state for lead in leads) == {"done": 2, "cancelled": 3}


async def test_a_gateway_that_leaves_has_its_campaigns_gone_on_with_by_the_other(
    tmp_path: Path,
) -> None:
    people = numbers(12)
    async with yard(tmp_path, lambda _: QUICK, right=right_of(tmp_path, "first")) as it:
        await asyncio.wait_for(it.world.dialer.right.gained(), 10)
        async with successor(it, right=right_of(tmp_path, "second")) as other:
            campaign = await it.begun(people, concurrency=3)
            await eventually(lambda: len(it.dialled()) >= 3, seconds=20)
            it.campaigns.drain()
            it.world.dialer.draining = True
            leads = await other.ended(campaign.id)
        assert {lead.state for lead in leads} == {"done"}
        assert Counter(call.to for call in it.dialled()) == Counter(it.phone for it in people)


async def test_a_right_that_comes_and_goes_calls_nobody_twice(tmp_path: Path) -> None:
    people, right = numbers(12), right_of(tmp_path, "first")
    async with yard(tmp_path, lambda _: QUICK, right=right) as it:
        await asyncio.wait_for(right.gained(), 10)
        campaign = await it.begun(people, concurrency=3)
        for count in (2, 5):
            await eventually(lambda: len(it.dialled()) >= count, seconds=20)  # noqa: B023
            right._cut()
            assert not right.held
            before = len(it.dialled())
            await asyncio.sleep(0)
            assert len(it.dialled()) == before
        leads = await it.ended(campaign.id)
        assert {lead.state for lead in leads} == {"done"}
        assert Counter(call.to for call in it.dialled()) == Counter(it.phone for it in people)


async def test_a_lead_that_was_given_back_cannot_be_dialled_by_who_had_claimed_it(
    store: Store,
) -> None:
    ledger, dials, lead = await claimed(store)
    assert await ledger.give_back(lead, "k1", "it was stopped")
    assert not await dials.open(attempt("k1"))
    assert await ledger.claim(lead, "k2")
    assert not await dials.open(attempt("k1"))
    assert await dials.open(attempt("k2"))


async def test_a_lead_whose_attempt_is_written_down_is_not_given_back(store: Store) -> None:
    ledger, dials, lead = await claimed(store)
    assert await dials.open(attempt("k1"))
    assert not await dials.open(attempt("k1"))
    assert not await ledger.give_back(lead, "k1", "it was stopped")
    assert [it.attempt_id for it in await ledger.flying()] == ["k1"]


async def test_of_two_gateways_at_odds_over_a_lead_one_wins(store: Store) -> None:
    for _ in range(20):
        ledger, dials, lead = await claimed(store)
        opened, returned = await asyncio.gather(
            dials.open(attempt("k1")), ledger.give_back(lead, "k1", "it was stopped")
        )
        assert opened is not returned
        await cleared(store)


async def claimed(store: Store) -> tuple[CampaignLedger, Ledger, Lead]:
    """Return a campaign that runs, and its only lead, which is claimed for the attempt k1."""
    register = Register(store)
    await register.create("c1", "x", None, Policy(), 1.0)
    assert await register.add("c1", 0, [("+493012345678", {})])
    ledger = CampaignLedger(store, "c1")
    assert await ledger.move(CampaignMove.START, 2.0)
    (lead,) = await ledger.page(3.0)
    assert await ledger.claim(lead, "k1")
    return ledger, Ledger(store), lead


async def cleared(store: Store) -> None:
    """Forget all campaigns and attempts."""
    await store.commit(delete(attempts), delete(leads), delete(campaigns))


def attempt(key: str) -> Attempt:
    """Return an attempt of the lead."""
    plan = CallPlan("desk:Desk", {"name": "Ada"}, Machine.GO_ON)
    return Attempt(key, "+493012345678", "+15557654321", None, plan, 5.0, "c1", 0)
