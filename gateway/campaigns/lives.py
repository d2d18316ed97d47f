"""The campaigns that run: a `Runner` for each that should have one, and for no other.

    the right to dial ──> all that should run ──lost──> none     each:

    begin ──> runs ──everybody called, or halted and no call in flight──> gone
                └──resumed meanwhile, or failed unforeseen──> runs once more

Which should is what the database says. An order's answer may be lost although the order was carried
out, so that it is asked again now and then. It refuses to know how orders are given.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from gateway.campaigns.hours import zones_of
from gateway.campaigns.ledger import CampaignLedger, left_behind, standing
from gateway.campaigns.moves import CampaignMoves
from gateway.campaigns.outage import Outage
from gateway.campaigns.register import Register
from gateway.campaigns.runner import Runner
from gateway.campaigns.states import CampaignState
from gateway.campaigns.surroundings import Campaign, Surroundings
from gateway.campaigns.views import CampaignView
from gateway.dialer.attempt import Attempt
from gateway.store.store import Store, StoreError

log = structlog.get_logger(__name__)

RESTART_SECONDS = 5.0

WATCH_SECONDS = 2.0
"""Between two looks whether those run that should, and no others."""

RETRY_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class CampaignStatistics:
    """What campaigns do now: those with a runner, leads in flight, those without a database.

    ``dials``: whether this gateway is the one that dials.
    """

    running: int
    calls: int
    waiting: int
    dials: bool


class Lives:
    """The runners of one gateway. ``run`` is their life; nobody is called before it."""

    def __init__(self, store: Store, around: Surroundings, moves: CampaignMoves) -> None:
        self._store, self._around, self._moves = store, around, moves
        self._register = Register(store)
        self._outage = Outage(log, "campaigns")
        self._runners: dict[str, Runner] = {}
        self._lives: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._tasks: asyncio.TaskGroup | None = None
        self._draining = False
        around.dialer.following.listeners.append(self._heard)

    def runner(self, campaign: str) -> Runner | None:
        """Return who runs a campaign."""
        return self._runners.get(campaign)

    def life(self, campaign: str) -> "asyncio.Task[None] | None":
        """Return what ends when a campaign does nothing any more."""
        return self._lives.get(campaign)

    def go_on(self, it: CampaignView) -> None:
        """Have a campaign run that was started or resumed; before ``run``, it is done then."""
        if self._draining:
            return  # the next gateway does
        if it.id in self._lives:
            # Its runner may be about to end: then it lives once more.
            self._again.add(it.id)
            self._runners[it.id].go_on()
        else:
            self._begin(it, forgives=True)

    def drain(self) -> None:
        """Begin no more calls: the gateway is about to end. The next one goes on."""
        self._draining = True
        for runner in self._runners.values():
            runner.halt()

    @property
    def statistics(self) -> CampaignStatistics:
        """What they do now."""
        runners = list(self._runners.values())
        return CampaignStatistics(
            running=len(runners),
            calls=sum(it.calls for it in runners),
            waiting=sum(it.is_waiting for it in runners),
            dials=self._around.dialer.right.held,
        )

    def _heard(self, attempt: Attempt) -> None:
        runner = self._runners.get(attempt.campaign) if attempt.campaign is not None else None
        if runner is not None:
            runner.heard(attempt)

    # From the database -------------------------------------------------------------------------

    async def run(self) -> None:
        """Run campaigns whenever this gateway is the one that dials, until cancelled.

        Each time it goes on with what another one, or another life, has left. A runner does not
        outlive the right: what it knows of its leads is another's to change from then on.
        """
        await asyncio.to_thread(zones_of, "+493012345678")  # reads the zones of all numbers
        right = self._around.dialer.right
        while True:
            await right.gained()
            async with asyncio.TaskGroup() as tasks:
                living = tasks.create_task(self._live_all())
                await right.lost()
                if not self._draining:  # else calls in flight are followed to their end
                    living.cancel()

    async def _live_all(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                for it in await self._left_behind():
                    self._begin(it)
                await self._watch()
        finally:
            self._tasks = None
            self._runners.clear()
            self._lives.clear()
            self._again.clear()

    async def _left_behind(self) -> Sequence[CampaignView]:
        while True:
            try:
                found = [await self._register.get(it) for it in await left_behind(self._store)]
            except StoreError as error:
                await asyncio.sleep(self._outage.pause(error))
            else:
                self._outage.over()
                return [it for it in found if it is not None]

    async def _watch(self) -> None:
        """See to it that those run that should, and no others."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WATCH_SECONDS):
                    await self._moves.unsure.wait()
            before = self._moves.count
            try:
                states = await standing(self._store, list(self._lives))
                if self._moves.under_way or self._moves.count != before:
                    await asyncio.sleep(RETRY_SECONDS)  # what was read may be older than a move
                    continue
                self._moves.unsure.clear()
                for campaign, state in states.items():
                    await self._put_right(campaign, state)
                    if self._moves.count != before:
                        break
            except StoreError:
                await asyncio.sleep(RETRY_SECONDS)

    async def _put_right(self, campaign: str, state: CampaignState) -> None:
        runner = self._runners.get(campaign)
        if runner is None:
            if state is CampaignState.RUNNING:
                it = await self._register.get(campaign)
                if it is not None and it.state == state:
                    self._begin(it, forgives=True)
        elif state is CampaignState.CANCELLED:
            runner.cancel()
        elif state is not CampaignState.RUNNING:
            runner.halt()
        elif runner.is_halted and not self._draining:
            runner.go_on()
        else:
            runner.cancelled = False

    # One campaign ------------------------------------------------------------------------------

    def _begin(self, it: CampaignView, *, forgives: bool = False) -> None:
        if self._tasks is not None and not self._draining and it.id not in self._lives:
            self._lives[it.id] = self._tasks.create_task(self._live(it, forgives))

    async def _live(self, it: CampaignView, forgives: bool) -> None:
        """Run a campaign to its end; what fails unforeseen is said and begun again."""
        while True:
            self._again.discard(it.id)
            state = CampaignState(it.state)
            campaign = Campaign(
                it.id,
                it.company,
                it.policy,
                cancelled=state is CampaignState.CANCELLED,
                halted=self._draining or state is not CampaignState.RUNNING,
                forgives=forgives,
            )
            runner = Runner(campaign, CampaignLedger(self._store, it.id, self._moves), self._around)
            self._runners[it.id] = runner
            try:
                await runner.run()
                forgives = True  # if it lives once more, that is because it was resumed
            except Exception:
                log.exception("a campaign failed, and is begun again", campaign=it.id)
                forgives = False
                await asyncio.sleep(RESTART_SECONDS)
                self._again.add(it.id)
            if it.id not in self._again:
                break
            with contextlib.suppress(StoreError):
                it = await self._register.get(it.id) or it
        del self._runners[it.id], self._lives[it.id]
