"""Places calls, each once, and follows them until the carrier has told how they ended.

    order ──numbers, lists, agent──> written down ──a turn──> carrier asked ──> callbacks ──> ended
                                                        └─no answer─> looked up (`Following`)

It does not talk: when the phone is answered the carrier asks the voice webhook, and the call goes
on as any other; `plan` tells that webhook what the call is for.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import inf

import structlog

from gateway.calls.answers import PlacedFor
from gateway.carriers.control import CallControl
from gateway.carriers.placing import Machine, PlacedCalls
from gateway.dialer.acceptance import check_room, check_variables, numbers, ringing
from gateway.dialer.agent_choice import Agents, chosen
from gateway.dialer.asking import Asking
from gateway.dialer.attempt import NOT_NOW, Attempt, AttemptState, CallPlan
from gateway.dialer.catching_up import CatchingUp
from gateway.dialer.do_not_call import DoNotCall
from gateway.dialer.errors import (
    DialError,
    DialInDoubtError,
    DialRefusedError,
    DialUnavailableError,
)
from gateway.dialer.follow_times import FollowTimes
from gateway.dialer.following import Following
from gateway.dialer.handing_over import HandingOver
from gateway.dialer.ledger import Ledger
from gateway.dialer.lines import Line, Lines
from gateway.dialer.numbers import prepare
from gateway.dialer.order import Dialled, Order, new_id, placed_for
from gateway.dialer.placed import Placed
from gateway.dialer.right import Right
from gateway.store.store import Store, StoreError

log = structlog.get_logger(__name__)

PLAN_SECONDS = 3.0
"""How long the database may take to tell what an answered call is for; somebody is on the line."""


@dataclass(frozen=True, slots=True)
class DialRules:
    """What the operator set; without ``origin``, the gateway's public URL, nobody is called."""

    origin: str | None
    ring_seconds: int = 30
    most_seconds: int = 3600


