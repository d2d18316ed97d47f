"""Routes of the systems that callfarm replaces, about calls in progress, with their own bodies.

    POST /transferCall   {callId}                            Ultravox's example of a transfer
    GET  /active-calls                                       ... and of its map
    GET  /active-calls/{id}                                  Ultravox's cookbook
    GET  /api/health                                         ...
    POST /api/transfer   {ultravoxCallId, destinationNumber}

A call is named by what its service calls the conversation, or by its CallSid, so that they work
for every agent. Unlike there, each but the health needs a token. The cookbook's
``GET /api/calls/{id}`` is ``/active-calls/{id}`` here: at that path there is more of a call to see.
"""

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.responses import JSONResponse, Response

from gateway.api.call_finding import CallFinder
from gateway.api.caller import Caller, Scope
from gateway.api.endpoint import Asked, Endpoint, NoQuery
from gateway.api.problems import ProblemError, sentence
from gateway.calls.call import Call
from gateway.calls.registry import Calls
from gateway.calls.requests import destination
from gateway.calls.state import Plan
from gateway.dialer.numbers import NumberRefusedError
from shared.e164 import NumberError

UNKNOWN_CALL = "Call not found or invalid CallSid"
DEFAULT = "default"
"""The destination that is meant when none is named (``DESTINATION_PHONE_NUMBER``)."""

_E164 = re.compile(r"\+[1-9]\d{7,14}")


class TransferCall(msgspec.Struct, rename="camel"):
    """Which call is transferred; ``to`` is a named destination, the default one without it."""

    call_id: str = ""
    to: str = DEFAULT


class CallDetailsShown(msgspec.Struct, rename={"from_": "from"}):
    """The transferred call, in Twilio's words."""

    sid: str
    status: str
    to: str
    from_: str
    direction: str


class CallTransferred(msgspec.Struct, rename="camel"):
    """The transfer has begun."""

    status: str
    message: str
    call_details: CallDetailsShown


class StatusError(msgspec.Struct, omit_defaults=True):
    """An error in that system's words."""

    status: str
    message: str
    error: str = ""


class ActiveCall(msgspec.Struct, rename="camel"):
    """A call in progress. Without a conversation at a service its CallSid stands for both."""

    ultravox_call_id: str
    twilio_call_sid: str


class CookbookCall(msgspec.Struct, rename="camel"):
    """What the cookbook tells of a call in progress: its SID is masked, its times are ISO 8601."""

    ultravox_call_id: str
    provider_call_sid: str
    caller_number: str
    provider: str
    start_time: str


class CallFound(msgspec.Struct):
    """A call in progress."""

    status: str
    data: CookbookCall


class Health(msgspec.Struct):
    """The gateway answers."""

    status: str


class TransferTo(msgspec.Struct, rename="camel"):
    """Which call is transferred to whom (E.164)."""

    ultravox_call_id: str = ""
    destination_number: str = ""


class TransferData(msgspec.Struct, rename="camel"):
    """What the cookbook tells of a transfer."""

    ultravox_call_id: str
    provider_call_sid: str
    destination_number: str
    transfer_initiated: str


class TransferResult(msgspec.Struct, rename="camel"):
    """The transfer has begun."""

    status: str
    message: str
    call_details: TransferData


class TransferDone(msgspec.Struct):
    """The transfer has begun."""

    status: str
    data: TransferResult


def transfer_failed(status: int, detail: str) -> Response:
    """Say an error as ``/transferCall`` does: 500, but for what concerns the token."""
    told = status if status in (401, 403, 429) else 500
    body = {"status": "error", "message": "Failed to transfer call", "error": detail}
    return JSONResponse(body, told)


def cookbook_error(status: int, detail: str) -> Response:
    """Say an error as the cookbook does."""
    return JSONResponse({"status": "error", "message": detail}, status)


