"""A call in doubt is found, and no other's is taken for it, however wrong a clock is."""

import asyncio
import time
from pathlib import Path

import pytest

from gateway.carriers.control import CarrierUnavailableError
from gateway.carriers.twilio.clock import CarrierClock
from gateway.carriers.twilio.placing import EVIDENCE_SECONDS, FOREIGN_SECONDS
from gateway.dialer.attempt import AttemptState
from gateway.dialer.errors import DialInDoubtError
from gateway.dialer.order import Order
from tests.fakes.twilio_account import Call, new_sid
from tests.fakes.twilio_callee import Callee
from tests.fakes.twilio_rest import Trouble, TwilioRestServer
from tests.gateway.dialer.exchange import FROM, TO, rest, world

TEN_MINUTES = 600.0


def another(twilio: TwilioRestServer, ago: float, *, requested: str | None = None) -> Call:
    """Let somebody else have called the same number from the same number, ``ago`` seconds."""
    call = Call(new_sid("CA"), "completed", TO, FROM, "outbound-api", created=time.time() - ago)
    if requested is not None:
        call.events.append({"request": {"method": "POST", "url": requested}, "response": {}})
    twilio.account.calls[call.sid] = call
    return call


@pytest.mark.parametrize("ahead", [-TEN_MINUTES, 0.0, TEN_MINUTES])
@pytest.mark.parametrize("stepped", [-TEN_MINUTES, 0.0, TEN_MINUTES])
async def test_a_lost_answer_is_found_by_its_marker_whatever_the_clocks_say(
    tmp_path: Path, ahead: float, stepped: float
) -> None:
    """``ahead``: our clock is wrong for good; ``stepped``: it was when the call was ordered."""

    def wrong() -> float:
        return time.time() + stepped

    async with world(tmp_path, lambda number: Callee(talk_s=3000), clock=wrong) as it:
        it.twilio.account.ahead_s = ahead
        for ago in (3.0, 120.0, 550.0):
            another(it.twilio, ago, requested="https://others.example/voice")
        it.twilio.exchange.faults.late_s = 30.0
        it.twilio.trouble(Trouble.CUT_AFTER)
        dialled = await asyncio.wait_for(it.dialer.dial(Order(to=TO)), 5)
        assert it.twilio.account.calls[dialled.call_sid].asked("Url") is not None
        assert len(it.twilio.placed()) == 1


@pytest.mark.parametrize("ahead", [-TEN_MINUTES, TEN_MINUTES])
async def test_a_call_of_which_nothing_is_known_yet_is_neither_taken_nor_dialled_again(
    tmp_path: Path, ahead: float
) -> None:
    async with world(tmp_path) as it:
        it.twilio.account.ahead_s = ahead
        another(it.twilio, 200.0)
        it.twilio.trouble(Trouble.CUT)
        with pytest.raises(DialInDoubtError) as caught:
            await it.dialer.dial(Order(to=TO, key="x"))
        await asyncio.sleep(1.0)
        attempt = await it.dialer.progress(caught.value.id)
        assert attempt is not None
        assert (attempt.state, attempt.sid) == (AttemptState.DOUBT, "")
        with pytest.raises(DialInDoubtError):
            await it.dialer.dial(Order(to=TO, key="x"))
        assert len(it.twilio.placed()) == 1


async def test_one_without_a_trace_is_it_when_no_trace_can_come_any_more() -> None:
    async with TwilioRestServer() as twilio:
        control, now = rest(twilio), time.time()
        theirs = another(twilio, EVIDENCE_SECONDS + 10)
        found = await control.find_placed(TO, FROM, now - EVIDENCE_SECONDS - 5, "d1")
        assert found is not None
        assert found.sid == theirs.sid
        another(twilio, EVIDENCE_SECONDS + 20)  # of two, none
        with pytest.raises(CarrierUnavailableError):
            await control.find_placed(TO, FROM, now - EVIDENCE_SECONDS - 5, "d1")
        await control.aclose()


async def test_what_left_no_trace_for_an_hour_and_was_not_near_is_not_ours() -> None:
    async with TwilioRestServer() as twilio:
        control, ordered = rest(twilio), time.time() - FOREIGN_SECONDS
        another(twilio, FOREIGN_SECONDS + 300)
        assert await control.find_placed(TO, FROM, ordered, "d1") is None
        another(twilio, FOREIGN_SECONDS - 300)
        with pytest.raises(CarrierUnavailableError):
            await control.find_placed(TO, FROM, ordered, "d1")
        await control.aclose()


def test_the_carriers_time_is_known_from_its_answers() -> None:
    clock = CarrierClock(lambda: 1000.0)
    assert (clock.now, clock.of(5.0)) == (1000.0, 5.0)
    clock.heard("Thu, 01 Jan 1970 00:20:00 GMT")
    assert (clock.now, clock.ahead) == (1200.0, 200.0)
    for nonsense in (None, "", "yesterday", "Thu, 99 Jan 1970 00:20:00 GMT"):
        clock.heard(nonsense)
    assert clock.now == 1200.0


async def test_calls_of_much_later_hold_nothing_up_however_many() -> None:
    """A number that somebody else calls all the time is known never to have been called by us."""
    async with TwilioRestServer() as twilio:
        control, ordered = rest(twilio), time.time() - 2 * FOREIGN_SECONDS
        for ago in range(0, 3000, 200):
            another(twilio, ago, requested="https://others.example/voice")
        assert await control.find_placed(TO, FROM, ordered, "d1") is None
        await control.aclose()
