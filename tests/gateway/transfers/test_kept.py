"""What the carrier keeps of a caller who waits for a human."""

import asyncio

import pytest
from structlog.testing import capture_logs

from gateway.calls.deadlines import NEXT_SECONDS
from gateway.carriers.control import CallGoneError, CarrierError, CarrierUnavailableError
from tests.gateway.transfers.scene import HUMAN, Scene
from tests.virtual_time import settled, virtual_time


@virtual_time
async def test_nothing_is_kept_while_the_caller_waits_and_it_goes_on_when_they_are_back() -> None:
    scene = Scene()
    leg = scene.stage.leg
    await scene.ordered()
    assert leg.paused == []
    scene.call.answering.next()
    scene.call.answering.next()  # a carrier that asks again
    await settled()
    assert leg.paused == [True]
    scene.ended("busy")
    await settled()
    assert leg.paused == [True]
    scene.back()
    await settled()
    assert leg.paused == [True, False]
    assert leg.left_off == 0
    scene.close()


@virtual_time
async def test_a_caller_who_is_told_to_hold_by_rest_is_kept_no_more_either() -> None:
    scene = Scene()
    await scene.ordered()
    await asyncio.sleep(NEXT_SECONDS + 0.1)
    assert scene.stage.leg.paused == [True]
    scene.close()


@virtual_time
async def test_it_ends_when_a_human_takes_the_call_and_never_goes_on_before() -> None:
    scene = Scene()
    hold = await scene.asked_and_taken()
    scene.desk.in_room(hold.room, HUMAN, came=True)
    await settled()
    assert scene.stage.leg.paused == [True]
    assert scene.stage.leg.left_off == 1
    scene.close()


@virtual_time
async def test_a_new_stream_without_a_transfer_changes_nothing() -> None:
    scene = Scene()
    scene.call.stream_ended(scene.stream, False, "lost")
    scene.call.answering.next()
    scene.back()
    await settled()
    assert scene.stage.leg.paused == []
    scene.close()


@pytest.mark.parametrize(
    ("error", "lines"),
    [
        (CarrierUnavailableError("pause recording", "Twilio failed", perhaps_done=True), 1),
        (CallGoneError("pause recording", "CA1", 21220), 0),
    ],
)
@virtual_time
async def test_a_carrier_that_does_not_pause_holds_up_no_transfer(
    error: CarrierError, lines: int
) -> None:
    scene = Scene()

    async def refuse() -> None:
        raise error

    scene.stage.leg.pause = refuse  # type: ignore[method-assign]
    with capture_logs() as logs:
        await scene.held()
    said = [it for it in logs if it["event"] == "the carrier records as before"]
    assert len(said) == lines
    assert len(scene.dialer.orders) == 1
    scene.close()
