"""What the next gateway knows of a campaign's past, and what is not done between two steps."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from gateway.campaigns.ledger import CampaignLedger, Settlement
from gateway.campaigns.outcomes import Outcome
from gateway.campaigns.policy import Policy
from gateway.campaigns.register import Register
from gateway.campaigns.states import CampaignMove, LeadMove
from gateway.store.store import Store, Upsert
from gateway.store.tables import attempts, campaigns
from phone import CalleeOutcome
from tests.fakes.twilio_callee import Callee
from tests.gateway.campaigns.farm import Yard, numbers, successor, yard
from tests.gateway.store.conftest import database, store
from tests.harness import eventually

__all__ = ["database", "store"]

DEAD = Callee(CalleeOutcome.FAILED, ring_s=1)


async def called(it: Yard, campaign: str, count: int) -> None:
    """Return when so many leads are done with, and nobody is called."""

    async def over() -> bool:
        progress = await it.campaigns.progress(campaign)
        return progress.failed == count and not progress.dialling + progress.in_progress

    await eventually(over, seconds=60)
    await it.store.flush(60)


async def test_calls_that_failed_before_a_restart_count_for_the_breaker(tmp_path: Path) -> None:
    people = numbers(12)

    def callee(number: str) -> Callee:
        if number == people[2].phone:
            it.room = 0
        return DEAD

    async with yard(tmp_path, callee) as it:
        campaign = await it.begun(people, breaker_calls=4)
        await called(it, campaign.id, 3)
        await it.stop()
        async with successor(it) as after:
            await after.ended(campaign.id)
            view = await after.campaigns.get(campaign.id)
            assert (view.state, view.why) == ("stopped", "4 of the last 4 calls failed")
            assert len(it.dialled()) == 4


async def test_calls_that_failed_before_a_campaign_was_resumed_do_not_count_after_a_restart(
    tmp_path: Path,
) -> None:
    people = numbers(12)

    def callee(number: str) -> Callee:
        if number == people[4].phone:
            it.room = 0
        return DEAD

    async with yard(tmp_path, callee) as it:
        campaign = await it.begun(people, breaker_calls=4)
        await it.ended(campaign.id)
        assert (await it.campaigns.get(campaign.id)).state == "stopped"
        await it.campaigns.resume(campaign.id)
        await called(it, campaign.id, 5)
        await it.stop()
        async with successor(it) as after:
            await after.ended(campaign.id)
            assert (await after.campaigns.get(campaign.id)).state == "stopped"
        assert len(it.dialled()) == 5 + 4


async def test_nobody_is_dialled_while_it_is_written_down_that_the_carrier_takes_no_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with yard(tmp_path) as it:
        make = it.campaigns._moves.make

        async def slowly(campaign: str, move: CampaignMove, *rest: Any) -> bool:
            await asyncio.sleep(0.3 if move is CampaignMove.TRIP else 0)
            return await make(campaign, move, *rest)

        monkeypatch.setattr(it.campaigns._moves, "make", slowly)
        it.world.twilio.fail(401, 20003)
        campaign = await it.begun(numbers(4))
        await it.ended(campaign.id)
        assert (await it.campaigns.get(campaign.id)).state == "stopped"
        assert it.dialled() == []


async def test_the_ends_of_calls_are_known_by_lead_and_attempt_in_their_order(
    store: Store,
) -> None:
    register, ledger = Register(store), CampaignLedger(store, "c1")
    await register.create("c1", "x", None, Policy(), 1.0)
    await register.add("c1", 0, [(f"+49{n}", {}) for n in range(5)])
    await store.commit(update(campaigns).values(state="running"))
    kinds = [
        ("completed", Outcome.FAILED),  # answered, but not served
        ("busy", Outcome.BUSY),
        ("completed", Outcome.ANSWERED),
        ("", Outcome.LOST),
        ("", None),  # still in flight
    ]
    for lead, (status, outcome) in zip(await ledger.page(2.0), kinds, strict=True):
        key = f"k{lead.number}"
        assert await ledger.claim(lead, key)
        state = "ended" if status else "answered"
        ended = 10.0 + lead.number if status else None
        row = {"id": key, "campaign_id": "c1", "lead": lead.number, "phone": lead.phone}
        row |= {"state": state, "created": 5.0 + lead.number, "ended": ended, "status": status}
        store.write(Upsert("attempts", row))
        if outcome is not None:
            move = LeadMove.RETRY if outcome is Outcome.BUSY else LeadMove.FAIL
            next_at = 3.0 if outcome is Outcome.BUSY else None
            settled = Settlement(
                number=lead.number,
                attempt_id=key,
                move=move,
                attempts=1,
                outcome=outcome.value,
                next_at=next_at,
            )
            await ledger.settle([settled])
    assert await store.flush()
    assert await ledger.ended(10) == [
        *(Outcome.LOST, Outcome.FAILED, Outcome.BUSY, Outcome.ANSWERED)
    ]
    assert await ledger.ended(2) == [Outcome.BUSY, Outcome.ANSWERED]

    # Called again: how the call before ended is known by its attempt alone.
    (again,) = [lead for lead in await ledger.page(9.0) if lead.number == 1]
    assert await ledger.claim(again, "k1-again")
    assert await ledger.ended(2) == [Outcome.BUSY, Outcome.ANSWERED]
    await store.commit(update(attempts).where(attempts.c.id == "k1").values(status="failed"))
    assert await ledger.ended(2) == [Outcome.FAILED, Outcome.ANSWERED]
    assert await CampaignLedger(store, "c2").ended(10) == []
