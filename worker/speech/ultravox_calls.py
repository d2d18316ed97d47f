"""The calls of one conversation, at Ultravox' REST API: created, gone on with, and how they ended.

A call is joined once. What goes on after a loss is another call that inherits the messages of the
one before (``priorCallId``); of a call in which nothing was said yet there is nothing to inherit.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from shared.log import get_logger
from worker.errors import ProviderError, ProviderLostError, ProviderRefusedError
from worker.rest import Rest
from worker.speech import Brief, Opening
from worker.speech.ultravox_call import (
    call_body,
    path_of,
    resuming_body,
    server_web_socket,
)
from worker.speech.ultravox_wire import PROVIDER

if TYPE_CHECKING:
    from worker.speech.ultravox import Ultravox

REASON_SECONDS = 3.0
"""How long it is asked why a call has ended, all tries together: a caller hears nothing."""

_REASON_TRIES = 3
_PAUSE_SECONDS = 0.2

_log = get_logger(__name__)


class Rates:
    """The sample rates that may be tried, the best one first; ``rate`` is the one in use."""

    def __init__(self, *rates: int) -> None:
        self._rates = rates

    @property
    def rate(self) -> int:
        """Samples a second, both ways."""
        return self._rates[0]

    async def first(self, ask: Callable[[int], Awaitable[Any]]) -> Any:
        """Return what ``ask`` returns for the first rate that is taken; keep to it from then on.

        A rate that is not taken is a wrong parameter, 400; each call's process finds that out by
        itself, so it is told. Raises what ``ask`` raises.
        """
        best = self.rate
        while True:
            try:
                found = await ask(self.rate)
            except ProviderRefusedError as refused:
                if refused.status != 400 or len(self._rates) == 1:
                    raise
                self._rates = self._rates[1:]
            else:
                self._rates = self._rates[:1]
                if self.rate != best:
                    fix = f"set sample_rate={self.rate}, which saves each call a request"
                    _log.warning("rate_refused", provider=PROVIDER, rate=best, fix=fix)
                return found


class Calls:
    """One conversation's calls; ``id`` is the callId of the last."""

    def __init__(self, settings: "Ultravox", rest: Rest, rates: Rates) -> None:
        self._settings, self._rest, self._rates = settings, rest, rates
        self.id = ""
        self.created = 0

    @property
    def rate(self) -> int:
        """Samples a second of the last call."""
        return self._rates.rate

    async def begin(self, opening: Opening, brief: Brief) -> str:
        """Create the first call; return its joinUrl. Raises `ProviderError`."""
        opening = replace(opening, brief=brief)
        path = path_of(self._settings)

        async def ask(rate: int) -> Any:
            medium = server_web_socket(self._settings, rate)
            return await self._rest.post(path, call_body(self._settings, opening, medium))

        return await self._create(ask)

    async def go_on(self, brief: Brief, *, owed: bool) -> str:
        """Create one that goes on with the last; return its joinUrl. Raises `ProviderError`."""
        query = {"priorCallId": self.id}

        async def ask(rate: int) -> Any:
            medium = server_web_socket(self._settings, rate)
            body = resuming_body(self._settings, brief, medium, owed=owed)
            return await self._rest.post("/api/calls", body, query)

        return await self._create(ask)

    async def _create(self, ask: Callable[[int], Awaitable[Any]]) -> str:
        self.created += 1
        call = await self._rates.first(ask)
        call = call if isinstance(call, dict) else {}
        join_url, call_id = call.get("joinUrl"), call.get("callId")
        is_one = isinstance(join_url, str) and join_url.startswith(("wss://", "ws://"))
        if not is_one or not isinstance(call_id, str):
            raise ProviderLostError(PROVIDER, "has created a call that cannot be joined")
        self.id = call_id
        return str(join_url)

    async def end_reason(self) -> str:
        """Return why the last call has ended, empty if the service does not say."""
        try:
            async with asyncio.timeout(REASON_SECONDS):
                return await self._reason()
        except TimeoutError:
            return ""

    async def _reason(self) -> str:
        for trial in range(_REASON_TRIES):
            if trial:
                await asyncio.sleep(_PAUSE_SECONDS)
            try:
                call = await self._rest.get(f"/api/calls/{quote(self.id, safe='')}")
            except ProviderError:
                return ""
            reason = call.get("endReason") if isinstance(call, dict) else None
            if isinstance(reason, str) and reason:
                return reason
        return ""

    async def aclose(self) -> None:
        """Release everything."""
        await self._rest.aclose()
