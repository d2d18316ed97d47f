"""Where a service calls the tools of a call whose media it holds: ``/ultravox/tools/TOKEN/NAME``.

A request is one tool: its arguments as JSON in the body, in the answer what the model reads of it.
The token is the call's own and ends with it; without one there is nothing here. Arguments are
checked where the tool runs. Headers of the answer: Ultravox, "HTTP vs. client tools" and "Call
stages".
"""

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from gateway.body import BodyError, whole_body
from gateway.calls.registry import TOOLS_PATH
from gateway.calls.tool_calls import Fault, ToolTokens
from shared.messages import ToolReturned

MOST_BODY = 64 * 1024
"""Bytes of a tool's arguments."""

MOST_NAME = 64
"""Letters of a tool's name, as with the service."""

BODY_SECONDS = 5.0

_RESPONSE_TYPE = "X-Ultravox-Response-Type"
_REACTION = "X-Ultravox-Agent-Reaction"
_STATUSES = {Fault.LATE: 504, Fault.GONE: 500, Fault.BUSY: 429}


class ToolDoor:
    """The route, and what its answers look like."""

    def __init__(self, tokens: ToolTokens) -> None:
        self._tokens = tokens

    def routes(self) -> list[Route]:
        """Return the route for the application."""
        return [Route(TOOLS_PATH + "{token}/{name}", self._call, methods=["POST"])]

    async def _call(self, request: Request) -> Response:
        name = request.path_params["name"]
        call = self._tokens.find(request.path_params["token"])
        if call is None or call.elsewhere is None or len(name) > MOST_NAME:
            return PlainTextResponse("There is no such call, or it is over.", 404)
        try:
            arguments = (await whole_body(request, MOST_BODY, BODY_SECONDS)).decode()
        except BodyError as error:
            return PlainTextResponse(error.sentence, error.status)
        except UnicodeDecodeError:
            return PlainTextResponse("The body is no UTF-8.", 400)
        if call.process is None:
            return _fault(Fault.GONE)
        returned = await call.elsewhere.tools.call(name, arguments or "{}")
        return _fault(returned) if isinstance(returned, Fault) else _answer(returned)


def _answer(returned: ToolReturned) -> Response:
    headers: dict[str, str] = {}
    if returned.reaction:
        headers[_REACTION] = returned.reaction
    if returned.kind:
        headers[_RESPONSE_TYPE] = returned.kind
    if returned.kind == "new-stage":
        return Response(returned.body, media_type="application/json", headers=headers)
    return PlainTextResponse(returned.text, headers=headers)


def _fault(fault: Fault) -> Response:
    return PlainTextResponse(f"{fault.value.capitalize()}.", _STATUSES[fault])
