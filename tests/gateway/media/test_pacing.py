import asyncio
import time

import pytest

from gateway.media import pacing
from gateway.media.pacing import Pacing


async def _rounds(wanted: int) -> int:
    """Let the loop turn ``wanted`` times."""
    for _ in range(wanted):
        await asyncio.sleep(0)
    return wanted


async def test_few_streams_are_served_at_once() -> None:
    server = Pacing(many=3)
    server.join()
    server.join()
    await _rounds(3)
    assert not server.held


async def test_many_streams_share_a_round_and_few_are_at_once_again() -> None:
    server = Pacing(many=3)
    for _ in range(3):
        server.join()
    held = [server.held]
    await _rounds(3)
    held.append(server.held)
    server.leave()
    await _rounds(2)
    held.append(server.held)
    server.join()
    held.append(server.held)
    server.leave()
    await _rounds(2)
    held.append(server.held)
    assert held == [True, True, False, True, False]


async def test_one_pace_is_kept_however_often_the_border_is_crossed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rests = list[float]()
    monkeypatch.setattr(time, "sleep", rests.append)
    server = Pacing(many=1)
    for _ in range(5):
        server.join()
        server.leave()
    server.join()
    await _rounds(4)
    assert len(rests) <= 5
    server.leave()
    await _rounds(2)


async def test_a_round_that_was_busy_is_followed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rests = list[float]()
    monkeypatch.setattr(time, "sleep", rests.append)
    server = Pacing(many=1)
    server.join()
    began = time.monotonic()
    while time.monotonic() - began < 2 * pacing.ROUND_SECONDS:
        pass
    await asyncio.sleep(0)
    assert rests == []
    assert all(rest <= pacing.ROUND_SECONDS for rest in rests)
    server.leave()
    await _rounds(2)
