"""The gateway's HTTP application: Twilio's webhooks, health, metrics, the API."""

from collections.abc import Callable, Iterable

from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from gateway.api import Api
from gateway.calls.registry import Calls
from gateway.carriers.twilio.routes import TwilioRoutes
from gateway.farm.farm import Farm
from gateway.metrics import CONTENT_TYPE, Metrics
from gateway.prefix import PrefixMiddleware
from gateway.store.store import Store
from gateway.tool_door import ToolDoor

_SENTENCES = {
    404: "There is nothing here. The voice webhook is /twilio/voice.",
    405: "This method is not allowed here.",
}


def application(
    calls: Calls,
    farm: Farm,
    twilio: TwilioRoutes,
    api: Api,
    prefix: str = "",
    store: Store | None = None,
    pages: Iterable[Route] = (),
    figures_of: Iterable[Collector] = (),
    dials: Callable[[], str] = lambda: "unknown",
) -> Starlette:
    """Return the application. ``prefix`` is the path of ``PUBLIC_URL``, ``pages`` are further.

    ``figures_of`` are further parts that measure something, ``dials`` tells which gateway dials.
    """
    metrics = Metrics(calls, farm, store, figures_of)

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(request: Request) -> Response:
        able = farm.ready and not calls.draining
        why = "ready" if able else "draining" if calls.draining else "no release"
        told = {"status": why, "calls": len(calls), "dials": dials()}
        return JSONResponse(told, 200 if able else 503)

    async def figures(request: Request) -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        sentence = _SENTENCES.get(error.status_code, error.detail)
        return PlainTextResponse(sentence, error.status_code, headers=error.headers)

    return Starlette(
        routes=[
            *twilio.routes(),
            *ToolDoor(calls.tool_tokens).routes(),
            *pages,
            Route("/health", health),
            Route("/ready", ready),
            Route("/metrics", figures),
            *api.routes(),
        ],
        middleware=[Middleware(PrefixMiddleware, prefix=prefix)],
        exception_handlers={HTTPException: refused},
    )
