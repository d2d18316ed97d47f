"""The outbox: takes events, writes them down, brings them to everybody who wants them.

    post ──> a row for each address ──> its lane ──courier──> delivered
                                          ^            └────> again later, or given up
                                          └──── the database, for what is not in memory

A dead address holds up nobody else: each has a lane of its own, which rests after some failures and
then sends one request at a time. What is known of a delivery is in the database, so what a gateway
that was killed has left is sent, also a request whose answer was not written down.
"""

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from math import inf
from urllib.parse import urlsplit

import structlog

from gateway.outbox.audience import Audience
from gateway.outbox.courier import Courier
from gateway.outbox.deliveries import HELD, WAITING, Deliveries, Delivery
from gateway.outbox.early import Early, EarlyEvent
from gateway.outbox.event import Event, event_id
from gateway.outbox.lane import Lane
from gateway.outbox.once import Once
from gateway.outbox.parcel import parcel_of
from gateway.outbox.prepared import Prepared, deliveries_of
from gateway.outbox.rules import OutboxRules
from gateway.outbox.schedule import Next, Tried, after
from gateway.outbox.statistics import OutboxStatistics
from gateway.outbox.upkeep import Upkeep
from gateway.store.store import StoreError

log = structlog.get_logger(__name__)

_LONGEST_WAIT = 3600.0


