"""One order, one call: lost answers, lists that lag, and gateways that die in between."""

import asyncio
from pathlib import Path

import pytest

from gateway.carriers.placing import NewCall, PlacedCall
from gateway.dialer.attempt import Attempt, AttemptState, CallPlan
from gateway.dialer.errors import DialInDoubtError, DialRefusedError, DialUnavailableError
from gateway.dialer.lines import TURN_SECONDS
from gateway.dialer.order import Dialled, Order, new_id
from tests.fakes.twilio_callee import Callee
from tests.fakes.twilio_rest import ACCOUNT_SID, Trouble
from tests.gateway.dialer.exchange import FROM, QUICK, TO, successor, world
from tests.harness import eventually


@pytest.mark.parametrize(
    "trouble", [Trouble.CUT_AFTER, Trouble.ERROR_AFTER, Trouble.SILENT_AFTER, Trouble.GARBAGE]
)
async def test_a_lost_answer_places_no_second_call_and_the_call_is_found(
    tmp_path: Path, trouble: Trouble
) -> None:
    async with world(tmp_path, lambda number: Callee(talk_s=3000)) as it:
        it.twilio.trouble(trouble)
        if trouble is Trouble.GARBAGE:  # nothing was done, but who could know
            with pytest.raises(DialUnavailableError):
                await it.dialer.dial(Order(to=TO))
        else:
            dialled = await it.dialer.dial(Order(to=TO))
            assert dialled.call_sid in it.twilio.account.calls
        assert len(it.twilio.placed()) == 1


async def test_a_call_in_doubt_is_found_in_the_list_by_its_events(tmp_path: Path) -> None:
    async with world(tmp_path, lambda number: Callee(talk_s=3000)) as it:
        await it.dialer.dial(Order(to=TO))  # another call to the same number
        it.twilio.exchange.faults.late_s = 30.0
        it.twilio.trouble(Trouble.CUT_AFTER)
        placing = asyncio.create_task(it.dialer.dial(Order(to=TO)))
        dialled = await asyncio.wait_for(placing, 5)
        calls = list(it.twilio.account.calls)
        assert dialled.call_sid == calls[1]
        assert len(it.twilio.placed()) == 2


