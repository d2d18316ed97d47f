"""``POST /outgoing-call`` of a system that callfarm replaces, with its own bodies.

``{phoneNumber, firstMessage?}`` → ``{success, callSid}``; a bad number 422, the carrier's no 500,
both ``{detail}``. Unlike there it needs a token. What is to be said first reaches the agent as
``call.variables.firstMessage``, and goes before what the operator's own service would have said.
"""

from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.responses import JSONResponse, Response

from gateway.api.caller import Scope
from gateway.api.endpoint import Asked, Endpoint, NoQuery
from gateway.api.problems import ProblemError, sentence
from gateway.api.repeats import key_of
from gateway.dialer.dialer import Dialer
from gateway.dialer.errors import DialError
from gateway.dialer.numbers import NumberRefusedError
from gateway.dialer.order import Order
from gateway.outbox.first_message import VARIABLE

PATH = "/outgoing-call"

_NAMES = ("firstMessage", VARIABLE)


class OutgoingCall(msgspec.Struct, rename="camel"):
    """Whom to call, and what to say first."""

    phone_number: Annotated[str, Meta(pattern=r"^\+?[1-9]\d{7,14}$")]
    first_message: Annotated[str, Meta(max_length=4000, pattern=r"^[^\x00]*$")] | None = None


class OutgoingPlaced(msgspec.Struct, rename="camel"):
    """The call was placed."""

    success: bool
    call_sid: str


class Detail(msgspec.Struct):
    """An error in that system's words."""

    detail: str


def told(status: int, detail: str) -> Response:
    """Say an error as that system does: a body that is wrong is 422 there."""
    return JSONResponse({"detail": detail}, 422 if status == 400 else status)


class OutgoingSection:
    """The route of the replaced system."""

    tag = "calls"

    def __init__(self, dialer: Dialer) -> None:
        self._dialer = dialer

    def endpoints(self) -> list[Endpoint]:
        """Return its row of the table."""
        return [
            Endpoint(
                method="POST",
                path=PATH,
                scope=Scope.CALLS,
                handler=self._dial,
                summary="Place a call, as VoxFlow does.",
                body=OutgoingCall,
                answer=OutgoingPlaced,
                refusals=(422, 500),
                refuse=told,
                refused_as=Detail,
                keyed=True,
            )
        ]

    async def _dial(self, asked: Asked[NoQuery, OutgoingCall]) -> OutgoingPlaced:
        it, number = asked.body, asked.body.phone_number
        variables = {} if it.first_message is None else dict.fromkeys(_NAMES, it.first_message)
        order = Order(
            to=number if number.startswith("+") else f"+{number}",
            company=asked.who.company,
            variables=variables,
            key=key_of(asked.request),
        )
        try:
            dialled = await self._dialer.dial(order)
        except NumberRefusedError as error:
            raise ProblemError(422, sentence(error)) from error
        except DialError as error:
            raise ProblemError(500, sentence(error)) from error
        return OutgoingPlaced(True, dialled.call_sid)
