"""What the carrier keeps of a caller who waits for a human, comes back, or is taken over."""

import asyncio
from pathlib import Path

import pytest

from phone import Call as PhoneCall
from phone import PhoneSettings
from phone.events import Met
from tests.e2e import test_warm_transfer
from tests.e2e.test_warm_transfer import FROM, MANAGER, declines, house
from tests.fakes.twilio_callee import Callee
from tests.harness import eventually


async def declines_then_accepts(call: PhoneCall) -> None:
    """Take the second call only."""
    await call.asked()
    if not taken:
        taken.append(call.sid)
        await declines(call)
        return
    await call.press("1")
    await call.seen(Met)
    await asyncio.sleep(0.3)


taken: list[str] = []


async def test_the_carriers_recording_is_silent_while_the_caller_waits_and_ends_when_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = 'Recording(own=False, carrier=True, consent="")'
    source = test_warm_transfer.AGENTS["desk.py"]
    source = source.replace("import Agent,", "import Agent, Recording,")
    source = source.replace('greeting = "Hello."', f'greeting = "Hello."\n    recording = {wanted}')
    source = source.replace('self.state.get("outcome") or ', "")
    monkeypatch.setitem(test_warm_transfer.AGENTS, "desk.py", source)
    taken.clear()
    callee = Callee(media=True, act=declines_then_accepts)
    async with house(tmp_path, lambda _: callee, {"manager": MANAGER}) as (gateway, twilio, rooms):
        phone = gateway.phone(PhoneSettings(rooms=rooms, verb_speed=20))
        async with phone.dial(to=FROM) as caller:
            twilio.exchange.take(caller)
            await caller.heard_reply(10)
            recordings = twilio.account.recordings
            (recording,) = await eventually(lambda: list(recordings.values()))
            await caller.heard_silence(400, 10)
            await caller.press("1")
            await eventually(lambda: recording.status == "paused")
            await caller.connected(2, 20)
            await eventually(lambda: recording.status == "in-progress")
            await caller.heard_speech(10)
            await caller.heard_silence(400, 10)
            await caller.press("1")
            await eventually(lambda: recording.status == "paused")
            await caller.seen(Met, timeout=15)
            assert recording.status in {"paused", "stopped"}
            await eventually(lambda: recording.status == "stopped")
            await caller.ended()
        assert list(recordings.values()) == [recording]
