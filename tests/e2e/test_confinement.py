"""What agent code can reach: its release, the packages, the temporary folder, no secret."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from shared.landlock import landlock_abi
from tests.e2e.processes import titled
from tests.harness import (
    API_TOKEN,
    AUTH_TOKEN,
    ECHO,
    RunningGateway,
    eventually,
    running_gateway,
)

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(landlock_abi() < 6, reason="the kernel cannot confine agent code fully"),
]

ENV_FILE_SECRET = "secret-of-the-env-file"

BURGLAR = '''
import json
import os
import signal
import socket
import tempfile
from pathlib import Path

import msgpack

from worker import Agent

HERE = Path(__file__).parent


def attempt(deed, *args):
    """Return what stopped the deed, or its result."""
    try:
        return repr(deed(*args))
    except OSError as error:
        return type(error).__name__


def environments():
    """Every environment of a process that can be read, but for this one's."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                found.append((entry / "environ").read_text(errors="replace"))
            except OSError:
                continue
    return found


def ask(end):
    try:
        end.sendall(b"GET /api/calls HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
        return end.recv(1000).decode()
    except OSError as error:
        return type(error).__name__


def connected(path):
    end = socket.socket(socket.AF_UNIX)
    end.settimeout(5)
    end.connect(path)
    return end


def connected_by_a_child_that_is_gone(path):
    end = socket.socket(socket.AF_UNIX)
    end.settimeout(5)
    child = os.fork()
    if not child:
        end.connect(path)
        os._exit(0)
    os.waitpid(child, 0)
    return end


def burgle(plan):
    files = [HERE / "burglar.py", Path(msgpack.__file__), Path("/etc/hosts")]
    temporary = Path(tempfile.gettempdir())
    return {
        "pid": os.getpid(),
        "reads": {name: attempt(Path(name).read_bytes) for name in plan["files"]},
        "lists": {name: attempt(os.listdir, name) for name in plan["folders"]},
        "signals": {pid: attempt(os.kill, pid, 0) for pid in plan["pids"]},
        "looks": {
            f"{pid}/{name}": attempt((Path("/proc") / str(pid) / name).read_bytes)
            for pid in plan["pids"] for name in ("environ", "maps", "auxv")
        },
        "descriptors": {pid: attempt(os.readlink, f"/proc/{pid}/fd/1") for pid in plan["pids"]},
        "environments": environments(),
        "environment": dict(os.environ),
        "started with": Path("/proc/self/environ").read_text(errors="replace"),
        "changes": attempt((HERE / "burglar.py").write_bytes, b""),
        "adds": attempt((HERE / "new.py").write_bytes, b""),
        "oom": attempt(Path("/proc/self/oom_score_adj").write_text, "-500"),
        "may read": [attempt(path.read_bytes)[:2] for path in files],
        "may write": attempt((temporary / "note").write_bytes, b"x"),
        "temporary": str(temporary),
        "control": ask(connected(plan["control"])),
        "orphaned": ask(connected_by_a_child_that_is_gone(plan["control"])),
    }


class Burglar(Agent):
    def on_audio(self, audio):
        self.call.play(audio)

    async def on_start(self):
        if self.call.rehearsal:
            return
        self.state["pid"] = os.getpid()
        self.call.play(b"here" * 40)

    async def on_dtmf(self, digit):
        if self.call.rehearsal:
            return
        plan = Path(tempfile.gettempdir(), "plan.json")
        self.state.update(burgle(json.loads(plan.read_text())))
        self.call.play(b"done" * 40)
'''
BURGLARS = {"burglar.py": BURGLAR, "routes.toml": 'default = "burglar:Burglar"\n'}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("confinement")
    (folder / "scratch").mkdir()
    (folder / ".env").write_text(f"SECRET_KEY={ENV_FILE_SECRET}{'0' * 40}\nAGENT_SHOP=Bella\n")
    environment = {"TMPDIR": str(folder / "scratch"), "OPENAI_API_KEY": "for-the-agent"}
    async with running_gateway(folder, BURGLARS, environment, fresh=True) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def loot(gateway: RunningGateway) -> dict[str, Any]:
    """Everything that a call could do, tried by one call while another is in progress."""
    folder = gateway.agents_dir.parent
    (gateway.data_dir / "callfarm.db").write_text("calls")
    gateway.write_agent("extra.py", ECHO)
    assert (await gateway.command("deploy"))[0] == 0
    (gateway.data_dir / "releases" / "another").mkdir()
    (gateway.data_dir / "releases" / "another" / "prompt.txt").write_text("not yours")
    async with gateway.phone().dial() as victim, gateway.phone().dial() as burglar:
        seen: dict[str, bytearray] = {"victim": bytearray(), "burglar": bytearray()}
        victim.on_agent_audio = seen["victim"].extend
        burglar.on_agent_audio = seen["burglar"].extend
        await eventually(lambda: all(b"here" * 40 in bytes(heard) for heard in seen.values()))
        pids = titled(gateway.pid, "callfarm call") | titled(gateway.pid, "callfarm template")
        (folder / "scratch" / "plan.json").write_text(
            _plan(gateway, folder, [gateway.pid, *sorted(pids)])
        )
        await burglar.press("1")
        await eventually(lambda: b"done" * 40 in bytes(seen["burglar"]))
    view = await eventually(lambda: _ended(gateway, burglar.sid))
    found: dict[str, Any] = view["agent_state"]
    return found


def _plan(gateway: RunningGateway, folder: Path, pids: list[int]) -> str:
    secret = [path for path in gateway.data_dir.glob("*") if path.is_file()]
    return json.dumps(
        {
            "files": [
                str(folder / ".env"),
                str(folder / "gateway.log"),
                str(gateway.agents_dir / "burglar.py"),
                str(gateway.data_dir / "releases" / "another" / "prompt.txt"),
                str(gateway.data_dir / "releases" / "current"),
                *map(str, secret),
            ],
            "folders": [str(folder), str(gateway.data_dir), str(gateway.data_dir / "releases")],
            "pids": pids,
            "control": str(gateway.data_dir / "control.sock"),
        }
    )


async def _ended(gateway: RunningGateway, sid: str) -> dict[str, Any] | None:
    view = await gateway.call_view(sid)
    return view if view["exit"] and view["agent_state"] else None


async def test_no_file_of_the_operators_can_be_opened(loot: dict[str, Any]) -> None:
    assert len(loot["reads"]) >= 7
    assert set(loot["reads"].values()) == {"PermissionError"}
    assert set(loot["lists"].values()) == {"PermissionError"}


async def test_a_release_cannot_change_itself(loot: dict[str, Any]) -> None:
    assert loot["changes"] == loot["adds"] == "PermissionError"


async def test_no_other_process_can_be_signalled_or_looked_into(loot: dict[str, Any]) -> None:
    own = str(loot["pid"])
    signals = {pid: how for pid, how in loot["signals"].items() if pid != own}
    assert len(signals) >= 4
    assert set(signals.values()) == {"PermissionError"}
    looks = {at: how for at, how in loot["looks"].items() if not at.startswith(f"{own}/")}
    assert set(looks.values()) == {"PermissionError"}
    held = {pid: how for pid, how in loot["descriptors"].items() if pid != own}
    assert set(held.values()) == {"PermissionError"}


async def test_no_secret_is_in_any_environment_that_a_call_can_read(loot: dict[str, Any]) -> None:
    assert loot["environment"]["OPENAI_API_KEY"] == "for-the-agent"
    assert loot["environment"]["AGENT_SHOP"] == "Bella"
    readable = [*loot["environments"], loot["started with"], repr(loot["environment"])]
    for secret in (AUTH_TOKEN, API_TOKEN, ENV_FILE_SECRET):
        assert not any(secret in text for text in readable)


async def test_the_control_socket_turns_calls_away(
    gateway: RunningGateway, loot: dict[str, Any]
) -> None:
    # A child that connected and died leaves nothing but a process id that means nobody.
    for answer in (loot["control"], loot["orphaned"]):
        assert answer in ("''", "", "ConnectionResetError", "BrokenPipeError")
    assert gateway.log_text().count("peer turned away") == 2
    assert (gateway.data_dir / "control.sock").stat().st_mode & 0o777 == 0o600
    assert (await gateway.api("GET", "/api/calls")).status_code == 200


async def test_the_oom_killers_aim_cannot_be_changed(loot: dict[str, Any]) -> None:
    assert loot["oom"] == "PermissionError"


async def test_what_a_call_needs_is_open(gateway: RunningGateway, loot: dict[str, Any]) -> None:
    assert not [text for text in loot["may read"] if not text.startswith("b")]
    assert loot["may write"] == "1"
    assert loot["temporary"] == str(gateway.agents_dir.parent / "scratch")


async def test_a_temporary_folder_with_secrets_in_it_is_not_given_away(tmp_path: Path) -> None:
    environment = {"TMPDIR": str(tmp_path)}
    source = BURGLAR.replace('"plan.json"', '"../callfarm.db"').replace("json.loads", "str")
    files = {**BURGLARS, "burglar.py": source}
    async with running_gateway(tmp_path, files, environment, fresh=True) as gateway:
        (gateway.data_dir / "callfarm.db").write_text("calls")
        async with gateway.phone().dial() as call:
            heard = bytearray()
            call.on_agent_audio = heard.extend
            await eventually(lambda: b"here" * 40 in bytes(heard))
            await call.press("1")
            await eventually(lambda: "PermissionError" in gateway.log_text())
        assert str(gateway.data_dir / "tmp" / ".." / "callfarm.db") in gateway.log_text()
