"""Campaigns as they run: every lead called as often as asked, whatever fails meanwhile."""

import asyncio
from dataclasses import replace
from pathlib import Path

from gateway.campaigns.ledger import CampaignLedger
from gateway.campaigns.policy import Delays
from phone import CalleeOutcome
from tests.fakes.twilio_callee import Callee
from tests.fakes.twilio_rest import Trouble
from tests.gateway.campaigns.farm import ENDLESS, LONG, numbers, overlaps, successor, yard
from tests.gateway.dialer.exchange import QUICK as QUICK_TIMES
from tests.harness import eventually

BUSY = Callee(CalleeOutcome.BUSY, ring_s=1)
QUICK = Callee(ring_s=1, talk_s=5)
AT_ONCE = Delays(busy=0, no_answer=0, machine=0, failed=0)


async def test_a_sequential_campaign_calls_one_after_the_other_in_order(tmp_path: Path) -> None:
    people = numbers(6)
    third = people[2].phone
    async with yard(tmp_path, lambda number: BUSY if number == third else QUICK) as it:
        campaign = await it.begun(people)
        leads = await it.ended(campaign.id)
        assert [lead.outcome for lead in leads] == [
            *("answered", "answered", "busy", "answered", "answered", "answered")
        ]
        assert [lead.status for lead in leads][2] == "busy"
        assert [call.to for call in it.dialled()] == [lead.phone for lead in leads]
        assert overlaps(it.dialled()) == 1
        assert [call.sid for call in it.dialled()] == [lead.call_sid for lead in leads]
        progress = await it.campaigns.progress(campaign.id)
        assert (progress.state, progress.done, progress.failed) == ("completed", 5, 1)
        assert progress.outcomes == {"answered": 5, "busy": 1}
        events = await it.events()
        assert [event["event"] for event in events] == ["campaign.started", "campaign.completed"]
        assert events[1]["data"]["campaign"]["done"] == 5


async def test_a_concurrent_campaign_has_as_many_calls_at_a_time_as_it_may(tmp_path: Path) -> None:
    people = numbers(20)
    first = {each.phone for each in people[:5]}
    async with yard(tmp_path, lambda number: ENDLESS if number in first else QUICK) as it:
        # A busy machine answers late: no call is given up for that, and hung up when it turns up.
        it.world.dialer.following._times = replace(QUICK_TIMES, give_up=600.0)
        it.world.twilio.exchange.speed = 50  # five minutes until Twilio itself would end them
        campaign = await it.begun(people, concurrency=5, max_seconds=LONG)
        # One that is ended before the fake has had it ring would ring all the same.
        talking = ["in-progress"] * 5
        await eventually(lambda: [call.status for call in it.live()] == talking, seconds=60)
        five = it.live()
        assert {call.to for call in five} == first, "which go on until they are ended here"
        for call in five:
            it.end(call)
        leads = await it.ended(campaign.id)
        assert {lead.state for lead in leads} == {"done"}
        assert len(it.dialled()) == 20
        assert overlaps(it.dialled()) == 5


async def test_a_machine_that_has_no_room_is_not_overfilled(tmp_path: Path) -> None:
    async with yard(tmp_path, lambda number: QUICK) as it:
        it.room = 0
        campaign = await it.begun(numbers(2))
        await asyncio.sleep(0.2)
        assert it.dialled() == []
        it.room = 1
        assert {lead.state for lead in await it.ended(campaign.id)} == {"done"}


async def test_who_does_not_answer_is_called_as_often_as_asked(tmp_path: Path) -> None:
    async with yard(tmp_path, lambda number: BUSY) as it:
        campaign = await it.begun(numbers(3), concurrency=3, attempts=3, delays=AT_ONCE)
        leads = await it.ended(campaign.id)
        assert [(lead.state, lead.outcome, lead.attempts) for lead in leads] == [
            ("failed", "busy", 3)
        ] * 3
        assert len(it.dialled()) == 9


async def test_a_machine_is_told_from_a_human_and_called_again(tmp_path: Path) -> None:
    callee = Callee(ring_s=1, talk_s=20, machine="beep", verdict_s=2)
    async with yard(tmp_path, lambda number: callee) as it:
        campaign = await it.begun(
            numbers(1), attempts=2, machine="hang-up", delays=AT_ONCE, max_seconds=30
        )
        (lead,) = await it.ended(campaign.id)
        assert (lead.outcome, lead.attempts, lead.answered_by) == ("machine", 2, "machine_start")


