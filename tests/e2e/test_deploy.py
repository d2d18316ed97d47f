"""Deploying in the middle of a busy day, every way there is, and taking it back."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio

from phone import Call
from tests.e2e.bystanders import bystanders
from tests.e2e.processes import titled
from tests.harness import API_TOKEN, ROOT, RunningGateway, eventually, running_gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

TELLER = '''
from pathlib import Path

from worker import Agent

from wording import VERSION


class Teller(Agent):
    """An echo that says by key 1 which version it is, and by key 2 what it finds late."""

    def on_audio(self, audio):
        self.call.play(audio)

    async def on_dtmf(self, digit):
        if self.call.rehearsal:
            return
        if digit == "1":
            self.call.play(bytes([VERSION]) * 800)
        else:
            import late

            word = (late.WORD + Path("prompts/hello.txt").read_text()).encode()
            self.call.play(word * 100)
'''


def teller(version: int) -> dict[str, str]:
    """Return a release that is in every file of ``version``."""
    return {
        "teller.py": TELLER,
        "wording.py": f"VERSION = {version}\n",
        "late.py": f'WORD = "late{version}"\n',
        "prompts/hello.txt": f"prompt{version}",
        "routes.toml": 'default = "teller:Teller"\n',
    }


def write(gateway: RunningGateway, version: int) -> None:
    """Make the live agents folder that of ``version``."""
    for name, text in teller(version).items():
        gateway.write_agent(name, text)


async def version_of(call: Call, heard: bytearray) -> int:
    """Ask a call which version it is on."""
    del heard[:]
    await call.press("1")
    numbers = [bytes([n]) * 800 for n in range(1, 100)]

    def said() -> int:
        return next((number[0] for number in numbers if number in heard), 0)

    return int(await eventually(said))


async def next_call_says(gateway: RunningGateway) -> int:
    """Place a call and return the version that answers."""
    async with gateway.phone().dial() as call:
        heard = bytearray()
        call.on_agent_audio = heard.extend
        await call.connected()
        return await version_of(call, heard)


def templates(gateway: RunningGateway) -> set[int]:
    """Return the process ids of the live templates."""
    return titled(gateway.pid, "callfarm template")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningGateway]:
    async with running_gateway(tmp_path_factory.mktemp("deploy"), teller(1)) as running:
        yield running


async def test_fifty_callers_notice_nothing_and_the_next_call_is_on_the_new_code(
    gateway: RunningGateway,
) -> None:
    async with bystanders(gateway, 50) as callers, gateway.phone().dial() as elder:
        heard = bytearray()
        elder.on_agent_audio = heard.extend
        await elder.connected()
        assert await version_of(elder, heard) == 1
        before = templates(gateway)

        write(gateway, 2)
        code, text = await gateway.command("deploy")
        assert (code, "is live" in text) == (0, True), text
        assert await next_call_says(gateway) == 2
        # An import and a file that the old call has not touched before are still the old ones.
        await elder.press("2")
        await eventually(lambda: b"late1prompt1" * 100 in bytes(heard))

        both = templates(gateway)
        assert before < both
        code, text = await gateway.command("rollback")
        assert code == 0, text
        assert await next_call_says(gateway) == 1
        assert templates(gateway) == both, "a warm release needs no new template"
        assert await version_of(elder, heard) == 1
        await callers.intact()


async def test_the_same_content_again_is_a_success_that_changes_nothing(
    gateway: RunningGateway,
) -> None:
    first = (await gateway.api("POST", "/api/releases")).json()
    before = templates(gateway)
    code, text = await gateway.command("deploy", "--json")
    assert (code, first["id"] in text) == (0, True)
    assert templates(gateway) == before
    listed = (await gateway.api("GET", "/api/releases")).json()["releases"]
    assert len({release["id"] for release in listed}) == len(listed)


async def test_sighup_and_the_network_deploy_as_the_command_does(gateway: RunningGateway) -> None:
    write(gateway, 3)
    gateway.signal(1)
    await eventually(lambda: _current_is_new(gateway, "wording.py", "VERSION = 3\n"))
    assert await next_call_says(gateway) == 3

    write(gateway, 4)
    async with httpx2.AsyncClient(timeout=60) as client:
        url = f"{gateway.url}/api/releases"
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": API_TOKEN}):
            refused = await client.post(url, headers=headers)
            assert refused.status_code == 401
            assert refused.headers["content-type"] == "application/problem+json"
        accepted = await client.post(url, headers={"Authorization": f"Bearer {API_TOKEN}"})
    assert accepted.status_code == 200
    assert await next_call_says(gateway) == 4


async def _current_is_new(gateway: RunningGateway, name: str, text: str) -> bool:
    listed = (await gateway.api("GET", "/api/releases")).json()["releases"]
    current = str(next(release["id"] for release in listed if release["current"]))
    return (gateway.data_dir / "releases" / current / name).read_text() == text


async def test_deploys_at_the_same_time_come_one_after_the_other(gateway: RunningGateway) -> None:
    write(gateway, 5)
    answers = await asyncio.gather(*(gateway.api("POST", "/api/releases") for _ in range(3)))
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert await next_call_says(gateway) == 5


async def test_two_older_releases_stay_warm_and_the_rest_retire(gateway: RunningGateway) -> None:
    listed = (await gateway.api("GET", "/api/releases")).json()["releases"]
    states = {release["id"]: release["state"] for release in listed}
    assert sorted(states.values()) == ["draining", "draining", "live", "retired", "retired"]
    await eventually(lambda: len(templates(gateway)) == 3)
    # A retired one is loaded again from its snapshot.
    oldest = listed[-1]["id"]
    code, text = await gateway.command("rollback", oldest[:6])
    assert code == 0, text
    assert await next_call_says(gateway) in (1, 2)


async def test_a_snapshot_can_be_changed_by_nobody(gateway: RunningGateway) -> None:
    snapshots = [path for path in (gateway.data_dir / "releases").iterdir() if path.is_dir()]
    assert snapshots
    for path in (found for each in snapshots for found in (each, *each.rglob("*"))):
        assert not path.stat().st_mode & 0o222, path


async def test_a_watched_folder_deploys_itself(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, teller(7), options=("--watch",)) as gateway:
        assert await next_call_says(gateway) == 7
        write(gateway, 8)
        await eventually(lambda: _current_is_new(gateway, "wording.py", "VERSION = 8\n"))
        assert await next_call_says(gateway) == 8


async def test_a_gateway_that_starts_on_a_broken_folder_serves_the_last_good_release(
    tmp_path: Path,
) -> None:
    async with running_gateway(tmp_path, teller(1)) as gateway:
        write(gateway, 2)
        assert (await gateway.command("deploy"))[0] == 0
        second = await _refused_start(gateway.data_dir, gateway.agents_dir)
        assert "another gateway runs" in second
    # The first start again, with a syntax error this time.
    broken = {**teller(2), "teller.py": "def broken(:\n"}
    async with running_gateway(tmp_path, broken) as gateway:
        assert "SyntaxError" in gateway.log_text()
        assert await next_call_says(gateway) == 2


async def test_a_gateway_without_any_good_release_does_not_start(tmp_path: Path) -> None:
    agents = tmp_path / "agents"
    agents.mkdir()
    (agents / "echo.py").write_text("raise LookupError('nothing works')\n")
    (agents / "routes.toml").write_text('default = "echo:Echo"\n')
    text = await _refused_start(tmp_path / "var", agents)
    assert "LookupError: nothing works" in text
    assert "echo.py" in text
    assert "nobody here" in await _refused_start(tmp_path / "var", tmp_path / "nobody here")


async def _refused_start(data_dir: Path, agents_dir: Path) -> str:
    """Start a gateway that must leave with exit code 1; return what it says."""
    words = ("serve", "--host", "127.0.0.1", "--port", "0", "--agents", str(agents_dir))
    gateway = RunningGateway(None, "", data_dir, agents_dir, ROOT)  # type: ignore[arg-type]
    code, text = await gateway.command(*words)
    assert code == 1, text
    return text
