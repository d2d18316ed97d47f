"""The fake REST server refuses what Twilio refuses; other tests lean on that."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.fakes.twilio_account import Call
from tests.fakes.twilio_rest import ACCOUNT_SID, AUTH_TOKEN, TwilioRestServer

Answer = tuple[int, dict[str, object]]


class Api:
    def __init__(self, session: aiohttp.ClientSession, server: TwilioRestServer) -> None:
        self.session, self.server, self.token = session, server, AUTH_TOKEN

    async def __call__(self, method: str, path: str, **form: str) -> Answer:
        url = f"{self.server.base_url}/2010-04-01/Accounts/{ACCOUNT_SID}{path}"
        authorization = aiohttp.encode_basic_auth(ACCOUNT_SID, self.token)
        body = {"params": form} if method == "GET" else {"data": form or None}
        headers = {"Authorization": authorization}
        async with self.session.request(method, url, headers=headers, **body) as response:
            return response.status, (await response.json() if response.status != 204 else {})


@pytest.fixture
async def twilio() -> AsyncIterator[TwilioRestServer]:
    async with TwilioRestServer() as server:
        yield server


@pytest.fixture
async def api(twilio: TwilioRestServer) -> AsyncIterator[Api]:
    async with aiohttp.ClientSession() as session:
        yield Api(session, twilio)


def code(answer: Answer) -> object:
    assert answer[0] == answer[1]["status"]
    return answer[1]["code"]


DIAL = {"To": "+493012345678", "From": "+15557654321", "Url": "https://example.com/v"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"To": ""}, 21201),
        ({"From": ""}, 21213),
        ({"To": "12"}, 21211),
        ({"From": "12"}, 21212),
        ({"From": "+15550000000"}, 21210),
        ({"Url": "nowhere"}, 21205),
        ({"Method": "PUT"}, 21209),
        ({"Timeout": "601"}, 21208),
        ({"SendDigits": "abc?"}, 21206),
        ({"Twiml": "x" * 4_001}, 20001),
        ({"Twiml": "<Response>"}, 12100),
        ({"StatusCallback": "https://a_b.example/"}, 20001),
    ],
)
async def test_a_call_is_created_only_from_what_twilio_accepts(
    api: Api, twilio: TwilioRestServer, change: dict[str, str], expected: int
) -> None:
    twilio.account.add_number("+15557654321")
    assert code(await api("POST", "/Calls.json", **(DIAL | change))) == expected
    assert twilio.account.calls == {}


async def test_a_call_is_created_queued_and_shown(api: Api, twilio: TwilioRestServer) -> None:
    told: list[Call] = []
    twilio.account.watchers.append(told.append)
    status, call = await api("POST", "/Calls.json", **DIAL)
    assert (status, call["status"], call["direction"]) == (201, "queued", "outbound-api")
    assert (await api("GET", f"/Calls/{call['sid']}.json"))[1] == call
    assert (await api("GET", "/Calls.json", Status="queued"))[1]["calls"] == [call]
    assert (await api("GET", "/Calls.json", Status="completed"))[1]["calls"] == []
    assert [it.sid for it in told] == [call["sid"]]


async def test_a_document_is_ignored_beside_a_url_when_creating_and_refused_when_updating(
    api: Api, twilio: TwilioRestServer
) -> None:
    both = {"Url": "https://example.com/v", "Twiml": "<Response/>"}
    _, call = await api("POST", "/Calls.json", **(DIAL | both))
    assert twilio.account.calls[str(call["sid"])].twiml is None
    live = twilio.account.add_call()
    assert (await api("POST", f"/Calls/{live.sid}.json", **both))[0] == 400


async def test_canceling_ends_a_ringing_call_and_leaves_an_answered_one(
    api: Api, twilio: TwilioRestServer
) -> None:
    ringing, answered = twilio.account.add_call(status="ringing"), twilio.account.add_call()
    for call in (ringing, answered):
        await api("POST", f"/Calls/{call.sid}.json", Status="canceled")
    assert (ringing.status, answered.status) == ("canceled", "in-progress")


async def test_a_live_call_cannot_be_deleted_and_a_finished_one_can(
    api: Api, twilio: TwilioRestServer
) -> None:
    call = twilio.account.add_call()
    assert code(await api("DELETE", f"/Calls/{call.sid}.json")) == 20009
    twilio.account.end_call(call.sid)
    assert (await api("DELETE", f"/Calls/{call.sid}.json"))[0] == 204
    assert code(await api("GET", f"/Calls/{call.sid}.json")) == 20404


async def test_the_current_recording_is_the_only_active_one(
    api: Api, twilio: TwilioRestServer
) -> None:
    call = twilio.account.add_call()
    current = f"/Calls/{call.sid}/Recordings/Twilio.CURRENT.json"
    assert code(await api("POST", current, Status="paused")) == 20404
    _, first = await api("POST", f"/Calls/{call.sid}/Recordings.json")
    assert (await api("POST", current, Status="paused"))[1]["sid"] == first["sid"]
    await api("POST", f"/Calls/{call.sid}/Recordings.json")
    assert code(await api("POST", current, Status="stopped")) == 20404
    listed = (await api("GET", f"/Calls/{call.sid}/Recordings.json"))[1]["recordings"]
    assert listed == (await api("GET", "/Recordings.json", CallSid=call.sid))[1]["recordings"]


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("Recordings", {"RecordingChannels": "both"}),
        ("Recordings", {"RecordingStatusCallbackEvent": "finished"}),
        ("Transcriptions", {"Track": "both"}),
        ("Transcriptions", {"TranscriptionEngine": "whisper"}),
    ],
)
async def test_words_twilio_does_not_know_are_refused(
    api: Api, twilio: TwilioRestServer, path: str, form: dict[str, str]
) -> None:
    call = twilio.account.add_call()
    assert code(await api("POST", f"/Calls/{call.sid}/{path}.json", **form)) == 20001


async def test_a_number_is_found_and_pointed_elsewhere(api: Api, twilio: TwilioRestServer) -> None:
    number = twilio.account.add_number("+15557654321")
    found = (await api("GET", "/IncomingPhoneNumbers.json", PhoneNumber="+15557654321"))[1]
    assert found["incoming_phone_numbers"] != []
    path = f"/IncomingPhoneNumbers/{number.sid}.json"
    _, shown = await api("POST", path, VoiceUrl="https://example.com/twilio/voice")
    assert shown["voice_url"] == "https://example.com/twilio/voice"
    assert number.settings == {"VoiceUrl": "https://example.com/twilio/voice"}


async def test_strangers_and_unknown_paths_and_methods_get_twilios_codes(
    api: Api, twilio: TwilioRestServer
) -> None:
    assert code(await api("GET", "/Nothing.json")) == 20404
    assert code(await api("DELETE", "/Calls.json")) == 20004
    api.token = "wrong"
    assert code(await api("GET", "/Calls.json")) == 20003
