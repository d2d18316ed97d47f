"""A phone that nobody answered leaves a call behind, in the records and for the webhooks."""

from pathlib import Path

import pytest
from sqlalchemy import insert

from gateway.campaigns.policy import Policy
from gateway.campaigns.register import Register
from gateway.dialer.order import Order, dial_id
from gateway.dialer.unanswered import keep_unanswered
from gateway.store.records import CallBook
from gateway.store.tables import leads
from phone import CalleeOutcome
from tests.fakes.n8n import N8nFake
from tests.fakes.twilio_callee import Callee
from tests.gateway.dialer.exchange import FROM, TO, World, world
from tests.gateway.outbox.post_office import outbox
from tests.gateway.outbox.test_outbox import at
from tests.harness import eventually


async def placed(it: World, n8n: N8nFake, order: Order) -> str:
    """Place a call; return its sid when it is over and told."""
    async with outbox(it.store, at(n8n)) as box:
        it.dialer.following.listeners.append(keep_unanswered(it.store, box))
        sid = (await it.dialer.dial(order)).call_sid
        await it.settled()
        assert await box.settle(5.0)
    return sid


@pytest.mark.parametrize("outcome", [CalleeOutcome.BUSY, CalleeOutcome.NO_ANSWER])
async def test_it_is_kept_and_told_as_what_it_is(tmp_path: Path, outcome: CalleeOutcome) -> None:
    async with N8nFake() as n8n, world(tmp_path, lambda number: Callee(outcome)) as it:
        order = Order(
            to=TO, agent="Caller", variables={"name": "Ada"}, campaign="c1", lead=4, key="ada"
        )
        await Register(it.store).create("c1", "x", None, Policy(), 1.0)
        lead = {"campaign_id": "c1", "number": 4, "phone": TO, "state": "dialling", "attempts": 1}
        await it.store.commit(
            insert(leads).values(**lead, next_at=0.0, attempt_id=dial_id(None, "ada"))
        )
        sid = await placed(it, n8n, order)
        kept = await CallBook(it.store).call(sid)
        assert kept is not None
        call = kept.call
        assert (call.outcome, call.status, call.state) == (outcome.value, outcome.value, "ended")
        assert (call.from_number, call.to_number, call.direction) == (FROM, TO, "outbound-api")
        assert (call.agent, call.campaign_id, call.reason) == (
            "sales:Caller",
            "c1",
            "nobody answered",
        )
        assert call.ended is not None
        assert call.answered is None
        (body,) = [told.json for told in n8n.received]
        assert (
            body["event"],
            body["call"]["sid"],
            body["call"]["number"],
            body["call"]["lead"],
        ) == (
            "call.ended",
            sid,
            TO,
            4,
        )
        assert (body["data"]["outcome"], body["data"]["transcript"]) == (outcome.value, [])
        assert body["data"]["variables"] == {"name": "Ada"}


async def test_one_that_was_answered_keeps_its_own_record(tmp_path: Path) -> None:
    async with N8nFake() as n8n, world(tmp_path) as it:
        sid = await placed(it, n8n, Order(to=TO))
        await eventually(lambda: not len(it.dialer.following))
        assert await CallBook(it.store).call(sid) is None
        assert not n8n.received


async def test_one_to_which_a_caller_was_to_be_passed_is_a_part_of_another_call(
    tmp_path: Path,
) -> None:
    async with (
        N8nFake() as n8n,
        world(tmp_path, lambda number: Callee(CalleeOutcome.BUSY)) as it,
    ):
        sid = await placed(it, n8n, Order(to=TO, transfer_of="CA1"))
        assert await CallBook(it.store).call(sid) is None
        assert not n8n.received
