"""The commands as an operator types them, against a gateway that serves."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from typer import Typer
from typer.testing import CliRunner, Result

from gateway.cli.app import app
from gateway.operator_socket import socket_path
from gateway.scaffold import new_agent
from tests.harness import AUTH_TOKEN, RunningGateway, eventually, running_gateway


def _commands(group: Typer, before: str = "") -> list[str]:
    """Return every command as it is typed, those of groups included."""
    found = [
        before + str(it.name or getattr(it.callback, "__name__", ""))
        for it in group.registered_commands
    ]
    for it in group.registered_groups:
        assert it.typer_instance is not None
        found += _commands(it.typer_instance, f"{it.name} ")
    return sorted(found)


COMMANDS = _commands(app)


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
def test_every_command_explains_itself_with_an_example(name: str) -> None:
    shown = CliRunner().invoke(app, [*name.split(), "--help"], prog_name="callfarm")
    assert shown.exit_code == 0
    assert f"Example: callfarm {name}" in " ".join(shown.output.split())


@pytest.mark.asyncio(loop_scope="module")
async def test_the_agent_that_new_wrote_answers_the_built_in_phone(desk: RunningGateway) -> None:
    code, output = await desk.command(
        "call", "--url", f"{desk.url}/twilio/voice", "--auth-token", AUTH_TOKEN, "--json"
    )
    assert code == 0, output
    (result,) = json.loads(output[output.index("[{") :])
    assert result["greeting_ms"] is not None


@pytest.mark.asyncio(loop_scope="module")
async def test_a_call_of_the_built_in_phone_tells_its_sid(desk: RunningGateway) -> None:
    url = f"{desk.url}/twilio/voice"
    code, output = await desk.command("call", "--url", url, "--auth-token", AUTH_TOKEN)
    assert code == 0, output
    sid = output.split()[-1]
    assert (await desk.call_view(sid))["sid"] == sid


@pytest.mark.asyncio(loop_scope="module")
async def test_a_disk_that_is_full_is_a_sentence_and_no_traceback(desk: RunningGateway) -> None:
    def written(*words: str) -> tuple[int, str]:
        with Path("/dev/full").open("w") as full:
            line = (sys.executable, "-m", "gateway", *words, "--data-dir", str(desk.data_dir))
            done = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        return done.returncode, done.stderr

    for words in (("releases",), ("releases", "--json")):
        code, errors = await asyncio.to_thread(written, *words)
        assert code == 1
        assert errors.startswith("the output cannot be written: No space left")
        assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("call",), 1, "start callfarm serve"),
        (("show", " "), 2, "callfarm calls --all lists them"),
        (("hangup", ""), 2, "callfarm calls --all lists them"),
        (("latency", "--sid", ""), 2, "callfarm calls --all lists them"),
        (("webhooks", "redeliver"), 1, "name deliveries"),
    ],
)
def test_what_cannot_be_done_is_said_with_what_to_do(
    words: tuple[str, ...], code: int, said: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        environment = {"PORT": str(taken.getsockname()[1])}
        refused = CliRunner().invoke(app, words, env=environment)
    assert (refused.exit_code, said in refused.output) == (code, True), refused.output


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


async def company(desk: RunningGateway, *words: str, typed: str = "") -> Result:
    """Run a command about companies, with ``typed`` on standard input."""
    words = ("company", *words, "--data-dir", str(desk.data_dir))
    return await asyncio.to_thread(CliRunner().invoke, app, words, input=typed)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_company_is_made_changed_shown_and_taken_away_and_its_secrets_never_shown(
    desk: RunningGateway, tmp_path: Path
) -> None:
    assert "No companies" in (await company(desk, "list")).output
    prompt = tmp_path / "prompt.md"
    prompt.write_text("You sell tickets.\n" * 20)
    fields = ("phone_number=+1 555 123 4567", f"system_prompt=@{prompt}", 'settings.zones=["a"]')
    secrets = ("--secret", "auth_token", "--secret", "events")
    made = await company(desk, "add", "Acme", *fields, *secrets, typed="t0ken\nk3y\n")
    assert made.exit_code == 0, made.output
    assert "+15551234567" in made.output
    assert "(359 letters)" in made.output
    assert 'settings.zones       ["a"]' in made.output
    assert "auth_token, events" in made.output
    (it,) = json.loads((await company(desk, "list", "--json")).output)
    assert it["settings"] == {"zones": ["a"]}
    number = str(it["id"])
    changes = ("voice=Mark", "phone_number=", "settings.events=call.ended", "--forget", "events")
    changed = await company(desk, "change", number, *changes, "--json")
    assert changed.exit_code == 0, changed.output
    it = json.loads(changed.output)
    assert (it["voice"], it["phone_number"]) == ("Mark", None)
    assert it["settings"] == {"zones": ["a"], "events": "call.ended"}
    assert (it["has_auth_token"], it["secret_names"]) == (True, [])
    shown = (await company(desk, "show", number)).output
    assert "Mark" in shown
    assert "t0ken" not in made.output + shown
    refused = await company(desk, "remove", number)
    assert (refused.exit_code, "--yes" in refused.output) == (2, True)
    assert (await company(desk, "remove", number, "--yes")).exit_code == 0
    gone = await company(desk, "show", number)
    assert (gone.exit_code, f"no company {number}" in gone.output) == (1, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add", "Acme", "auth_token=x"), "--secret auth_token"),
        (("add", "Acme", "voise=Mark"), "did you mean voice?"),
        (("add", "Acme", "colour=red"), "there are account_sid,"),
        (("add", "Acme", "Mark"), "FIELD=VALUE"),
        (("add", "voice=Mark"), "name comes first"),
        (("change", "1"), "say what is to be changed"),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_no_field_of_a_company_is_said_before_anything_is_asked(
    desk: RunningGateway, words: tuple[str, ...], said: str
) -> None:
    refused = await company(desk, *words)
    assert refused.exit_code == 2
    assert said in refused.output


@pytest.mark.asyncio(loop_scope="module")
async def test_a_company_that_cannot_be_is_refused_with_why_and_none_is_made(
    desk: RunningGateway,
) -> None:
    for words, said in (
        (("add", "Acme", "phone_number=12"), "no phone number"),
        (("add", "Acme", "--secret", "auth_token"), "no auth_token on standard input"),
        (("add", "Acme", "system_prompt=@/nowhere"), "cannot be read"),
        (("change", "7", "voice=Mark"), "no company 7"),
        (("add", " "), "name has 1 to"),
    ):
        refused = await company(desk, *words)
        assert refused.exit_code == 1, refused.output
        assert said in refused.output
    assert json.loads((await company(desk, "list", "--json")).output) == []


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
