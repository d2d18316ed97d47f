"""Orders that the database has carried out although nobody was told so: its answer was lost."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Executable

from gateway.campaigns import lives
from gateway.campaigns.policy import Delays, Policy
from gateway.store.store import Store, StoreError
from phone import CalleeOutcome
from tests.fakes.twilio_callee import Callee
from tests.gateway.campaigns.farm import ENDLESS, LONG, Yard, numbers, yard
from tests.harness import eventually

AWAY = StoreError("the database is away: it does not answer", away=True)
QUICK = Callee(ring_s=1, talk_s=5)
BUSY = Callee(CalleeOutcome.BUSY, ring_s=1)

Order = Callable[[str], Awaitable[object]]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lives, "WATCH_SECONDS", 0.2)


@contextmanager
def answers_lost(store: Store, table: str) -> Iterator[None]:
    """Have what ends with an update of ``table`` done, and nobody told."""
    kept = store._commit

    async def lost(statements: Sequence[Executable]) -> int:
        done = await kept(statements)
        if str(statements[-1]).startswith(f"UPDATE {table}"):
            raise AWAY
        return done

    store._commit = lost  # type: ignore[method-assign]
    try:
        yield
    finally:
        store._commit = kept  # type: ignore[method-assign]


async def unanswered(it: Yard, order: Order, campaign: str) -> None:
    """Give an order whose answer is lost."""
    with answers_lost(it.store, "campaigns"), pytest.raises(StoreError):
        await order(campaign)


async def test_a_campaign_that_was_paused_calls_nobody_though_the_answer_was_lost(
    tmp_path: Path,
) -> None:
    async with yard(tmp_path, lambda number: ENDLESS) as it:
        campaign = await it.begun(numbers(20), max_seconds=LONG)
        await eventually(it.live)
        await unanswered(it, it.campaigns.pause, campaign.id)
        assert (await it.campaigns.get(campaign.id)).state == "paused"
        await asyncio.sleep(1.0)  # what has been seen to
        it.end(it.live()[0])
        await eventually(lambda: not it.live())
        await asyncio.sleep(0.5)
        assert len(it.dialled()) == 1
        await it.campaigns.resume(campaign.id)
        await eventually(it.live)


async def test_a_campaign_that_was_started_calls_though_the_answer_was_lost(
    tmp_path: Path,
) -> None:
    async with yard(tmp_path, lambda number: QUICK) as it:
        made = await it.campaigns.create("x", Policy())
        await it.campaigns.add(made.id, numbers(2))
        await unanswered(it, it.campaigns.start, made.id)
        await it.ended(made.id, 10)
        assert len(it.dialled()) == 2


async def test_a_campaign_that_was_resumed_goes_on_though_the_answer_was_lost(
    tmp_path: Path,
) -> None:
    async with yard(tmp_path, lambda number: ENDLESS) as it:
        campaign = await it.begun(numbers(2), max_seconds=LONG)
        await eventually(it.live)
        await it.campaigns.pause(campaign.id)
        await unanswered(it, it.campaigns.resume, campaign.id)
        it.end(it.live()[0])  # the runner ends with it
        await eventually(lambda: len(it.dialled()) == 2)


async def test_nobody_of_a_campaign_that_was_cancelled_is_called_again_though_the_answer_was_lost(
    tmp_path: Path,
) -> None:
    async with yard(tmp_path, lambda number: ENDLESS) as it:
        campaign = await it.begun(
            numbers(2), max_seconds=LONG, attempts=5, delays=Delays(busy=0, failed=0, no_answer=0)
        )
        await eventually(it.live)
        await unanswered(it, it.campaigns.cancel, campaign.id)
        await asyncio.sleep(1.0)
        it.end(it.live()[0], "busy")
        await asyncio.sleep(0.5)
        assert len(it.dialled()) == 1
        assert {lead.state for lead in await it.leads(campaign.id)} == {"failed", "cancelled"}


async def test_what_the_database_says_is_not_older_than_an_order(tmp_path: Path) -> None:
    """A look that began before a campaign was resumed must not halt it."""
    async with yard(tmp_path, lambda number: ENDLESS) as it:
        campaign = await it.begun(numbers(3), max_seconds=LONG)
        await eventually(it.live)
        for _ in range(10):
            await it.campaigns.pause(campaign.id)
            await it.campaigns.resume(campaign.id)
            await asyncio.sleep(0.05)
        for calls in (2, 3):
            it.end(it.live()[0])
            await eventually(lambda calls=calls: len(it.dialled()) == calls)  # type: ignore[misc]


async def test_a_campaign_that_was_not_cancelled_after_all_calls_again_as_before(
    tmp_path: Path,
) -> None:
    async with yard(tmp_path, lambda number: ENDLESS) as it:
        campaign = await it.begun(
            numbers(1), max_seconds=LONG, attempts=2, delays=Delays(busy=0, failed=0, no_answer=0)
        )
        await eventually(it.live)

        async def away(statements: Sequence[Executable]) -> int:
            raise AWAY

        kept, it.store._commit = it.store._commit, away  # type: ignore[method-assign]
        with pytest.raises(StoreError):
            await it.campaigns.cancel(campaign.id)
        it.store._commit = kept  # type: ignore[method-assign]
        await asyncio.sleep(1.0)
        it.end(it.live()[0], "busy")
        await eventually(lambda: len(it.dialled()) == 2)
