"""What the fake of Twilio's recordings refuses."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from tests.fakes.twilio_recordings import RecordingTwilio
from tests.fakes.twilio_rest import ACCOUNT_SID, AUTH_TOKEN

CALL = "CA" + "4" * 32
BASE = f"/2010-04-01/Accounts/{ACCOUNT_SID}"


@pytest.fixture
async def twilio() -> AsyncIterator[RecordingTwilio]:
    async with RecordingTwilio() as it:
        yield it


async def _recording(twilio: RecordingTwilio, client: httpx2.AsyncClient) -> str:
    url = f"{twilio.base_url}{BASE}/Calls/{CALL}/Recordings.json"
    return str((await client.post(url, data={"RecordingChannels": "dual"})).json()["sid"])


async def test_audio_is_there_once_the_recording_is_complete(twilio: RecordingTwilio) -> None:
    async with httpx2.AsyncClient(auth=(ACCOUNT_SID, AUTH_TOKEN)) as client:
        sid = await _recording(twilio, client)
        url = f"{twilio.base_url}{BASE}/Recordings/{sid}.wav"
        assert (await client.get(url)).status_code == 404
        await twilio.complete(sid, b"audio")
        twilio.late = 1
        assert (await client.get(url)).status_code == 404
        assert (await client.get(url)).status_code == 302
        assert (await client.get(url, follow_redirects=True)).content == b"audio"
        twilio.mono.add(sid)
        assert (await client.get(url + "?RequestedChannels=2")).status_code == 400


async def test_audio_wants_the_credentials_and_the_cloud_refuses_them(
    twilio: RecordingTwilio,
) -> None:
    async with httpx2.AsyncClient(auth=(ACCOUNT_SID, AUTH_TOKEN)) as client:
        sid = await _recording(twilio, client)
        await twilio.complete(sid, b"audio")
        url = f"{twilio.base_url}{BASE}/Recordings/{sid}.wav"
        place = (await client.get(url)).headers["location"]
        assert (await client.get(place)).status_code == 400
        assert twilio.leaked
    async with httpx2.AsyncClient() as stranger:
        assert (await stranger.get(url)).status_code == 401
        assert (await stranger.get(place)).content == b"audio"
