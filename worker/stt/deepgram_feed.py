"""What sends the tape: batches as they fill, orders in their place, no hurry after a loss.

    tape ──batch──> socket          behind after a loss: at `REPLAY_SPEED`, not all at once
      └── no batch for a while ──> ``idle`` (keep-alive, silence)
    `ask` ── after all audio posted before it ──> ``order`` (end the turn now)
    audio, audio, and no answer where one is due ──> lost

The messages are the provider's: a feed is given what sends them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from shared.audio import ms_of_bytes
from worker.deepgram_sdk import PROVIDER
from worker.errors import ProviderError, ProviderLostError
from worker.stt.deepgram_tape import Tape

REPLAY_SPEED = 1.25
"""Fastest that audio may be pushed, times real time (docs: recovering-from-connection-errors)."""


class Ear(Protocol):
    """The SDK's socket, as far as audio goes."""

    async def send_media(self, message: bytes) -> None:
        """Send audio."""


class Feed:
    """One call's audio, towards whichever connection `run` is given.

    When ``stall_ms`` of audio was sent and nothing came back though an answer is due, the
    connection is taken for lost: nothing else would say so for the better part of a minute.
    """

    def __init__(self, tape: Tape, stall_ms: float) -> None:
        self._tape, self._stall_ms = tape, stall_ms
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[bool] | None = None
        """Whether the wait was in vain, when there is nothing to be sent."""
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = self._due_at = 0.0
        self._has_no_limit = False
        """Nothing but audio ends the wait that is going on: any audio does."""
        self._unheard_ms = 0.0
        self._is_due = False
        self._is_asked = False
        self._fault: ProviderError | None = None

    def post(self, audio: bytes) -> None:
        """Take audio; it goes out as soon as it makes a batch."""
        if self._tape.post(audio) or self._has_no_limit:
            self._wake()

    def ask(self) -> None:
        """Have the order sent after all that was posted so far."""
        self._is_asked = True
        self._wake()

    def fail(self, error: ProviderError) -> None:
        """Have `run` raise ``error``: the connection is of no use any more."""
        self._fault = error
        self._wake()

    def heard(self, *, is_due: bool) -> None:
        """Something came back; ``is_due`` when more must."""
        self._unheard_ms, self._is_due = 0.0, is_due

    def sent(self, size: int) -> None:
        """``size`` bytes went out. Raises `ProviderLostError` when no answer came for too long."""
        self._unheard_ms += ms_of_bytes(size)
        if self._is_due and self._unheard_ms > self._stall_ms:
            raise ProviderLostError(PROVIDER, "has stopped answering in the middle of a turn")

    async def run(
        self,
        ear: Ear,
        patience: Callable[[], float | None],
        idle: Callable[[], Awaitable[None]],
        order: Callable[[], Awaitable[None]],
    ) -> None:
        """Send until the socket ends, and raise what it raises.

        ``patience`` says how long to wait for a batch before ``idle`` is called, in seconds, or
        ``None`` for as long as it takes.
        """
        self._fault, self._is_asked = None, False
        self.heard(is_due=False)
        try:
            await self._send(ear, patience, idle, order)
        finally:
            self._unset()

    async def _send(
        self,
        ear: Ear,
        patience: Callable[[], float | None],
        idle: Callable[[], Awaitable[None]],
        order: Callable[[], Awaitable[None]],
    ) -> None:
        while self._fault is None:
            if batch := self._tape.take():
                await ear.send_media(batch)
                self.sent(len(batch))
                if self._tape.is_behind:
                    await asyncio.sleep(ms_of_bytes(len(batch)) / 1000 / REPLAY_SPEED)
            elif self._is_asked:
                self._is_asked = False
                if rest := self._tape.take_rest():
                    await ear.send_media(rest)
                await order()
            elif await self._doze(patience()):
                await idle()
        raise self._fault

    async def _doze(self, seconds: float | None) -> bool:
        """Wait for something to send, ``seconds`` at most; tell whether it was in vain."""
        waiter: asyncio.Future[bool] = self._loop.create_future()
        self._waiter = waiter
        self._has_no_limit = seconds is None
        if seconds is not None:
            self._set(self._loop.time() + seconds)
        try:
            return await waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(False)

    # One timer serves many waits: each is over long before it would ring, and puts it off.

    def _set(self, due_at: float) -> None:
        self._due_at = due_at
        if self._timer is None or self._rings_at > due_at:
            self._unset()
            self._rings_at, self._timer = due_at, self._loop.call_at(due_at, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._waiter is None or self._waiter.done() or self._has_no_limit:
            return
        if self._loop.time() < self._due_at:
            self._set(self._due_at)
        else:
            self._waiter.set_result(True)

    def _unset(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
