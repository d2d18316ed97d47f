"""The commands as an operator types them, against a gateway that serves."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.cli.app import app
from gateway.operator_socket import socket_path
from gateway.scaffold import new_agent
from tests.harness import AUTH_TOKEN, RunningGateway, eventually, running_gateway

COMMANDS = sorted(
    command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningGateway]:
    """A gateway that serves the agent which `callfarm new` writes."""
    folder = tmp_path_factory.mktemp("desk")
    agents = folder / "agents"
    agents.mkdir()
    made = new_agent("front_desk", agents)
    sources = {path.name: path.read_text() for path in agents.glob("*.py")}
    async with running_gateway(folder, sources, options=("--agent", made.agent)) as gateway:
        yield gateway


@pytest.mark.parametrize("name", COMMANDS)
async def test_every_command_explains_itself_with_an_example(name: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", name, "--help", stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    assert f"Example: callfarm {name}" in output.decode()


@pytest.mark.asyncio(loop_scope="module")
async def test_the_agent_that_new_wrote_answers_the_built_in_phone(desk: RunningGateway) -> None:
    code, output = await desk.command(
        "call", "--url", f"{desk.url}/twilio/voice", "--auth-token", AUTH_TOKEN, "--json"
    )
    assert code == 0, output
    (result,) = json.loads(output[output.index("[{") :])
    assert result["greeting_ms"] is not None


@pytest.mark.asyncio(loop_scope="module")
async def test_a_call_in_progress_is_listed_shown_and_hung_up(desk: RunningGateway) -> None:
    async with desk.phone().dial() as call:
        await call.connected()
        await eventually(lambda: _greeted(desk, call.sid))
        code, output = await desk.command("calls", "--json")
        assert code == 0
        assert call.sid in {each["sid"] for each in json.loads(output)}
        code, output = await desk.command("show", call.sid)
        assert code == 0
        assert "agent" in output
        code, output = await desk.command("hangup", call.sid)
        assert code == 0, output
        report = await call.ended()
    assert report.status == "completed"
    code, output = await desk.command("hangup", call.sid)
    assert code == 1
    assert "No such call" in output


async def _greeted(desk: RunningGateway, sid: str) -> bool:
    return bool((await desk.call_view(sid))["sayings"])


@pytest.mark.asyncio(loop_scope="module")
async def test_releases_are_listed_for_people_and_for_programs(desk: RunningGateway) -> None:
    code, output = await desk.command("releases", "--json")
    assert code == 0
    (release,) = json.loads(output)
    assert release["current"]
    code, output = await desk.command("releases")
    assert code == 0
    assert release["id"] in output


async def test_a_command_without_a_gateway_says_how_to_start_one(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway",
        "deploy",
        "--data-dir",
        str(tmp_path),
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode == 1
    assert "callfarm serve" in errors.decode()
    assert not socket_path(tmp_path).exists()
