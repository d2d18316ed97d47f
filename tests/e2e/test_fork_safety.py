"""What forks share and what they must not, asked of real templates and real calls."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.processes import alive, descriptors, title, titled
from tests.harness import RunningGateway, eventually, running_gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

WITNESS = """
import atexit
import gc
import os
import random
import resource
import secrets
import signal
import sys
import tempfile
import threading
import uuid
import weakref
from pathlib import Path

from worker import Agent

print("imported once")

SEEDED = random.Random(1)
IN_A_LIST = [random.Random(2)]
TEMPORARY = tempfile.TemporaryDirectory(prefix="template-")
MEMORY = [str(number) for number in range(200_000)]


class Thing:
    pass


THING = Thing()


def leave_mark(kind):
    Path(tempfile.gettempdir(), f"{kind}-{os.getpid()}").touch()


atexit.register(leave_mark, "atexit")
weakref.finalize(THING, leave_mark, "finalize")

# What an import may do to signals must not reach the calls.
signal.signal(signal.SIGTERM, lambda *_: leave_mark("signal"))
signal.signal(signal.SIGUSR2, lambda *_: leave_mark("signal"))
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
_, WAKEUP = os.pipe()
os.set_blocking(WAKEUP, False)
signal.set_wakeup_fd(WAKEUP)


def private_memory():
    text = Path("/proc/self/smaps_rollup").read_text()
    lines = [line.split() for line in text.splitlines()]
    return 1024 * sum(int(line[1]) for line in lines if line[0].startswith("Private_"))


class Witness(Agent):
    def on_audio(self, audio):
        self.call.play(audio)

    async def on_start(self):
        gc.collect()
        self.state = {
            "pid": os.getpid(),
            "parent": os.getppid(),
            "session": os.getsid(0),
            "title": Path("/proc/self/cmdline").read_text().split("\\0")[0],
            "numbers": {
                "random": random.random(),
                "uuid4": str(uuid.uuid4()),
                "secrets": secrets.token_hex(8),
                "seeded": SEEDED.random(),
                "in a list": IN_A_LIST[0].random(),
                "temporary name": next(tempfile._get_candidate_names()),
            },
            "ignored": [int(n) for n in (1, 2, 15) if signal.getsignal(n) is signal.SIG_IGN],
            "children": signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL,
            "blocked": [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())],
            "wakeup": signal.set_wakeup_fd(-1) == WAKEUP,
            "core": list(resource.getrlimit(resource.RLIMIT_CORE)),
            "files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            "oom": int(Path("/proc/self/oom_score_adj").read_text()),
            "frozen": gc.get_freeze_count(),
            "collects": gc.isenabled(),
            "threads": len(threading.enumerate()),
            "private": private_memory(),
            "folder": os.getcwd(),
            "path": sys.path,
            "temporary": Path(TEMPORARY.name).is_dir(),
        }
        self.call.play(b"done" * 40)
"""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningGateway]:
    agents = {"witness.py": WITNESS, "routes.toml": 'default = "witness:Witness"\n'}
    async with running_gateway(tmp_path_factory.mktemp("forks"), agents, fresh=True) as running:
        yield running


async def heard_from(gateway: RunningGateway) -> dict[str, Any]:
    """Place a call and return what its process says of itself."""
    async with gateway.phone().dial() as call:
        heard = bytearray()
        call.on_agent_audio = heard.extend
        await eventually(lambda: b"done" * 40 in bytes(heard))
    view = await eventually(lambda: _ended(gateway, call.sid))
    # The status arrives although the agent's import did not want to hear of dead children.
    assert view["exit"] == "exit code 0"
    state: dict[str, Any] = view["agent_state"]
    return state | {"sid": call.sid}


async def _ended(gateway: RunningGateway, sid: str) -> dict[str, Any] | None:
    view = await gateway.call_view(sid)
    return view if view["exit"] and view["agent_state"] else None


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def twins(gateway: RunningGateway) -> tuple[dict[str, Any], dict[str, Any]]:
    return await heard_from(gateway), await heard_from(gateway)


def template(gateway: RunningGateway) -> int:
    (pid,) = titled(gateway.pid, "callfarm template")
    return pid


async def test_the_template_has_one_kernel_task_and_one_socket(gateway: RunningGateway) -> None:
    assert _status(template(gateway))["Threads"] == "1"
    held = descriptors(template(gateway))
    assert held.count("socket") == 1
    assert not [what for what in held if "event" in what], "an event loop's epoll is none of its"


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


async def test_the_template_hears_no_terminal_and_is_named(gateway: RunningGateway) -> None:
    ignored = int(_status(template(gateway))["SigIgn"], 16)
    assert all(ignored >> (number - 1) & 1 for number in (1, 2, 15))
    assert re.fullmatch(r"callfarm template [0-9a-f]{12}", title(template(gateway)))


async def test_no_two_calls_draw_the_same_numbers(
    twins: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    one, other = (twin["numbers"] for twin in twins)
    assert not [name for name in one if one[name] == other[name]]


async def test_a_call_begins_with_signals_of_its_own(
    twins: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    for twin in twins:
        assert twin["ignored"] == [1, 2, 15]
        assert twin["children"]
        assert twin["blocked"] == []
        assert not twin["wakeup"]


async def test_a_call_is_named_limited_and_first_to_go(
    gateway: RunningGateway, twins: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    for twin in twins:
        release = twin["folder"].rpartition("/")[2]
        assert twin["title"] == f"callfarm call {twin['sid']} {release}"
        assert twin["core"] == [0, 0]
        assert twin["files"] == 1024
        assert twin["oom"] > 0
        assert twin["threads"] == 1
        assert twin["parent"] == twin["session"] == template(gateway)


async def test_a_call_shares_its_templates_memory_even_after_a_full_collection(
    gateway: RunningGateway, twins: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    size = int(_status(template(gateway))["VmRSS"].split()[0]) * 1024
    for twin in twins:
        assert twin["frozen"] > 10_000
        assert twin["collects"]
        assert twin["private"] < size / 3


async def test_a_call_imports_from_its_release_and_from_nowhere_else_of_the_operators(
    gateway: RunningGateway, twins: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    for twin in twins:
        assert twin["folder"].startswith(str(gateway.data_dir / "releases"))
        assert twin["path"][0] == twin["folder"]
        assert str(gateway.agents_dir) not in twin["path"]
        assert str(gateway.agents_dir.parent) not in twin["path"]


async def test_what_the_template_registered_is_run_by_no_call(
    gateway: RunningGateway, twins: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    assert all(twin["temporary"] for twin in twins)
    await eventually(lambda: not alive({twin["pid"] for twin in twins}))
    left = sorted(path.name for path in (gateway.data_dir / "tmp").iterdir())
    assert len(left) == 1
    assert left[0].startswith("template-")


async def test_what_the_template_has_not_yet_written_is_written_once(
    gateway: RunningGateway, twins: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    await eventually(lambda: not alive({twin["pid"] for twin in twins}))
    assert gateway.log_text().count("imported once") == 1
