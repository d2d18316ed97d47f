"""The carrier's recording of callers who are joined straight to Ultravox."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from phone.events import StreamStarted, VerbBegun
from tests.e2e.cascade import PARTS
from tests.e2e.test_ultravox_direct import KEY, Talker
from tests.fakes.twilio_recordings import RecordingTwilio
from tests.fakes.ultravox import UltravoxFake
from tests.harness import ACCOUNT_SID, AUTH_TOKEN, RunningGateway, eventually, running_gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

AGENTS = {
    "desk.py": PARTS
    + """
class Desk(Agent):
    speech = Ultravox(mode="direct", language_hint="de")
    greeting = "Good evening."
    recording = Recording(carrier=True, transcription=True)


class Own(Agent):
    speech = Ultravox(mode="direct")
    recording = Recording()
""",
    "routes.toml": 'default = "desk:Desk"\n',
}


class House:
    """A gateway with its Ultravox and its Twilio."""

    gateway: RunningGateway
    ultravox: UltravoxFake
    twilio: RecordingTwilio


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    it = House()
    async with (
        UltravoxFake(KEY) as it.ultravox,
        RecordingTwilio(ACCOUNT_SID, AUTH_TOKEN) as it.twilio,
    ):
        environment = {
            "ULTRAVOX_API_KEY": KEY,
            "ULTRAVOX_BASE_URL": it.ultravox.url,
            "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
            "TWILIO_BASE_URL": it.twilio.base_url,
            "NO_PROXY": "127.0.0.1",
        }
        folder = tmp_path_factory.mktemp("direct")
        async with running_gateway(folder, AGENTS, environment) as it.gateway:
            yield it


async def test_a_caller_is_told_by_the_carrier_and_recorded_once_joined(house: House) -> None:
    it = house
    async with it.gateway.phone().dial() as call:
        caller = Talker(it, call)
        await call.seen(VerbBegun)
        said = [e for e in call.events if isinstance(e, VerbBegun) and e.verb == "Say"]
        assert [e.detail for e in said] == ["This call is recorded."]
        assert not it.twilio.account.recordings
        await call.connected(timeout=20)
        (recording,) = await eventually(lambda: list(it.twilio.account.recordings.values()))
        await eventually(lambda: it.twilio.account.transcriptions)
        assert recording.call_sid == call.sid
        await caller.hears("Good evening.")
        assert "recorded" not in str(it.ultravox.last.body)

        async def has_left() -> bool:
            view = await it.gateway.call_view(call.sid)
            return view["pid"] is None and view["state"] == "elsewhere"

        await eventually(has_left)  # nothing else is to be done by its process
        (row,) = (await it.gateway.call_view(call.sid))["recordings"]
        assert (row["kind"], row["status"]) == ("carrier", "in-progress")
    await it.twilio.complete(recording.sid)

    async def complete() -> bool:
        rows = (await it.gateway.call_view(call.sid))["recordings"]
        return [(row["kind"], row["status"]) for row in rows] == [("carrier", "completed")]

    await eventually(complete, every=0.05)
    assert not list(it.gateway.data_dir.glob("recordings/*/*/*/*.wav"))


async def test_a_caller_who_hangs_up_while_being_told_is_not_recorded(house: House) -> None:
    before = len(house.twilio.account.recordings)
    async with house.gateway.phone().dial() as call:
        await call.seen(VerbBegun)
        await call.hangup()
        report = await call.ended()
    assert not report.of(StreamStarted)

    async def over() -> bool:
        return not (await house.gateway.call_view(call.sid))["live"]

    await eventually(over)
    assert len(house.twilio.account.recordings) == before
    assert (await house.gateway.call_view(call.sid))["recordings"] == []


async def test_a_release_that_wants_our_own_recording_of_direct_calls_is_refused(
    house: House,
) -> None:
    house.gateway.write_agent("routes.toml", 'default = "desk:Own"\n')
    code, output = await house.gateway.command("deploy")
    assert code != 0
    assert "Own.recording wants our own recording" in output
    assert "set carrier=True, or own=False, or mode='relay'" in output
