"""What a recording holds is what the phone heard."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from phone.events import Cleared
from shared.audio import ms_of_bytes
from shared.ulaw_wav import find_sound
from tests.e2e.cascade import DESK, Caller, Cascade, answers, cascade
from tests.fakes.openai_chat import Wants
from tests.fakes.speech import heard_in
from tests.fakes.twilio_recordings import RecordingTwilio
from tests.harness import (
    ACCOUNT_SID,
    AUTH_TOKEN,
    RunningGateway,
    eventually,
    running_gateway,
)

RECORDED = DESK + '    recording = Recording(consent="")\n'
CONSENT = DESK + '    recording = Recording(consent="This call is recorded.")\n'
KEYS = """
from worker import *

class Keys(Agent):
    recording = Recording(consent="")

    async def on_start(self):
        if not self.state:
            self.state["n"] = 1
            self.call.play(b"\x20" * 8000)
            await self.call.mark()
            await self.call.send_digits("w")
        else:
            self.call.play(b"\x30" * 8000)
            await self.call.mark()
            await self.call.hangup()
"""
ASKED, PRESSED = "+15550002222", "+15550003333"
"""The numbers of the agent that asks for consent, and of the one that presses keys."""

AGENTS = {"desk.py": RECORDED, "asking.py": CONSENT, "keys.py": KEYS}
ROUTES = f"""
default = "desk:Desk"
[numbers]
"{ASKED}" = "asking:Desk"
"{PRESSED}" = "keys:Keys"
"""
LATE_MS = 500.0
"""What a busy machine may add to a sound's way. Words laid down elsewhere are further off."""

of_one_stage = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cascade]:
    """A stage for several tests, one after the other."""
    async with cascade(tmp_path_factory.mktemp("recording"), AGENTS, routes=ROUTES) as stage:
        yield stage


def tracks(path: Path) -> tuple[bytes, bytes]:
    """Read a recording as a player does."""
    with path.open("rb") as file:
        sound = find_sound(file)
        assert sound is not None
        file.seek(sound.start)
        both = file.read(2 * sound.frames)
    return both[0::2], both[1::2]


def words(track: bytes) -> str:
    """Return the words that are whole on a track."""
    return " ".join(word.text for word in heard_in(track) if word.whole)


async def recording(gateway: RunningGateway, sid: str, status: str) -> Path:
    """Return the file of a call whose recording has come to ``status``."""

    async def is_there() -> bool:
        found = (await gateway.call_view(sid)).get("recordings") or []
        return any(it["kind"] == "own" and it["status"] == status for it in found)

    await eventually(is_there, every=0.05)
    (path,) = gateway.data_dir.glob(f"recordings/*/*/*/{sid}.wav")
    return path


async def hung_up(stage: Cascade, caller: Caller, status: str = "completed") -> tuple[bytes, bytes]:
    await caller.call.hangup()
    await caller.over()
    return tracks(await recording(stage.gateway, caller.sid, status))


@of_one_stage
async def test_both_sides_of_a_conversation_are_recorded_as_they_were_heard(stage: Cascade) -> None:
    stage.openai.replies = answers({"two of us": "For when?", "at eight": "See you then."})
    async with stage.caller() as caller:
        await caller.hears("Good evening.")
        await caller.asks("two of us", "For when?")
        await caller.asks("at eight", "See you then.")
        await caller.is_let_finish()
        left, right = await hung_up(stage, caller)
    assert words(left) == "two of us at eight"
    assert words(right) == "Good evening. For when? See you then."
    assert len(left) == len(right)
    # Every word lies where the phone played it.
    phone = {it.text: it.start_ms for it in heard_in(caller.call.heard) if it.whole}
    ours = {it.text: it.start_ms for it in heard_in(right) if it.whole}
    shift = phone["Good"] - ours["Good"]
    assert all(abs(phone[word] - ours[word] - shift) < LATE_MS for word in ours)
    assert abs(ms_of_bytes(len(caller.call.heard)) - ms_of_bytes(len(right))) < 2 * LATE_MS