async def test_somebody_who_answered_and_was_not_served_is_called_again_and_counts_as_failed(
    tmp_path: Path,
) -> None:
    async with yard(tmp_path, lambda number: QUICK) as it:
        it.campaigns._around.unserved = lambda sid: (
            "the agent died" if sid == it.dialled()[0].sid else None
        )
        campaign = await it.begun(numbers(2), attempts=2, delays=AT_ONCE)
        leads = await it.ended(campaign.id)
        assert [(lead.outcome, lead.attempts) for lead in leads] == [
            ("answered", 2),
            ("answered", 1),
        ]
        assert len(it.dialled()) == 3
        it.campaigns._around.unserved = lambda sid: "the agent died"
        campaign = await it.begun(numbers(9), breaker_calls=3)
        leads = await it.ended(campaign.id)
        assert (await it.campaigns.get(campaign.id)).state == "stopped"
        assert leads[0].error == "answered, but not served: the agent died"


async def test_a_call_that_is_too_long_is_ended_by_us(tmp_path: Path) -> None:
    async with yard(tmp_path, lambda number: Callee(ring_s=1, talk_s=3600)) as it:
        it.world.twilio.exchange.speed = 10
        campaign = await it.begun(numbers(1), max_seconds=5)
        (call,) = await eventually(it.dialled)
        assert call.asked("TimeLimit") == "5"
        (lead,) = await it.ended(campaign.id)
        assert (lead.outcome, lead.state) == ("answered", "done")


async def test_a_number_on_the_do_not_call_list_is_skipped_at_the_moment_of_dialling(
    tmp_path: Path,
) -> None:
    people = numbers(3)
    async with yard(tmp_path, lambda number: QUICK) as it:
        it.room = 0
        campaign = await it.begun(people)
        await it.world.dialer.do_not_call.add(people[1].phone)
        it.room = 1
        leads = await it.ended(campaign.id)
        assert [lead.state for lead in leads] == ["done", "skipped", "done"]
        assert "do-not-call" in (leads[1].error or "")
        assert [call.to for call in it.dialled()] == [people[0].phone, people[2].phone]


async def test_a_number_that_the_carrier_refuses_fails_and_the_next_is_called(
    tmp_path: Path,
) -> None:
    people = numbers(3)
    async with yard(tmp_path, lambda number: QUICK) as it:
        it.world.twilio.account.blocked[people[0].phone] = 21216
        campaign = await it.begun(people, attempts=5)
        leads = await it.ended(campaign.id)
        assert [lead.state for lead in leads] == ["failed", "done", "done"]
        assert "blocks that number" in (leads[0].error or "")
        assert leads[0].attempts == 1


async def test_an_account_that_refuses_every_call_stops_it_and_wears_out_no_lead(
    tmp_path: Path,
) -> None:
    async with yard(tmp_path, lambda number: QUICK) as it:
        it.world.twilio.fail(401, 20003)
        campaign = await it.begun(numbers(4))
        await it.ended(campaign.id)
        view = await it.campaigns.get(campaign.id)
        assert view.state == "stopped"
        assert "credentials" in (view.why or "")
        assert [lead.attempts for lead in await it.leads(campaign.id)] == [0, 0, 0, 0]
        await it.campaigns.resume(campaign.id)
        assert {lead.state for lead in await it.ended(campaign.id)} == {"done"}


async def test_the_breaker_stops_a_campaign_whose_calls_mostly_fail(tmp_path: Path) -> None:
    callee = Callee(CalleeOutcome.FAILED, ring_s=1)
    async with yard(tmp_path, lambda number: callee) as it:
        campaign = await it.begun(numbers(30), breaker_calls=4)
        await it.ended(campaign.id)
        view = await it.campaigns.get(campaign.id)
        assert (view.state, view.why) == ("stopped", "4 of the last 4 calls failed")
        assert len(it.dialled()) == 4


async def test_a_carrier_that_cannot_be_reached_is_waited_for(tmp_path: Path) -> None:
    async with yard(tmp_path, lambda number: QUICK) as it:
        it.world.twilio.fail(429, 20429, times=4)
        campaign = await it.begun(numbers(2))
        leads = await it.ended(campaign.id)
        assert [(lead.state, lead.attempts) for lead in leads] == [("done", 1)] * 2
        assert len(it.dialled()) == 2


async def test_a_call_whose_creation_was_not_answered_is_not_created_again(tmp_path: Path) -> None:
    async with yard(tmp_path, lambda number: QUICK) as it:
        it.world.twilio.trouble(Trouble.CUT_AFTER)
        it.world.twilio.exchange.faults.lost = frozenset({"initiated", "ringing"})
        campaign = await it.begun(numbers(2))
        leads = await it.ended(campaign.id)
        assert {lead.state for lead in leads} == {"done"}
        assert [call.to for call in it.dialled()] == [lead.phone for lead in leads]


