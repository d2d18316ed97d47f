"""A whole call, from the webhook to the last callback, on real processes and sockets."""

from pathlib import Path
from typing import Any

from tests.harness import RunningGateway, eventually, running_gateway


async def test_a_caller_hears_exactly_what_they_said(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        got = bytearray()
        async with gateway.phone().dial() as call:
            call.on_agent_audio = got.extend
            await call.connected()
            spoken = bytes(range(160)) * 25
            await call.say(spoken)
            await eventually(lambda: spoken in bytes(got))
            await call.hangup()
            report = await call.ended()
        assert report.status == "completed"
        view = await eventually(lambda: _ended(gateway, call.sid))
        assert view["exit"] == "exit code 0"
        assert view["agent"] == "echo:Echo"


async def _ended(gateway: RunningGateway, sid: str) -> dict[str, Any] | None:
    view = await gateway.call_view(sid)
    return view if view["ended"] and view["exit"] else None