class ReplacedSection:
    """Those routes."""

    tag = "replaced"

    def __init__(self, calls: Calls, finder: CallFinder, destinations: Mapping[str, str]) -> None:
        self._calls, self._finder, self._destinations = calls, finder, destinations

    def endpoints(self) -> list[Endpoint]:
        """Return its rows of the table."""
        return [
            Endpoint(
                method="POST",
                path="/transferCall",
                scope=Scope.CALLS,
                handler=self._transfer_call,
                summary="Connect a caller with the default destination.",
                body=TransferCall,
                answer=CallTransferred,
                refuse=transfer_failed,
                refused_as=StatusError,
            ),
            Endpoint(
                method="GET",
                path="/active-calls",
                scope=Scope.READ,
                handler=self._active,
                summary="List the calls in progress.",
                answer=list[ActiveCall],
            ),
            Endpoint(
                method="GET",
                path="/active-calls/{id}",
                scope=Scope.READ,
                handler=self._details,
                summary="Tell of one call in progress.",
                answer=CallFound,
                refusals=(404,),
                refuse=cookbook_error,
                refused_as=StatusError,
            ),
            Endpoint(
                method="GET",
                path="/api/health",
                scope=None,
                handler=self._health,
                summary="Tell that the gateway answers.",
                answer=Health,
            ),
            Endpoint(
                method="POST",
                path="/api/transfer",
                scope=Scope.CALLS,
                handler=self._transfer,
                summary="Connect a caller with a number.",
                body=TransferTo,
                answer=TransferDone,
                refusals=(404, 409),
                refuse=cookbook_error,
                refused_as=StatusError,
            ),
        ]

    async def _transfer_call(self, asked: Asked[NoQuery, TransferCall]) -> CallTransferred:
        it = asked.body
        try:
            call = await self._finder.live(it.call_id, asked.who)
        except ProblemError as error:
            raise ProblemError(404, UNKNOWN_CALL) from error
        number = self._destinations.get(it.to)
        if number is None:
            named = ", ".join(self._destinations) or "none"
            raise ProblemError(
                409, f"no destination is called {it.to[:50]!r} (TRANSFER_NUMBERS: {named})"
            )
        _dial(call, number)
        incoming = call.incoming
        shown = CallDetailsShown(
            call.sid, "in-progress", incoming.to, incoming.from_, incoming.direction
        )
        return CallTransferred("success", "Call transfer initiated", shown)

    async def _active(self, asked: Asked[NoQuery, None]) -> list[ActiveCall]:
        live = {it.sid: it for it in self._calls.views() if not it.ended}
        own = await self._finder.own(live, asked.who)
        return [
            ActiveCall(it.conversation_id or sid, sid) for sid, it in live.items() if sid in own
        ]

    async def _details(self, asked: Asked[NoQuery, None]) -> CallFound:
        name = asked.path["id"]
        call = await self._cookbook_call(name, asked.who)
        shown = CookbookCall(
            name, call.sid[:5] + "...", call.incoming.from_, "twilio", _iso(call.began)
        )
        return CallFound("success", shown)

    async def _health(self, asked: Asked[Any, Any]) -> Health:
        return Health("ok")

    async def _transfer(self, asked: Asked[NoQuery, TransferTo]) -> TransferDone:
        it = asked.body
        if not it.ultravox_call_id or not it.destination_number:
            raise ProblemError(400, "Missing required fields: ultravoxCallId and destinationNumber")
        if not _E164.fullmatch(it.destination_number):
            raise ProblemError(
                400, "Invalid phone number format. Must be E.164 format (e.g., +15551234567)"
            )
        call = await self._cookbook_call(it.ultravox_call_id, asked.who)
        try:
            destination(it.destination_number, {}, call.rules.numbers)
        except (NumberError, NumberRefusedError) as error:
            raise ProblemError(400, sentence(error)) from error
        _dial(call, it.destination_number)
        data = TransferData(it.ultravox_call_id, call.sid, it.destination_number, _iso(time.time()))
        return TransferDone("success", TransferResult("success", "Call transfer initiated", data))

    async def _cookbook_call(self, name: str, who: Caller) -> Call:
        """Return a call in progress. Raises `ProblemError` in the cookbook's words."""
        try:
            return await self._finder.live(name, who)
        except ProblemError as error:
            raise ProblemError(404, f"Call not found: {name[:100]}") from error


def _iso(seconds: float) -> str:
    """Return Unix seconds as JavaScript writes a time."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def _dial(call: Call, number: str) -> None:
    """Have a caller connected. Raises `ProblemError`."""
    if not call.leave(Plan.DIAL, "transferred by the API", number):
        raise ProblemError(409, f"The call is already going to {call.flow.plan.value}.")
