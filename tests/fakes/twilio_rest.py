"""Twilio's REST API on loopback: a real HTTP server with Basic auth, forms, states and errors.

    async with TwilioRestServer() as twilio:
        call = twilio.account.add_call()
        ... point the client's origin at twilio.base_url ...
        assert call.status == "completed"

Failures are queued in advance: each request takes the next one, if there is any. With a ``callee``
the calls that are created ring somebody: see `tests.fakes.twilio_exchange`.
"""

import asyncio
import base64
import json
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs

from aiohttp import web

from tests.fakes.twilio_account import Account, Refusal
from tests.fakes.twilio_api import Reply, handle
from tests.fakes.twilio_callee import Callee
from tests.fakes.twilio_exchange import Exchange
from tests.fakes.twilio_form import Form
from tests.fakes.twilio_shown import dated

ACCOUNT_SID = "AC" + "0123456789abcdef" * 2
AUTH_TOKEN = "12345"


class Trouble(Enum):
    """Ways of not answering. The request is carried out before those that are ``AFTER`` it."""

    SILENT = auto()
    SILENT_AFTER = auto()
    CUT = auto()
    CUT_AFTER = auto()
    ERROR_AFTER = auto()
    GARBAGE = auto()


_AFTER = frozenset({Trouble.SILENT_AFTER, Trouble.CUT_AFTER, Trouble.ERROR_AFTER})


@dataclass(frozen=True)
class ApiRequest:
    """A request as it came, failed or not. ``path`` is below the account."""

    method: str
    path: str
    form: Form
    headers: Mapping[str, str]


class TwilioRestServer:
    """One account behind ``base_url``, an async context manager.

    ``requests`` holds all that came, and ``arrived`` is set with each.
    """

    def __init__(
        self,
        account_sid: str = ACCOUNT_SID,
        auth_token: str = AUTH_TOKEN,
        *,
        callee: Callable[[str], Callee] | None = None,
        speed: float = 50.0,
        calls_per_second: float = 1000.0,
    ) -> None:
        self.account = Account(account_sid)
        self.auth_token = auth_token
        self.requests: list[ApiRequest] = []
        self.arrived = asyncio.Event()
        self.base_url = ""
        self.slow_s = 0.0
        """How long each answer takes."""
        self.most_requests = 100
        """Requests at once; one more is refused with 429, as never processed."""
        self.mishap: Callable[[ApiRequest], Trouble | Refusal | None] = lambda request: None
        """What befalls a request for which nothing is queued."""
        self._at_once = 0
        self._callee, self._speed, self._calls_per_second = callee, speed, calls_per_second
        self._exchange: Exchange | None = None
        self._troubles: deque[Trouble | Refusal] = deque()
        self._closing = asyncio.Event()

    @property
    def exchange(self) -> Exchange:
        """Who places the calls. Raises ``RuntimeError`` without a ``callee``."""
        if self._exchange is None:
            raise RuntimeError("this Twilio places no calls: give it a callee")
        return self._exchange

    def placed(self) -> list[ApiRequest]:
        """Return the requests that were to create calls."""
        return [it for it in self.requests if (it.method, it.path) == ("POST", "/Calls.json")]

    def fail(self, status: int, code: int | None = None, *, times: int = 1) -> None:
        """Let the next requests fail with a status and Twilio's code."""
        self._troubles.extend(Refusal(status, code or 0, "as queued") for _ in range(times))

    def trouble(self, trouble: Trouble, *, times: int = 1) -> None:
        """Let the next requests find no proper answer."""
        self._troubles.extend(trouble for _ in range(times))

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.base_url = f"http://{host}:{port}"
        if self._callee is not None:
            self._exchange = Exchange(
                self.account,
                self.auth_token,
                self._callee,
                speed=self._speed,
                calls_per_second=self._calls_per_second,
            )
            await self._exchange.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        if self._exchange is not None:
            await self._exchange.close()
        await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        prefix = f"/2010-04-01/Accounts/{self.account.sid}"
        path = request.path.removeprefix(prefix)
        form = await _form(request)
        asked = ApiRequest(request.method, path, form, request.headers)
        self.requests.append(asked)
        self.arrived.set()
        self._at_once += 1
        try:
            answer = await self._reply(request, asked, prefix)
        except Refusal as refusal:
            answer = _refused(refusal)
        finally:
            self._at_once -= 1
        date = dated(self.account, time.time()) or ""
        answer.headers["Date"] = date.replace("+0000", "GMT")
        return answer

    async def _reply(
        self, request: web.Request, asked: ApiRequest, prefix: str
    ) -> web.StreamResponse:
        if self._at_once > self.most_requests:
            raise Refusal(429, 20429, "Too Many Requests")
        trouble = self._troubles.popleft() if self._troubles else self.mishap(asked)
        if isinstance(trouble, Refusal):
            raise trouble
        if trouble is not None and trouble not in _AFTER:
            return await self._no_answer(request, trouble)
        reply = self._answer(request, prefix, asked.path, asked.form)
        if self.slow_s:
            await asyncio.sleep(self.slow_s)
        if trouble is Trouble.ERROR_AFTER:
            raise Refusal(500, 20500, "Internal Server Error")
        if trouble is not None:
            return await self._no_answer(request, trouble)
        return _response(*reply)

    def _answer(self, request: web.Request, prefix: str, path: str, form: Form) -> Reply:
        expected = base64.b64encode(f"{self.account.sid}:{self.auth_token}".encode()).decode()
        if request.headers.get("Authorization") != f"Basic {expected}":
            raise Refusal(401, 20003, "Authentication Error - invalid username")
        if not request.path.startswith(f"{prefix}/"):
            raise Refusal(404, 20404, f"The requested resource {request.path} was not found")
        return handle(self.account, request.method, path, form)

    async def _no_answer(self, request: web.Request, trouble: Trouble | None) -> web.Response:
        if trouble is Trouble.GARBAGE:
            return web.Response(text="<html>a proxy's page</html>", content_type="text/html")
        if trouble in (Trouble.CUT, Trouble.CUT_AFTER) and request.transport is not None:
            request.transport.abort()
        else:
            await self._closing.wait()
        return web.Response(status=500)


async def _form(request: web.Request) -> Form:
    if request.method != "POST":
        return {name: [str(value)] for name, value in request.query.items()}
    if request.content_type != "application/x-www-form-urlencoded":
        return {}
    return parse_qs((await request.read()).decode(), keep_blank_values=True)


def _response(status: int, payload: dict[str, object] | None) -> web.Response:
    text = "" if payload is None else json.dumps(payload)
    return web.Response(status=status, text=text, content_type="application/json")


def _refused(refusal: Refusal) -> web.Response:
    return _response(
        refusal.status,
        {
            "code": refusal.code,
            "message": refusal.message,
            "more_info": f"https://www.twilio.com/docs/errors/{refusal.code}",
            "status": refusal.status,
        },
    )
