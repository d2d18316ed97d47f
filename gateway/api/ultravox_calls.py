"""Routes of "Ultravox Call Routes": calls, one or many, for a company, with that system's bodies.

    POST /api/ultravox-calls/initiate-call            {companyId, destinationNumber?}
    POST /api/ultravox-calls/ultravox-test-call       ... {systemPrompt?, voice?}
    POST /api/ultravox-calls/bulk-calls-sequential    {companyId, phoneNumbers[]}  ─> bulk_calls

A company's prompt and voice are every call's of its (`gateway.dialer.company_rules`); a test call
has others as its variables. ``joinUrl`` is null: the service
makes its call when the phone is answered, and the URL opens a caller's microphone to whoever has
it. ``twimlUrl`` is taken and not used, as there.
"""

from typing import Annotated, Any

import msgspec
from starlette.responses import JSONResponse, Response

from gateway.api.bulk_calls import BulkCalls, BulkDone, BulkJob, BulkStarted, patience
from gateway.api.caller import Caller, Scope
from gateway.api.endpoint import Asked, Endpoint, NoQuery
from gateway.api.problems import ProblemError, sentence
from gateway.api.repeats import key_of
from gateway.calls.metadata import OTHER_VOICE
from gateway.dialer.dialer import Dialer
from gateway.dialer.errors import DialError, DialRefusedError
from gateway.dialer.numbers import NumberRefusedError
from gateway.dialer.order import Order
from gateway.store.companies import Companies, NoCompanyError
from gateway.store.company import Company

NO_COMPANY = "Company ID is required"
NO_CONFIGURATION = "Twilio configuration not found"
NO_NUMBERS = "Phone numbers array is required and must not be empty"

MOST_NUMBERS = 10_000

_NOT_SET_UP = frozenset({"company", "credentials", "caller-id"})

CompanyId = Annotated[
    Any, msgspec.Meta(extra_json_schema={"type": "integer", "minimum": 1, "maximum": 2**31 - 1})
]
_NUMBERS = {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MOST_NUMBERS}


class InitiateCall(msgspec.Struct, rename="camel"):
    """Whom to call for which company; without a number the company's default destination."""

    company_id: CompanyId = None
    destination_number: str | None = None


class TestCall(InitiateCall, rename="camel"):
    """The same, with another prompt or voice."""

    system_prompt: str | None = None
    voice: str | None = None


class BulkCallsOrder(msgspec.Struct, rename="camel"):
    """Whom to call, one after the other. ``maxCallDuration`` in seconds."""

    company_id: CompanyId = None
    phone_numbers: Annotated[Any, msgspec.Meta(extra_json_schema=_NUMBERS)] = None
    max_call_duration: Annotated[int, msgspec.Meta(ge=5, le=14_400)] | None = None
    twiml_url: str | None = None


class CallInitiated(msgspec.Struct, rename="camel"):
    """The carrier has the call."""

    message: str
    call_sid: str
    join_url: str | None


class SaidError(msgspec.Struct):
    """An error in that system's words."""

    error: str


def said(status: int, detail: str) -> Response:
    """Say an error as that system does."""
    return JSONResponse({"error": detail}, status)