@of_one_stage
async def test_an_interrupted_answer_is_cut_at_the_word_that_was_heard_last(stage: Cascade) -> None:
    story = "Once upon a time there lived a very old king in a very small castle far away."
    stage.openai.replies = answers({"tell me": story, "stop it now": "Well."})
    async with stage.caller() as caller:
        await caller.hears("Good evening.")
        await caller.asks("tell me", "Once upon a time")
        sure = len(caller.listen())
        await caller.says("stop it now")
        await caller.hears("Well.")
        await caller.is_let_finish()
        assert any(isinstance(it, Cleared) for it in caller.call.events)
        _, right = await hung_up(stage, caller)
        heard = caller.listen()
    whole = ["Good", "evening.", *story.split()]
    recorded = words(right).split()
    for it in (heard, recorded):
        assert it == [*whole[: len(it) - 1], "Well."]
        assert sure <= len(it) - 1 < len(whole)
    # How long the order to stop takes to the phone is the machine's affair.
    assert len(recorded) <= len(heard) + 1


@of_one_stage
async def test_a_call_is_recorded_once_the_caller_has_heard_that_it_is(stage: Cascade) -> None:
    stage.openai.replies = answers({"two of us": "For when?"})
    async with stage.caller(ASKED) as caller:
        await caller.says("hello")  # does not interrupt it, and is not recorded
        await caller.hears("This call is recorded.")
        await caller.hears("Good evening.")
        await caller.asks("two of us", "For when?")
        await caller.is_let_finish()
        lines = await caller.lines()
        left, right = await hung_up(stage, caller)
    assert words(right).startswith("Good evening.")
    assert words(right).endswith("For when?")
    assert "hello" not in words(left)
    assert words(left) == "two of us"
    assert ("agent", "This call is recorded.") in lines


@of_one_stage
async def test_a_caller_who_hangs_up_before_that_is_not_recorded(stage: Cascade) -> None:
    async with stage.caller(ASKED) as caller:
        await caller.hears("This")
        await caller.call.hangup()
        view = await caller.over()
    assert view["recordings"] == []
    assert not list(stage.gateway.data_dir.glob(f"recordings/*/*/*/{caller.sid}.wav"))


@of_one_stage
async def test_a_recording_outlives_the_calls_process(stage: Cascade) -> None:
    async with stage.caller() as caller:
        await caller.hears("Good evening.")
        await caller.says("two of us")
        pid = (await caller.view())["pid"]
        os.kill(pid, signal.SIGKILL)
        await caller.over()
        left, right = tracks(await recording(stage.gateway, caller.sid, "completed"))
    assert words(right) == "Good evening."
    assert words(left) == "two of us"


HANDED = DESK.replace(
    "class Desk(Agent):",
    """
class Billing(Agent):
    stt, llm, tts = EARS, MODEL, VOICE
    network_ms = 0
    recording = Recording()

    async def on_taken_over(self):
        await self.say("Billing here.")

class Desk(Agent):
    colleagues = (Billing,)

    @tool
    async def ask_billing(self) -> str:
        \"\"\"Hand over.\"\"\"
        await self.hand_over(Billing)
        return "done"
""",
)


async def test_a_call_is_recorded_from_where_an_agent_takes_it_over_that_wants_it(
    tmp_path: Path,
) -> None:
    async with cascade(tmp_path, {"desk.py": HANDED}) as stage:
        stage.openai.replies = answers(
            {"my bill": [Wants("ask_billing")], "done": "What about it?", "how much": "Ten euros."}
        )
        async with stage.caller() as caller:
            await caller.hears("Good evening.")
            await caller.says("my bill")
            await caller.hears("This call is recorded. Billing here. What about it?")
            await caller.asks("how much", "Ten euros.")
            await caller.is_let_finish()
            left, right = await hung_up(stage, caller)
    assert words(right) == "Billing here. What about it? Ten euros."
    assert words(left) == "how much"


async def test_no_pruning_takes_a_call_before_its_recording_is_whole(tmp_path: Path) -> None:
    async with cascade(tmp_path, {"desk.py": RECORDED}) as stage:

        async def pruned() -> dict[str, int]:
            body = {"older_than_days": 0}
            found: dict[str, int] = (
                await stage.gateway.api("POST", "/api/records/prune", body)
            ).json()
            return found

        async with stage.caller() as caller:
            await caller.hears("Good evening.")
            assert (await pruned())["calls"] == 0
            await caller.call.hangup()
            await caller.over()
            (path,) = stage.gateway.data_dir.glob("recordings/*/*/*/*.wav")
            taken = 0
            while not taken:
                assert path.exists()
                taken = (await pruned())["calls"]
            # Whole, and known to be: nothing remembers it but the database.
            assert not list(stage.gateway.data_dir.glob("recordings/open/*"))
            assert not path.exists()
            await asyncio.sleep(1.5)  # a tick later nothing has come back
            assert (await stage.gateway.api("GET", "/api/records")).json()["refused"] == 0
            assert (await pruned())["recordings"] == 0


