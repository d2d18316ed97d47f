"""``/twilio/call-me``: whoever has the token is called by the agent.

    GET             the form                     POST to, token         calls
    GET ?to=&token= calls, too (or with the token as Authorization: Bearer)

There is no cookie, so that no other page can call with somebody's rights: the token is in the
request itself. A number is called once a minute at most, however often that is asked; a link that a
browser fetches twice rings once. People get a page, programs the JSON of the system that this
replaces.
"""

import asyncio
import hmac
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from gateway.body import BodyError, whole_body
from gateway.dialer.call_me_page import HEADERS, page
from gateway.dialer.dialer import Dialer
from gateway.dialer.errors import DialError, DialInDoubtError
from gateway.dialer.numbers import NumberRefusedError, queried
from gateway.dialer.order import Order
from gateway.throttle import Throttle

PATH = "/twilio/call-me"

AGAIN_SECONDS = 60.0
"""A number that was called is not called again so soon."""

WINDOW_SECONDS = 600.0
MOST_OF_ADDRESS = 10
MOST_OF_NUMBER = 3
"""Calls in ``WINDOW_SECONDS`` that one address may ask for, and that one number gets."""

_MOST_KNOWN = 10_000
_MOST_BODY = 4096
_BODY_SECONDS = 10.0

_CALLING = "Calling you now. Answer the phone!"
_UNSET = "Set TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, TWILIO_PHONE_NUMBER in .env"

MayCall = Callable[[str], Awaitable[bool]]
"""Tells whether a token of the API may place calls."""


class _Counts:
    """How often each of them did something lately."""

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._most, self._clock = most, clock
        self._times: OrderedDict[str, list[float]] = OrderedDict()

    def full(self, key: str) -> bool:
        """Tell whether it has used up what it has."""
        since = self._clock() - WINDOW_SECONDS
        kept = [at for at in self._times.get(key, ()) if at > since]
        if key in self._times:
            self._times[key] = kept
        return len(kept) >= self._most

    def count(self, key: str) -> None:
        """Count one."""
        self._times.setdefault(key, []).append(self._clock())
        self._times.move_to_end(key)
        if len(self._times) > _MOST_KNOWN:
            self._times.popitem(last=False)


@dataclass(frozen=True, slots=True)
class _Wish:
    to: str
    token: str


class CallMe:
    """The page's routes. ``token`` is ``CALL_ME_TOKEN``; ``prefix`` the path of ``PUBLIC_URL``."""

    def __init__(
        self,
        dialer: Dialer,
        token: str | None,
        may_call: MayCall,
        *,
        is_set_up: bool,
        prefix: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._dialer, self._token, self._may_call = dialer, token, may_call
        self._is_set_up, self._action, self._clock = is_set_up, prefix + PATH, clock
        self._throttle = Throttle(clock)
        self._addresses = _Counts(MOST_OF_ADDRESS, clock)
        self._numbers = _Counts(MOST_OF_NUMBER, clock)
        self._lately: OrderedDict[str, tuple[float, asyncio.Future[str]]] = OrderedDict()

    def routes(self) -> list[Route]:
        """Return the routes for the application."""
        return [Route(PATH, self._asked, methods=["GET", "POST"])]

    async def _asked(self, request: Request) -> Response:
        if request.method == "POST":
            try:
                wish = await _form(request)
            except BodyError as error:
                return self._told(request, error.status, error=error.sentence)
        elif "to" in request.query_params and request.method == "GET":
            wish = _Wish(request.query_params["to"], _presented(request))
        else:
            return HTMLResponse(page(self._action), headers=HEADERS)
        return await self._call(request, wish)

    async def _call(self, request: Request, wish: _Wish) -> Response:
        if not self._is_set_up:
            return self._told(request, 500, error="Call-me not configured", message=_UNSET)
        address = request.client.host if request.client else ""
        if not await self._opens(wish.token):
            await self._throttle.withhold(address)
            return self._told(request, 401, error="The token is wrong.", to=wish.to)
        self._throttle.passed(address)
        try:
            sid = await self._once(address, wish)
        except DialInDoubtError as error:
            return self._told(request, 202, message=f"{error}.")
        except (NumberRefusedError, _TooOftenError, DialError) as error:
            return self._told(request, _status(error), error=f"{error}.", to=wish.to)
        return self._told(request, 200, message=_CALLING, sid=sid)

    async def _once(self, address: str, wish: _Wish) -> str:
        """Call, unless that number was called a moment ago; return the call's id."""
        key = await self._dialer.callee(Order(to=queried(wish.to)))
        at, earlier = self._lately.get(key, (0.0, None))
        if earlier is not None and self._clock() - at < AGAIN_SECONDS:
            return await asyncio.shield(earlier)
        if self._addresses.full(address):
            raise _TooOftenError("too many calls were asked for from here")
        if self._numbers.full(key):
            raise _TooOftenError("that number was called too often")
        promise: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._lately[key] = self._clock(), promise
        self._lately.move_to_end(key)
        if len(self._lately) > _MOST_KNOWN:
            self._lately.popitem(last=False)
        try:
            dialled = await self._dialer.dial(Order(to=key))
        except BaseException as error:
            if not isinstance(error, DialInDoubtError):
                self._lately.pop(key, None)
            promise.set_exception(error if isinstance(error, Exception) else DialError())
            promise.exception()  # perhaps nobody else waits for it
            raise
        self._addresses.count(address)
        self._numbers.count(key)
        promise.set_result(dialled.call_sid)
        return dialled.call_sid

    async def _opens(self, token: str) -> bool:
        if not token:
            return False
        own = self._token
        if own is not None and hmac.compare_digest(token.encode(), own.encode()):
            return True
        return await self._may_call(token)

    def _told(
        self,
        request: Request,
        status: int,
        *,
        error: str = "",
        message: str = "",
        sid: str = "",
        to: str = "",
    ) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            text = " ".join(filter(None, (error, message)))
            shown = page(self._action, message=text, failed=bool(error), to=to)
            return HTMLResponse(shown, status, headers=HEADERS)
        if message and error:  # as the replaced system says that it is not set up
            return JSONResponse({"error": error, "message": message}, status, headers=HEADERS)
        if error:
            return JSONResponse({"ok": False, "error": error}, status, headers=HEADERS)
        body = {"ok": True, "message": message} | ({"callSid": sid} if sid else {})
        return JSONResponse(body, status, headers=HEADERS)


class _TooOftenError(Exception):
    """A number, or an address, has had its calls."""


def _status(error: Exception) -> int:
    if isinstance(error, _TooOftenError):
        return 429
    return 422 if isinstance(error, NumberRefusedError) else 500


def _presented(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else request.query_params.get("token", "")


async def _form(request: Request) -> _Wish:
    body = await whole_body(request, _MOST_BODY, _BODY_SECONDS)
    fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=20)
    token = fields.get("token", [""])[0] or _presented(request)
    return _Wish(fields.get("to", [""])[0], token)
