"""How an agent leaves the line: hang-up after its last words, transfer, keys."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from phone import Callee, CalleeOutcome, PhoneSettings, Report
from phone.events import MarkEchoed, StreamEnded, VerbBegun, VerbDone
from shared.audio import SILENCE
from tests.e2e.saboteur import CLERKS, LAST_WORDS
from tests.harness import RunningGateway, eventually, running_gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

DESK = "+15557654321"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("leaving")
    async with running_gateway(folder, CLERKS, {"TRANSFER_NUMBERS": f"desk={DESK}"}) as running:
        yield running


async def test_an_agent_hangs_up_after_its_last_words_were_heard(gateway: RunningGateway) -> None:
    report, view = await _press(gateway, "1")
    assert LAST_WORDS in report.agent_audio.replace(SILENCE, b"")
    (echo,), (stream,) = report.of(MarkEchoed), report.of(StreamEnded)
    assert not echo.cleared
    assert echo.at_ms <= stream.at_ms
    assert [event.verb for event in report.of(VerbBegun)] == ["Connect", "Redirect"]
    assert (view["reason"], view["exit"]) == ("the agent hung up", "exit code 0")


@pytest.mark.parametrize(
    ("key", "number"),
    [
        pytest.param("2", DESK, id="a named destination"),
        pytest.param("4", "+15550009999", id="a number"),
    ],
)
async def test_an_agent_transfers_to(gateway: RunningGateway, key: str, number: str) -> None:
    report, view = await _press(gateway, key)
    verbs = [(event.verb, event.detail) for event in report.of(VerbBegun)]
    assert verbs[2] == ("Dial", number)
    assert "Say" not in [verb for verb, _ in verbs]
    assert (key == "2") == (LAST_WORDS in report.agent_audio.replace(SILENCE, b""))
    assert (view["reason"], view["exit"]) == ("transferred", "exit code 0")
    assert "refused" not in view["agent_state"]


async def test_a_transfer_to_an_unknown_name_is_refused_and_the_call_goes_on(
    gateway: RunningGateway,
) -> None:
    async with gateway.phone().dial() as call:
        await call.connected()
        await call.press("3")
        heard = bytearray()
        call.on_agent_audio = heard.extend
        await call.say(LAST_WORDS)
        await eventually(lambda: LAST_WORDS in heard)
    view = await _exited(gateway, call.sid)
    assert view["agent_state"]["refused"] == "destination"


@pytest.mark.parametrize(
    "outcome", [CalleeOutcome.BUSY, CalleeOutcome.FAILED, CalleeOutcome.NO_ANSWER]
)
async def test_a_caller_whom_nobody_answers_is_told_so(
    gateway: RunningGateway, outcome: CalleeOutcome
) -> None:
    report, view = await _press(gateway, "4", lambda number: Callee(outcome))
    assert report.of(VerbDone)[-2].outcome == outcome.value
    assert report.of(VerbBegun)[-1].verb == "Say"
    assert view["reason"] == "transfer not answered"


async def test_pressed_keys_bring_the_stream_back_to_the_same_process(
    gateway: RunningGateway,
) -> None:
    async with gateway.phone(PhoneSettings(verb_speed=20)).dial() as call:
        await call.connected()
        await call.press("5")
        await call.connected(stream=2, timeout=15)
        heard = bytearray()
        call.on_agent_audio = heard.extend
        await call.say(LAST_WORDS)
        await eventually(lambda: LAST_WORDS in heard)
        await call.hangup()
        report = await call.ended()
    verbs = [(event.verb, event.detail) for event in report.of(VerbBegun)]
    assert ("Play", "12#") in verbs
    state = (await _exited(gateway, call.sid))["agent_state"]
    assert state["streams"] == 2
    assert state["pressed"]


async def _press(
    gateway: RunningGateway, key: str, callee: Any = None
) -> tuple[Report, dict[str, Any]]:
    settings = PhoneSettings(verb_speed=50, **({"callee": callee} if callee else {}))
    async with gateway.phone(settings).dial() as call:
        await call.connected()
        await call.press(key)
        report = await call.ended()
    return report, await _exited(gateway, call.sid)


async def _exited(gateway: RunningGateway, sid: str) -> dict[str, Any]:
    async def exited() -> Any:
        view = await gateway.call_view(sid)
        return view if view.get("exit") else None

    view: dict[str, Any] = await eventually(exited)
    return view
