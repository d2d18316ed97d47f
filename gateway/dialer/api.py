"""Placing calls over the API: ``POST /api/calls``, and how they fare: ``GET /api/dials/{id}``."""

from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.responses import Response

from gateway.api.caller import Caller, Scope
from gateway.api.dial_problems import dial_problem
from gateway.api.endpoint import Asked, Endpoint, NoQuery
from gateway.api.problems import ProblemError, sentence
from gateway.api.repeats import key_of
from gateway.carriers.placing import Machine
from gateway.dialer.dialer import Dialer
from gateway.dialer.errors import DialError, DialInDoubtError
from gateway.dialer.numbers import NumberRefusedError
from gateway.dialer.order import Dialled, Order, Progress

Text = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00]*$")]
Seconds = Annotated[int, Meta(ge=1, le=14_400)]
Variable = Annotated[str, Meta(max_length=4000, pattern=r"^[^\x00]*$")]


class CallOrder(msgspec.Struct, forbid_unknown_fields=True, rename={"from_": "from"}):
    """A call to be placed. ``to`` is as people write it; without it the company's default.

    ``key`` (or the header Idempotency-Key) makes it one: a second order with it places no call.
    """

    to: Annotated[str, Meta(max_length=60)] = ""
    from_: Text | None = None
    agent: Text | None = None
    company: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    variables: dict[Text, Variable] = {}
    machine: Machine | None = None
    ring_seconds: Annotated[int, Meta(ge=5, le=600)] | None = None
    max_seconds: Seconds | None = None
    key: Annotated[str, Meta(min_length=1, max_length=200)] | None = None


class CallDialled(msgspec.Struct, rename={"from_": "from"}):
    """A call that the carrier has. ``id`` is the attempt's, for ``/api/dials``."""

    id: str
    sid: str
    to: str
    from_: str
    repeated: bool


class CallInDoubt(msgspec.Struct):
    """The carrier did not answer: whether it calls is being found out. Do not order it again."""

    id: str
    detail: str


class DialSection:
    """The dialer's endpoints. A company's token places its calls alone, and sees no others'."""

    tag = "calls"

    def __init__(self, dialer: Dialer) -> None:
        self._dialer = dialer

    def endpoints(self) -> list[Endpoint]:
        """Return its rows of the table."""
        return [
            Endpoint(
                method="POST",
                path="/api/calls",
                scope=Scope.CALLS,
                handler=self._dial,
                summary="Place a call.",
                body=CallOrder,
                answer=CallDialled,
                status=201,
                others={200: CallDialled, 202: CallInDoubt},
                keyed=True,
                refusals=(404, 422, 503),
            ),
            Endpoint(
                method="GET",
                path="/api/dials/{id}",
                scope=Scope.READ,
                handler=self._progress,
                summary="Tell how a call that was placed fares.",
                answer=Progress,
                refusals=(404,),
            ),
        ]

    async def _dial(self, asked: Asked[NoQuery, CallOrder]) -> object:
        key = asked.body.key or key_of(asked.request)
        return await dial(self._dialer, asked.body, asked.who, key)

    async def _progress(self, asked: Asked[NoQuery, None]) -> Progress:
        found = await self._dialer.progress(asked.path["id"])
        if found is None or not asked.who.of(found.company):
            raise ProblemError(404, "No call was placed under that id.")
        return Progress.of(found)


async def dial(dialer: Dialer, body: CallOrder, who: Caller, key: str | None = None) -> object:
    """Place a call for ``who``; return what is answered. Raises `ProblemError`."""
    company = body.company if body.company is not None else who.company
    if not who.of(company):
        raise ProblemError(403, f"This token is company {who.company}'s alone.")
    order = Order(
        to=body.to,
        from_=body.from_,
        agent=body.agent,
        company=company,
        variables=body.variables,
        machine=body.machine,
        ring_seconds=body.ring_seconds,
        most_seconds=body.max_seconds,
        key=key,
    )
    try:
        return _placed(await dialer.dial(order))
    except DialInDoubtError as error:
        return _json(CallInDoubt(error.id, sentence(error)), 202)
    except (DialError, NumberRefusedError) as error:
        raise dial_problem(error) from error


def _placed(it: Dialled) -> object:
    shown = CallDialled(it.id, it.call_sid, it.to, it.from_, it.repeated)
    return _json(shown, 200) if it.repeated else shown


def _json(shown: object, status: int) -> Response:
    return Response(msgspec.json.encode(shown), status, media_type="application/json")
