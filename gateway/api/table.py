"""Turns the API's table into routes: one a path, which knows its methods and checks what comes.

What has not the form that is described is answered 400; what has it and cannot be done, 422.

Order of every request: token, scope, rate, query, content type, size, body; only then a handler
sees it. Whatever a handler raises is answered with a sentence, and nothing is kept by caches.
"""

from collections.abc import Iterable

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway.api.door import Door
from gateway.api.endpoint import Asked, Endpoint, Shape
from gateway.api.problems import ProblemError, problem, sentence
from gateway.api.reading import read_body, read_query
from gateway.store.store import StoreError

log = structlog.get_logger(__name__)

_ALWAYS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class PathApp:
    """All that can be asked of one path. An ASGI application."""

    def __init__(self, door: Door, endpoints: Iterable[Endpoint]) -> None:
        self._door = door
        self._by_method = {it.method: it for it in endpoints}
        if "GET" in self._by_method:
            self._by_method["HEAD"] = self._by_method["GET"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        request = Request(scope, receive)
        endpoint = self._by_method.get(request.method)
        if endpoint is None:
            answer = problem(405, "This method is not allowed here.")
            answer.headers["Allow"] = ", ".join(self._by_method)
        else:
            answer = await self._answered(request, endpoint)
        for name, value in _ALWAYS.items():
            answer.headers.setdefault(name, value)
        await answer(scope, receive, send)

    async def _answered(self, request: Request, endpoint: Endpoint) -> Response:
        try:
            who = await self._door.caller(request, endpoint)
            query = read_query(request, endpoint.query)
            body = await read_body(request, endpoint)
            result = await endpoint.handler(Asked(who, request.path_params, query, body, request))
            if endpoint.method != "GET":
                log.info("API: done", by=who.id, method=endpoint.method, path=endpoint.path)
            return _success(endpoint, result)
        except ProblemError as error:
            refusal = error
        except StoreError as error:
            status = 503 if error.away else 409 if error.taken else 400
            refusal = ProblemError(status, sentence(error.sentence))
        except Exception:
            log.exception("API request failed", path=request.scope["path"])
            refusal = ProblemError(500, "This failed here; the log says how.")
        return _refused(endpoint, refusal)


def routes(door: Door, endpoints: Iterable[Endpoint]) -> list[Route]:
    """Return a route for each path of the table; what is named comes before what is variable."""
    by_path: dict[str, list[Endpoint]] = {}
    for it in endpoints:
        by_path.setdefault(it.path, []).append(it)
    paths = sorted(by_path, key=lambda path: [part.startswith("{") for part in path.split("/")])
    return [Route(path, PathApp(door, by_path[path])) for path in paths]


def encoded(value: object) -> bytes:
    """Return ``value`` as JSON. What an agent put into its state becomes text if it must."""
    return msgspec.json.encode(value, enc_hook=str)


class Nowhere:
    """Answers below ``/api`` where there is nothing. An ASGI application."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        answer = problem(404, "There is nothing here; /api/openapi.json tells what there is.")
        await answer(scope, receive, send)


def _success(endpoint: Endpoint, result: object) -> Response:
    if isinstance(result, Response):
        return result
    if endpoint.shape is Shape.NOTHING:
        return Response(status_code=endpoint.status)
    return Response(encoded(result), endpoint.status, media_type="application/json")


def _refused(endpoint: Endpoint, error: ProblemError) -> Response:
    if endpoint.refuse is problem:
        answer = problem(error.status, error.detail, **error.more)
    else:
        answer = endpoint.refuse(error.status, error.detail)
    if error.status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    if "retry_after" in error.more:
        answer.headers["Retry-After"] = str(max(1, round(error.more["retry_after"])))
    return answer