async def test_a_recording_of_a_killed_gateway_can_be_played_and_is_completed_by_the_next(
    tmp_path: Path,
) -> None:
    agent = (
        "from worker import *\nclass Echo(Agent):\n"
        "    recording = Recording(consent='')\n"
        "    def on_audio(self, audio):\n        self.call.play(audio)\n"
    )
    sources = {"echo.py": agent, "routes.toml": 'default = "echo:Echo"\n'}
    async with running_gateway(tmp_path, sources) as gateway, gateway.phone().dial() as call:
        await call.connected()
        await call.say(bytes(range(160)) * 150)
        gateway.signal(signal.SIGKILL)
        await gateway.ended()
    (path,) = gateway.data_dir.glob("recordings/*/*/*/*.wav")
    before, _ = tracks(path)
    assert ms_of_bytes(len(before)) > 500
    async with running_gateway(tmp_path, sources) as gateway:
        assert await recording(gateway, call.sid, "interrupted") == path
        after, echoed = tracks(path)
        (row,) = (await gateway.call_view(call.sid))["recordings"]
    assert after[: len(before)] == before
    assert row["seconds"] == pytest.approx(len(after) / 8000)
    assert set(range(160)) <= set(after)
    assert set(range(160)) <= set(echoed)


@of_one_stage
async def test_a_call_with_two_streams_is_one_recording_with_silence_between(
    stage: Cascade,
) -> None:
    async with stage.gateway.phone(stage.settings, to=PRESSED).dial() as call:
        await asyncio.wait_for(call.ended(), 60)
    _, right = tracks(await recording(stage.gateway, call.sid, "completed"))
    first, second = right.find(b"\x20" * 100), right.find(b"\x30" * 100)
    assert right.count(0x20) == 8000
    assert right.count(0x30) == 8000
    assert second - first > 8000


CARRIER = DESK + "    recording = Recording(own=False, carrier=True, transcription=True)\n"


async def test_the_carriers_recording_and_transcript_are_kept_when_the_call_is_long_over(
    tmp_path: Path,
) -> None:
    async with RecordingTwilio(ACCOUNT_SID, AUTH_TOKEN) as twilio:
        account = {
            "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
            "TWILIO_BASE_URL": twilio.base_url,
            "CARRIER_FETCH": "true",
        }
        async with cascade(tmp_path, {"desk.py": CARRIER}, account) as stage:
            async with stage.caller() as caller:
                await caller.hears("This call is recorded.")
                (it,) = await eventually(lambda: list(twilio.account.recordings.values()))
                await eventually(lambda: twilio.account.transcriptions)
                assert (it.call_sid, it.channels, it.trim) == (caller.sid, 2, "do-not-trim")
                for _ in range(2):  # a callback may come twice
                    status = await twilio.hears(caller.sid, 1, "inbound_track", "a table")
                    assert status == 204
                await caller.call.hangup()
                await caller.over()
            assert await twilio.hears(caller.sid, 2, "outbound_track", "for whom") == 204
            await twilio.complete(it.sid, b"RIFF of Twilio")

            async def fetched() -> bool:
                view = await stage.gateway.call_view(caller.sid)
                return any(row["size"] == 14 for row in view["recordings"])

            await eventually(fetched, every=0.05)
            heard = await stage.gateway.api("GET", f"/api/calls/{caller.sid}/carrier-transcript")
            said = [(line["track"], line["text"]) for line in heard.json()["lines"]]
            assert said == [("inbound", "a table"), ("outbound", "for whom")]
            audio = await stage.gateway.api("GET", f"/api/calls/{caller.sid}/recording")
            assert audio.content == b"RIFF of Twilio"


@of_one_stage
async def test_how_long_the_caller_waited_is_measured_from_the_recording(stage: Cascade) -> None:
    stage.openai.replies = answers({"two of us": "For when?"})
    async with stage.caller() as caller:
        await caller.hears("Good evening.")
        await caller.asks("two of us", "For when?")
        await caller.is_let_finish()
        await hung_up(stage, caller)
    code, output = await stage.gateway.command("latency", "--sid", caller.sid, "--json")
    assert code == 0, output
    found = json.loads(output)
    code, output = await stage.gateway.command("latency", "--sid", "CA" + "0" * 32)
    assert (code, "No such call is known" in output) == (1, True)
    assert found["replies"]["count"] == 1
    assert 0 < found["replies"]["median_ms"] < 3000
    assert found["turns"]
