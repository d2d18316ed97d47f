"""A disk that takes no more in the middle of a call."""

import resource
import signal
from pathlib import Path

import pytest

from tests.e2e.test_recording import recording, tracks
from tests.harness import eventually, running_gateway

AGENT = """
from worker import *

class Echo(Agent):
    recording = Recording(consent='')
    def on_audio(self, audio):
        self.call.play(audio)
"""


async def test_a_full_disk_ends_the_recording_and_says_so_and_the_call_goes_on(
    tmp_path: Path,
) -> None:
    """No file of the gateway's may grow: to a program that is what a full disk looks like."""
    sources = {"echo.py": AGENT, "routes.toml": 'default = "echo:Echo"\n'}
    async with running_gateway(tmp_path, sources) as gateway:
        async with gateway.phone().dial() as call:
            await call.connected()
            await call.say(bytes(range(160)) * 100)

            def is_written() -> Path | None:
                found = list(gateway.data_dir.glob("recordings/*/*/*/*.wav"))
                return found[0] if found and found[0].stat().st_size > 20_000 else None

            path = await eventually(is_written)
            soft, hard = resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE)
            full = path.stat().st_size + 1001
            resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (full, hard))
            await eventually(lambda: "recording ended before its call" in gateway.log_text())
            # Nothing of it has reached the caller: what they say comes back.
            before = len(call.heard)
            await call.say(b"\x11" * 8000)
            await eventually(lambda: call.heard[before:].count(0x11) > 7000)
            resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (soft, hard))
            view = await gateway.call_view(call.sid)
            assert (view["state"], view["live"]) == ("streaming", True)
            await call.hangup()
        assert await recording(gateway, call.sid, "interrupted") == path
        left, right = tracks(path)
        assert len(left) == len(right) == (path.stat().st_size - 58) // 2
        assert path.stat().st_size <= full
        assert set(range(160)) <= set(left)
        view = await gateway.call_view(call.sid)
        assert view["outcome"] == "completed"
        (row,) = view["recordings"]
        assert row["seconds"] == pytest.approx(len(left) / 8000)
        assert gateway.log_text().count("recording ended before its call") == 1
        gateway.signal(signal.SIGTERM)
        assert await gateway.ended() == 0
