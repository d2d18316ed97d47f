"""``callfarm show`` as it is typed, of a call whose process told of its turns and troubles."""

import asyncio
import re
import sys
from pathlib import Path
from typing import cast

import uvicorn
from starlette.applications import Starlette

from gateway.api import Api
from gateway.farm.farm import Farm
from gateway.operator_socket import OperatorApp, socket_path
from shared import messages
from shared.audio import silence, write_stereo_wav
from tests.gateway.calls.actors import SID, incoming, office
from tests.harness import eventually

COMMANDS = (
    messages.Said("caller", "two of us", 1000.0),
    messages.TurnTimed(
        1, {"caller_stopped": 1000.0, "stt_final": 1300.0, "first_sent": 1304, "first_heard": 1790}
    ),
    messages.ProviderTrouble("cartesia", "is out of credit", "elevenlabs"),
)

COLUMNS = ["turn", "at", "caller stopped", "stt final", "first sent", "first heard", "reply", "own"]


async def _show(data_dir: Path, *words: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", *(words or ("show", SID)), "--data-dir", str(data_dir)),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode()


async def test_show_prints_turns_and_troubles_below_what_was_said(tmp_path: Path) -> None:
    calls, farm = office()
    calls.incoming(incoming())
    call = calls.get(SID)
    assert call is not None
    for command in COMMANDS:
        call.frame(messages.encode(command))
    app = OperatorApp(Starlette(routes=Api(calls, cast("Farm", farm), "", {}).routes()))
    server = uvicorn.Server(
        uvicorn.Config(app, uds=str(socket_path(tmp_path)), log_config=None, lifespan="off")
    )
    serving = asyncio.create_task(server.serve())
    try:
        await eventually(lambda: server.started)
        lines = (await _show(tmp_path)).splitlines()
        write_stereo_wav(tmp_path / "call.wav", silence(1000), silence(1000))
        measured = await _show(tmp_path, "latency", str(tmp_path / "call.wav"), "--sid", SID)
    finally:
        server.should_exit = True
        await serving
        call.end("done")
        farm.close()
    assert "1.0  caller  two of us" in lines[2]
    table = next(at for at, line in enumerate(lines) if line.startswith("turns:"))
    assert measured.splitlines()[-4:] == lines[table : table + 4]
    assert lines[3] == "trouble: cartesia: is out of credit; elevenlabs took over"
    assert re.split(r"  +", lines[6]) == COLUMNS
    assert lines[7].split() == ["1", "1.0", "0", "300", "304", "790", "790", "4.0"]
    assert lines[8].split() == ["median", "0", "300", "304", "790", "790", "4.0"]