class Outbox:
    """All deliveries of one gateway. ``run`` is its life."""

    def __init__(
        self,
        deliveries: Deliveries,
        audience: Audience,
        courier: Courier,
        rules: OutboxRules | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.deliveries, self._audience, self._courier = deliveries, audience, courier
        self._rules, self._now = rules or OutboxRules(), clock
        self._lanes: dict[str, Lane] = {}
        self._wake = asyncio.Event()
        self._counts, self._began = OutboxStatistics(), clock()
        self._upkeep = Upkeep(deliveries.store)
        retry = self._rules.retry_look * self._rules.scale
        self._early, self._admitted = Early(), asyncio.Event()
        self._once = Once(deliveries, self.send, self._rules.flush, retry)

    # Events ------------------------------------------------------------------------------------

    def post(self, event: Event) -> int:
        """Have everybody told who wants to know; return how many. Never waits, never fails."""
        return self._take(self.prepared(event), WAITING, again=event.again)

    def prepared(self, event: Event) -> Prepared:
        """Return what tells an event, to be committed with what it tells of, and then sent."""
        identity, to = event_id(event, secrets.token_hex(16)), self._audience.of(event.company)
        early = self.is_early and event.company is not None
        now = [it for it in to if not early or it.owner is None]
        made = deliveries_of(event, identity, now, self.deliveries.gateway)
        return Prepared(made, EarlyEvent(event, identity, WAITING) if early else None)

    def send(self, it: Prepared) -> None:
        """Tell what was written down."""
        if it.early is not None:
            self._early.put(it.early)
        for each in it.deliveries:
            self._lane(each.lane).add(each)
        self._counts.posted += len(it.deliveries)
        if it.deliveries:
            self._wake.set()

    @property
    def is_early(self) -> bool:
        """Whether it is not known which companies want events, or some still wait for that."""
        return not self._audience.known.is_set() or bool(self._early)

    def tells(self, company: int | None) -> bool:
        """Whether anybody wants, or may want, to know of a company's calls."""
        return self.is_early or bool(self._audience.of(company))

    def hold(self, event: Event) -> None:
        """Write down what is not whole yet: `post` of its key replaces it, or it is told so."""
        self._take(self.prepared(event), HELD, again=event.again)

    def _take(self, it: Prepared, state: str, *, again: bool) -> int:
        if it.early is not None:
            self._early.put(replace(it.early, state=state))
        written = Prepared(it.deliveries)
        if not (again and self._once.put(written, state)):
            for each in it.deliveries:
                self.deliveries.add(each, state)
            if state == WAITING:
                self.send(written)
        return len(it.deliveries) + (it.early is not None)

    async def _admit(self) -> None:
        """Have companies told of what happened before it was known who they are."""
        await self._audience.known.wait()
        while True:
            if not self._early:
                self._admitted.set()
            it = await self._early.take()
            to = self._audience.of(it.event.company)
            theirs = [each for each in to if each.owner is not None]
            made = Prepared(deliveries_of(it.event, it.id, theirs, self.deliveries.gateway))
            self._take(made, it.state, again=it.event.again)

    async def posted(self, event: Event) -> bool:
        """`post`, and wait until it is durable; false: it is in memory, or in the journal."""
        it = self.prepared(event)
        if not self._take(it, WAITING, again=event.again):
            return True
        if it.early is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._rules.flush):
                    await self._admitted.wait()
        is_there = it.early is None or self._admitted.is_set()
        return await self.deliveries.written(self._rules.flush) and is_there

    async def redeliver(self, ids: Sequence[str] | None) -> int:
        """Have deliveries tried anew at once, or all that failed; return how many lanes have some.

        Raises ``StoreError``.
        """
        await self.deliveries.written(self._rules.flush)
        lanes = await self.deliveries.again(ids, self._now())
        for lane in lanes:
            self._look(lane, self._now())
        return len(lanes)

    async def settle(self, seconds: float) -> bool:
        """Wait until nothing is under way or ready; false if it was not within ``seconds``."""
        limit = self._now() + seconds
        while (
            self._early
            or self._once
            or any(it.sending or (len(it) and it.circuit.may()) for it in self._all())
        ):
            if self._now() > limit:
                return False
            await asyncio.sleep(0.05)
        return True

    def _all(self) -> Sequence[Lane]:
        return tuple(self._lanes.values())

    @property
    def statistics(self) -> OutboxStatistics:
        """What has become of deliveries so far."""
        lanes = self._all()
        self._counts.sending = sum(lane.sending for lane in lanes)
        self._counts.resting = sum(not lane.circuit.is_closed for lane in lanes)
        return self._counts

    # Its life ------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Deliver until cancelled; what is under way then is sent again by the next gateway."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._recover())
                tasks.create_task(self._sweep())
                tasks.create_task(self._once.run())
                tasks.create_task(self._admit())
                while True:
                    await self._turn(tasks)
        finally:
            # Whoever runs it again finds all in the database.
            self._lanes.clear()

    async def _turn(self, tasks: asyncio.TaskGroup) -> None:
        """Begin what may be begun, and wait until there may be more."""
        self._wake.clear()
        soonest = self._pump(tasks)
        wait = min(max(soonest - self._now(), 0.0), _LONGEST_WAIT)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._wake.wait()

    def _pump(self, tasks: asyncio.TaskGroup) -> float:
        """Begin all that may be begun; return when to look again."""
        soonest = inf
        sending = sum(lane.sending for lane in self._all())
        # Who has least under way is first, and of those who has waited longest: slow addresses
        # must not have every place for good.
        for lane in sorted(self._all(), key=lambda it: it.sending):
            while sending < self._rules.at_once and (it := lane.take()) is not None:
                self._lanes[lane.id] = self._lanes.pop(lane.id)
                sending += 1
                tasks.create_task(self._carry(lane, it))
            if lane.wants_look():
                tasks.create_task(self._refill(lane, lane.looks()))
            elif lane.is_idle and lane.circuit.is_closed:
                del self._lanes[lane.id]
            elif not (len(lane) and (lane.sending or sending >= self._rules.at_once)):
                soonest = min(soonest, lane.wakes_at())
        if soonest <= self._now():
            # Nothing that could be begun is left: whatever ends wakes this loop.
            soonest = self._now() + 1.0
        return soonest

    def _lane(self, identity: str) -> Lane:
        lane = self._lanes.get(identity)
        if lane is None:
            lane = self._lanes[identity] = Lane(identity, self._now, self._rules.scale)
        return lane

    def _look(self, identity: str, at: float) -> None:
        lane = self._lane(identity)
        lane.look_at = min(lane.look_at, at)
        self._wake.set()

    # One delivery --------------------------------------------------------------------------------

    async def _carry(self, lane: Lane, it: Delivery) -> None:
        keys = self._audience.secrets(it.owner)
        if keys is None:
            tried = Tried(error="the company is gone", hopeless=True)
        else:
            tried = (await self._courier.bring(parcel_of(it, keys))).tried
        now = self._now()
        following, seconds = after(tried, it.tries - it.tries_before + 1, random.random())  # noqa: S311
        again = now + seconds * self._rules.scale
        self.deliveries.tried(it, tried, following, now, again)
        rests = lane.ended(it, tried)
        if following is Next.AGAIN:
            lane.look_at = min(lane.look_at, again)
        self._count(it, tried, following, rests)
        self._wake.set()

    def _count(self, it: Delivery, tried: Tried, following: Next, rests: bool) -> None:
        self._counts.tries += 1
        self._counts.delivered += following is Next.DONE
        self._counts.failed += following is Next.GIVEN_UP
        host = urlsplit(it.url).hostname or "?"
        if rests:
            log.warning("webhooks rest: the address does not answer", host=host, why=tried.error)
        if following is Next.GIVEN_UP:
            log.error("webhook given up", id=it.id, kind=it.event, host=host, why=tried.error)

    # The database --------------------------------------------------------------------------------

    async def _refill(self, lane: Lane, known: Collection[str]) -> None:
        """Get what waits in the database for a lane that has run dry."""
        found, more_at = list[Delivery](), inf
        try:
            # What was written of these deliveries must be there, or they would be tried twice.
            if not await self.deliveries.written(self._rules.flush):
                raise StoreError("records wait", away=True)
            found, at = await self.deliveries.due(lane.id, self._now(), lane.room, known)
            more_at = inf if at is None else at
        except StoreError:
            more_at = self._now() + self._rules.retry_look * self._rules.scale
        finally:
            lane.found(found, more_at)
            self._wake.set()

    async def _recover(self) -> None:
        """Find what a gateway that died has left, then now and then what nobody has sent."""
        is_first = True
        while True:
            pause = self._rules.retry_look * self._rules.scale
            with suppress(StoreError):
                if await self.deliveries.written(self._rules.flush):
                    if is_first:
                        await self._audience.load()
                    await self._upkeep.take_over(self._began, self._now())
                    for lane, soonest in await self.deliveries.lanes():
                        self._look(lane, soonest)
                    is_first, pause = False, self._rules.look
            await asyncio.sleep(pause)

    async def _sweep(self) -> None:
        """Give up what is too old to be tried, take away what is too old to be kept."""
        while True:
            try:
                if gone := await self._upkeep.expire(self._now()):
                    log.error("webhooks given up: their addresses were dead for a day", count=gone)
                    self._counts.failed += gone
                await self._upkeep.forget(self._now() - self._rules.keep)
            except StoreError as error:
                log.warning("webhooks are not swept", reason=error.sentence)
            await asyncio.sleep(self._rules.sweep)
