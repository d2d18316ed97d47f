"""Call control against a server that speaks Twilio's REST API and fails on request."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from gateway.carriers.control import (
    CallControl,
    CallGoneError,
    CarrierError,
    CarrierRefusedError,
    CarrierUnavailableError,
)
from gateway.carriers.twilio import twiml
from gateway.carriers.twilio.region import placement
from gateway.carriers.twilio.rest import TwilioRest
from gateway.carriers.twilio.sdk import Account, load
from tests.fakes.twilio_rest import ACCOUNT_SID, AUTH_TOKEN, Trouble, TwilioRestServer

CALLBACK = "https://example.com/twilio/recording"
UNKNOWN_CALL = "CA" + "f" * 32


class Pauses:
    """A sleep that notes how long it would have been."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


@pytest.fixture
async def twilio() -> AsyncIterator[TwilioRestServer]:
    async with TwilioRestServer() as server:
        yield server


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


@pytest.fixture
async def rest(twilio: TwilioRestServer, pauses: Pauses) -> AsyncIterator[TwilioRest]:
    control = TwilioRest(
        Account(ACCOUNT_SID, AUTH_TOKEN, origin=twilio.base_url), timeout_s=2.0, sleep=pauses
    )
    yield control
    await control.aclose()


async def test_it_is_a_call_control(rest: TwilioRest) -> None:
    control: CallControl = rest
    await control.aclose()


@pytest.mark.parametrize("status", ["queued", "ringing", "in-progress"])
async def test_hanging_up_completes_a_live_call(
    twilio: TwilioRestServer, rest: TwilioRest, status: str
) -> None:
    call = twilio.account.add_call(status=status)
    await rest.hangup(call.sid)
    assert call.status == "completed"
    (request,) = twilio.requests
    assert (request.method, request.path) == ("POST", f"/Calls/{call.sid}.json")
    assert request.form == {"Status": ["completed"]}


async def test_redirecting_hands_over_the_document(
    twilio: TwilioRestServer, rest: TwilioRest
) -> None:
    call = twilio.account.add_call()
    document = twiml.dial("+493012345678", "https://example.com/twilio/next", message="Ä & ö")
    await rest.redirect(call.sid, document)
    assert call.twiml == document


async def test_a_document_too_long_for_rest_is_never_sent(
    twilio: TwilioRestServer, rest: TwilioRest
) -> None:
    with pytest.raises(twiml.TwimlTooLongError):
        await rest.redirect(UNKNOWN_CALL, twiml.apology("x" * 4_000))
    assert twilio.requests == []


async def test_a_recording_is_started_stopped_and_deleted(
    twilio: TwilioRestServer, rest: TwilioRest
) -> None:
    call = twilio.account.add_call()
    sid = await rest.start_recording(call.sid, callback_url=CALLBACK)
    assert twilio.requests[0].form == {
        "RecordingChannels": ["dual"],
        "RecordingTrack": ["both"],
        "Trim": ["do-not-trim"],
        "RecordingStatusCallback": [CALLBACK],
        "RecordingStatusCallbackMethod": ["POST"],
        "RecordingStatusCallbackEvent": ["completed", "absent"],
    }
    assert await rest.stop_recording(call.sid, sid) is True
    assert twilio.account.recordings[sid].status == "stopped"
    await rest.delete_recording(sid)
    assert twilio.account.recordings == {}


async def test_a_recording_that_is_over_is_not_stopped_again(
    twilio: TwilioRestServer, rest: TwilioRest
) -> None:
    call = twilio.account.add_call()
    sid = await rest.start_recording(call.sid, callback_url=CALLBACK)
    twilio.account.end_call(call.sid)
    assert await rest.stop_recording(call.sid, sid) is False
    assert [request.method for request in twilio.requests] == ["POST", "GET"]


async def test_deleting_a_recording_that_is_gone_is_no_error(rest: TwilioRest) -> None:
    await rest.delete_recording("RE" + "f" * 32)


async def test_deleting_a_recording_that_is_still_going_is_refused(
    twilio: TwilioRestServer, rest: TwilioRest
) -> None:
    call = twilio.account.add_call()
    sid = await rest.start_recording(call.sid, callback_url=CALLBACK)
    with pytest.raises(CarrierRefusedError, match="20409"):
        await rest.delete_recording(sid)


async def test_a_transcription_takes_both_tracks_with_deepgram_and_is_stopped(
    twilio: TwilioRestServer, rest: TwilioRest
) -> None:
    call = twilio.account.add_call()
    sid = await rest.start_transcription(call.sid, callback_url=CALLBACK, language="de-DE")
    transcription = twilio.account.transcriptions[sid]
    assert (transcription.engine, transcription.track) == ("deepgram", "both_tracks")
    assert (transcription.language, transcription.callback) == ("de-DE", CALLBACK)
    await rest.stop_transcription(call.sid, sid)
    assert transcription.status == "stopped"
    await rest.start_transcription(call.sid, callback_url=CALLBACK)
    assert "LanguageCode" not in twilio.requests[-1].form


