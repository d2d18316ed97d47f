"""One provider's socket through a call: opened, read, opened again, given up, closed.

    start ──> opening ──> up (``serve`` runs) ──lost──> waiting (`worker.backoff`) ──> opening …
                 └──────────── refused, or lost too often ────────────> failed, said once

What is said on the socket is the provider's business: ``serve`` sends again what was not answered
and reads until the socket ends. A link knows tasks and time and nothing of a wire.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar

from worker.backoff import Backoff, Retry
from worker.errors import ProviderError, ProviderLostError

Socket = TypeVar("Socket")

CLOSE_SECONDS = 2.0
"""How long a socket may take to close; then it is left alone."""


class Link(Generic[Socket]):
    """Keeps a socket open.

    ``opening`` returns a context manager that opens one; ``serve`` uses it until it ends; ``fault``
    makes a `ProviderError` of whatever either raises. ``on_failed`` hears when it is given up,
    ``on_lost`` of each loss before that. ``retry`` says when that is; sooner where another
    provider is left.
    """

    def __init__(
        self,
        provider: str,
        opening: Callable[[], AbstractAsyncContextManager[Socket]],
        serve: Callable[[Socket], Awaitable[None]],
        fault: Callable[[BaseException], ProviderError],
        on_failed: Callable[[ProviderError], None],
        on_lost: Callable[[ProviderError], None] | None = None,
        retry: Retry | None = None,
    ) -> None:
        self._provider, self._opening, self._serve = provider, opening, serve
        self._fault, self._on_failed, self._on_lost = fault, on_failed, on_lost
        self._retry = (retry or Retry()).now()
        self._loop = asyncio.get_running_loop()
        self._first: asyncio.Future[None] = self._loop.create_future()
        self._task: asyncio.Task[None] | None = None
        self._up_s = 0.0
        """How long the last socket was open."""
        self.socket: Socket | None = None
        """The open socket, ``None`` while there is none."""

    async def start(self) -> None:
        """Open the socket; return when it is open. Raises `ProviderError` when it is given up."""
        self._task = self._loop.create_task(self._run())
        try:
            async with asyncio.timeout(self._retry.start_s):
                await asyncio.shield(self._first)
        except TimeoutError:
            await self.aclose()
            seconds = f"{self._retry.start_s:g}"
            raise ProviderLostError(
                self._provider, f"could not be reached within {seconds} s"
            ) from None
        except BaseException:
            await self.aclose()
            raise

    async def _run(self) -> None:
        try:
            error = await self._last_error()
        except Exception as fault:  # ours, in ``fault`` or ``on_lost``: told as a loss
            error = ProviderLostError(self._provider, f"failed here: {type(fault).__name__}")
            error.__cause__ = fault
        if self._task is not None:
            self._give_up(error)

    async def _last_error(self) -> ProviderError:
        """Keep a socket open until it is given up; return why."""
        backoff = Backoff(self._retry)
        while True:
            try:
                await self._once()
                error: ProviderError = ProviderLostError(self._provider, "closed the connection")
            except asyncio.CancelledError as cancelled:
                if _is_cancelled():
                    raise
                error = self._fault(cancelled)  # something that ``serve`` waited for was
            except Exception as problem:
                error = self._fault(_innermost(problem))
            delay = backoff.failed(error, self._up_s)
            if delay is None or self._task is None:  # a socket may swallow its cancellation
                return error
            if self._on_lost is not None:
                self._on_lost(error)
            await asyncio.sleep(delay)

    async def _once(self) -> None:
        self._up_s = 0.0
        async with contextlib.AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(self._retry.open_s):
                    socket = await stack.enter_async_context(self._opening())
            except TimeoutError:
                seconds = f"{self._retry.open_s:g}"
                raise ProviderLostError(
                    self._provider, f"did not answer within {seconds} s"
                ) from None
            opened_at = self._loop.time()
            self.socket = socket
            if not self._first.done():
                self._first.set_result(None)
            try:
                await self._serve(socket)
            finally:
                self._up_s = self._loop.time() - opened_at
                self.socket = None  # it is closing

    def _give_up(self, error: ProviderError) -> None:
        if self._first.done():
            self._on_failed(error)
        else:
            self._first.set_exception(error)
            self._first.exception()

    async def aclose(self) -> None:
        """Close the socket and stop, in `CLOSE_SECONDS` at most. May be called twice."""
        if self._task is None:
            return
        task, self._task = self._task, None
        task.cancel()
        await asyncio.wait([task], timeout=CLOSE_SECONDS)
        if task.done() and not task.cancelled():
            task.exception()


def _is_cancelled() -> bool:
    """Tell whether this task, and not something it waited for, was cancelled."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
