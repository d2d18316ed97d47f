"""What is recorded and transcribed on one leg, against a server that speaks Twilio's REST API."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.calls.answers import Join
from gateway.carriers.control import CarrierError
from gateway.carriers.twilio.leg import TwilioLeg
from gateway.carriers.twilio.origin import Origin
from gateway.carriers.twilio.rest import TwilioRest
from gateway.carriers.twilio.sdk import Account
from tests.fakes.twilio_rest import ACCOUNT_SID, AUTH_TOKEN, TwilioRestServer
from tests.harness import eventually


@pytest.fixture
async def twilio() -> AsyncIterator[TwilioRestServer]:
    async with TwilioRestServer() as server:
        yield server


@pytest.fixture
async def leg(twilio: TwilioRestServer) -> AsyncIterator[TwilioLeg]:
    rest = TwilioRest(Account(ACCOUNT_SID, AUTH_TOKEN, origin=twilio.base_url), timeout_s=2.0)
    sid = twilio.account.add_call().sid
    yield TwilioLeg(sid, Origin.parse("https://example.com"), rest, None)
    await rest.aclose()


def recordings(twilio: TwilioRestServer) -> list[str]:
    return [it.status for it in twilio.account.recordings.values()]


def transcriptions(twilio: TwilioRestServer) -> list[str]:
    return [it.status for it in twilio.account.transcriptions.values()]


async def test_what_is_kept_is_paused_and_goes_on_in_the_same_recording(
    twilio: TwilioRestServer, leg: TwilioLeg
) -> None:
    await leg.start_recording()
    await leg.start_transcription()
    await leg.pause()
    assert recordings(twilio) == ["paused"]
    assert transcriptions(twilio) == ["stopped"]
    paused = next(it for it in twilio.requests if it.form.get("Status") == ["paused"])
    assert paused.form["PauseBehavior"] == ["silence"]
    await leg.go_on()
    assert recordings(twilio) == ["in-progress"]
    assert transcriptions(twilio) == ["stopped", "in-progress"]
    await leg.leave_off()
    assert recordings(twilio) == ["stopped"]
    assert transcriptions(twilio) == ["stopped", "stopped"]


async def test_what_is_paused_is_stopped_for_good_when_somebody_else_takes_the_call(
    twilio: TwilioRestServer, leg: TwilioLeg
) -> None:
    await leg.start_recording()
    await leg.pause()
    await leg.leave_off()
    await leg.go_on()
    assert recordings(twilio) == ["stopped"]


async def test_pausing_and_going_on_reach_twilio_in_their_order(
    twilio: TwilioRestServer, leg: TwilioLeg
) -> None:
    await leg.start_recording()
    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(leg.pause())
            group.create_task(leg.go_on())
    assert recordings(twilio) == ["in-progress"]


async def test_a_leg_that_keeps_nothing_asks_for_nothing(
    twilio: TwilioRestServer, leg: TwilioLeg
) -> None:
    await leg.pause()
    await leg.go_on()
    await leg.leave_off()
    assert twilio.requests == []


async def test_a_recording_that_cannot_be_paused_goes_on_and_so_does_everything_else(
    twilio: TwilioRestServer, leg: TwilioLeg
) -> None:
    await leg.start_recording()
    await leg.start_transcription()
    twilio.fail(400, 20001)
    with pytest.raises(CarrierError):
        await leg.pause()
    assert transcriptions(twilio) == ["stopped"]
    await leg.go_on()
    assert recordings(twilio) == ["in-progress"]


async def test_what_is_being_started_when_somebody_else_takes_the_call_is_stopped_as_well(
    twilio: TwilioRestServer, leg: TwilioLeg
) -> None:
    twilio.slow_s = 0.2
    for start in (leg.start_transcription, leg.start_recording):
        starting = asyncio.create_task(start())
        await asyncio.sleep(0.05)
    await leg.leave_off()
    await asyncio.wait([starting])
    assert isinstance(starting.exception(), CarrierError)
    assert (recordings(twilio), transcriptions(twilio)) == ([], ["stopped"])


async def test_a_recording_that_is_being_started_then_is_stopped(
    twilio: TwilioRestServer, leg: TwilioLeg
) -> None:
    twilio.slow_s = 0.2
    starting = asyncio.create_task(leg.start_recording())
    await asyncio.sleep(0.1)
    await leg.leave_off()
    await starting
    assert recordings(twilio) == ["stopped"]


async def test_what_is_being_started_when_the_caller_is_put_on_hold_waits_as_well(
    twilio: TwilioRestServer, leg: TwilioLeg
) -> None:
    twilio.slow_s = 0.2
    starting = asyncio.create_task(leg.start_recording())
    await asyncio.sleep(0.1)
    await leg.pause()
    await starting
    assert recordings(twilio) == ["paused"]


async def test_nothing_is_started_once_somebody_else_has_the_call(
    twilio: TwilioRestServer, leg: TwilioLeg
) -> None:
    await leg.leave_off()
    for start in (leg.start_recording, leg.start_transcription):
        with pytest.raises(CarrierError, match="somebody else"):
            await start()
    assert twilio.requests == []


async def test_a_recording_whose_start_was_not_answered_is_stopped_as_well(
    twilio: TwilioRestServer, leg: TwilioLeg
) -> None:
    twilio.slow_s = 2.5
    with pytest.raises(CarrierError):
        await leg.start_recording()
    twilio.slow_s = 0.0
    await eventually(lambda: recordings(twilio) == ["in-progress"])
    await leg.leave_off()
    assert recordings(twilio) == ["stopped"]


async def test_a_recording_that_could_not_be_stopped_is_stopped_when_the_call_goes_on(
    twilio: TwilioRestServer, leg: TwilioLeg
) -> None:
    await leg.start_recording()
    twilio.fail(400, 20001)
    with pytest.raises(CarrierError):
        await leg.stop_recording()
    await leg.leave_off()
    assert recordings(twilio) == ["stopped"]


@pytest.mark.parametrize(
    ("language", "spoken"),
    [("", None), ("de", "de-DE"), ("de-AT", "de-AT"), ("DE", "de-DE"), ("xx", None)],
)
def test_a_caller_is_told_something_before_joining_a_service(
    language: str, spoken: str | None
) -> None:
    leg = TwilioLeg("CA1", Origin.parse("https://example.com"), None, None)
    document = leg.document(Join("wss://voice.example/1", "ultravox", "Recorded.", language))
    say = f'<Say language="{spoken}">' if spoken else "<Say>"
    assert f"{say}Recorded.</Say><Connect><Stream" in document
    assert "<Say" not in leg.document(Join("wss://voice.example/1", "ultravox"))
