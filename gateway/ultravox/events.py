"""``POST /ultravox/events``: Ultravox tells of its calls. ``/make/webhook`` is its example's path.

    signature ──> call.ended ──> the call's transcript is fetched ──> 200 {"received": true}

The answer waits for nothing, since Ultravox repeats what is not answered soon. Other events, and
calls that are not ours, are received, and that is all. Without ``ULTRAVOX_WEBHOOK_SECRET`` nothing
is: 404.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from gateway.body import BodyError, whole_body
from gateway.throttle import Throttle
from gateway.ultravox.signature import Verdict, judge
from gateway.ultravox.transcripts import is_direct

log = structlog.get_logger(__name__)

EVENTS_PATH = "/ultravox/events"
MAKE_PATH = "/make/webhook"

MOST_BODY = 1 << 20
"""Bytes of an event: the call's instructions and tools are in it."""

BODY_SECONDS = 5.0

MOST_ID = 200

_HASHED_HERE = 64 << 10
"""Bytes that are hashed on the event loop; more takes a thread."""

_RECEIVED = {"received": True}


class _Call(msgspec.Struct, rename="camel"):
    call_id: str = ""
    medium: dict[str, Any] | None = None


class _Event(msgspec.Struct):
    event: str = ""
    call: _Call | None = None


class UltravoxEvents:
    """The routes. ``ended`` is told of calls that are over, false: it cannot see to it now."""

    def __init__(
        self, secrets: Sequence[str], ended: Callable[[str], bool], throttle: Throttle
    ) -> None:
        self._secrets, self._ended, self._throttle = tuple(secrets), ended, throttle

    def routes(self) -> list[Route]:
        """Return the routes for the application."""
        return [
            Route(EVENTS_PATH, self._told, methods=["POST"]),
            Route(MAKE_PATH, self._told_as_there, methods=["POST"]),
        ]

    async def _told_as_there(self, request: Request) -> Response:
        """Answer as the replaced system: what is wrong with an event is a failure there."""
        answer = await self._told(request)
        if answer.status_code in (200, 400, 403, 404):
            return answer
        return JSONResponse({"error": "Failed to process webhook"}, 500)

    async def _told(self, request: Request) -> Response:
        if not self._secrets:
            return PlainTextResponse("Nothing is taken here: set ULTRAVOX_WEBHOOK_SECRET.", 404)
        try:
            body = await whole_body(request, MOST_BODY, BODY_SECONDS)
        except BodyError as error:
            return PlainTextResponse(error.sentence, error.status)
        verdict = await self._judge(request, body)
        address = request.client.host if request.client else ""
        if verdict is not Verdict.GOOD:
            return await self._refuse(verdict, address)
        self._throttle.passed(address)
        try:
            told = msgspec.json.decode(body, type=_Event)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return PlainTextResponse("The body is no event of Ultravox'.", 422)
        return self._act(told)

    def _act(self, told: _Event) -> Response:
        call = told.call
        if told.event != "call.ended" or call is None or not 0 < len(call.call_id) <= MOST_ID:
            return JSONResponse(_RECEIVED)
        if is_direct({"medium": call.medium}) and not self._ended(call.call_id):
            return PlainTextResponse("Too much is being looked up: tell it again later.", 503)
        return JSONResponse(_RECEIVED)

    async def _judge(self, request: Request, body: bytes) -> Verdict:
        headers = {name.lower(): value for name, value in request.headers.items()}
        asked = (body, headers, self._secrets, datetime.now(UTC))
        if len(body) > _HASHED_HERE:
            return await asyncio.to_thread(judge, *asked)
        return judge(*asked)

    async def _refuse(self, verdict: Verdict, address: str) -> Response:
        """Refuse; an address that keeps failing waits for it."""
        log.warning("Ultravox webhook refused", client=address, reason=verdict.sentence)
        await self._throttle.withhold(address)
        return PlainTextResponse(verdict.sentence, verdict.status)
