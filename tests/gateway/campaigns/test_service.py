"""Campaigns as they are made, filled, ordered about and shown."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from gateway.campaigns.admission import Candidate, admitted
from gateway.campaigns.errors import BadLeadsError, CampaignStateError, NoSuchCampaignError
from gateway.campaigns.hours import Hours
from gateway.campaigns.ledger import PAGE, CampaignLedger, Settlement
from gateway.campaigns.policy import Policy
from gateway.campaigns.register import Register
from gateway.campaigns.states import CampaignMove, LeadMove, LeadState
from gateway.dialer.numbers import NumberRules
from gateway.store.store import Store, StoreError
from gateway.store.tables import attempts, leads
from tests.fakes.twilio_callee import Callee
from tests.gateway.campaigns.farm import Yard, numbers, yard
from tests.gateway.store.conftest import database, store
from tests.harness import eventually

__all__ = ["database", "store"]

QUICK = Callee(ring_s=1, talk_s=5)
ANNA = Candidate("030 1234567", {"name": "Anna"})


async def test_bad_leads_are_told_row_by_row_and_none_is_added(tmp_path: Path) -> None:
    async with yard(tmp_path) as it:
        made = await it.campaigns.create("x", Policy())
        people = [ANNA, Candidate("112"), Candidate("+49 30 1234567"), Candidate("call me")]
        with pytest.raises(BadLeadsError) as caught:
            await it.campaigns.add(made.id, people)
        assert [refused.row for refused in caught.value.refused] == [1, 2, 3]
        assert "row 1 has the same number" in caught.value.refused[1].reason
        assert (await it.campaigns.get(made.id)).total == 0
        added = await it.campaigns.add(made.id, people, skip_bad=True)
        assert (added.added, added.total, len(added.refused)) == (1, 1, 3)
        (lead,) = await it.leads(made.id)
        assert (lead.phone, lead.variables) == ("+49301234567", {"name": "Anna"})


async def test_leads_may_be_added_twice_without_harm_and_repeats_are_found_across_requests(
    tmp_path: Path,
) -> None:
    async with yard(tmp_path) as it:
        made = await it.campaigns.create("x", Policy())
        for _ in range(2):
            added = await it.campaigns.add(made.id, numbers(3), first=0)
            assert (added.added, added.total) == (3, 3)
        added = await it.campaigns.add(made.id, numbers(5), skip_bad=True)
        assert (added.added, added.total) == (2, 5)
        assert added.refused[0].reason == "lead 1 has the same number"
        added = await it.campaigns.add(made.id, numbers(1), repeats=True)
        assert added.total == 6


async def test_orders_that_do_not_fit_the_state_change_nothing(tmp_path: Path) -> None:
    async with yard(tmp_path, lambda number: QUICK) as it:
        service = it.campaigns
        made = await service.create("x", Policy())
        for order in (service.start, service.pause, service.resume):
            with pytest.raises(CampaignStateError):
                await order(made.id)
        await service.add(made.id, numbers(1))
        await service.start(made.id)
        await it.ended(made.id)
        for order in (service.start, service.pause, service.resume, service.cancel):
            with pytest.raises(CampaignStateError):
                await order(made.id)
        with pytest.raises(CampaignStateError):
            await service.add(made.id, [ANNA])
        with pytest.raises(NoSuchCampaignError):
            await service.get("c0")
        assert (await service.get(made.id)).state == "completed"


async def test_campaigns_are_listed_the_newest_first_in_pages(tmp_path: Path) -> None:
    async with yard(tmp_path) as it:
        made = [await it.campaigns.create(str(n), Policy(), n % 2 or None) for n in range(4)]
        page = await it.campaigns.list(limit=3)
        assert [each.id for each in page] == [each.id for each in reversed(made[1:])]
        rest = await it.campaigns.list(before=page[-1].created)
        assert [each.id for each in rest] == [made[0].id]
        assert len(await it.campaigns.list(company=1)) == 2
        assert await it.campaigns.list(state="running") == []


async def test_a_cancelled_draft_calls_nobody(tmp_path: Path) -> None:
    async with yard(tmp_path) as it:
        made = await it.campaigns.create("x", Policy())
        await it.campaigns.add(made.id, numbers(2))
        assert (await it.campaigns.cancel(made.id)).state == "cancelled"
        assert {lead.state for lead in await it.leads(made.id)} == {"cancelled"}


async def test_variables_agent_and_limits_reach_the_call(tmp_path: Path) -> None:
    async with yard(tmp_path, lambda number: QUICK) as it:
        policy = Policy(
            agent="Caller", variables={"offer": "x", "name": "you"}, ring_seconds=20, max_seconds=99
        )
        made = await it.campaigns.create("x", policy)
        await it.campaigns.add(made.id, [ANNA])
        await it.campaigns.start(made.id)
        await it.ended(made.id)
        (row,) = await it.store.rows(select(attempts))
        assert (
            row["plan"].items()
            >= {
                "agent": "sales:Caller",
                "variables": {"offer": "x", "name": "Anna"},
                "machine": "hang-up",
                "ring_seconds": 20,
                "most_seconds": 99,
            }.items()
        )
        (request,) = it.world.twilio.placed()
        assert (request.form["Timeout"], request.form["TimeLimit"]) == (["20"], ["99"])


async def test_an_agent_that_nobody_knows_stops_the_campaign_with_a_sentence(
    tmp_path: Path,
) -> None:
    async with yard(tmp_path) as it:
        campaign = await it.begun(numbers(3), agent="Nobody")
        await it.ended(campaign.id)
        view = await it.campaigns.get(campaign.id)
        assert (view.state, "Nobody" in (view.why or "")) == ("stopped", True)


async def test_leads_outside_their_hours_wait_in_the_database_for_the_opening(
    tmp_path: Path,
) -> None:
    async with yard(tmp_path) as it:
        now = it.campaigns._around.wall
        it.campaigns._around.wall = lambda: 1795777200.0  # a Friday noon in Berlin
        campaign = await it.begun(numbers(PAGE + 7), hours=Hours("13:00", "18:00"))

        async def deferred() -> bool:
            rows = await it.store.rows(select(leads.c.next_at).distinct())
            return [row["next_at"] for row in rows] == [1795780800.0]

        await eventually(deferred)
        progress = await it.campaigns.progress(campaign.id)
        assert progress.next_at == 1795780800.0
        assert it.dialled() == []
        it.campaigns._around.wall = now


async def test_a_database_that_is_away_holds_up_the_campaign_and_loses_nothing(
    tmp_path: Path,
) -> None:
    async with yard(tmp_path, lambda number: Callee(ring_s=5, talk_s=50)) as it:
        campaign = await it.begun(numbers(12), concurrency=3)
        await eventually(lambda: len(it.dialled()) >= 3)
        with _Away(it):
            await asyncio.sleep(1.0)
            dialled = len(it.dialled())
            assert all(call.ended is not None for call in it.dialled())
            await asyncio.sleep(0.5)
            assert len(it.dialled()) == dialled
        leads_ = await it.ended(campaign.id)
        assert [(lead.state, lead.attempts) for lead in leads_] == [("done", 1)] * 12
        assert len(it.dialled()) == 12


class _Away:
    """Has another process's lock on the database, as far as the store can tell."""

    def __init__(self, it: Yard) -> None:
        self._store = it.store

    def __enter__(self) -> None:
        self._kept = self._store._commit

        async def away(statements: object) -> int:
            raise StoreError("the database is away: locked", away=True)

        self._store._commit = away  # type: ignore[method-assign]

    def __exit__(self, *_: object) -> None:
        self._store._commit = self._kept  # type: ignore[method-assign]


