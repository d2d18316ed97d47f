"""One campaign under way: has the scheduler decide, writes the decision down, carries it out.

    claim (durable) ──> the dialer's intent (durable) ──> carrier asked ──> callbacks ──> settle

Killed between any two of these, the next gateway finds the lead *dialling*. If the dialer has no
attempt of the id that was claimed, nobody was called and the lead waits again; else the dialer
finds out what became of the call, and tells it here as if nothing had happened.

A database that is away holds up the campaign: what is in flight goes on, nobody new is called.
"""

import asyncio
import contextlib
import math
import secrets
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from gateway.campaigns.flight import AGAIN_SECONDS, Flight
from gateway.campaigns.flights import Flights
from gateway.campaigns.ledger import CampaignLedger
from gateway.campaigns.outage import FIRST_PAUSE, LAST_PAUSE, Outage
from gateway.campaigns.placing import end, place
from gateway.campaigns.scheduler import (
    Decision,
    Defer,
    Dial,
    Fetch,
    Finish,
    Lead,
    Rest,
    Scheduler,
    Skip,
    Trip,
    Wait,
)
from gateway.campaigns.states import CampaignMove
from gateway.campaigns.surroundings import Campaign, Surroundings
from gateway.dialer.attempt import Attempt
from gateway.dialer.errors import DialError
from gateway.dialer.lines import Line
from gateway.dialer.order import dial_id
from gateway.store.store import StoreError

_STOPPED = "the gateway was stopped before it was dialled"

NOT_CLAIMED_SECONDS = 0.5
"""How long nobody is called after a lead turned out to be another's: so may be the campaign."""


