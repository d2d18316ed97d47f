"""A campaign that is halted calls nobody from then on, however far somebody's call has come."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Executable

from tests.fakes.twilio_callee import Callee
from tests.gateway.campaigns.farm import ENDLESS, LONG, Yard, numbers, successor, yard
from tests.harness import eventually

QUICK = Callee(ring_s=1, talk_s=5)


@contextmanager
def intents_held(it: Yard) -> Iterator[tuple[asyncio.Event, asyncio.Event]]:
    """Have the database take its time with what is about to be dialled: it waits, and goes on."""
    kept, waits, goes_on = it.store._commit, asyncio.Event(), asyncio.Event()

    async def held(statements: Sequence[Executable]) -> int:
        done = await kept(statements)
        if str(statements[-1]).startswith("INSERT INTO attempts"):
            waits.set()
            await goes_on.wait()
        return done

    it.store._commit = held  # type: ignore[method-assign]
    # It must not hold up the others.
    it.store._writing = _Open()  # type: ignore[assignment]
    try:
        yield waits, goes_on
    finally:
        it.store._commit = kept  # type: ignore[method-assign]


class _Open:
    """A lock that lets everybody in."""

    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *error: object) -> None: ...


@pytest.mark.parametrize("order", ["pause", "cancel"])
async def test_who_was_about_to_be_dialled_is_not(tmp_path: Path, order: str) -> None:
    async with yard(tmp_path, lambda number: QUICK) as it:
        with intents_held(it) as (waits, goes_on):
            campaign = await it.begun(numbers(1))
            await asyncio.wait_for(waits.wait(), 15)
            await getattr(it.campaigns, order)(campaign.id)
            goes_on.set()
            await asyncio.sleep(0.3)
        await it.campaigns.finished(campaign.id, 10)
        assert it.dialled() == []
        (lead,) = await it.leads(campaign.id)
        assert (lead.state, lead.attempts) == (
            "waiting" if order == "pause" else "cancelled",
            0,
        )
        if order == "pause":
            await it.campaigns.resume(campaign.id)
            await eventually(it.dialled)
            await it.ended(campaign.id)
            assert len(it.dialled()) == 1


async def test_who_resumes_a_campaign_while_the_gateway_stops_leaves_it_to_the_next(
    tmp_path: Path,
) -> None:
    async with yard(tmp_path, lambda number: ENDLESS) as it:
        campaign = await it.begun(numbers(3), concurrency=2, max_seconds=LONG)
        await eventually(lambda: len(it.live()) == 2)
        await it.campaigns.pause(campaign.id)
        it.campaigns.drain()
        assert (await it.campaigns.resume(campaign.id)).state == "running"
        it.end(it.live()[0])
        await asyncio.sleep(0.5)
        assert len(it.dialled()) == 2
        await it.stop()
        async with successor(it):
            await eventually(lambda: len(it.dialled()) == 3)
