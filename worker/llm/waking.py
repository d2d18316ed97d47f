"""Whether a server is up, and what wakes it: a model of one's own may sleep until it is needed.

    begin ──> ask for its models ──200, or no such address──> awake
                  ^   │ nobody there, 502, 503, 504, no answer
                  └───┘ again, for ``seconds``                     401, 403: refused, for good

A server behind a proxy wakes by being asked, and the proxy answers for it meanwhile or holds the
question; one that is being started lets nobody connect. Either may take a minute.
"""

import asyncio
import contextlib
from typing import TYPE_CHECKING

from worker import openai_client
from worker.errors import ProviderError, ProviderLostError, ProviderRefusedError
from worker.openai_client import Service

if TYPE_CHECKING:
    from openai import AsyncOpenAI

PROBE_SECONDS = 20.0
"""How long a question may be held before it is asked anew."""

_PAUSES = 0.2, 0.5, 1.0
"""Seconds between two questions; the last of them again and again."""


class Waking:
    """One call's view of a server."""

    def __init__(self, client: "AsyncOpenAI", service: Service, seconds: float) -> None:
        self._client, self._service, self._seconds = client, service, seconds
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._asked = asyncio.Event()
        self._awake = asyncio.Event()
        self._error: ProviderError | None = None
        self.just_woke = False
        """It slept when it was asked, and has not answered anything since."""

    def begin(self) -> None:
        """Wake it, in the background, unless that is going on or it is awake."""
        if not self._awake.is_set() and (self._task is None or self._task.done()):
            self._task = self._loop.create_task(self._wake())

    def slept(self) -> None:
        """It did not answer: it may sleep."""
        self._awake.clear()

    def answered(self) -> None:
        """It has answered, as a server does that is awake."""
        self.just_woke = False

    async def asked(self, seconds: float) -> None:
        """Return when it has answered for the first time, or ``seconds`` have passed.

        Raises `ProviderRefusedError` when it wants nothing to do with us.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._asked.wait()
        self._raise_refusal()

    async def until_awake(self, deadline: float) -> None:
        """Return when it is awake.

        Raises `ProviderRefusedError`, and after ``deadline``, on the loop's clock, what it lacks.
        """
        if self._awake.is_set():
            return
        try:
            async with asyncio.timeout_at(deadline):
                while not self._awake.is_set():
                    self.begin()
                    await self._ended()
                    self._raise_refusal()
        except TimeoutError:
            raise self._error or self._late() from None

    async def _ended(self) -> None:
        if self._task is not None:
            await asyncio.wait([self._task])

    def _late(self) -> ProviderError:
        return ProviderLostError(self._service.name, "did not wake up in time")

    def _raise_refusal(self) -> None:
        if isinstance(self._error, ProviderRefusedError):
            raise self._error

    async def _wake(self) -> None:
        """Ask until it answers, or it is no use."""
        end, number = self._loop.time() + self._seconds, 0
        while True:
            self._error = await self._probe()
            if self._error is None:
                self.just_woke = self.just_woke or number > 0
                self._awake.set()
            self._asked.set()
            pause = _PAUSES[min(number, len(_PAUSES) - 1)]
            is_over = self._error is None or isinstance(self._error, ProviderRefusedError)
            if is_over or self._loop.time() + pause >= end:
                return
            number += 1
            await asyncio.sleep(pause)

    async def _probe(self) -> ProviderError | None:
        """Ask once; return why it is not up, ``None`` if it is."""
        import httpx2

        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await self._client.get("/models", cast_to=httpx2.Response)
        except Exception as error:
            said = openai_client.fault(error, self._service)
            is_no = said.status in (401, 402, 403)
            is_away = isinstance(said, ProviderLostError) and said.status != 429
            return said if is_no or is_away else None
        return None

    async def aclose(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=openai_client.CLOSE_SECONDS)
