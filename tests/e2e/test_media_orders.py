"""Stop, close, callback, crash and reconnection, in every order they can come in."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from websockets.exceptions import ConnectionClosed, InvalidStatus

from phone import Call, HangUpStep, PhoneSettings
from phone.events import StreamEnded, StreamEnding
from tests.e2e import processes
from tests.e2e.bystanders import Bystanders, bystanders
from tests.e2e.saboteur import CLERKS
from tests.e2e.wire import Wire, lose, stream_url
from tests.harness import RunningGateway, eventually, running_gateway

pytestmark = pytest.mark.asyncio(loop_scope="module")

STOP, CLOSE = HangUpStep.STOP, HangUpStep.CLOSE
STREAM_CALLBACK, CALL_CALLBACK = HangUpStep.STREAM_CALLBACK, HangUpStep.CALL_CALLBACK


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("media")
    environment = {"STREAM_TIMEOUT_SECONDS": "3", "FALLBACK_NUMBER": "+15557654321"}
    async with running_gateway(folder, CLERKS, environment) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def others(gateway: RunningGateway) -> AsyncIterator[Bystanders]:
    async with bystanders(gateway, 2) as talking:
        yield talking


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def _nothing_is_left(gateway: RunningGateway, others: Bystanders) -> AsyncIterator[None]:
    yield
    await others.intact()
    calls = {caller.call.sid for caller in others.callers}

    async def only_others() -> bool:
        live = {call["sid"] for call in await gateway.calls()}
        titles = processes.titled(gateway.pid, "callfarm call")
        return live == calls and len(titles) == len(calls) and not processes.zombies(gateway.pid)

    await eventually(only_others)
    assert "Traceback" not in gateway.log_text()


# The caller leaves ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "order",
    [
        pytest.param((STOP, CLOSE, STREAM_CALLBACK, CALL_CALLBACK), id="stop, close, callbacks"),
        pytest.param((CALL_CALLBACK, STREAM_CALLBACK, STOP, CLOSE), id="callbacks, stop, close"),
        pytest.param((STOP, CALL_CALLBACK, CLOSE), id="stop, callback, close"),
        pytest.param((CLOSE, CALL_CALLBACK), id="close without stop, callback"),
        pytest.param((STOP, CLOSE), id="stop, close, no callback"),
        pytest.param((CLOSE,), id="close, nothing else"),
        pytest.param((STOP,), id="stop, then the network is lost"),
        pytest.param((), id="the network is lost"),
    ],
)
async def test_a_caller_who_leaves_ends_call_and_process_by(
    gateway: RunningGateway, order: tuple[HangUpStep, ...]
) -> None:
    settings = PhoneSettings(hang_up_order=order)
    async with gateway.phone(settings).dial() as call:
        await call.connected()
        await _running(gateway, call.sid)
    view = await _exited(gateway, call.sid)
    assert view["state"] == "ended"
    assert view["exit"] == "exit code 0"


@pytest.mark.parametrize("late_ms", [0, 1, 5, 500])
async def test_caller_and_agent_may_hang_up_at_the_same_time(
    gateway: RunningGateway, late_ms: int
) -> None:
    async with gateway.phone().dial() as call:
        await call.connected()
        await _running(gateway, call.sid)
        answer = asyncio.create_task(gateway.api("POST", f"/api/calls/{call.sid}/hangup"))
        await asyncio.sleep(late_ms / 1000)
        await call.hangup()
        assert (await answer).status_code in (202, 404)
        report = await call.ended()
    assert report.status == "completed"
    assert (await _exited(gateway, call.sid))["exit"] == "exit code 0"


# The stream comes and goes -------------------------------------------------------------------


async def test_a_dropped_stream_comes_back_to_the_same_process_and_its_memory(
    gateway: RunningGateway,
) -> None:
    async with gateway.phone().dial() as call:
        await call.connected()
        pid = (await _running(gateway, call.sid))["pid"]
        await call.press("7")
        for stream in (2, 3):
            call.drop()
            await call.connected(stream)
            await _echoed(call)
        assert (await _running(gateway, call.sid))["pid"] == pid
    view = await _exited(gateway, call.sid)
    assert view["agent_state"] == {"pid": pid, "streams": 3, "keys": "7"}


@pytest.mark.parametrize("opens", [False, True], ids=["never open", "are lost at once"])
async def test_streams_are_not_asked_for_again_and_again_when_they(
    gateway: RunningGateway, opens: bool
) -> None:
    async with Wire(gateway) as wire:
        document = await wire.webhook()
        for _ in range(20):
            if "<Stream" not in document:
                break
            if opens:
                lose(await wire.stream(document))
            document = await wire.next()
        assert "something went wrong" in document
        assert "+15557654321" in document
    assert (await _exited(gateway, wire.sid))["exit"] == "exit code 0"


async def test_a_call_whose_stream_never_comes_is_given_up(gateway: RunningGateway) -> None:
    async with Wire(gateway) as wire:
        document = await wire.webhook()
        view = await _exited(gateway, wire.sid)
        assert (view["reason"], view["exit"]) == ("no stream came in time", "exit code 0")
        with pytest.raises(InvalidStatus) as refused:
            await wire.stream(document)
        assert refused.value.response.status_code == 404
        assert "<Hangup" in await wire.next()


async def test_a_socket_on_which_no_stream_starts_is_closed(gateway: RunningGateway) -> None:
    async with Wire(gateway) as wire:
        socket = await wire.open(await wire.webhook())
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
    await _exited(gateway, wire.sid)


# Webhooks that come twice, late, or from nowhere ---------------------------------------------


async def test_a_second_webhook_gets_the_first_answer_and_after_the_start_the_next_one(
    gateway: RunningGateway,
) -> None:
    async with Wire(gateway) as wire:
        first = await wire.webhook()
        assert await wire.webhook() == first
        socket = await wire.stream(first)
        pid = (await _running(gateway, wire.sid, "streaming"))["pid"]
        again = await wire.webhook()
        assert stream_url(again) != stream_url(first)
        await socket.wait_closed()
        second = await wire.stream(again)
        assert (await _running(gateway, wire.sid, "streaming"))["pid"] == pid
        await wire.status()
        await second.wait_closed()
    assert (await _exited(gateway, wire.sid))["agent_state"]["streams"] == 2


async def test_a_call_of_a_gateways_former_life_is_taken_up(gateway: RunningGateway) -> None:
    async with Wire(gateway) as wire:
        socket = await wire.stream(await wire.next())
        assert (await _running(gateway, wire.sid, "streaming"))["agent"] == "clerk:Clerk"
        await wire.status()
        await socket.wait_closed()
        assert "<Hangup" in await wire.next()


async def test_a_token_serves_once(gateway: RunningGateway) -> None:
    async with Wire(gateway) as wire:
        document = await wire.webhook()
        socket = await wire.stream(document)
        await _running(gateway, wire.sid, "streaming")
        with pytest.raises(InvalidStatus) as refused:
            await wire.open(document)
        assert refused.value.response.status_code == 404
        assert (await _running(gateway, wire.sid))["state"] == "streaming"
        await wire.status()
        await socket.wait_closed()


async def test_a_stream_of_another_call_is_closed_and_both_calls_go_on(
    gateway: RunningGateway,
) -> None:
    async with Wire(gateway) as wire, gateway.phone().dial() as victim:
        await victim.connected()
        socket = await wire.stream(await wire.webhook(), call_sid=victim.sid)
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
        await _echoed(victim)
        own = await wire.stream(await wire.next())
        await _running(gateway, wire.sid, "streaming")
        await wire.status()
        await own.wait_closed()


# Crashes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["before the stream", "during the stream", "in the gap"])
async def test_a_process_that_dies_is_answered_by_an_apology(
    gateway: RunningGateway, moment: str
) -> None:
    async with Wire(gateway) as wire:
        document = await wire.webhook()
        pid = (await _running(gateway, wire.sid))["pid"]
        socket = None
        if moment != "before the stream":
            socket = await wire.stream(document)
            await _running(gateway, wire.sid, "streaming")
        if moment == "in the gap" and socket is not None:
            lose(socket)
            await _running(gateway, wire.sid, "gap")
        os.kill(pid, signal.SIGKILL)
        await _exited(gateway, wire.sid)
        if moment == "during the stream" and socket is not None:
            await socket.wait_closed()
            assert socket.close_code == 1000
        if moment == "before the stream":
            socket = await wire.stream(document)
            await socket.wait_closed()
        answer = await wire.next()
        assert "something went wrong" in answer
        assert "+15557654321" in answer


async def test_an_agent_that_leaves_during_a_hang_up_of_the_caller_hurts_nobody(
    gateway: RunningGateway,
) -> None:
    async with gateway.phone().dial() as call:
        await call.connected()
        await _running(gateway, call.sid)
        pressing = asyncio.create_task(call.press("6"))
        await eventually(lambda: bool(call.events))
        await asyncio.gather(pressing, call.hangup(), return_exceptions=True)
        report = await call.ended()
    ended = report.of(StreamEnded)[0].how
    assert ended in (StreamEnding.CALLER_HUNG_UP, StreamEnding.SERVER_CLOSED)
    assert (await _exited(gateway, call.sid))["exit"] in ("exit code 0", "exit code 9")


async def _echoed(call: Call) -> None:
    """Return when the caller has heard itself."""
    heard = bytearray()
    call.on_agent_audio = heard.extend
    await call.say(bytes(range(160)))
    await eventually(lambda: bytes(range(160)) in heard)


async def _running(gateway: RunningGateway, sid: str, state: str | None = None) -> dict[str, Any]:
    async def running() -> Any:
        view = await gateway.call_view(sid)
        return view if view.get("agent") and state in (None, view["state"]) else None

    view: dict[str, Any] = await eventually(running)
    return view


async def _exited(gateway: RunningGateway, sid: str) -> dict[str, Any]:
    async def exited() -> Any:
        view = await gateway.call_view(sid)
        return view if view.get("exit") else None

    view: dict[str, Any] = await eventually(exited)
    return view