class UltravoxCallsSection:
    """Those routes."""

    tag = "replaced"

    def __init__(self, dialer: Dialer, companies: Companies, bulk: BulkCalls | None) -> None:
        self._dialer, self._companies, self._bulk = dialer, companies, bulk

    def endpoints(self) -> list[Endpoint]:
        """Return its rows of the table."""
        rows: list[tuple[str, Any, str, Any, Any]] = [
            ("initiate-call", self._initiate, "Call somebody.", InitiateCall, CallInitiated),
            ("ultravox-test-call", self._test, "Call somebody to try.", TestCall, CallInitiated),
            ("bulk-calls-sequential", self._many, "Call many.", BulkCallsOrder, BulkDone),
        ]
        return [
            Endpoint(
                method="POST",
                path=f"/api/ultravox-calls/{name}",
                scope=Scope.CALLS,
                handler=handler,
                summary=summary,
                body=body,
                body_optional=True,
                most_body=1 << 20,
                answer=answer,
                others={202: BulkStarted} if answer is BulkDone else {},
                refusals=(404,),
                refuse=said,
                refused_as=SaidError,
                keyed=True,
            )
            for name, handler, summary, body, answer in rows
        ] + [
            Endpoint(
                method="GET",
                path="/api/jobs/{id}",
                scope=Scope.READ,
                handler=self._job,
                summary="Tell how many calls that were ordered at once fare.",
                answer=BulkJob,
                refusals=(404,),
            )
        ]

    async def _initiate(self, asked: Asked[NoQuery, InitiateCall]) -> CallInitiated:
        company = await self._company(asked.body.company_id, asked.who)
        number, key = asked.body.destination_number, key_of(asked.request)
        sid = await self._call(company, number, {}, key)
        return CallInitiated("Call initiated successfully", sid, None)

    async def _test(self, asked: Asked[NoQuery, TestCall]) -> CallInitiated:
        it = asked.body
        company = await self._company(it.company_id, asked.who)
        changed = {"system_prompt": it.system_prompt, OTHER_VOICE: it.voice}
        variables = {k: v for k, v in changed.items() if v is not None}
        sid = await self._call(company, it.destination_number, variables, key_of(asked.request))
        return CallInitiated("Test call initiated successfully", sid, None)

    async def _many(self, asked: Asked[NoQuery, BulkCallsOrder]) -> object:
        it = asked.body
        company = await self._company(it.company_id, asked.who)
        numbers = it.phone_numbers
        if not isinstance(numbers, list) or not numbers:
            raise ProblemError(400, NO_NUMBERS)
        if not all(isinstance(number, str) for number in numbers):
            raise ProblemError(400, "Phone numbers are text, like +493012345678")
        if len(numbers) > MOST_NUMBERS:
            raise ProblemError(400, f"At most {MOST_NUMBERS} numbers at once: make a campaign")
        if self._bulk is None:
            raise ProblemError(503, "This gateway runs no campaigns.")
        try:
            return await self._bulk.call(
                company,
                numbers,
                it.max_call_duration,
                patience(asked.request.headers.get("prefer", "")),
                key_of(asked.request),
            )
        except (DialError, NumberRefusedError) as error:
            raise _refusal(error) from error

    async def _job(self, asked: Asked[NoQuery, None]) -> BulkJob:
        found = await self._bulk.job(asked.path["id"], asked.who) if self._bulk else None
        if found is None:
            raise ProblemError(404, "There is no such job.")
        return found

    async def _company(self, company_id: object, who: Caller) -> Company:
        if isinstance(company_id, str) and company_id.isascii() and company_id.isdecimal():
            company_id = int(company_id[:11])
        if not isinstance(company_id, int) or isinstance(company_id, bool):
            raise ProblemError(400, NO_COMPANY)
        if not who.of(company_id) or not 0 < company_id < 2**31:
            raise ProblemError(404, NO_CONFIGURATION)
        try:
            return await self._companies.get(company_id)
        except NoCompanyError as error:
            raise ProblemError(404, NO_CONFIGURATION) from error

    async def _call(
        self, company: Company, number: str | None, variables: dict[str, str], key: str | None
    ) -> str:
        to = number or company.default_destination
        if not to:
            raise ProblemError(
                400,
                f"destinationNumber is missing, and company {company.id} has no "
                "default_destination",
            )
        order = Order(to=to, company=company.id, variables=variables, key=key)
        try:
            return (await self._dialer.dial(order)).call_sid
        except (DialError, NumberRefusedError) as error:
            raise _refusal(error) from error


def _refusal(error: DialError | NumberRefusedError) -> ProblemError:
    if isinstance(error, NumberRefusedError):
        return ProblemError(400, sentence(error))
    if isinstance(error, DialRefusedError) and error.reason in _NOT_SET_UP:
        return ProblemError(404, NO_CONFIGURATION)
    return ProblemError(500, sentence(error))
