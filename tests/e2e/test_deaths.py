"""Gateway, template, call, and what an agent has started: each may die before any other."""

import asyncio
import operator
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from phone import PhoneSettings
from phone.events import VerbBegun
from tests.e2e import processes
from tests.e2e.bystanders import bystanders
from tests.e2e.saboteur import SABOTEURS
from tests.e2e.wire import Wire
from tests.harness import RunningGateway, eventually, running_gateway


@pytest.mark.parametrize("orphaned", [False, True], ids=["", "nor calls without a template"])
async def test_a_killed_gateway_leaves_no_process_behind(tmp_path: Path, orphaned: bool) -> None:
    async with running_gateway(tmp_path, SABOTEURS) as gateway:
        phone = gateway.phone()
        async with phone.dial() as quiet, phone.dial() as looping, phone.dial() as hiring:
            for call in (quiet, looping, hiring):
                await call.connected()
            await looping.press("4")
            await hiring.press("9")
            await eventually(lambda: len(processes.titled(gateway.pid, "sleep")) == 2)
            left = processes.descendants(gateway.pid)
            # Resource tracker, template, three calls, a shell and its two programs.
            assert len(left) == 8, [processes.title(pid) for pid in left]
            if orphaned:
                os.kill(_template(gateway), signal.SIGKILL)
                await _logged(gateway, "template died")
            gateway.signal(signal.SIGKILL)
            await gateway.ended()
            await eventually(lambda: not processes.alive(left))


async def test_calls_outlive_their_template_and_the_next_call_gets_a_new_one(
    tmp_path: Path,
) -> None:
    async with running_gateway(tmp_path, SABOTEURS) as gateway:
        template = _template(gateway)
        phone = gateway.phone(PhoneSettings(verb_speed=50))
        async with bystanders(gateway, 5) as others, phone.dial() as orphan:
            await orphan.connected()
            await _pid(gateway, orphan.sid)
            os.kill(template, signal.SIGKILL)
            await _logged(gateway, "template died")
            async with phone.dial() as new:
                await new.connected()
                pattern = bytes(range(160)) * 5
                got = bytearray()
                new.on_agent_audio = got.extend
                new.say_nowait(pattern)
                await eventually(lambda: pattern in bytes(got))
            await orphan.press("3")
            await orphan.ended()
            await others.intact()
        assert (await _exited(gateway, orphan.sid))["exit"] == "exit code 7"
        assert (await _exited(gateway, new.sid))["exit"] == "exit code 0"
        assert _template(gateway) != template
        for caller in others.callers:
            view = await _exited(gateway, caller.call.sid)
            assert view["exit"] == "exit code 0"
            assert view["cpu_seconds"] > 0
        assert not processes.zombies(gateway.pid)


async def test_a_template_that_dies_again_and_again_is_given_up(tmp_path: Path) -> None:
    async with running_gateway(tmp_path) as gateway:
        killed: set[int] = set()

        async def given_up() -> bool:
            for template in processes.titled(gateway.pid, "callfarm template") - killed:
                killed.add(template)
                os.kill(template, signal.SIGKILL)
            return (await gateway.api("GET", "/ready")).status_code == 503

        await eventually(given_up, seconds=60)
        assert len(killed) > 1
        async with gateway.phone(PhoneSettings(verb_speed=50)).dial() as call:
            report = await call.ended()
        assert "something went wrong" in report.of(VerbBegun)[0].detail
        assert not report.streams


async def test_a_call_at_the_moment_of_its_templates_death_is_served_or_told(
    tmp_path: Path,
) -> None:
    async with running_gateway(tmp_path) as gateway:
        for _ in range(4):
            await eventually(lambda: _warm(gateway))
            template = _template(gateway)
            async with Wire(gateway) as wire:
                gateway.signal(signal.SIGSTOP)
                asking = asyncio.create_task(wire.webhook())
                await asyncio.sleep(0.05)
                os.kill(template, signal.SIGKILL)
                gateway.signal(signal.SIGCONT)
                document = await asking
                if "<Stream" in document:
                    socket = await wire.stream(document)
                    await wire.status()
                    await socket.wait_closed()
                else:
                    assert "something went wrong" in document
            await eventually(lambda: _none_live(gateway))