Operation = Callable[[TwilioRest, str], Awaitable[object]]
OPERATIONS: list[Operation] = [
    lambda rest, sid: rest.hangup(sid),
    lambda rest, sid: rest.redirect(sid, twiml.hang_up()),
    lambda rest, sid: rest.start_recording(sid, callback_url=CALLBACK),
    lambda rest, sid: rest.start_transcription(sid, callback_url=CALLBACK),
]


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_call_that_is_over_or_unknown_is_gone(
    twilio: TwilioRestServer, rest: TwilioRest, operation: Operation
) -> None:
    over = twilio.account.add_call(status="completed")
    for sid, code in ((over.sid, 21220), (UNKNOWN_CALL, 20404)):
        with pytest.raises(CallGoneError) as caught:
            await operation(rest, sid)
        assert (caught.value.sid, caught.value.code) == (sid, code)
    assert len(twilio.requests) == 2


async def test_a_call_that_still_rings_cannot_be_redirected(
    twilio: TwilioRestServer, rest: TwilioRest
) -> None:
    call = twilio.account.add_call(status="ringing")
    with pytest.raises(CallGoneError, match="21220"):
        await rest.redirect(call.sid, twiml.hang_up())


async def test_wrong_credentials_are_refused_once_and_the_sentence_says_which(
    twilio: TwilioRestServer, pauses: Pauses
) -> None:
    rest = TwilioRest(Account(ACCOUNT_SID, "wrong", origin=twilio.base_url), sleep=pauses)
    with pytest.raises(CarrierRefusedError, match="TWILIO_AUTH_TOKEN") as caught:
        await rest.hangup(UNKNOWN_CALL)
    await rest.aclose()
    assert caught.value.code == 20003
    assert "wrong" not in str(caught.value)
    assert pauses.seconds == []


async def test_twilios_own_words_are_only_the_cause(
    twilio: TwilioRestServer, rest: TwilioRest
) -> None:
    twilio.fail(400, 21999)
    with pytest.raises(CarrierRefusedError) as caught:
        await rest.hangup(UNKNOWN_CALL)
    assert "as queued" not in str(caught.value)
    assert "as queued" in str(caught.value.__cause__)


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_too_many_requests_are_repeated_with_growing_pauses(
    twilio: TwilioRestServer, rest: TwilioRest, pauses: Pauses, operation: Operation
) -> None:
    call = twilio.account.add_call()
    twilio.fail(429, 20429, times=2)
    await operation(rest, call.sid)
    first, second = pauses.seconds
    assert 0.15 <= first <= 0.3 <= second <= 0.6


async def test_after_three_attempts_it_gives_up(twilio: TwilioRestServer, rest: TwilioRest) -> None:
    twilio.fail(429, 20429, times=9)
    with pytest.raises(CarrierUnavailableError) as caught:
        await rest.hangup(UNKNOWN_CALL)
    assert not caught.value.perhaps_done
    assert len(twilio.requests) == 3


FAILURES: list[Callable[[TwilioRestServer], None]] = [
    lambda twilio: twilio.fail(500, 20500),
    lambda twilio: twilio.fail(503, 20503),
    lambda twilio: twilio.trouble(Trouble.CUT),
    lambda twilio: twilio.trouble(Trouble.GARBAGE),
]


@pytest.mark.parametrize("failure", FAILURES)
async def test_a_hang_up_of_unknown_outcome_is_repeated(
    twilio: TwilioRestServer, rest: TwilioRest, failure: Callable[[TwilioRestServer], None]
) -> None:
    call = twilio.account.add_call()
    failure(twilio)
    await rest.hangup(call.sid)
    assert call.status == "completed"
    assert len(twilio.requests) == 2


@pytest.mark.parametrize("operation", OPERATIONS[1:])
@pytest.mark.parametrize("failure", FAILURES)
async def test_what_would_act_twice_is_not_repeated_when_its_outcome_is_unknown(
    twilio: TwilioRestServer,
    rest: TwilioRest,
    operation: Operation,
    failure: Callable[[TwilioRestServer], None],
) -> None:
    call = twilio.account.add_call()
    failure(twilio)
    with pytest.raises(CarrierUnavailableError, match="may have been done") as caught:
        await operation(rest, call.sid)
    assert caught.value.perhaps_done
    assert len(twilio.requests) == 1


@pytest.mark.parametrize("trouble", [Trouble.SILENT, Trouble.SILENT_AFTER])
async def test_silence_ends_at_the_time_limit(twilio: TwilioRestServer, trouble: Trouble) -> None:
    rest = TwilioRest(Account(ACCOUNT_SID, AUTH_TOKEN, origin=twilio.base_url), timeout_s=0.5)
    call = twilio.account.add_call()
    twilio.trouble(trouble)
    with pytest.raises(CarrierUnavailableError, match=r"within 0\.5 s"):
        await rest.redirect(call.sid, twiml.hang_up())
    await rest.aclose()
    assert (call.twiml is not None) is (trouble is Trouble.SILENT_AFTER)


