"""Nobody is called who would hear, having picked up, that all lines are busy."""

from pathlib import Path

import pytest

from gateway.dialer.attempt import AttemptState
from gateway.dialer.errors import DialUnavailableError
from gateway.dialer.order import Order
from phone import CalleeOutcome
from tests.fakes.twilio_callee import Callee
from tests.gateway.dialer.exchange import TO, world

OTHER = "+493012345679"
RINGING = Callee(CalleeOutcome.NO_ANSWER, ring_s=9_000)


async def test_a_phone_that_rings_has_a_place_until_it_is_answered(tmp_path: Path) -> None:
    async with world(tmp_path, lambda number: RINGING) as it:
        it.dialer.room = lambda: 1
        first = await it.dialer.dial(Order(to=TO))
        with pytest.raises(DialUnavailableError, match="MAX_CALLS"):
            await it.dialer.dial(Order(to=OTHER, key="x"))
        # It has a place of its own: the caller's.
        await it.dialer.dial(Order(to=OTHER, transfer_of="CA" + "1" * 32))
        attempt = it.dialer.following.get(first.id)
        assert attempt is not None
        it.dialer.following.told(attempt, first.call_sid, "busy", final=True)
        await it.dialer.dial(Order(to=OTHER, key="x"))
        assert len(it.twilio.placed()) == 3


async def test_a_full_machine_calls_nobody(tmp_path: Path) -> None:
    async with world(tmp_path) as it:
        it.dialer.room = lambda: 0
        with pytest.raises(DialUnavailableError, match="MAX_CALLS"):
            await it.dialer.dial(Order(to=TO))
        assert not it.twilio.placed()


async def test_a_call_of_which_nobody_can_say_anything_has_no_place_for_ever(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, lambda number: RINGING) as it:
        it.dialer.room = lambda: 1
        first = await it.dialer.dial(Order(to=TO))
        attempt = it.dialer.following.get(first.id)
        assert attempt is not None
        assert attempt.state in {AttemptState.CREATED, AttemptState.RINGING}
        attempt.created -= 3600
        await it.dialer.dial(Order(to=OTHER))
