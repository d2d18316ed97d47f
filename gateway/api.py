"""The HTTP API under ``/api``, for the commands and for programs.

Over the network a request carries ``Authorization: Bearer API_TOKEN``; over the control socket,
which only the operator's user can open, it does not. Errors are problem documents (RFC 9457).
"""

import dataclasses
import hmac
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.calls.call import Call
from gateway.calls.registry import Calls, CallView
from gateway.calls.requests import destination
from gateway.calls.state import Plan
from gateway.farm.farm import DeployError, Farm
from gateway.farm.release import ReleaseView
from shared.e164 import NumberError

OPERATOR = "callfarm.operator"
"""Scope key that the control socket's server sets."""

_MOST_BODY = 64 * 1024

Handler = Callable[[Request], Awaitable[Response]]


class _Rollback(msgspec.Struct, forbid_unknown_fields=True):
    release: str | None = None


class _Transfer(msgspec.Struct, forbid_unknown_fields=True):
    to: str


class Api:
    """The routes under ``/api``."""

    def __init__(self, calls: Calls, farm: Farm, token: str, destinations: dict[str, str]) -> None:
        self._calls, self._farm, self._token = calls, farm, token
        self._destinations = destinations

    def routes(self) -> list[Route]:
        """Return the routes for the application."""
        table: list[tuple[str, str, Handler]] = [
            ("GET", "/api/releases", self._releases),
            ("POST", "/api/releases", self._deploy),
            ("POST", "/api/releases/rollback", self._rollback),
            ("GET", "/api/calls", self._list_calls),
            ("GET", "/api/calls/{sid}", self._show_call),
            ("POST", "/api/calls/{sid}/hangup", self._hang_up),
            ("POST", "/api/calls/{sid}/transfer", self._transfer),
        ]
        return [
            Route(path, self._guarded(handler), methods=[verb]) for verb, path, handler in table
        ]

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: Request) -> Response:
            if not self._may(request):
                answer = problem(401, "Send Authorization: Bearer API_TOKEN.")
                answer.headers["WWW-Authenticate"] = "Bearer"
                return answer
            try:
                return await handler(request)
            except msgspec.DecodeError as error:
                return problem(400, f"The body is wrong: {error}.")
            except ClientDisconnect:
                return problem(400, "The body is incomplete.")

        return guarded

    def _may(self, request: Request) -> bool:
        if request.scope.get(OPERATOR):
            return True
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(
            token.strip().encode(), self._token.encode()
        )

    # Releases ----------------------------------------------------------------------------------

    async def _releases(self, request: Request) -> Response:
        return JSONResponse({"releases": [dataclasses.asdict(view) for view in self._farm.views()]})

    async def _deploy(self, request: Request) -> Response:
        return await _deployed(self._farm.deploy())

    async def _rollback(self, request: Request) -> Response:
        wanted = msgspec.json.decode(await _body(request) or b"{}", type=_Rollback)
        return await _deployed(self._farm.rollback(wanted.release))

    # Calls -------------------------------------------------------------------------------------

    async def _list_calls(self, request: Request) -> Response:
        views = self._calls.views()
        live = [view for view in views if not view.ended]
        chosen = live if request.query_params.get("live") == "true" else views
        return JSONResponse({"calls": [_summary(view) for view in chosen]})

    async def _show_call(self, request: Request) -> Response:
        view = self._calls.find(request.path_params["sid"])
        if view is None:
            return problem(404, "No such call is in progress or remembered.")
        return Response(
            msgspec.json.encode(dataclasses.asdict(view), enc_hook=str),
            media_type="application/json",
        )

    async def _hang_up(self, request: Request) -> Response:
        call = self._calls.get(request.path_params["sid"])
        if call is None:
            return problem(404, "No such call is in progress.")
        return _left(call, call.leave(Plan.HANG_UP, "the operator hung up"))

    async def _transfer(self, request: Request) -> Response:
        wanted = msgspec.json.decode(await _body(request), type=_Transfer)
        call = self._calls.get(request.path_params["sid"])
        if call is None:
            return problem(404, "No such call is in progress.")
        try:
            number = destination(wanted.to, self._destinations)
        except NumberError as error:
            return problem(400, str(error))
        return _left(call, call.leave(Plan.DIAL, "transferred by the operator", number))


async def _deployed(work: Awaitable[ReleaseView]) -> Response:
    try:
        release = await work
    except DeployError as error:
        return problem(422, error.reason, report=error.report, release=error.release)
    return JSONResponse(dataclasses.asdict(release))


def _left(call: Call, done: bool) -> Response:
    if not done:
        return problem(409, f"The call is already going to {call.flow.plan.value}.")
    return JSONResponse({"sid": call.sid, "state": call.flow.state.value}, 202)


def _summary(view: CallView) -> dict[str, Any]:
    fields = dataclasses.asdict(view)
    del (
        fields["lines"],
        fields["turns"],
        fields["troubles"],
        fields["agent_state"],
        fields["state_bytes"],
        fields["saying"],
        fields["sayings"],
    )
    return fields


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BODY:
            raise msgspec.DecodeError(f"over {_MOST_BODY} bytes")
    return bytes(body)


def problem(status: int, detail: str, **more: Any) -> Response:
    """Return a problem document (RFC 9457)."""
    return JSONResponse(
        {"status": status, "detail": detail, **more},
        status,
        media_type="application/problem+json",
    )