async def test_a_hang_up_whose_answer_was_lost_finds_the_call_gone(
    twilio: TwilioRestServer, pauses: Pauses
) -> None:
    account = Account(ACCOUNT_SID, AUTH_TOKEN, origin=twilio.base_url)
    rest = TwilioRest(account, timeout_s=1.0, sleep=pauses)
    call = twilio.account.add_call()
    twilio.trouble(Trouble.SILENT_AFTER)
    with pytest.raises(CallGoneError):
        await rest.hangup(call.sid)
    await rest.aclose()
    assert call.status == "completed"


async def test_an_address_nobody_listens_at_is_tried_again_and_nothing_was_done(
    pauses: Pauses,
) -> None:
    async with TwilioRestServer() as gone:
        account = Account(ACCOUNT_SID, AUTH_TOKEN, origin=gone.base_url)
    rest = TwilioRest(account, sleep=pauses)
    with pytest.raises(CarrierUnavailableError, match="nothing was done") as caught:
        await rest.start_recording(UNKNOWN_CALL, callback_url=CALLBACK)
    await rest.aclose()
    assert not caught.value.perhaps_done
    assert len(pauses.seconds) == 2


async def test_cancelling_a_request_leaves_the_control_usable(
    twilio: TwilioRestServer, rest: TwilioRest
) -> None:
    call = twilio.account.add_call()
    twilio.trouble(Trouble.SILENT)
    request = asyncio.create_task(rest.hangup(call.sid))
    await twilio.arrived.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    await rest.hangup(call.sid)
    assert call.status == "completed"


async def test_many_requests_at_once_share_one_client(
    twilio: TwilioRestServer, rest: TwilioRest
) -> None:
    calls = [twilio.account.add_call() for _ in range(20)]
    async with asyncio.TaskGroup() as group:
        for call in calls:
            group.create_task(rest.hangup(call.sid))
    assert {call.status for call in calls} == {"completed"}


async def test_after_closing_it_opens_again(twilio: TwilioRestServer, rest: TwilioRest) -> None:
    await rest.hangup(twilio.account.add_call().sid)
    await rest.aclose()
    await rest.hangup(twilio.account.add_call().sid)
    assert len(twilio.requests) == 2


@pytest.mark.parametrize(
    ("region", "edge", "host"),
    [
        (None, None, "api.twilio.com"),
        ("ie1", None, "api.dublin.ie1.twilio.com"),
        ("au1", "sydney", "api.sydney.au1.twilio.com"),
        (None, "sydney", "api.sydney.us1.twilio.com"),
    ],
)
async def test_requests_go_to_the_regions_host_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, region: str | None, edge: str | None, host: str
) -> None:
    monkeypatch.setenv("TWILIO_REGION", "br1")
    monkeypatch.setenv("TWILIO_EDGE", "sao-paulo")
    sdk = await load(Account(ACCOUNT_SID, AUTH_TOKEN, placement(region, edge)))
    url = sdk.client.get_hostname("https://api.twilio.com/2010-04-01/x.json")
    await sdk.http.close()
    assert url == f"https://{host}/2010-04-01/x.json"


def test_the_token_is_in_no_representation() -> None:
    assert AUTH_TOKEN not in repr(Account(ACCOUNT_SID, AUTH_TOKEN)).replace(ACCOUNT_SID, "")


def test_errors_are_one_tree_and_say_what_was_tried() -> None:
    errors: list[CarrierError] = [
        CallGoneError("hang up", "CA1", 21220),
        CarrierRefusedError("hang up", 20003, "no"),
        CarrierUnavailableError("hang up", "away", perhaps_done=False),
    ]
    assert all(str(error).startswith("hang up: ") for error in errors)


LATE = """
import asyncio, sys
from gateway.carriers.twilio import rest
from gateway.carriers.twilio.sdk import Account
heavy = {"twilio.rest", "aiohttp", "requests"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)

async def main():
    control = rest.TwilioRest(Account("AC", "t", origin="http://127.0.0.1:9"), attempts=1)
    await control.prepare()
    assert heavy <= set(sys.modules)
    before = {name for name in sys.modules if name.startswith("twilio")}
    for request in (
        control.hangup("CA"),
        control.start_recording("CA", callback_url="https://x"),
        control.start_transcription("CA", callback_url="https://x"),
        control.delete_recording("RE"),
    ):
        try:
            await request
        except rest.CarrierUnavailableError:
            pass
    after = {name for name in sys.modules if name.startswith("twilio")}
    await control.aclose()
    assert after == before, after - before

asyncio.run(main())
"""


def test_the_sdk_is_imported_by_prepare_and_not_before_nor_by_a_request() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LATE], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
