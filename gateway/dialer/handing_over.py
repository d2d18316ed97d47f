"""Orders that are given at a gateway that does not dial, carried out by the one that does.

    given here ──ordered (durable)──> taken there ──creating──> the carrier's answer ──> told here
                   └──not taken in time──> refused: it may be given again

The database is all they have in common. Each step says from which state it goes, so that an order
that is withdrawn here is not taken there, nor the other way round.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import structlog

from gateway.dialer.attempt import MOVES, NOT_NOW, Attempt, AttemptState
from gateway.dialer.errors import (
    DialError,
    DialInDoubtError,
    DialRefusedError,
    DialUnavailableError,
)
from gateway.dialer.ledger import Ledger
from gateway.dialer.order import Dialled, Order
from gateway.dialer.right import Right
from gateway.store.store import StoreError
from shared.machine import Machine

log = structlog.get_logger(__name__)

RIGHT_SECONDS = 3.0
"""How long an order waits, just after the start, until it is known which gateway dials."""

TAKEN_SECONDS = 5.0
"""How long an order waits to be taken before whoever gave it is told to give it again."""

ANSWER_SECONDS = 20.0
"""How long the carrier's answer is waited for after that, a turn among others included."""

STALE_SECONDS = 60.0
"""How old an order may be whose gateway was killed, so that nobody waits for it any more."""

_LOOK_SECONDS = 0.25
_TAKE_SECONDS = 0.5
_MOST_AT_A_TIME = 20


class HandingOver:
    """Orders between gateways. ``clock`` gives Unix seconds."""

    def __init__(self, ledger: Ledger, right: Right, clock: Callable[[], float]) -> None:
        self._ledger, self._right, self._now = ledger, right, clock

    @staticmethod
    def ordered(attempt: Attempt) -> Attempt:
        """Return an attempt as it is written down for another gateway."""
        return replace(attempt, machine=Machine(AttemptState.ORDERED, MOVES))

    async def stays_here(self, order: Order) -> bool:
        """Tell whether an order is carried out by this gateway. Raises `DialUnavailableError`."""
        if order.transfer_of:
            return True  # of a caller who is on the line here: no other gateway can
        await self._right.asked(RIGHT_SECONDS)
        if self._right.held:
            return True
        if order.campaign is not None:
            raise DialUnavailableError(self._right.elsewhere or "this gateway does not dial now")
        if self._right.elsewhere is not None:
            return False
        if order.key is not None:
            # Nobody could tell whether the same order was given to another gateway.
            raise DialUnavailableError("the database is away, and with it the right to dial")
        return True

    # Given here --------------------------------------------------------------------------------

    async def outcome(self, attempt: Attempt, *, repeated: bool = False) -> Dialled:
        """Wait until the other gateway has had an order's call placed. Raises `DialError`.

        An order that nobody takes is withdrawn.
        """
        until = time.monotonic() + TAKEN_SECONDS
        try:
            it = await self._past(attempt, AttemptState.ORDERED, until)
            if it.state is AttemptState.ORDERED:
                why = self._right.elsewhere or "nobody dials for this database"
                why = f"the order was not taken in {TAKEN_SECONDS:.0f} s ({why})"
                if await self._ledger.withdraw(attempt, why, NOT_NOW, self._now()):
                    raise DialUnavailableError(f"{why}: ask again later")
            until = time.monotonic() + ANSWER_SECONDS
            it = await self._past(attempt, AttemptState.CREATING, until)
        except StoreError as error:
            raise DialInDoubtError(attempt.id, f"the database is away: {error.sentence}") from error
        if it.sid:
            return Dialled.of(it, repeated=repeated)
        if it.is_open:
            raise DialInDoubtError(it.id, it.error or "the gateway that dials is asking")
        if it.status == NOT_NOW or it.state is AttemptState.LOST:
            raise DialUnavailableError(it.error)
        raise DialRefusedError("carrier", it.error)

    async def _past(self, attempt: Attempt, state: AttemptState, until: float) -> Attempt:
        """Return the attempt as soon as it is beyond ``state``, or as it is then."""
        while True:
            found = await self._ledger.recall(attempt.id)
            if found is None:
                raise StoreError("the order is not there any more")
            waits = found.state in (AttemptState.ORDERED, state)
            if not waits or time.monotonic() >= until:
                return found
            await asyncio.sleep(_LOOK_SECONDS)

    # Taken here --------------------------------------------------------------------------------

    async def run(self, carry_out: Callable[[Attempt], Awaitable[object]]) -> None:
        """Take orders while this gateway dials, until cancelled; ``carry_out`` asks the carrier."""
        free = asyncio.Semaphore(_MOST_AT_A_TIME)

        async def one(it: Attempt) -> None:
            async with free:
                with contextlib.suppress(DialError, StoreError):  # it is written down
                    await carry_out(it)

        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._right.gained()
                with contextlib.suppress(StoreError):
                    for it in await self._taken():
                        tasks.create_task(one(it))
                await asyncio.sleep(_TAKE_SECONDS)

    async def _taken(self) -> list[Attempt]:
        """Return orders that are this gateway's to carry out from now on."""
        taken = list[Attempt]()
        for it in await self._ledger.ordered(_MOST_AT_A_TIME):
            if self._now() - it.created > STALE_SECONDS:
                late = "nobody has dialled in time"
                await self._ledger.withdraw(it, late, NOT_NOW, self._now())
            elif self._right.held and await self._ledger.take(it):
                taken.append(replace(it, machine=Machine(AttemptState.CREATING, MOVES)))
        return taken
