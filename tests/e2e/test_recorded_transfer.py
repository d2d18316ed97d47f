"""What the carrier keeps of a caller who waits for a human, comes back, or is taken over."""

import asyncio
from pathlib import Path

from phone import Call as PhoneCall
from phone.events import Met
from tests.e2e.test_warm_transfer import AGENTS, MANAGER, PATIENCE, declines, house
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
    tmp_path: Path,
) -> None:
    wanted = 'Recording(own=False, carrier=True, consent="")'
    source = AGENTS["desk.py"]
    source = source.replace("import Agent,", "import Agent, Recording,")
    source = source.replace('greeting = "Hello."', f'greeting = "Hello."\n    recording = {wanted}')
    taken.clear()
    callee = Callee(media=True, act=declines_then_accepts)
    async with house(tmp_path, {"manager": MANAGER}, AGENTS | {"desk.py": source}) as it:
        it.humans(lambda _: callee)
        recordings = it.twilio.account.recordings
        async with it.calling() as on:
            (recording,) = await eventually(lambda: list(recordings.values()), PATIENCE)
            await on.caller.press("1")
            await eventually(lambda: recording.status == "paused", PATIENCE)
            await on.is_back()
            await eventually(lambda: recording.status == "in-progress", PATIENCE)
            await on.caller.heard_silence(400, PATIENCE)
            await on.caller.press("1")
            await eventually(lambda: recording.status == "paused", PATIENCE)
            await on.caller.seen(Met, timeout=PATIENCE)
            assert recording.status in {"paused", "stopped"}
            await eventually(lambda: recording.status == "stopped", PATIENCE)
            await on.caller.ended()
        assert list(recordings.values()) == [recording]
