"""What one call does to itself, twenty others do not notice."""

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from phone import PhoneSettings
from phone.events import VerbBegun
from tests.e2e.bystanders import Bystanders, bystanders
from tests.e2e.saboteur import SABOTEURS
from tests.harness import RunningGateway, eventually, running_gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

FALLBACK = "+15557654321"
APOLOGY = "something went wrong"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningGateway]:
    environment = {"CALL_MEMORY_MB": "64", "HANG_SECONDS": "4", "FALLBACK_NUMBER": FALLBACK}
    folder = tmp_path_factory.mktemp("isolation")
    async with running_gateway(folder, SABOTEURS, environment, fresh=True) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def others(gateway: RunningGateway) -> AsyncIterator[Bystanders]:
    async with bystanders(gateway, 20) as talking:
        yield talking


async def test_twenty_callers_at_once_hear_themselves_and_nobody_else(others: Bystanders) -> None:
    for _ in range(3):
        await others.intact()
    assert all(caller.heard for caller in others.callers)


@pytest.mark.parametrize(
    ("key", "exit_", "words"),
    [
        pytest.param("1", "killed by SIGKILL", "the caller pressed 1", id="is killed"),
        pytest.param("2", "killed by SIGSEGV", "the caller pressed 2", id="touches bad memory"),
        pytest.param("3", "exit code 7", "the caller pressed 3", id="leaves at once"),
        pytest.param("4", "killed by SIGKILL", "in loop_forever", id="loops for ever"),
        pytest.param("5", "exit code 1", "MemoryError", id="takes a gigabyte"),
        pytest.param("6", "exit code 1", "MemoryError", id="grows past its limit"),
        pytest.param("7", "killed by SIGKILL", "the caller pressed 7", id="grows unseen"),
        pytest.param("8", "exit code 1", "LookupError: a mistake of its author", id="raises"),
    ],
)
async def test_others_lose_no_frame_while_a_call(
    gateway: RunningGateway, others: Bystanders, key: str, exit_: str, words: str
) -> None:
    phone = gateway.phone(PhoneSettings(verb_speed=50))
    async with phone.dial() as call:
        await call.connected()
        await call.press(key)
        report = await call.ended()
    await others.intact()
    said, dialled = [event for event in report.of(VerbBegun) if event.verb in ("Say", "Dial")]
    assert APOLOGY in said.detail.lower()
    assert dialled.detail == FALLBACK
    view = await eventually(lambda: _exited(gateway, call.sid))
    assert view["exit"] == exit_
    assert view["cpu_seconds"] > 0
    line = _line(gateway, call.sid, "call process gone before its call")
    assert exit_ in line
    assert words in line
    assert "cpu_seconds" in line


async def test_a_hanging_call_is_looked_into_before_it_is_killed(gateway: RunningGateway) -> None:
    text = gateway.log_text()
    dumped, killed = text.index("its stacks follow"), text.index("call process hangs: killed")
    assert dumped < text.index("in loop_forever") < killed


async def test_a_call_over_its_memory_is_logged_with_the_figure(gateway: RunningGateway) -> None:
    line = next(x for x in gateway.log_text().splitlines() if "over its memory" in x)
    figures = re.search(r"private_mb=(\d+)", line), re.search(r"limit_mb=(\d+)", line)
    assert all(figures), line
    private, limit = (int(found[1]) for found in figures if found)
    assert private > limit == 64


async def _exited(gateway: RunningGateway, sid: str) -> dict[str, object] | None:
    view = await gateway.call_view(sid)
    return view if view["exit"] else None


def _line(gateway: RunningGateway, sid: str, event: str) -> str:
    return next(x for x in gateway.log_text().splitlines() if sid in x and event in x)