class Runner:
    """Runs one campaign; ``run`` is its life. ``halt`` lets it end with the calls in flight."""

    def __init__(self, campaign: Campaign, ledger: CampaignLedger, around: Surroundings) -> None:
        self._campaign, self._ledger, self._around = campaign, ledger, around
        self._scheduler = Scheduler(campaign.policy)
        self._scheduler.halted = campaign.halted or campaign.cancelled
        self.cancelled, self._forgives = campaign.cancelled, campaign.forgives
        self._flights = Flights(campaign.policy, around)
        self._line: Line | None = None
        self._quiet_until = 0.0
        self._carrier_pause = FIRST_PAUSE
        self._log = structlog.get_logger(__name__).bind(campaign=campaign.id)
        self._outage = Outage(self._log, "a campaign")

    # From outside ------------------------------------------------------------------------------

    def halt(self) -> None:
        """Call nobody new; calls in flight go on."""
        self._scheduler.halted = True
        self._flights.news.set()

    def cancel(self) -> None:
        """Call nobody any more; calls in flight go on."""
        self.cancelled = True
        self.halt()

    @property
    def is_halted(self) -> bool:
        """Whether it calls nobody new."""
        return self._scheduler.halted

    def go_on(self) -> None:
        """Call again, and forget what failed."""
        self.cancelled = False
        self._scheduler.halted, self._forgives = False, True
        self._quiet_until = 0.0
        self._scheduler.breaker.reset()
        self._scheduler.refresh()
        self._flights.news.set()

    def heard(self, attempt: Attempt) -> None:
        """The dialer has news of an attempt of this campaign."""
        self._flights.heard(attempt)

    @property
    def calls(self) -> int:
        """How many of its leads are in flight."""
        return len(self._flights)

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for the database."""
        return self._outage.lasts

    # Its life ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run until everybody was called, or it is halted and no call is in flight."""
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._persistent(self._recover)
                while True:
                    self._flights.news.clear()
                    seconds = await self._round(tasks)
                    if seconds is None:
                        break
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(seconds):
                            await self._flights.news.wait()
        finally:
            self._flights.clear()

    async def _round(self, tasks: asyncio.TaskGroup) -> float | None:
        """Do what is to be done now; return the seconds until the next look, ``None`` at the end.

        A database that is away is waited for.
        """
        try:
            for flight in self._flights.overdue():
                tasks.create_task(end(self._campaign, self._around, flight))
            await self._settle()
            seconds = await self._act(self._decision(), tasks)
        except StoreError as error:
            return self._outage.pause(error)
        self._outage.over()
        return None if seconds is None else self._flights.seconds(seconds)

    def _decision(self) -> Decision:
        around, mono = self._around, self._around.mono()
        room = around.room() if mono >= self._quiet_until else 0
        turn = self._line.pace.wait_s if self._line is not None else 0.0
        return self._scheduler.decide(mono, around.wall(), room, turn, around.engaged)

    async def _act(self, decision: Decision, tasks: asyncio.TaskGroup) -> float | None:
        match decision:
            case Wait(seconds):
                return AGAIN_SECONDS if seconds is None else seconds
            case Dial(lead):
                await self._begin(lead, tasks)
            case Fetch():
                await self._fetch()
            case Defer(numbers, until):
                await self._ledger.defer(numbers, until)
            case Skip(number, sentence):
                await self._ledger.skip(number, sentence)
            case Trip(why):
                await self._stop(why)
            case Finish():
                # If it was paused at this very moment it stays so, and is resumed to be finished.
                if await self._ledger.move(CampaignMove.FINISH, self._around.wall()):
                    self._log.info("campaign completed")
                return None
            case Rest():
                return None
        return 0.0

    async def _fetch(self) -> None:
        await self._look_up_line()
        page = await self._ledger.page(self._around.wall())
        self._scheduler.offer(page, None if page else await self._ledger.next_at())

    async def _look_up_line(self) -> None:
        """See whether there is a way out, and how fast it is; without one the campaign stops."""
        try:
            self._line = await self._around.dialer.line(self._campaign.company)
        except DialError as error:
            await self._stop(str(error))

    async def _stop(self, why: str) -> None:
        if self._scheduler.halted:
            return
        moved = await self._ledger.move(CampaignMove.TRIP, self._around.wall(), why)
        self._scheduler.halted = True
        if moved:
            self._log.error("campaign stopped", reason=why)

    # One call ----------------------------------------------------------------------------------

    async def _begin(self, lead: Lead, tasks: asyncio.TaskGroup) -> None:
        key = secrets.token_hex(16)
        flight = self._take_off(lead, dial_id(self._campaign.company, key))
        try:
            claimed = await self._ledger.claim(lead, flight.attempt_id)
        except StoreError as error:
            # Perhaps it was written, perhaps not: this mends it either way.
            flight.not_placed(error.sentence)
            raise
        if claimed:
            tasks.create_task(self._dial(flight, key))
        else:
            self._land(flight)
            self._scheduler.refresh()
            self._pause_until(self._around.mono() + NOT_CLAIMED_SECONDS)

    async def _dial(self, flight: Flight, key: str) -> None:
        answer = await place(
            self._campaign, self._around, flight, key, lambda: not self._scheduler.halted
        )
        if answer.placed:
            self._carrier_pause = FIRST_PAUSE
        elif answer.quiet:
            self._pause_until(self._around.mono() + self._carrier_pause)
            self._carrier_pause = min(2 * self._carrier_pause, LAST_PAUSE)
        elif answer.stop is not None:
            # Nobody else is called until that is written down.
            self._quiet_until, why = math.inf, answer.stop
            await self._persistent(lambda: self._stop(why))
        self._flights.news.set()

    def _pause_until(self, mono: float) -> None:
        self._quiet_until = max(self._quiet_until, mono)

    # Beginnings and ends -----------------------------------------------------------------------

    def _take_off(self, lead: Lead, attempt_id: str, *, recovered: bool = False) -> Flight:
        self._scheduler.began(lead)
        return self._flights.take_off(lead, attempt_id, recovered=recovered)

    def _land(self, flight: Flight) -> None:
        self._flights.land(flight)
        self._scheduler.ended(flight.lead.number, flight.then, self._around.wall())

    async def _settle(self) -> None:
        """Write down what was decided of leads, in one transaction."""
        wall, (decided, answered) = self._around.wall(), self._flights.decided()
        if self.cancelled:
            for flight in decided:
                flight.cancelled()
        try:
            await self._ledger.settle([*answered, *(it.settlement(wall) for it in decided)])
        except StoreError:
            self._flights.undecided(answered)
            raise
        for flight in decided:
            if flight.outcome is not None:
                self._scheduler.breaker.ended(flight.outcome)
            self._land(flight)

    async def _recover(self) -> None:
        """Take up what the gateway before this one has left: its breaker, the leads in flight."""
        dialer, window = self._around.dialer, self._campaign.policy.breaker_calls
        outcomes = await self._ledger.ended(window) if window and not self._forgives else ()
        if not self._forgives:
            self._scheduler.breaker.recall(outcomes)
        flying = await self._ledger.flying()
        if flying:
            await dialer.following.recovered.wait()
        for it in flying:
            if it.lead.number in self._flights:
                continue
            before = Lead(
                it.lead.number, it.lead.phone, max(0, it.lead.attempts - 1), it.lead.variables
            )
            attempt = await dialer.progress(it.attempt_id)
            if attempt is None and not await self._ledger.give_back(
                before, it.attempt_id, _STOPPED
            ):
                attempt = await dialer.progress(it.attempt_id)
            if attempt is not None:
                self._take_off(before, it.attempt_id, recovered=True)
                self.heard(dialer.following.adopt(attempt))

    # Trouble -----------------------------------------------------------------------------------

    async def _persistent(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do ``work`` as often as the database is away, and once when it is not."""
        while True:
            try:
                await work()
            except StoreError as error:
                await asyncio.sleep(self._outage.pause(error))
            else:
                self._outage.over()
                return
