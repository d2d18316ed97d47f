"""Calls are placed once each, and followed to their end, whatever the carrier does."""

import asyncio
from pathlib import Path

import pytest

from gateway.carriers.placing import Machine
from gateway.dialer.attempt import Attempt, AttemptState
from gateway.dialer.errors import DialRefusedError, DialUnavailableError
from gateway.dialer.lines import CompanyAccount
from gateway.dialer.numbers import NumberRefusedError, NumberRules, Reason
from gateway.dialer.order import Order, new_id
from phone import CalleeOutcome
from tests.fakes.twilio_callee import Callee
from tests.fakes.twilio_rest import ACCOUNT_SID, AUTH_TOKEN, ApiRequest, Trouble
from tests.gateway.dialer.exchange import FROM, TO, Directory, successor, world
from tests.harness import eventually


async def test_a_call_is_placed_with_all_it_needs(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        dialled = await it.dialer.dial(
            Order(to="030 / 1234 5678", agent="Caller", variables={"name": "Ada"}, ring_seconds=25)
        )
        form = dict(it.twilio.placed()[0].form)
        base = f"{it.origin}/twilio"
        tail = f"?dial={dialled.id}#rc=5&rp=ct,rt,5xx&rt=4000"
        assert form == {
            "To": [TO],
            "From": [FROM],
            "Url": [f"{base}/voice{tail}"],
            "Method": ["POST"],
            "FallbackUrl": [f"{base}/voice{tail}"],
            "FallbackMethod": ["POST"],
            "StatusCallback": [f"{base}/status{tail}"],
            "StatusCallbackMethod": ["POST"],
            "StatusCallbackEvent": ["initiated", "ringing", "answered", "completed"],
            "Timeout": ["25"],
            "TimeLimit": ["14400"],
            "MachineDetection": ["Enable"],
            "AsyncAmd": ["true"],
            "AsyncAmdStatusCallback": [f"{base}/amd{tail}"],
            "AsyncAmdStatusCallbackMethod": ["POST"],
        }
        plan = await it.dialer.plan(dialled.id, dialled.call_sid, ACCOUNT_SID)
        assert plan is not None
        assert (plan.agent, plan.variables) == ("sales:Caller", {"name": "Ada"})


@pytest.mark.parametrize(
    ("machine", "detection"),
    [(Machine.GO_ON, None), (Machine.HANG_UP, "Enable"), (Machine.MESSAGE, "DetectMessageEnd")],
)
async def test_machines_are_told_from_humans_only_where_it_matters(
    tmp_path: Path, machine: Machine, detection: str | None
) -> None:
    async with world(tmp_path) as it:
        await it.dialer.dial(Order(to=TO, machine=machine))
        form = it.twilio.placed()[0].form
        assert form.get("MachineDetection") == ([detection] if detection else None)


@pytest.mark.parametrize("outcome", list(CalleeOutcome))
async def test_a_call_is_followed_to_its_end(tmp_path: Path, outcome: CalleeOutcome) -> None:
    async with world(tmp_path, lambda number: Callee(outcome)) as it:
        seen: list[str] = []
        it.dialer.following.listeners.append(lambda attempt: seen.append(attempt.state.value))
        dialled = await it.dialer.dial(Order(to=TO))
        await it.settled()
        attempt = await it.dialer.progress(dialled.id)
        assert attempt is not None
        assert (attempt.state, attempt.status) == (AttemptState.ENDED, outcome.value)
        assert seen[-1] == "ended"
        assert seen == sorted(seen, key=["created", "ringing", "answered", "ended"].index)
        recalled = await it.dialer._ledger.recall(dialled.id)
        assert recalled is not None
        assert (recalled.state, recalled.sid) == (AttemptState.ENDED, dialled.call_sid)


async def test_callbacks_in_any_order_and_twice_end_a_call_once(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        faults = it.twilio.exchange.faults
        faults.backwards, faults.twice, faults.late_s = True, True, 0.01
        ends: list[Attempt] = []
        it.dialer.following.listeners.append(
            lambda attempt: ends.append(attempt) if not attempt.is_open else None
        )
        dialled = await it.dialer.dial(Order(to=TO))
        await it.settled()
        assert [(end.id, end.status) for end in ends] == [(dialled.id, "completed")]


async def test_a_lost_last_callback_is_made_up_for_by_asking(tmp_path: Path) -> None:
    async with world(tmp_path, lambda number: Callee(CalleeOutcome.BUSY)) as it:
        it.twilio.exchange.faults.lost = frozenset({"completed", "ringing", "initiated"})
        dialled = await it.dialer.dial(Order(to=TO, ring_seconds=1))
        attempt = await it.dialer.progress(dialled.id)
        assert attempt is not None
        await eventually(lambda: attempt.status == "busy", 5)


# Refusals -------------------------------------------------------------------------------------


async def test_nobody_is_asked_about_a_number_that_must_not_be_called(tmp_path: Path) -> None:
    async with world(tmp_path, rules=NumberRules(deny=("+44",))) as it:
        await it.dialer.do_not_call.add(TO)
        for number, reason in (
            ("+19005551234", Reason.PREMIUM),
            ("+442071234567", Reason.DENIED),
            (FROM, Reason.ITSELF),
            (TO, Reason.DO_NOT_CALL),
        ):
            with pytest.raises(NumberRefusedError) as caught:
                await it.dialer.dial(Order(to=number))
            assert caught.value.reason is reason
        assert await it.dialer.do_not_call.remove(TO)
        await it.dialer.dial(Order(to=TO))
        assert len(it.twilio.requests) == 1


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (20003, "TWILIO_AUTH_TOKEN"),
        (20005, "not active"),
        (21210, "not verified"),
        (21211, "not valid"),
        (21214, "cannot be reached"),
        (21215, "geographic permissions"),
        (21216, "blocks"),
        (21219, "trial"),
        (10004, "as many calls"),
    ],
)
async def test_the_carriers_no_is_told_in_a_sentence(tmp_path: Path, code: int, words: str) -> None:
    async with world(tmp_path) as it:
        it.twilio.fail(400, code)
        with pytest.raises(DialRefusedError, match=words) as caught:
            await it.dialer.dial(Order(to=TO))
        assert caught.value.code == code
        await it.store.flush()
        rows = await it.dialer._ledger.all_open()
        assert not rows


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (Order(to=TO, agent="Nobody"), "agent"),
        (Order(to=TO, company=7), "company"),
        (Order(), "number"),
        (Order(to=TO, variables={"x": "y" * 5000}), "variables"),
    ],
)
async def test_an_order_that_cannot_be_is_refused(
    tmp_path: Path, order: Order, reason: str
) -> None:
    async with world(tmp_path) as it:
        with pytest.raises(DialRefusedError) as caught:
            await it.dialer.dial(order)
        assert caught.value.reason == reason
        assert not it.twilio.requests


