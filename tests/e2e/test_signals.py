"""Signals to the gateway, to its process group, to all of it: who hears them, and how it ends."""

import os
import signal
from pathlib import Path

import pytest

from phone import PhoneSettings
from phone.events import VerbBegun
from tests.e2e import processes
from tests.e2e.bystanders import bystanders
from tests.e2e.saboteur import SABOTEURS
from tests.harness import RunningGateway, eventually, running_gateway

_TEMPLATE = "callfarm template"
_EVERYONE = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
async def test_calls_finish_before_a_gateway_that_is_told_to_stop(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with running_gateway(tmp_path, fresh=True) as gateway:
        family = processes.descendants(gateway.pid)
        async with bystanders(gateway, 3) as others:
            os.killpg(gateway.pid, number)
            await eventually(lambda: _status(gateway, "/ready", 503))
            async with gateway.phone(PhoneSettings(verb_speed=50)).dial() as late:
                report = await late.ended()
            assert "busy" in report.of(VerbBegun)[0].detail
            assert not report.streams
            await others.intact()
            assert gateway.process.returncode is None
            family |= processes.descendants(gateway.pid)
        assert await gateway.ended() == 0
        await eventually(lambda: not processes.alive(family))


async def test_calls_hear_no_signal_but_their_gateways(tmp_path: Path) -> None:
    """A service manager that signals every process of a unit, not the first alone."""
    async with running_gateway(tmp_path, fresh=True) as gateway, bystanders(gateway, 3) as others:
        for pid in processes.descendants(gateway.pid):
            for number in _EVERYONE:
                os.kill(pid, number)
        await others.intact()
        assert await _status(gateway, "/ready", 200)


async def test_a_hangup_of_the_terminal_deploys_and_a_second_interrupt_ends_at_once(
    tmp_path: Path,
) -> None:
    async with running_gateway(tmp_path, SABOTEURS, fresh=True) as gateway:
        phone = gateway.phone()
        async with phone.dial() as looping, phone.dial() as hiring:
            async with bystanders(gateway, 2) as others:
                for call in (looping, hiring):
                    await call.connected()
                gateway.write_agent("more.py", "WORDS = 1\n")
                os.killpg(gateway.pid, signal.SIGHUP)
                await eventually(lambda: len(processes.titled(gateway.pid, _TEMPLATE)) == 2)
                await eventually(lambda: gateway.log_text().count("release live") == 2)
                await others.intact()
            await looping.press("4")
            await hiring.press("9")
            await eventually(lambda: processes.titled(gateway.pid, "sleep"))
            family = processes.descendants(gateway.pid)
            os.killpg(gateway.pid, signal.SIGINT)
            await eventually(lambda: _status(gateway, "/ready", 503))
            os.killpg(gateway.pid, signal.SIGINT)
            assert await gateway.ended() == 130
            await eventually(lambda: not processes.alive(family))


async def test_calls_that_outlive_the_drain_are_hung_up(tmp_path: Path) -> None:
    environment = {"DRAIN_SECONDS": "1"}
    async with running_gateway(tmp_path, SABOTEURS, environment, fresh=True) as gateway:
        phone = gateway.phone()
        async with phone.dial() as talking, phone.dial() as looping:
            for call in (talking, looping):
                await call.connected()
            await looping.press("4")
            family = processes.descendants(gateway.pid)
            gateway.signal(signal.SIGTERM)
            for call in (talking, looping):
                report = await call.ended()
                assert [event.verb for event in report.of(VerbBegun)][-1] == "Redirect"
                assert report.how.value == "the document ended"
        assert await gateway.ended() == 0
        assert "outlive the drain" in gateway.log_text()
        await eventually(lambda: not processes.alive(family))


async def _status(gateway: RunningGateway, path: str, status: int) -> bool:
    return bool((await gateway.api("GET", path)).status_code == status)
