"""What sends the tape: batches as they fill, orders in their place, no hurry after a loss.

    tape ──batch──> socket          behind after a loss: at `REPLAY_SPEED`, not all at once
      └── no batch for a while ──> ``idle`` (keep-alive, silence)
    `ask` ── after all audio posted before it ──> ``order`` (end the turn now)
    audio, audio, and no answer ──> lost; twice without a single one ──> given up

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


QUIET_MS = 10_000
"""Audio without a message while no turn is on: recognisers tell of silence, too (Nova's empty
``Results`` once a second, Flux's ``Update``), so nothing at all is no silence."""

MOST_MUTES = 2
"""So many connections in a row that never said anything: no caller waits for a third."""

_GIVEN_UP_S = 3600.0
"""As a Retry-After: longer than any caller waits, so the link gives up at once."""


class Ear(Protocol):
    """The SDK's socket, as far as audio goes."""

    async def send_media(self, message: bytes) -> None:
        """Send audio."""


class Feed:
    """One call's audio, towards whichever connection `run` is given.

    When ``stall_ms`` of audio was sent in a turn (`QUIET_MS` between turns) and nothing came back,
    the connection is taken for lost: pings may be answered all the same, so nothing else would
    say so.
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
        self._is_mute = True
        """Nothing has come back on this connection."""
        self._mutes = 0
        """Connections in a row that were lost so."""
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
        """Something came back; ``is_due`` when a turn is on."""
        self._unheard_ms, self._is_due = 0.0, is_due
        self._is_mute, self._mutes = False, 0

    def sent(self, size: int) -> None:
        """``size`` bytes went out. Raises `ProviderLostError` when no answer came for too long."""
        self._unheard_ms += ms_of_bytes(size)
        if self._unheard_ms > (self._stall_ms if self._is_due else QUIET_MS):
            raise self._unanswered()

    def _unanswered(self) -> ProviderLostError:
        if not self._is_mute:
            where = "in the middle of a turn" if self._is_due else "what is sent"
            return ProviderLostError(PROVIDER, f"has stopped answering {where}")
        self._mutes += 1
        wait_s = _GIVEN_UP_S if self._mutes >= MOST_MUTES else None
        return ProviderLostError(PROVIDER, "takes audio and says nothing", retry_after_s=wait_s)

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
        self._unheard_ms, self._is_due, self._is_mute = 0.0, False, True
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