async def test_without_credentials_number_or_public_url_the_fix_is_named(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        for lack, words in (
            ({"account": False}, "TWILIO_ACCOUNT_SID"),
            ({"caller_id": None}, "TWILIO_PHONE_NUMBER"),
            ({"origin": None}, "PUBLIC_URL"),
        ):
            async with successor(it, **lack) as dialer:
                with pytest.raises(DialRefusedError, match=words):
                    await dialer.dial(Order(to=TO))
        it.dialer.draining = True
        with pytest.raises(DialUnavailableError, match="stopping"):
            await it.dialer.dial(Order(to=TO))


# Companies ------------------------------------------------------------------------------------


async def test_a_company_calls_through_its_own_account_as_itself(tmp_path: Path) -> None:
    other = "AC" + "f" * 32
    directory = Directory(
        {
            1: CompanyAccount(
                1,
                ACCOUNT_SID,
                AUTH_TOKEN,
                caller_id="+15550009999",
                default_to="+493087654321",
                agent="Desk",
                settings={"dial_allow": ["+4930"]},
            ),
            2: CompanyAccount(2, other, "wrong", caller_id="+15550008888"),
            3: CompanyAccount(3, caller_id="+15550007777"),
        }
    )
    async with world(tmp_path, companies=directory) as it:
        dialled = await it.dialer.dial(Order(company=1))
        assert (dialled.to, dialled.from_) == ("+493087654321", "+15550009999")
        plan = await it.dialer.plan(dialled.id, dialled.call_sid, ACCOUNT_SID)
        assert plan is not None
        assert plan.agent == "desk:Desk"
        with pytest.raises(NumberRefusedError):
            await it.dialer.dial(Order(company=1, to="+12125551234"))
        with pytest.raises(DialRefusedError) as caught:
            await it.dialer.dial(Order(company=2, to=TO))
        assert caught.value.code == 20003
        assert (await it.dialer.dial(Order(company=3, to=TO))).from_ == "+15550007777"


async def test_a_company_that_shares_the_operators_account_calls_from_its_own_number_alone(
    tmp_path: Path,
) -> None:
    theirs = Directory({7: CompanyAccount(7, caller_id="+15551111111")})
    async with world(tmp_path, companies=theirs) as it:
        with pytest.raises(DialRefusedError) as caught:
            await it.dialer.dial(Order(to=TO, company=7, from_="+15552222222"))
        assert caught.value.reason == "caller-id"
        assert not it.twilio.requests


async def test_a_plan_is_known_by_the_call_alone_and_never_for_another_call(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as it:
        dialled = await it.dialer.dial(Order(to=TO, variables={"name": "Ada"}))
        await it.settled()
        async with successor(it) as after:
            by_sid = await after.plan("", dialled.call_sid, ACCOUNT_SID)
            assert by_sid is not None
            assert by_sid.variables == {"name": "Ada"}
            assert await after.plan(dialled.id, "CA" + "9" * 32, ACCOUNT_SID) is None
            assert await after.plan("d" + "9" * 32, "CA" + "9" * 32, ACCOUNT_SID) is None


async def test_an_attempt_that_is_not_wanted_any_more_is_ended_as_soon_as_it_exists(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, lambda number: Callee(ring_s=10_000, talk_s=10_000)) as it:
        key = "a transfer"
        order = Order(to=TO, key=key, ring_seconds=600)
        it.twilio.slow_s = 0.2
        dialling = asyncio.create_task(it.dialer.dial(order))
        await eventually(it.twilio.placed)
        it.dialer.hang_up(new_id(order))
        dialled = await dialling
        call = it.twilio.account.calls[dialled.call_sid]
        await eventually(lambda: call.status == "completed")
        await it.settled()
        it.dialer.hang_up(dialled.id)  # nothing is there any more
        updates = [r for r in it.twilio.requests if r.path == f"/Calls/{dialled.call_sid}.json"]
        assert [r.method for r in updates] == ["POST"]


async def test_a_call_is_hung_up_as_soon_as_the_carrier_can_be_asked(tmp_path: Path) -> None:
    async with world(tmp_path, lambda number: Callee(ring_s=10_000)) as it:
        dialled = await it.dialer.dial(Order(to=TO, ring_seconds=600))
        call, path = it.twilio.account.calls[dialled.call_sid], f"/Calls/{dialled.call_sid}.json"
        tries: list[str] = []

        def away(request: ApiRequest) -> Trouble | None:
            if (request.method, request.path) != ("POST", path) or len(tries) >= 12:
                return None
            tries.append(request.path)
            return Trouble.CUT

        it.twilio.mishap = away
        it.dialer.hang_up(dialled.id)
        await eventually(lambda: call.status == "completed")
        assert len(tries) == 12


async def test_what_a_call_takes_over_is_known_to_the_next_gateway(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        dialled = await it.dialer.dial(Order(to=TO, transfer_of="CA" + "1" * 32))
        await it.settled()
        async with successor(it) as after:
            plan = await after.plan(dialled.id, dialled.call_sid, ACCOUNT_SID)
            assert plan is not None
            assert plan.transfer_of == "CA" + "1" * 32


async def test_an_order_can_be_checked_and_nothing_is_done(tmp_path: Path) -> None:
    companies = {1: CompanyAccount(1, "AC" + "5" * 32, "token")}
    async with world(tmp_path, companies=Directory(companies)) as it:
        await it.dialer.check(Order(to=TO))
        with pytest.raises(NumberRefusedError):
            await it.dialer.check(Order(to="112"))
        with pytest.raises(DialRefusedError, match="no company 9"):
            await it.dialer.check(Order(to=TO, company=9))
        assert it.twilio.requests == []
        assert await it.dialer.company_of("AC" + "5" * 32) == 1
        assert await it.dialer.company_of(ACCOUNT_SID) is None
