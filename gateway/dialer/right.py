"""The right to dial for a database: one gateway has it, and only while it knows that it does.

    unknown ──nobody has it──> here ──not confirmed, connection lost──> unknown
       └────another has it──> elsewhere ──that one is gone──> here        left: never again

It is a `Lock` that the database, or its file's system, takes from a process that dies. Here is how
it is watched: confirmed every second, and believed no longer than `LEASE_SECONDS` after the last
question that was answered well, by a monotonic clock. Whoever is about to dial asks ``held``, which
reads that clock, so that a gateway that stood still does not dial on what was true before.

What is certain without it, and what it only keeps apart, is written in ``docs/campaigns.md``.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

import structlog

from gateway.dialer.holder import Holder
from gateway.store.errors import FAILURES, StoreError, store_error

log = structlog.get_logger(__name__)

BEAT_SECONDS = 1.0
"""Between two questions whether it is still ours, or ours at last."""

ANSWER_SECONDS = 3.0
"""How long an answer may take; after that the right is lost."""

LEASE_SECONDS = BEAT_SECONDS + ANSWER_SECONDS
"""How long after a question that was answered well the right is believed in."""


class Standing(StrEnum):
    """Who dials for the database, as far as this gateway knows."""

    HERE = "here"
    ELSEWHERE = "elsewhere"
    UNKNOWN = "unknown"
    """The database was not asked yet, or is away: nobody dials here."""


class Lock(Protocol):
    """What one process has at a time. Methods raise `StoreError`, or what is in `FAILURES`."""

    async def take(self, me: Holder, lost: Callable[[], None]) -> bool:
        """Take it if nobody has it; ``lost`` is called at once if it is lost afterwards."""

    async def confirm(self) -> bool:
        """Tell whether it is still ours."""

    async def holder(self) -> Holder | None:
        """Return who has it, if that can be told."""

    async def release(self) -> None:
        """Give it up, and what was opened for it. Does not fail."""


class Right:
    """This gateway's right to dial. Without a lock nobody else is there, and it has it always."""

    def __init__(
        self,
        lock: Lock | None = None,
        me: Holder | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lock, self._me, self._clock = lock, me, clock
        self._until = float("inf") if lock is None else 0.0
        self._change, self._wake = asyncio.Event(), asyncio.Event()
        self._asked, self._left = asyncio.Event(), False
        if lock is None:
            self._asked.set()
        self.standing = Standing.HERE if lock is None else Standing.UNKNOWN
        self.other: Holder | None = None
        """Who dials elsewhere, if that can be told."""
        self.listeners: list[Callable[[], None]] = []
        """Called when the standing has changed; they must not block."""

    @property
    def held(self) -> bool:
        """Whether this gateway may dial at this very moment."""
        return self.standing is Standing.HERE and self._clock() < self._until

    @property
    def elsewhere(self) -> str | None:
        """Who dials for the database if it is not this gateway, as a sentence; else ``None``."""
        if self.standing is not Standing.ELSEWHERE:
            return None
        who = "another gateway" if self.other is None else f"another gateway ({self.other})"
        return f"{who} dials for this database; this one takes over when that one ends"

    async def gained(self) -> None:
        """Return when this gateway has the right."""
        while self.standing is not Standing.HERE:
            await self._change.wait()

    async def lost(self) -> None:
        """Return when this gateway has not the right any more."""
        while self.standing is Standing.HERE:
            await self._change.wait()

    async def asked(self, seconds: float) -> None:
        """Return when it was asked for once, or after ``seconds``."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._asked.wait()

    # Life --------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Strive for the right, and watch it, until cancelled."""
        if self._lock is None:
            return
        try:
            while not self._left:
                await self._look(self._lock)
                self._asked.set()
                self._wake.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(BEAT_SECONDS):
                        await self._wake.wait()
        finally:
            self._stands(Standing.UNKNOWN)
            await self._lock.release()

    def leave(self) -> None:
        """Give the right up for good: another gateway may have it now."""
        self._left = True
        if self._lock is not None:
            self._stands(Standing.UNKNOWN)
            self._wake.set()

    async def _look(self, lock: Lock) -> None:
        asked_at, other = self._clock(), None
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                if self.standing is Standing.HERE:
                    ours = await lock.confirm()
                else:
                    assert self._me is not None
                    ours = await lock.take(self._me, self._cut)
                if not ours:
                    other = await lock.holder()
        except (*FAILURES, StoreError) as error:
            self._stands(Standing.UNKNOWN, why=str(store_error(error)))
            await lock.release()
            return
        if self._left:
            return
        if ours:
            self._until = asked_at + LEASE_SECONDS
            self._stands(Standing.HERE)
        elif self.standing is Standing.HERE:
            self._stands(Standing.UNKNOWN, why="the database does not know of it any more")
            await lock.release()
        else:
            self._stands(Standing.ELSEWHERE, other)

    def _cut(self) -> None:
        """The lock's connection is gone."""
        if self.standing is Standing.HERE:
            self._stands(Standing.UNKNOWN, why="the connection to the database was lost")
        self._wake.set()

    def _stands(self, to: Standing, other: Holder | None = None, why: str = "") -> None:
        before, self.standing = self.standing, to
        if (before, self.other) == (to, other):
            return
        self.other = other
        self._tell(before, why)
        change, self._change = self._change, asyncio.Event()
        change.set()
        for listener in self.listeners:
            listener()

    def _tell(self, before: Standing, why: str) -> None:
        match self.standing:
            case Standing.HERE:
                log.info("this gateway dials for the database")
            case Standing.ELSEWHERE:
                log.warning("nobody is dialled here", reason=self.elsewhere)
            case Standing.UNKNOWN if before is Standing.HERE and not self._left and why:
                log.error("nobody is dialled any more: the right to is lost", reason=why)
