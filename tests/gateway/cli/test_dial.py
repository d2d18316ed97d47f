"""``callfarm dial`` as it is typed, at a gateway where a phone rings on and on."""

import asyncio
import signal
import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from gateway.operator_socket import OperatorApp, socket_path
from tests.harness import eventually

SID = "CA" + "1" * 32


async def _made(request: Request) -> JSONResponse:
    order = await request.json()
    return JSONResponse({"id": "d1", "sid": SID, "to": order["to"], "from": "+15557654321"}, 201)


async def _rings(request: Request) -> JSONResponse:
    assert request.path_params["id"] == "d1"
    return JSONResponse({"state": "ringing", "answered_by": "", "error": "", "status": "ringing"})


async def test_who_waits_no_longer_is_told_that_the_call_goes_on_and_how_to_end_it(
    tmp_path: Path,
) -> None:
    routes = [Route("/api/calls", _made, methods=["POST"]), Route("/api/dials/{id}", _rings)]
    app = OperatorApp(Starlette(routes=routes))
    server = uvicorn.Server(
        uvicorn.Config(app, uds=str(socket_path(tmp_path)), log_config=None, lifespan="off")
    )
    serving = asyncio.create_task(server.serve())
    try:
        await eventually(lambda: server.started)
        words = ("dial", "+493012345678", "--wait", "--data-dir", str(tmp_path))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", *words),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        first = (await process.stdout.readline()).decode()
        assert first == f"{SID} calls +493012345678 from +15557654321\n"
        assert (await process.stdout.readline()).decode().endswith("ringing\n")
        process.send_signal(signal.SIGINT)
        _, errors = await process.communicate()
    finally:
        server.should_exit = True
        await serving
    assert process.returncode == 130
    assert "The call goes on without you" in errors.decode()
    assert f"callfarm hangup {SID}" in errors.decode()
