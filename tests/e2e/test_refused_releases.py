"""Code that is not fit for calls never gets one: every refusal, on the operator's terminal."""

import shutil
from collections.abc import AsyncIterator, Mapping

import pytest
import pytest_asyncio

from tests.e2e.bystanders import Bystanders, bystanders
from tests.e2e.processes import descendants
from tests.harness import ECHO, ROUTES, RunningGateway, eventually, running_gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

GOOD = {"echo.py": ECHO, "routes.toml": ROUTES}

THREAD = f"""
import threading, time

def tick():
    time.sleep(1000)

threading.Thread(target=tick, name="ticker", daemon=True).start()
{ECHO}
"""
NATIVE_THREAD = f"""
import ctypes

libc = ctypes.CDLL(None)
libc.pthread_create(ctypes.byref(ctypes.c_ulong()), None, libc.pause, None)
{ECHO}
"""
HANGS = f"""
import time

def wait_for_a_server():
    time.sleep(1000)

wait_for_a_server()
{ECHO}
"""
FAILS_REHEARSAL = f"""{ECHO}
    async def on_start(self):
        raise ValueError("no menu today")
"""
HANGS_IN_REHEARSAL = f"""
import asyncio
{ECHO}
    async def on_ringing(self):
        await self.look_up()

    async def look_up(self):
        await asyncio.Event().wait()
"""
OPENS_A_SOCKET = f"import socket\nline = socket.socket()\n{ECHO}"
MAKES_A_LOOP = f"import asyncio\nloop = asyncio.new_event_loop()\n{ECHO}"
STARTS_A_PROGRAM = "import subprocess\nsubprocess.Popen(['sleep', '1000'])\nraise OSError('x')\n"

CASES: dict[str, tuple[Mapping[str, str], tuple[str, ...]]] = {
    "a syntax error": ({"echo.py": "\ndef broken(:\n"}, ("SyntaxError", "echo.py", "line 2")),
    "an import that raises": (
        {"echo.py": "import os\nKEY = os.environ['NO_SUCH_KEY']\n"},
        ("Traceback", 'echo.py", line 2, in <module>', "KeyError: 'NO_SUCH_KEY'"),
    ),
    "an import that leaves": ({"echo.py": "import os\nos._exit(3)\n"}, ("died: exit code 3",)),
    "words that are no text": (
        {"echo.py": "raise ValueError('\\udcff ' + '\u20ac' * 60_000)\n"},
        ("ValueError: \\udcff",),
    ),
    "a thread": ({"echo.py": THREAD}, ("ticker running echo.tick", "in a hook of the call")),
    "a native thread": ({"echo.py": NATIVE_THREAD}, ("a native thread named",)),
    "a hang at import": (
        {"echo.py": HANGS},
        ("not ready within 4 s", "TEMPLATE_TIMEOUT_SECONDS", "in wait_for_a_server"),
    ),
    "a failing rehearsal": (
        {"echo.py": FAILS_REHEARSAL},
        ("Traceback", "in on_start", "ValueError: no menu today"),
    ),
    "a rehearsal that hangs": (
        {"echo.py": HANGS_IN_REHEARSAL},
        ("not ready within 4 s", "in on_ringing", "await self.look_up()"),
    ),
    "a shadow on a dependency": (
        {"msgpack.py": ""},
        ("msgpack.py would hide an installed package's module 'msgpack': rename it",),
    ),
    "a shadow on the standard library": (
        {"json/__init__.py": ""},
        ("json would hide the standard library's module 'json': rename it",),
    ),
    "a shadow on the worker": ({"worker.py": ""}, ("worker.py would hide",)),
    "a socket": ({"echo.py": OPENS_A_SOCKET}, ("1 network connection(s) are open",)),
    "an event loop": ({"echo.py": MAKES_A_LOOP}, ("network connection(s) are open",)),
    "no default route": ({"routes.toml": ""}, ("no default agent", "routes.toml", "--agent")),
    "routes that are no TOML": ({"routes.toml": "default = echo\n"}, ("routes.toml: ",)),
    "a route to nobody": (
        {"routes.toml": 'default = "echo:Nobody"\n'},
        ("there is no class 'Nobody' in echo",),
    ),
}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("refused")
    async with running_gateway(folder, GOOD, {"TEMPLATE_TIMEOUT_SECONDS": "4"}) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def caller(gateway: RunningGateway) -> AsyncIterator[Bystanders]:
    async with bystanders(gateway, 2) as callers:
        yield callers


async def current(gateway: RunningGateway) -> str:
    listed = (await gateway.api("GET", "/api/releases")).json()["releases"]
    return str(next(release["id"] for release in listed if release["current"]))


@pytest.mark.parametrize("case", CASES)
async def test_the_operator_is_told_why_and_calls_go_on(
    gateway: RunningGateway, caller: Bystanders, case: str
) -> None:
    files, phrases = CASES[case]
    before = await current(gateway)
    shutil.rmtree(gateway.agents_dir)
    for name, text in {**GOOD, **files}.items():
        gateway.write_agent(name, text)
    code, text = await gateway.command("deploy")
    assert code == 1, text
    for phrase in phrases:
        assert phrase in text, text[-3000:]
    assert await current(gateway) == before
    await caller.intact()


async def test_a_missing_folder_is_named(gateway: RunningGateway) -> None:
    shutil.rmtree(gateway.agents_dir)
    code, text = await gateway.command("deploy")
    assert code == 1
    assert f"there is no agents folder at {gateway.agents_dir}" in text


async def test_what_a_refused_release_started_is_ended(gateway: RunningGateway) -> None:
    before = descendants(gateway.pid)
    for name, text in {**GOOD, "echo.py": STARTS_A_PROGRAM}.items():
        gateway.write_agent(name, text)
    assert (await gateway.command("deploy"))[0] == 1
    await eventually(lambda: descendants(gateway.pid) <= before)


async def test_names_that_are_no_text_are_a_release_like_any_other(
    gateway: RunningGateway,
) -> None:
    for name, text in {**GOOD, "strange-\udcff.txt": "x"}.items():
        gateway.write_agent(name, text)
    gateway.signal(1)
    code, text = await gateway.command("deploy")
    assert code == 0, text


async def test_a_release_that_failed_goes_live_once_it_is_mended(gateway: RunningGateway) -> None:
    before = await current(gateway)
    gateway.write_agent("echo.py", "raise OSError\n")
    assert (await gateway.command("deploy"))[0] == 1
    gateway.write_agent("echo.py", ECHO + "# mended\n")
    assert (await gateway.command("deploy"))[0] == 0
    assert await current(gateway) != before
