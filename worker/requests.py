"""What a call has asked of the gateway and not been told yet.

Each request has a number, by which the answer comes, or the refusal. It refuses to know what is
asked.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from shared import messages
from worker.errors import CallOverError, RequestError

REQUEST_SECONDS = 15.0
"""How long the gateway may take to answer a request; the carrier's REST has 10 s of it."""

JOINED_SECONDS = 75.0
"""The same of a request that waits until the caller is joined to a service."""


class Requests:
    """One call's open requests. ``send`` takes a frame to the gateway."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._open: dict[int, asyncio.Future[str]] = {}
        self._late: set[int] = set()
        """Requests that are answered even after the call."""
        self._number = 0
        self.over: str | None = None
        """Why the call is over, if it is."""

    async def ask(
        self,
        kind: Callable[..., messages.Request],
        *args: Any,
        late: bool = False,
        limit_s: float = REQUEST_SECONDS,
    ) -> str:
        """Ask the gateway; return what it answers, often nothing but that it is done.

        ``late``: it answers even after the call. Raises `RequestError` and `CallOverError`.
        """
        if self.over is not None and not late:
            raise CallOverError(self.over)
        self._number += 1
        number = self._number
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._open[number] = future
        if late:
            self._late.add(number)
        self._send(messages.encode(kind(number, *args)))
        try:
            async with asyncio.timeout(limit_s):
                return await future
        except TimeoutError:
            raise RequestError("timeout", f"no answer within {limit_s:.0f} s") from None
        finally:
            del self._open[number]
            self._late.discard(number)

    def answered(self, number: int, answer: str = "") -> None:
        """It was carried out."""
        future = self._open.get(number)
        if future is not None and not future.done():
            future.set_result(answer)

    def refused(self, number: int, error: RequestError) -> None:
        """It was not."""
        future = self._open.get(number)
        if future is not None and not future.done():
            future.set_exception(error)

    def end(self, reason: str) -> None:
        """The call is over: what is not answered late is not answered at all."""
        self.over = reason
        for number, future in self._open.items():
            if number not in self._late and not future.done():
                future.set_exception(CallOverError(reason))