async def test_what_an_agent_started_does_not_outlive_its_call(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, SABOTEURS) as gateway:
        async with gateway.phone().dial() as call:
            await call.connected()
            await call.press("9")
            programs = await eventually(lambda: processes.titled(gateway.pid, "sleep"))
        await _exited(gateway, call.sid)
        await eventually(lambda: not processes.alive(programs))
        await eventually(lambda: not processes.zombies(gateway.pid))


async def test_no_order_of_deaths_leaves_a_zombie_or_an_orphan(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, SABOTEURS) as gateway:
        usual = len(processes.descendants(gateway.pid))
        phone = gateway.phone()
        async with phone.dial() as early, phone.dial() as late, phone.dial() as hiring:
            for call in (early, late, hiring):
                await call.connected()
            await hiring.press("9")
            await eventually(lambda: processes.titled(gateway.pid, "sleep"))
            os.kill(await _pid(gateway, early.sid), signal.SIGKILL)
            os.kill(_template(gateway), signal.SIGKILL)
            os.kill(await _pid(gateway, late.sid), signal.SIGKILL)
            os.kill(await _pid(gateway, hiring.sid), signal.SIGKILL)
            for call in (early, late, hiring):
                assert (await _exited(gateway, call.sid))["exit"] == "killed by SIGKILL"

        async def as_usual() -> bool:
            ready = (await gateway.api("GET", "/ready")).status_code == 200
            family = processes.descendants(gateway.pid)
            return ready and len(family) == usual and not processes.zombies(gateway.pid)

        await eventually(as_usual)


async def test_calls_leave_no_descriptor_behind(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, SABOTEURS) as gateway:
        await many_calls(gateway, 20)
        template = _template(gateway)

        def held() -> list[Counter[str]]:
            return [Counter(processes.descriptors(pid)) for pid in (gateway.pid, template)]

        before = await _settled(held)
        await many_calls(gateway, 200)
        # What lingered then may be gone by now; nothing may have come.
        await eventually(lambda: not any(map(operator.sub, held(), before)))
        assert not processes.zombies(gateway.pid)


async def many_calls(gateway: RunningGateway, number: int, at_once: int = 10) -> None:
    """Place short calls: half have a stream, a quarter crash, a quarter never get one."""
    waiting = iter(range(number))

    async def caller() -> None:
        for kind in waiting:
            async with Wire(gateway) as wire:
                document = await wire.webhook()
                if kind % 4 < 2:
                    socket = await wire.stream(document)
                    await wire.status()
                    await socket.close()
                elif kind % 4 == 2:
                    os.kill(await _pid(gateway, wire.sid), signal.SIGKILL)
                    await _logged(gateway, f"call_sid={wire.sid} cpu_seconds")
                    assert "<Say>" in await wire.next()
                else:
                    await wire.status("canceled")

    await asyncio.gather(*(caller() for _ in range(at_once)))

    async def none_left() -> bool:
        return not await gateway.calls() and not processes.titled(gateway.pid, "callfarm call")

    await eventually(none_left, seconds=60)


async def _warm(gateway: RunningGateway) -> bool:
    releases = (await gateway.api("GET", "/api/releases")).json()["releases"]
    return any(release["current"] and release["warm"] for release in releases)


async def _none_live(gateway: RunningGateway) -> bool:
    return not await gateway.calls()


async def _logged(gateway: RunningGateway, text: str) -> None:
    await eventually(lambda: text in gateway.log_text())


async def _settled(held: Any) -> Any:
    """Return what is held once it stays the same for a while: closed connections linger."""
    while True:
        before = held()
        await asyncio.sleep(0.5)
        if held() == before:
            return before


def _template(gateway: RunningGateway) -> int:
    (template,) = processes.titled(gateway.pid, "callfarm template")
    return template


async def _pid(gateway: RunningGateway, sid: str) -> int:
    async def started() -> Any:
        return (await gateway.call_view(sid)).get("pid")

    return int(await eventually(started))


async def _exited(gateway: RunningGateway, sid: str) -> dict[str, Any]:
    async def exited() -> Any:
        view = await gateway.call_view(sid)
        return view if view.get("exit") else None

    view: dict[str, Any] = await eventually(exited)
    return view