class Dialer(PlacedCalls):
    """The calls that this gateway places. ``agents`` is the farm."""

    def __init__(
        self,
        store: Store,
        lines: Lines,
        agents: Agents,
        rules: DialRules,
        times: FollowTimes | None = None,
        clock: Callable[[], float] = time.time,
        right: Right | None = None,
    ) -> None:
        self._lines, self._agents, self._rules, self._now = lines, agents, rules, clock
        self._ledger, self.do_not_call = Ledger(store), DoNotCall(store)
        self.right = right or Right()
        times = times or FollowTimes()
        self.following = Following(self._ledger, lines, times, clock, self.right)
        self._catching_up = CatchingUp(self.following, self._ledger, times.catch_up)
        self._asking = Asking(self.following, rules.origin or "")
        self._handing = HandingOver(self._ledger, self.right, clock)
        self._placed = Placed(self._ledger, lines, self.following)
        self.room: Callable[[], float] = lambda: inf
        """Tells how many more calls this machine takes."""

    @property
    def draining(self) -> bool:
        """Whether no call is placed any more. Setting it leaves dialling to another gateway."""
        return self._asking.stopping

    @draining.setter
    def draining(self, it: bool) -> None:
        self._asking.stopping = it
        if it:
            self.right.leave()

    # Placing -----------------------------------------------------------------------------------

    async def dial(self, order: Order) -> Dialled:
        """Place a call; return when the carrier has it.

        Raises `NumberRefusedError`, and the errors of `gateway.dialer.errors`. Nothing is ever
        asked of the carrier twice for one order. If another gateway dials for the database, that
        one is given the order, and its answer is waited for.
        """
        here = await self._handing.stays_here(order)
        try:
            line = await self._lines.line(order.company)
            attempt = await self._attempt(order, line, here=here)
            if not here:
                return await self._handed_over(attempt)
            turn_at = line.turn_at()
            if not await self._written(attempt, needed=order.key is not None):
                before = await self._before(attempt)
                if before is not None:
                    return before
        except StoreError as error:
            raise DialUnavailableError(f"the database is away: {error.sentence}") from error
        return await self._asking.call(attempt, line, turn_at, lambda: self._wanted(order))

    async def _handed_over(self, attempt: Attempt) -> Dialled:
        ordered = self._handing.ordered(attempt)
        if await self._ledger.open(ordered):
            return await self._handing.outcome(ordered)
        before = await self._before(ordered)
        return before if before is not None else await self._handing.outcome(ordered)

    def _wanted(self, order: Order) -> bool:
        return order.wanted() and (order.campaign is None or self.right.held)

    async def _carry_out(self, attempt: Attempt) -> None:
        """Carry out an order that another gateway has handed over."""
        try:
            line = await self._lines.line(attempt.company)
            self._check_room()
            turn_at = line.turn_at()
        except DialError as error:
            attempt.status = NOT_NOW if isinstance(error, DialUnavailableError) else ""
            self.following.fails(attempt, AttemptState.REFUSED, str(error))
            raise
        await self._asking.call(attempt, line, turn_at)

    async def check(self, order: Order) -> None:
        """Raise what would refuse an order before the carrier is asked, as `dial` does."""
        await self.callee(order)

    async def callee(self, order: Order) -> str:
        """Return whom an order would call (E.164). Raises what would refuse it, as `check`."""
        try:
            return (await self._attempt(order, await self._lines.line(order.company))).to
        except StoreError as error:
            raise DialUnavailableError(f"the database is away: {error.sentence}") from error

    def hang_up(self, dial_id: str) -> None:
        """End an attempt's call, now or as soon as it is known to exist."""
        self.following.unwant(dial_id)

    async def company_of(self, account_sid: str) -> int | None:
        """Return whose own account it is. Raises `DialUnavailableError`."""
        try:
            return await self._lines.company_of(account_sid)
        except StoreError as error:
            raise DialUnavailableError(f"the database is away: {error.sentence}") from error

    async def _attempt(self, order: Order, line: Line, *, here: bool = True) -> Attempt:
        """Return what is to be attempted, ``here`` or by another. Raises what refuses it."""
        if self._rules.origin is None:
            sentence = "the carrier is to reach this server: set PUBLIC_URL to its address"
            raise DialRefusedError("public-url", sentence)
        if self.draining:
            raise DialUnavailableError("the server is stopping: no new calls are placed")
        if here and not order.transfer_of:
            self._check_room()
        to, from_ = numbers(order, line)
        await self.do_not_call.check(to, order.company)
        agent = chosen(self._agents, order.agent or line.agent, line.agents)
        check_variables(order)
        machine = order.machine or Machine(self._agents.machine_policy(agent, from_))
        plan = CallPlan(
            agent,
            dict(order.variables),
            machine,
            order.ring_seconds or self._rules.ring_seconds,
            order.most_seconds or self._rules.most_seconds,
            order.transfer_of,
        )
        whose = (order.company, plan, self._now(), order.campaign, order.lead)
        return Attempt(new_id(order), to, from_, *whose, line.account_sid or "")

    def _check_room(self) -> None:
        check_room(self.room() - ringing(self.following, self._now()))

    async def check_agent(self, name: str, company: int | None) -> None:
        """Raise `DialRefusedError` for an agent that a company may not name, or that is none."""
        try:
            chosen(self._agents, name, await self._lines.agents_of(company))
        except StoreError as error:
            raise DialUnavailableError(f"the database is away: {error.sentence}") from error

    async def _written(self, attempt: Attempt, *, needed: bool) -> bool:
        """Write a new attempt down; false if there is one with its id. Raises `StoreError`.

        Without a key nobody asks for it a second time, so that the call need not wait for a
        database that is away.
        """
        try:
            return await self._ledger.open(attempt)
        except StoreError:
            if needed:
                raise
            self._ledger.write(attempt)
            return True

    async def _before(self, attempt: Attempt) -> Dialled | None:
        """Return what came of the order when it was given before; ``None``: it begins anew."""
        found = self.following.get(attempt.id) or await self._ledger.recall(attempt.id)
        if found is None:
            raise DialUnavailableError("the order was given before, and cannot be found")
        # Whoever gave it may never have heard that it was written down: nobody follows it then.
        found = self.following.adopt(found)
        if found.to != attempt.to:
            sentence = "this key was used for a call to another number: give each order its own"
            raise DialRefusedError("key", sentence)
        if found.sid:
            return Dialled.of(found, repeated=True)
        if found.state is AttemptState.ORDERED:
            return await self._handing.outcome(found, repeated=True)
        if found.status == NOT_NOW and await self._ledger.reopen(attempt):
            return None
        if found.is_open or found.status == NOT_NOW:
            raise DialInDoubtError(found.id, "the same order is being carried out")
        raise DialRefusedError("before", found.error or "the same order was not carried out")

    # What the webhooks ask -----------------------------------------------------------------------

    async def plan(self, marker: str, sid: str, account: str) -> PlacedFor | None:
        """Return what the answered call ``sid`` is for; ``None`` if it is not known.

        ``marker`` may be empty: a call that was taken over from a gateway that died is known by
        its id alone.
        """
        try:
            async with asyncio.timeout(PLAN_SECONDS):
                attempt = await self._placed.of(marker, sid, account)
        except (StoreError, TimeoutError) as error:
            log.error("what an answered call is for is not known", error=str(error))  # noqa: TRY400
            return None
        if attempt is None or attempt.sid not in ("", sid):
            return None
        self.following.told(attempt, sid, "in-progress", final=False)
        return placed_for(attempt)

    async def told(self, marker: str, sid: str, status: str, account: str, *, final: bool) -> None:
        """The carrier reported a call's status."""
        attempt = await self._placed.known(marker, sid, account)
        if attempt is not None:
            self.following.told(attempt, sid, status, final=final)

    async def answered_by(self, marker: str, sid: str, verdict: str, account: str) -> None:
        """The carrier knows who has answered."""
        attempt = await self._placed.known(marker, sid, account)
        if attempt is not None and attempt.sid == sid:
            self.following.answered_by(attempt, verdict)

    async def control_of(self, account_sid: str) -> CallControl | None:
        """Return the REST of a company's own account, ``None`` if it is not to be had soon."""
        try:
            async with asyncio.timeout(PLAN_SECONDS):
                return await self._lines.control_of(account_sid)
        except TimeoutError:
            return None

    async def line(self, company: int | None) -> Line:
        """Return the way out of a company. Raises `DialRefusedError` and `StoreError`."""
        return await self._lines.line(company)

    async def progress(self, dial_id: str) -> Attempt | None:
        """Return an attempt. Raises `StoreError`."""
        return self.following.get(dial_id) or await self._ledger.recall(dial_id)

    # Life ----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow calls until cancelled, those of the gateway before this one first."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.right.run())
            await asyncio.to_thread(prepare)
            tasks.create_task(self._handing.run(self._carry_out))
            tasks.create_task(self.following.run())
            tasks.create_task(self._catching_up.run())

    async def aclose(self) -> None:
        """Close what was opened for companies."""
        await self._lines.aclose()