async def test_numbers_are_read_in_slices_so_that_calls_are_not_held_up() -> None:
    rounds = 0

    async def others() -> None:
        nonlocal rounds
        while True:
            rounds += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    people = [Candidate(f"+4930{1000000 + n}") for n in range(1000)]
    good, refused = await admitted(people, (NumberRules(),), repeats=False)
    task.cancel()
    assert (len(good), refused) == (1000, [])
    assert rounds > 10


async def test_variables_that_are_too_much_for_a_call_are_refused() -> None:
    good, refused = await admitted(
        [Candidate("+49301234567", {"x": "y" * 5000})], (NumberRules(),), repeats=False
    )
    assert good == []
    assert "letters" in refused[0].reason


async def test_a_lead_is_taken_once_and_settled_by_its_own_attempt_alone(store: Store) -> None:
    register, ledger = Register(store), CampaignLedger(store, "c1")
    await register.create("c1", "x", None, Policy(), 1.0)
    await register.add("c1", 0, [("+491", {}), ("+492", {})])
    first, second = await ledger.page(2.0)
    assert not await ledger.claim(first, "k1"), "a draft calls nobody"
    assert await ledger.move(CampaignMove.START, 5.0)
    assert await ledger.claim(first, "k1")
    assert not await ledger.claim(first, "k2")
    assert [(it.lead.number, it.attempt_id) for it in await ledger.flying()] == [(0, "k1")]
    done = Settlement(number=0, attempt_id="k2", move=LeadMove.SUCCEED, attempts=1)
    await ledger.settle([done])
    assert len(await ledger.flying()) == 1
    again = replace(done, attempt_id="k1", move=LeadMove.RETRY, outcome="busy", next_at=9.0)
    await ledger.settle([again])
    await ledger.settle([again])
    assert [it.number for it in await ledger.page(2.0)] == [second.number]
    assert [it.attempts for it in await ledger.page(10.0)] == [0, 1]
    assert await ledger.next_at() == 0.0
    await ledger.defer([second.number], 20.0)
    assert await ledger.next_at() == 9.0
    await ledger.skip(second.number, "why")
    assert not await ledger.move(CampaignMove.START, 6.0)
    assert await ledger.move(CampaignMove.TRIP, 6.0, "too many")
    view = await register.get("c1")
    assert view is not None
    assert (view.state, view.why, view.started) == ("stopped", "too many", 5.0)


async def test_leads_are_written_and_shown_alike_by_every_database(store: Store) -> None:
    register = Register(store)
    await register.create("c1", "x", None, Policy(hours=Hours("09:00", "18:00")), 1.0)
    rows = [(f"+49{n}", {"name": "\u00e4\"'\n"}) for n in range(120)]
    assert await register.add("c1", 0, rows)
    assert await register.add("c1", 60, rows[60:])
    assert not await register.add("c2", 0, rows)
    campaign = await register.get("c1")
    assert campaign is not None
    assert (campaign.total, campaign.policy.hours) == (120, Hours("09:00", "18:00"))
    page = await register.leads("c1", 99, 10)
    assert [lead.number for lead in page.leads] == list(range(100, 110))
    assert page.next == 109
    assert page.leads[0].variables == {"name": "\u00e4\"'\n"}
    assert (await register.leads("c1", 109, 10)).next is None
    assert await register.known("c1", ["+495", "+49119", "x"], 60) == {"+495": 5}
    progress = await register.progress(campaign)
    assert (progress.waiting, progress.next_at, progress.attempts) == (120, None, 0)
    assert {state.value.replace("-", "_") for state in LeadState} <= set(progress.__struct_fields__)
