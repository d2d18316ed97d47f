"""Attempts under way: what callbacks and look-ups say of them, until each has an end.

A callback that was lost is made up for by asking the carrier once it is overdue. An attempt in
doubt is known by its marker in the first callback, or looked for in the carrier's list. It is given
up only when the carrier was asked late enough, twice, and has answered that there is no such call.
Should it turn up after that, somebody may have been called in its place: it is hung up.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import structlog

from gateway.carriers.control import CallGoneError, CarrierError
from gateway.carriers.placing import PlacedCall
from gateway.dialer.attempt import Attempt, AttemptState
from gateway.dialer.errors import DialError, DialUnavailableError
from gateway.dialer.follow_times import FollowTimes
from gateway.dialer.hanging_up import hang_up
from gateway.dialer.ledger import Ledger
from gateway.dialer.lines import Lines
from gateway.dialer.right import Right, Standing
from gateway.dialer.watch import Watch
from gateway.store.store import StoreError

log = structlog.get_logger(__name__)

MOST_REMEMBERED = 1000  # attempts that are over, the newest; the database has all
MOST_LOOKS = 10  # at a time

_UNDECIDED = frozenset({AttemptState.CREATING, AttemptState.DOUBT})


class Following:
    """The attempts of one gateway. ``listeners`` hear of each change; they must not block."""

    def __init__(
        self,
        ledger: Ledger,
        lines: Lines,
        times: FollowTimes,
        clock: Callable[[], float] = time.time,
        right: Right | None = None,
    ) -> None:
        self._ledger, self._lines, self._times = ledger, lines, times
        self._right = right or Right()
        self._right.listeners.append(self._stands)
        self._now, self._mono = clock, time.monotonic
        self._open: dict[str, Watch] = {}
        self._past: OrderedDict[str, Attempt] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self.listeners: list[Callable[[Attempt], None]] = []
        self.recovered = asyncio.Event()
        """The attempts of the gateway that dialled before this one are known here."""

    def __len__(self) -> int:
        return len(self._open)

    def get(self, dial_id: str) -> Attempt | None:
        """Return an attempt that is open, or was a short while ago."""
        watch = self._open.get(dial_id)
        return watch.attempt if watch is not None else self._past.get(dial_id)

    def __iter__(self) -> Iterator[Attempt]:
        return (watch.attempt for watch in self._open.values())

    def of_call(self, sid: str) -> Attempt | None:
        """Return the open attempt whose call the carrier calls so."""
        found = (it.attempt for it in self._open.values() if it.attempt.sid == sid)
        return next(found, None) if sid else None

    def follow(self, attempt: Attempt) -> None:
        """Follow a new attempt; whoever asks the carrier says what came of that."""
        self._open[attempt.id] = Watch(attempt, float("inf"), float("inf"))

    def adopt(self, recalled: Attempt) -> Attempt:
        """Follow an attempt of another life, if it is open; return the one to be followed."""
        known = self.get(recalled.id)
        if known is not None:
            return known
        if recalled.is_open:
            now, times = self._mono(), self._times
            watch = Watch(recalled, now + times.first_look, now + times.give_up)
            self._open[recalled.id] = watch
        return recalled

    # What is said of them ------------------------------------------------------------------------

    def exists(self, attempt: Attempt, placed: PlacedCall) -> None:
        """The carrier has answered with a call."""
        if placed.answered_by:
            self.answered_by(attempt, placed.answered_by)
        self.told(attempt, placed.sid, placed.status, final=placed.final)

    def told(
        self, attempt: Attempt, sid: str, status: str, *, final: bool, written: bool = False
    ) -> None:
        """The carrier says how the call ``sid`` stands; ``written``: the database has it."""
        was_lost = attempt.state is AttemptState.LOST
        if not attempt.exists(sid, status, self._now(), final=final):
            return
        if was_lost and not final:
            log.error("a call that was given up rings after all: hung up", call_sid=sid)
            self._spawn(hang_up(attempt, self._lines, self._times.hang_up))
        self._changed(attempt, written=written)

    def answered_by(self, attempt: Attempt, verdict: str, *, written: bool = False) -> None:
        """The carrier knows who has answered."""
        if attempt.answered_by != verdict:
            attempt.answered_by = verdict
            self._changed(attempt, written=written)

    def fails(
        self, attempt: Attempt, state: AttemptState, error: str, *, written: bool = False
    ) -> None:
        """It was refused, or is lost."""
        if attempt.fails(state, error, self._now()):
            self._changed(attempt, written=written)

    def doubt(self, attempt: Attempt, error: str) -> None:
        """The carrier did not answer."""
        if attempt.fails(AttemptState.DOUBT, error, self._now()):
            log.warning("whether a call was placed is in doubt", dial=attempt.id, error=error)
            self._changed(attempt)

    async def known(self, attempt: Attempt, seconds: float) -> bool:
        """Wait until the call is known to exist; false if it does not, or not in time."""
        try:
            async with asyncio.timeout(seconds):
                while attempt.is_open and not attempt.sid:
                    await self.change(attempt)
        except TimeoutError:
            return False
        return bool(attempt.sid)

    async def change(self, attempt: Attempt) -> None:
        """Return at the next change of an attempt; at once, for good, if it is not open."""
        watch = self._open.get(attempt.id)
        if watch is None:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        watch.waiting.append(waiter)
        await waiter

    def unwant(self, dial_id: str) -> None:
        """End an attempt's call, now or as soon as it exists. That it cannot be is logged."""
        watch = self._open.get(dial_id)
        if watch is not None:
            watch.unwanted = True
            self._end_unwanted(watch)

    def _end_unwanted(self, watch: Watch) -> None:
        if watch.unwanted and watch.attempt.sid and watch.attempt.is_open:
            watch.unwanted = False
            self._spawn(hang_up(watch.attempt, self._lines, self._times.hang_up))

    def _changed(self, attempt: Attempt, *, written: bool = False) -> None:
        if not written:
            self._ledger.write(attempt)
        watch = self._open.get(attempt.id) or Watch(attempt, 0.0, 0.0)
        waiting, watch.waiting = watch.waiting, []
        if attempt.is_open:
            self._open[attempt.id] = watch
            self._await(watch)
            self._end_unwanted(watch)
        else:
            self._open.pop(attempt.id, None)
            self._past[attempt.id] = attempt
            while len(self._past) > MOST_REMEMBERED:
                self._past.popitem(last=False)
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)
        for listener in self.listeners:
            try:
                listener(attempt)
            except Exception:
                log.exception("somebody who follows calls failed", dial=attempt.id)

    def _await(self, watch: Watch) -> None:
        """Set when the next word of an attempt is overdue."""
        now, times, plan = self._mono(), self._times, watch.attempt.plan
        watch.failures = 0
        match watch.attempt.state:
            case AttemptState.DOUBT:
                watch.at, watch.give_up_at = now + times.first_look, now + times.give_up
            case AttemptState.ANSWERED:
                watch.at = now + plan.most_seconds + times.overdue
            case _:
                watch.at = now + plan.ring_seconds + times.overdue

    # Looking -------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Look at what is overdue, until cancelled.

        Whenever it has become this gateway that dials, it first takes up what is left of others.
        """
        try:
            while True:
                if self._right.standing is Standing.HERE and not self.recovered.is_set():
                    await self._recover()
                self._look_around()
                await asyncio.sleep(self._times.tick)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _recover(self) -> None:
        pause = self._times.tick
        while True:
            try:
                found = await self._ledger.all_open()
                break
            except StoreError as error:
                if pause == self._times.tick:
                    log.warning("calls of before cannot be looked up yet", error=error.sentence)
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._times.longest)
        for attempt in found:
            self.adopt(attempt)
        if self._right.standing is Standing.HERE:
            self.recovered.set()

    def _stands(self) -> None:
        if self._right.standing is not Standing.HERE:
            self.recovered.clear()  # another may dial from now on

    def _look_around(self) -> None:
        now, busy = self._mono(), sum(watch.looking for watch in self._open.values())
        for watch in list(self._open.values()):
            if busy >= MOST_LOOKS:
                return
            if watch.at <= now and not watch.looking:
                watch.looking = True
                busy += 1
                self._spawn(self._look(watch))

    async def _look(self, watch: Watch) -> None:
        attempt = watch.attempt
        pause = self._times.again
        try:
            if attempt.state in _UNDECIDED:
                await self._look_for(watch)
            else:
                await self._look_at(attempt)
        except (CarrierError, DialError, StoreError) as error:
            watch.failures += 1
            pause = min(pause * 2.0**watch.failures, self._times.longest)
            log.warning("a call cannot be looked up yet", dial=attempt.id, error=str(error))
        finally:
            watch.looking = False
            if watch.at <= self._mono():
                watch.at = self._mono() + pause

    async def _look_for(self, watch: Watch) -> None:
        attempt = watch.attempt
        others = await self._ledger.others(attempt)
        line = await self._lines.line(attempt.company)
        if attempt.account and line.account_sid not in (None, attempt.account):
            # There it is missing for sure, and would be placed a second time.
            raise DialUnavailableError(f"it was asked of account {attempt.account}, not of today's")
        asked_at = self._mono()
        found = await line.control.find_placed(
            attempt.to, attempt.from_, attempt.created, attempt.id, others
        )
        watch.looks += 1
        if found is not None:
            self.exists(attempt, found)
        elif watch.looks > 1 and asked_at >= watch.give_up_at and attempt.state in _UNDECIDED:
            self.fails(attempt, AttemptState.LOST, "the carrier has no such call")

    async def _look_at(self, attempt: Attempt) -> None:
        line = await self._lines.line(attempt.company)
        try:
            self.exists(attempt, await line.control.look(attempt.sid))
        except CallGoneError:
            # Deleted there, or of an account that was changed: nothing more will come.
            status = "completed" if attempt.answered else "failed"
            self.told(attempt, attempt.sid, status, final=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
