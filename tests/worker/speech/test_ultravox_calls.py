"""Ultravox' REST around a conversation: rates that are refused, and ends that nobody explains."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from worker.errors import ProviderRefusedError
from worker.rest import Rest
from worker.speech import ultravox_calls
from worker.speech.ultravox import Ultravox
from worker.speech.ultravox_calls import Calls, Rates


@asynccontextmanager
async def call_without_reason(delay_s: float) -> AsyncIterator[Calls]:
    """A call that has ended, of which the service does not know why."""

    async def answer(request: web.Request) -> web.Response:
        del request
        await asyncio.sleep(delay_s)
        return web.json_response({"endReason": None})

    app = web.Application()
    app.router.add_get("/api/calls/{id}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    rest = Rest("ultravox", "ULTRAVOX_API_KEY", f"http://127.0.0.1:{runner.addresses[0][1]}", {})
    calls = Calls(Ultravox(), rest, Rates(8000))
    calls.id = "c1"
    yield calls
    await calls.aclose()
    await runner.cleanup()


async def test_why_a_call_has_ended_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ultravox_calls, "REASON_SECONDS", 0.3)
    async with call_without_reason(0.25) as calls:
        began = time.monotonic()
        assert await calls.end_reason() == ""
        assert time.monotonic() - began < 0.6, "the caller hears nothing meanwhile"


async def test_a_rate_that_is_refused_is_told_with_what_to_set() -> None:
    rates = Rates(8000, 16_000)

    async def ask(rate: int) -> Any:
        if rate == 8000:
            raise ProviderRefusedError("ultravox", "a parameter is wrong: HTTP 400", 400)
        return rate

    with capture_logs() as logs:
        assert [await rates.first(ask) for _ in range(2)] == [16_000, 16_000]
    (told,) = logs
    assert told["log_level"] == "warning"
    assert "sample_rate=16000" in told["fix"]


async def test_what_no_rate_makes_right_is_no_matter_of_the_rate() -> None:
    async def ask(rate: int) -> Any:
        raise ProviderRefusedError("ultravox", f"no voice: HTTP 400 {rate}", 400)

    with capture_logs() as logs, pytest.raises(ProviderRefusedError):
        await Rates(8000, 16_000).first(ask)
    assert logs == []
