"""Who may come in: tokens, their scopes, and how often.

    control socket ──────────────────────────────> operator
    Authorization: Bearer TOKEN, x-api-key: TOKEN ─> API_TOKEN? a named token? ─> scope? ─> rate?
                                                        └─ no: withheld a while, then 401

Whoever guesses waits longer for each answer; an address that shows a good token never does.
"""

import hmac
import time
from collections import OrderedDict
from collections.abc import Callable

import structlog
from starlette.requests import Request

from gateway.api.caller import EVERYTHING, NOBODY, OPERATOR_CALLER, Caller
from gateway.api.endpoint import Endpoint
from gateway.api.problems import ProblemError
from gateway.api.tokens import ApiTokens, digest
from gateway.operator_socket import OPERATOR
from gateway.throttle import Throttle

log = structlog.get_logger(__name__)

REQUESTS_A_SECOND = 50.0
BURST = 500
"""Requests that one token may send at once, and then so many a second."""

_MOST_RATES = 10_000


class Rates:
    """How much each caller may still ask: a bucket of ``BURST`` that fills by and by."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> float:
        """Count a request; return after how many seconds it may come again, 0: it may now."""
        now = self._clock()
        left, then = self._left.pop(caller, (float(BURST), now))
        left = min(float(BURST), left + (now - then) * REQUESTS_A_SECOND)
        granted = left >= 1
        self._left[caller] = left - granted, now
        if len(self._left) > _MOST_RATES:
            self._left.popitem(last=False)
        return 0.0 if granted else (1 - left) / REQUESTS_A_SECOND


class Door:
    """Lets requests in. ``token`` is ``API_TOKEN``."""

    def __init__(
        self,
        token: str,
        tokens: ApiTokens | None,
        throttle: Throttle | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._digest = digest(token)
        self._tokens = tokens
        self._throttle = throttle or Throttle(clock)
        self._rates = Rates(clock)

    async def caller(self, request: Request, endpoint: Endpoint) -> Caller:
        """Return who asks. Raises `ProblemError` for who may not."""
        if request.scope.get(OPERATOR):
            return OPERATOR_CALLER
        if endpoint.scope is None:
            return NOBODY
        address = request.client.host if request.client else ""
        caller = await self.known(_presented(request))
        if caller is None:
            log.warning("API: no valid token", client=address)
            await self._throttle.withhold(address)
            if self._tokens is not None and self._tokens.is_blind and _presented(request):
                raise ProblemError(503, "The database with the tokens is away: ask again later.")
            raise ProblemError(401, "Send Authorization: Bearer API_TOKEN.")
        self._throttle.passed(address)
        _check(caller, endpoint)
        seconds = self._rates.take(caller.id)
        if seconds:
            raise ProblemError(
                429,
                f"This token may ask {REQUESTS_A_SECOND:.0f} times a second: ask again later.",
                retry_after=seconds,
            )
        return caller

    async def known(self, token: str) -> Caller | None:
        """Return whose token that is."""
        if not token:
            return None
        if hmac.compare_digest(digest(token), self._digest):
            return Caller("API_TOKEN", EVERYTHING)
        return await self._tokens.find(token) if self._tokens is not None else None


def _presented(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    # Under this name the replaced systems, and services that call tools, send theirs.
    return "" if scheme else request.headers.get("x-api-key", "").strip()


def _check(caller: Caller, endpoint: Endpoint) -> None:
    scope = endpoint.scope
    if scope is not None and not caller.may(scope):
        raise ProblemError(
            403,
            f"This token lacks the scope {scope.value}: make one with "
            f"callfarm tokens create NAME --scope {scope.value}.",
            scope=scope.value,
        )
    if endpoint.whole_farm and caller.company is not None:
        raise ProblemError(
            403, "This token is a company's: here one that is everybody's is needed.", scope=scope
        )