async def test_a_call_that_was_never_made_is_given_up_and_not_before_the_list_can_know(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as it:
        it.twilio.trouble(Trouble.CUT)
        with pytest.raises(DialUnavailableError):
            await it.dialer.dial(Order(to=TO))
        (attempt,) = it.dialer.following._past.values()
        assert attempt.state is AttemptState.LOST
        assert attempt.ended is not None
        assert attempt.ended - attempt.created >= QUICK.give_up
        assert len(it.twilio.placed()) == 1
        lists = [r for r in it.twilio.requests if (r.method, r.path) == ("GET", "/Calls.json")]
        assert len(lists) >= 2


async def test_a_call_in_doubt_is_not_given_up_while_the_carrier_cannot_be_asked(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as it:
        it.twilio.trouble(Trouble.CUT)
        it.twilio.mishap = lambda request: Trouble.CUT if request.method == "GET" else None
        with pytest.raises(DialInDoubtError) as caught:
            await it.dialer.dial(Order(to=TO))
        await asyncio.sleep(1.0)
        attempt = await it.dialer.progress(caught.value.id)
        assert attempt is not None
        assert attempt.state is AttemptState.DOUBT


async def test_too_many_requests_are_sent_again_since_they_were_never_processed(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as it:
        it.twilio.fail(429, 20429, times=2)
        await it.dialer.dial(Order(to=TO))
        assert (len(it.twilio.placed()), len(it.twilio.account.calls)) == (3, 1)


async def test_what_the_gateway_before_left_open_is_found_out(tmp_path: Path) -> None:
    """It dies after asking; the call exists or does not, and no answer was ever read."""
    async with world(tmp_path, lambda number: Callee(talk_s=3000)) as it:
        made = await it.dialer.dial(Order(to=TO))
        never = Attempt("d" + "0" * 32, TO, FROM, None, CallPlan(), it.dialer._now())
        await it.dialer._ledger.open(never)
        lost = it.dialer.following.get(made.id)
        assert lost is not None
        it.dialer._ledger.write(
            Attempt(made.id, TO, FROM, None, lost.plan, lost.created)  # still "creating"
        )
        await it.store.flush()
        async with successor(it) as after:
            await after.following.recovered.wait()
            found, gone = after.following.get(made.id), after.following.get(never.id)
            assert found is not None
            assert gone is not None
            await eventually(lambda: found.sid == made.call_sid, 5)
            await eventually(lambda: gone.state is AttemptState.LOST, 5)


async def test_a_call_that_turns_up_after_it_was_given_up_is_hung_up(tmp_path: Path) -> None:
    async with world(tmp_path, lambda number: Callee(talk_s=100_000)) as it:
        dialled = await it.dialer.dial(Order(to=TO))
        await eventually(
            lambda: it.twilio.account.calls[dialled.call_sid].status == "in-progress", 5
        )
        lost = Attempt("d" + "1" * 32, TO, FROM, None, CallPlan(), 0.0)
        lost.fails(AttemptState.LOST, "not there", 0.0)
        await it.dialer._ledger.open(lost)
        await it.dialer.told(lost.id, dialled.call_sid, "in-progress", ACCOUNT_SID, final=False)
        await eventually(lambda: it.twilio.account.calls[dialled.call_sid].ended is not None, 5)


async def test_the_same_key_places_one_call_however_often_and_fast_it_is_asked(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as it:
        order = Order(to=TO, key="lead 7")
        results = await asyncio.gather(
            *(it.dialer.dial(order) for _ in range(5)), return_exceptions=True
        )
        await it.settled()
        again = await it.dialer.dial(order)
        assert again.repeated
        assert len(it.twilio.placed()) == 1
        sids = {r.call_sid for r in results if not isinstance(r, BaseException)}
        assert sids == {again.call_sid}
        assert all(isinstance(r, DialInDoubtError) for r in results if isinstance(r, BaseException))


async def test_a_key_is_for_one_number(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        await it.dialer.dial(Order(to=TO, key="lead 7"))
        with pytest.raises(DialRefusedError, match="another number"):
            await it.dialer.dial(Order(to="+493012345679", key="lead 7"))
        assert len(it.twilio.placed()) == 1


async def test_an_order_that_the_carrier_never_took_up_may_be_given_again_with_its_key(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, lambda number: Callee(talk_s=3000)) as it:
        order = Order(to=TO, key="lead 7")
        it.twilio.fail(429, 20429, times=3)
        with pytest.raises(DialUnavailableError):
            await it.dialer.dial(order)
        results = await asyncio.gather(
            *(it.dialer.dial(order) for _ in range(5)), return_exceptions=True
        )
        assert len(it.twilio.account.calls) == 1
        assert sum(isinstance(each, Dialled) and not each.repeated for each in results) == 1
        await it.store.flush()
        async with successor(it) as after:
            assert (await after.dial(order)).repeated


async def test_a_fault_of_ours_while_the_carrier_is_asked_leaves_a_doubt_that_is_resolved(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, lambda number: Callee(talk_s=3000)) as it:
        line = await it.dialer.line(None)
        place = line.control.place

        async def broken(call: NewCall) -> PlacedCall:
            await place(call)
            raise RuntimeError("a bug")

        it.twilio.exchange.faults.late_s = 30.0
        line.control.place = broken  # type: ignore[method-assign]
        with pytest.raises(RuntimeError):
            await it.dialer.dial(Order(to=TO, key="x"))
        (sid,) = it.twilio.account.calls
        attempt = await it.dialer.progress(new_id(Order(to=TO, key="x")))
        assert attempt is not None
        await eventually(lambda: attempt.sid == sid, 5)


async def test_orders_beyond_what_the_account_takes_soon_are_refused_at_once(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as it:
        pace = (await it.dialer.line(None)).pace
        while pace.wait_s <= TURN_SECONDS + 5:
            pace.take()
        with pytest.raises(DialUnavailableError, match="ask again later"):
            await asyncio.wait_for(it.dialer.dial(Order(to=TO, key="x")), 1)
        assert await it.dialer.progress(new_id(Order(to=TO, key="x"))) is None
