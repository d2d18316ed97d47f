"""Places calls, each once, and follows them until the carrier has told how they ended.

    order ──numbers, lists, agent──> written down ──a turn──> carrier asked ──> callbacks ──> ended
                                                        └─no answer─> looked up (`Following`)

It does not talk: when the phone is answered the carrier asks the voice webhook, and the call goes
on as any other; `plan` tells that webhook what the call is for.
"""

import asyncio
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from math import inf
from typing import Protocol

import structlog

from gateway.calls.answers import PlacedFor
from gateway.carriers.control import CallControl, CarrierError, CarrierUnavailableError
from gateway.carriers.placing import Machine, PlacedCalls
from gateway.dialer.acceptance import check_room, check_variables, numbers, ringing
from gateway.dialer.attempt import NOT_NOW, Attempt, AttemptState, CallPlan
from gateway.dialer.do_not_call import DoNotCall
from gateway.dialer.errors import DialInDoubtError, DialRefusedError, DialUnavailableError
from gateway.dialer.follow_times import FollowTimes
from gateway.dialer.following import Following
from gateway.dialer.ledger import Ledger
from gateway.dialer.lines import Line, Lines
from gateway.dialer.numbers import prepare
from gateway.dialer.order import Dialled, Order, new_call, new_id, placed_for
from gateway.dialer.placed import Placed
from gateway.store.store import Store, StoreError

log = structlog.get_logger(__name__)

CALLBACK_SECONDS = 3.0
"""How long a callback may take to tell what the carrier's lost answer did not."""

PLAN_SECONDS = 3.0
"""How long the database may take to tell what an answered call is for; somebody is on the line."""


class Agents(Protocol):
    """What is known of the agents that are live."""

    def named(self, name: str) -> str | None:
        """Return the full name (``module:Class``) of an agent, ``None`` if there is none."""

    def machine_policy(self, agent: str, number: str) -> str:
        """Return the policy of an agent, or of the one that answers ``number`` if it is empty."""


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
    ) -> None:
        self._lines, self._agents, self._rules, self._now = lines, agents, rules, clock
        self._ledger, self.do_not_call = Ledger(store), DoNotCall(store)
        self.following = Following(self._ledger, lines, times or FollowTimes(), clock)
        self._placed = Placed(self._ledger, lines, self.following)
        self.room: Callable[[], float] = lambda: inf
        """Tells how many more calls this machine takes."""
        self.draining = False

    # Placing -----------------------------------------------------------------------------------

    async def dial(self, order: Order) -> Dialled:
        """Place a call; return when the carrier has it.

        Raises `NumberRefusedError`, and the errors of `gateway.dialer.errors`. Nothing is ever
        asked of the carrier twice for one order.
        """
        try:
            line = await self._lines.line(order.company)
            attempt = await self._attempt(order, line)
            turn_at = line.turn_at()
            if not await self._written(attempt, needed=order.key is not None):
                before = await self._before(attempt)
                if before is not None:
                    return before
        except StoreError as error:
            raise DialUnavailableError(f"the database is away: {error.sentence}") from error
        self.following.follow(attempt)
        try:
            await asyncio.sleep(turn_at - time.monotonic())
            self._check_wanted(order)
            placed = await line.control.place(new_call(attempt, self._rules.origin or ""))
        except CarrierError as error:
            await self._not_placed(attempt, error)
        except BaseException as error:
            # Stopped, or a fault of ours: perhaps it calls.
            self.following.doubt(attempt, f"asking the carrier was cut off: {type(error).__name__}")
            raise
        else:
            self.following.exists(attempt, placed)
        return Dialled.of(attempt)

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

    async def _attempt(self, order: Order, line: Line) -> Attempt:
        """Return what is to be attempted. Raises what refuses it."""
        if self._rules.origin is None:
            sentence = "the carrier is to reach this server: set PUBLIC_URL to its address"
            raise DialRefusedError("public-url", sentence)
        if self.draining:
            raise DialUnavailableError("the server is stopping: no new calls are placed")
        check_room(order, self.room() - ringing(self.following, self._now()))
        to, from_ = numbers(order, line)
        await self.do_not_call.check(to, order.company)
        agent = self._agent(order.agent or line.agent, line.agents)
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

    def _agent(self, name: str | None, allowed: Collection[str] | None) -> str:
        if not name:
            return ""
        found = self._agents.named(name)
        if found is None:
            sentence = f"no agent is called {name[:80]!r}: name it in routes.toml, under agents"
            raise DialRefusedError("agent", sentence)
        if allowed is not None and found not in {self._agents.named(each) for each in allowed}:
            known = ", ".join(allowed) or "none (settings.agents)"
            sentence = f"the company may not use the agent {name[:80]!r}; it may use: {known}"
            raise DialRefusedError("agent", sentence)
        return found

    async def check_agent(self, name: str, company: int | None) -> None:
        """Raise `DialRefusedError` for an agent that a company may not name, or that is none."""
        try:
            self._agent(name, await self._lines.agents_of(company))
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
        if found.status == NOT_NOW and await self._ledger.reopen(attempt):
            return None
        if found.is_open or found.status == NOT_NOW:
            raise DialInDoubtError(found.id, "the same order is being carried out")
        raise DialRefusedError("before", found.error or "the same order was not carried out")

    def _check_wanted(self, order: Order) -> None:
        """Raise `CarrierUnavailableError` for an order that must not be carried out any more."""
        if self.draining or not order.wanted():
            why = "the server is stopping" if self.draining else "the order was withdrawn"
            raise CarrierUnavailableError("place the call", why, perhaps_done=False)

    async def _not_placed(self, attempt: Attempt, error: CarrierError) -> None:
        """Return if the call exists all the same. Raises what else is true."""
        sentence = str(error)
        if not isinstance(error, CarrierUnavailableError):
            self.following.fails(attempt, AttemptState.REFUSED, sentence)
            raise DialRefusedError("carrier", sentence, getattr(error, "code", 0)) from error
        if not error.perhaps_done:
            attempt.status = NOT_NOW  # who gives the same order again has it tried again
            self.following.fails(attempt, AttemptState.REFUSED, sentence)
            raise DialUnavailableError(sentence) from error
        self.following.doubt(attempt, sentence)
        if not await self.following.known(attempt, CALLBACK_SECONDS):
            if attempt.state is AttemptState.LOST:
                raise DialUnavailableError(sentence) from error
            raise DialInDoubtError(attempt.id, sentence) from error

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
        await asyncio.to_thread(prepare)
        await self.following.run()

    async def aclose(self) -> None:
        """Close what was opened for companies."""
        await self._lines.aclose()