async def test_a_call_that_was_never_created_is_made_after_all(tmp_path: Path) -> None:
    async with yard(tmp_path, lambda number: QUICK) as it:
        it.world.twilio.trouble(Trouble.CUT)
        campaign = await it.begun(numbers(1))
        (lead,) = await it.ended(campaign.id)
        assert (lead.state, lead.attempts) == ("done", 1)
        assert len(it.dialled()) == 1


async def test_lost_callbacks_are_made_up_for_by_asking(tmp_path: Path) -> None:
    async with yard(tmp_path, lambda number: QUICK) as it:
        it.world.twilio.exchange.faults.lost = frozenset(
            {"initiated", "ringing", "answered", "completed"}
        )
        campaign = await it.begun(numbers(2), concurrency=2, ring_seconds=5)
        leads = await it.ended(campaign.id, 15)
        assert {lead.outcome for lead in leads} == {"answered"}


async def test_a_paused_campaign_calls_nobody_new_and_goes_on_when_resumed(tmp_path: Path) -> None:
    async with yard(tmp_path, lambda number: Callee(ring_s=1, talk_s=100)) as it:
        campaign = await it.begun(numbers(6), concurrency=2)
        await eventually(lambda: len(it.dialled()) >= 2)
        await it.campaigns.pause(campaign.id)
        await it.ended(campaign.id)
        paused = len(it.dialled())
        assert paused < 6
        assert all(call.ended is not None for call in it.dialled())
        assert (await it.campaigns.progress(campaign.id)).in_progress == 0
        await it.campaigns.resume(campaign.id)
        assert {lead.state for lead in await it.ended(campaign.id)} == {"done"}
        assert len(it.dialled()) == 6


async def test_a_cancelled_campaign_follows_its_calls_and_calls_nobody_again(
    tmp_path: Path,
) -> None:
    async with yard(tmp_path, lambda number: Callee(ring_s=1e6)) as it:
        it.world.twilio.exchange.speed = 20
        campaign = await it.begun(numbers(4), attempts=3, delays=AT_ONCE, ring_seconds=600)
        (call,) = await eventually(it.dialled)
        await it.campaigns.cancel(campaign.id)
        it.end(call, "busy")
        leads = await it.ended(campaign.id)
        assert [lead.state for lead in leads] == ["failed", "cancelled", "cancelled", "cancelled"]
        assert len(it.dialled()) == 1
        assert (await it.campaigns.get(campaign.id)).state == "cancelled"


async def test_one_number_in_two_campaigns_is_not_called_twice_at_a_time(tmp_path: Path) -> None:
    async with yard(tmp_path, lambda number: ENDLESS) as it:
        await it.begun(numbers(1), "first", max_seconds=LONG)
        (call,) = await eventually(it.dialled)
        second = await it.begun(numbers(1), "second", max_seconds=LONG)

        async def put_off() -> bool:
            await it.store.flush()
            (lead,) = await it.leads(second.id)
            return lead.state == "waiting" and lead.next_at is not None

        await eventually(put_off, seconds=20)
        assert it.live() == it.dialled() == [call]


async def test_the_next_gateway_goes_on_with_what_was_left(tmp_path: Path) -> None:
    async with yard(tmp_path, lambda number: Callee(ring_s=1, talk_s=100)) as it:
        campaign = await it.begun(numbers(8), concurrency=3)
        await eventually(lambda: len(it.dialled()) >= 3)
        await it.stop()
        async with successor(it) as after:
            leads = await after.ended(campaign.id)
        assert {lead.state for lead in leads} == {"done"}
        assert sorted(call.to for call in it.dialled()) == [lead.phone for lead in leads]


async def test_a_lead_that_was_taken_and_never_dialled_is_dialled_by_the_next_gateway(
    tmp_path: Path,
) -> None:
    async with yard(tmp_path, lambda number: QUICK) as it:
        it.room = 0
        campaign = await it.begun(numbers(2))
        await it.stop()
        ledger = CampaignLedger(it.store, campaign.id)
        (first, _) = await ledger.page(2e9)
        assert await ledger.claim(first, "kof-a-life-before")
        assert not await ledger.claim(first, "kof-another")
        async with successor(it) as after:
            leads = await after.ended(campaign.id)
        assert [(lead.state, lead.attempts) for lead in leads] == [("done", 1)] * 2
        assert len(it.dialled()) == 2
