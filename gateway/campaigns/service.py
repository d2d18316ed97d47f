"""The campaigns of one gateway: makes them, shows them, and takes the operator's orders.

    create ──> add leads ──> start ──> progress ... ──> report       pause, resume, cancel

What is asked for is in the database when a method returns; `Lives` does the rest, here or at the
gateway that dials. All methods raise
`StoreError` when the database is away, and `CampaignError`.
"""

import asyncio
import secrets
from collections.abc import Sequence

import msgspec
import structlog

from gateway.campaigns.admission import Candidate, admitted
from gateway.campaigns.errors import BadLeadsError, CampaignStateError, NoSuchCampaignError
from gateway.campaigns.lives import CampaignStatistics, Lives
from gateway.campaigns.moves import CampaignMoves, Post
from gateway.campaigns.policy import Policy
from gateway.campaigns.register import MOST_LISTED, Register
from gateway.campaigns.states import CampaignMove, CampaignState
from gateway.campaigns.surroundings import Surroundings
from gateway.campaigns.views import Added, CampaignView, LeadPage, Progress
from gateway.store.store import Store, StoreError

log = structlog.get_logger(__name__)

MOST_ADDED = 1000
"""Leads in one request."""

_LOOK_SECONDS = 0.2


class Campaigns:
    """All campaigns. ``run`` is their life; nobody is called before it."""

    def __init__(self, store: Store, around: Surroundings, post: Post | None = None) -> None:
        self._store, self._around = store, around
        self._register, self._moves = Register(store), CampaignMoves(store, post)
        self._lives = Lives(store, around, self._moves)

    # Making ------------------------------------------------------------------------------------

    async def create(
        self, name: str, policy: Policy, company: int | None = None, campaign: str | None = None
    ) -> CampaignView:
        """Make a draft without leads; ``campaign`` is its id. `StoreError` says if it is taken."""
        campaign = campaign or "c" + secrets.token_hex(12)
        await self._register.create(campaign, name, company, policy, self._around.wall())
        return await self.get(campaign)

    async def add(
        self,
        campaign: str,
        candidates: Sequence[Candidate],
        *,
        first: int | None = None,
        skip_bad: bool = False,
        repeats: bool = False,
    ) -> Added:
        """Add leads to a draft, at most `MOST_ADDED` at once; return which were refused.

        ``first`` is the number of the first one, by default the next; with it a request can be
        repeated. Without ``skip_bad`` one bad row raises `BadLeadsError`, and none is added.
        ``repeats`` allows a number that the campaign has already. Raises `DialError` without a
        way to call anybody.
        """
        it = await self.get(campaign)
        if it.state != CampaignState.DRAFT:
            raise CampaignStateError(campaign, it.state, "add")
        start = it.total if first is None else first
        line = await self._around.dialer.line(it.company)
        good, refused = await admitted(candidates, line.rules, repeats=repeats)
        if not repeats and good:
            known = await self._register.known(campaign, [lead.phone for lead in good], start)
            refused += [lead.repeated(known[lead.phone]) for lead in good if lead.phone in known]
            good = [lead for lead in good if lead.phone not in known]
        if refused and not skip_bad:
            raise BadLeadsError(refused)
        rows = [(lead.phone, lead.variables) for lead in good]
        if rows and not await self._register.add(campaign, start, rows):
            raise CampaignStateError(campaign, (await self.get(campaign)).state, "add")
        return Added(len(good), (await self.get(campaign)).total, refused)

    # Orders ------------------------------------------------------------------------------------

    async def start(self, campaign: str) -> CampaignView:
        """Begin to call."""
        it = await self.get(campaign)
        if not it.total:
            raise CampaignStateError(campaign, it.state, CampaignMove.START)
        await self._move(campaign, CampaignMove.START)
        return await self._running(campaign)

    async def pause(self, campaign: str) -> CampaignView:
        """Call nobody new; calls in progress go on."""
        await self._move(campaign, CampaignMove.PAUSE)
        runner = self._lives.runner(campaign)
        if runner is not None:
            runner.halt()
        return await self.get(campaign)

    async def resume(self, campaign: str) -> CampaignView:
        """Go on with a paused or stopped one."""
        await self._move(campaign, CampaignMove.RESUME)
        return await self._running(campaign)

    async def cancel(self, campaign: str) -> CampaignView:
        """Call nobody any more; calls in progress go on."""
        runner = self._lives.runner(campaign)
        before = runner.cancelled if runner is not None else False
        try:
            if runner is not None:
                # At once: what is being settled now must not wait for another call.
                runner.cancelled = True
            await self._move(campaign, CampaignMove.CANCEL)
        except StoreError:
            raise  # perhaps it is: that is found out
        except BaseException:
            if runner is not None:
                runner.cancelled = before
            raise
        if runner is not None:
            runner.cancel()
        return await self.get(campaign)

    async def _move(self, campaign: str, move: CampaignMove) -> None:
        """Move a campaign. Raises `CampaignStateError`."""
        if not await self._moves.make(campaign, move, self._around.wall()):
            raise CampaignStateError(campaign, (await self.get(campaign)).state, move)
        log.info("campaign " + move.value, campaign=campaign)

    async def _running(self, campaign: str) -> CampaignView:
        it = await self.get(campaign)
        self._lives.go_on(it)
        return it

    # Showing -----------------------------------------------------------------------------------

    async def get(self, campaign: str) -> CampaignView:
        """Return a campaign. Raises `NoSuchCampaignError`."""
        found = await self._register.get(campaign)
        if found is None:
            raise NoSuchCampaignError(campaign)
        return self._shown(found)

    async def list(
        self,
        state: str | None = None,
        company: int | None = None,
        before: float | None = None,
        limit: int = 50,
    ) -> Sequence[CampaignView]:
        """Return campaigns, the newest first; ``before`` (when the last one was made) continues."""
        found = await self._register.list(state, company, before, min(limit, MOST_LISTED))
        return [self._shown(it) for it in found]

    async def progress(self, campaign: str) -> Progress:
        """Return how far a campaign is."""
        it = await self.get(campaign)
        progress = await self._register.progress(it)
        return msgspec.structs.replace(progress, elsewhere=it.elsewhere)

    def _shown(self, it: CampaignView) -> CampaignView:
        elsewhere = self._around.dialer.right.elsewhere
        if elsewhere is None or it.state != CampaignState.RUNNING:
            return it
        return msgspec.structs.replace(it, elsewhere=elsewhere)

    async def leads(
        self, campaign: str, after: int = -1, limit: int = 100, state: str | None = None
    ) -> LeadPage:
        """Return leads in the order in which they were given, with what came of them.

        That is the report, too: ``after`` (the page's ``next``) continues.
        """
        await self.get(campaign)
        return await self._register.leads(campaign, after, min(limit, MOST_LISTED), state)

    async def finished(self, campaign: str, seconds: float) -> bool:
        """Wait until a campaign does nothing any more; false if it is not in time."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    life = self._lives.life(campaign)
                    if life is not None:
                        await asyncio.wait([life])
                    elif (await self.get(campaign)).state != CampaignState.RUNNING:
                        return True
                    else:  # not begun yet, or left to the next gateway
                        await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            return False

    # Life --------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Go on with what the gateway before this one has left, and run until cancelled."""
        await self._lives.run()

    def drain(self) -> None:
        """Begin no more calls: the gateway is about to end. The next one goes on."""
        self._lives.drain()

    @property
    def statistics(self) -> CampaignStatistics:
        """What they do now."""
        return self._lives.statistics
