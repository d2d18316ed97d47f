"""``POST /ultravox-voices`` of a system that callfarm replaces: a company's voices at Ultravox.

    {companyId, cursor?, limit?, filters?} ──> {next, previous, results[], total}

It is asked with the company's own key, from its speech settings. ``language`` and ``ownership`` are
filters there; ``gender`` and ``accent`` are looked for in what Ultravox' search looks at. ``next``
is an address, as there; a ``cursor`` may be one, or what is in it.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from starlette.responses import JSONResponse, Response

from gateway.api.caller import Scope
from gateway.api.endpoint import Asked, Endpoint, NoQuery
from gateway.api.problems import ProblemError
from gateway.api.ultravox_calls import NO_COMPANY, CompanyId
from gateway.ultravox.accounts import Accounts
from gateway.ultravox.conversation import cursor_of
from gateway.ultravox.rest import UltravoxError, UltravoxRest

PATH = "/ultravox-voices"
NOT_CONFIGURED = "Ultravox API configuration not found for the specified company"
FAILED = "Failed to retrieve Ultravox voices"

Word = Annotated[str, Meta(max_length=100, pattern=r"^[^\x00]*$")]


class VoiceFilters(msgspec.Struct):
    """Which voices. ``language`` is BCP 47."""

    language: Word | None = None
    gender: Word | None = None
    accent: Word | None = None
    ownership: Literal["public", "private"] | None = None


class VoicesWanted(msgspec.Struct, rename="camel"):
    """Whose voices, from where on, how many, and which."""

    company_id: CompanyId = None
    cursor: Annotated[str, Meta(max_length=2000)] | None = None
    limit: Annotated[int, Meta(ge=1, le=200)] = 10
    filters: VoiceFilters | None = None


class Voice(msgspec.Struct, rename="camel"):
    """A voice."""

    voice_id: str
    name: str
    description: str | None = None
    preview_url: str | None = None
    ownership: str | None = None


class Voices(msgspec.Struct):
    """A page of voices. ``next`` and ``previous`` are where others are, null without any."""

    results: list[Voice]
    next: str | None = None
    previous: str | None = None
    total: int | None = None


class VoicesError(msgspec.Struct, omit_defaults=True):
    """An error in that system's words."""

    error: str
    details: str = ""


def said(status: int, detail: str) -> Response:
    """Say an error as that system does."""
    if status == 500:
        return JSONResponse({"error": FAILED, "details": detail}, 500)
    return JSONResponse({"error": detail}, status)


class VoicesSection:
    """That route."""

    tag = "replaced"

    def __init__(self, rest: UltravoxRest, accounts: Accounts) -> None:
        self._rest, self._accounts = rest, accounts

    def endpoints(self) -> list[Endpoint]:
        """Return its row of the table."""
        return [
            Endpoint(
                method="POST",
                path=PATH,
                scope=Scope.READ,
                handler=self._list,
                summary="List a company's voices at Ultravox.",
                body=VoicesWanted,
                body_optional=True,
                answer=Voices,
                refusals=(404, 500),
                refuse=said,
                refused_as=VoicesError,
            )
        ]

    async def _list(self, asked: Asked[NoQuery, VoicesWanted]) -> Voices:
        it = asked.body
        company = it.company_id
        if isinstance(company, str) and company.isascii() and company.isdecimal():
            company = int(company[:11])
        if not isinstance(company, int) or isinstance(company, bool):
            raise ProblemError(400, NO_COMPANY)
        access = None
        if asked.who.of(company) and 0 < company < 2**31:
            access = await self._accounts.of_company(company)
        if access is None:
            raise ProblemError(404, NOT_CONFIGURED)
        try:
            answer = await self._rest.get(access, "/api/voices", query_of(it))
            return msgspec.convert(answer, Voices)
        except UltravoxError as error:
            raise ProblemError(500, f"{error.sentence}.") from error
        except msgspec.ValidationError as error:
            raise ProblemError(500, "Ultravox' answer is no list of voices.") from error


def query_of(it: VoicesWanted) -> dict[str, str]:
    """Return what Ultravox is asked (its OpenAPI document, ``voices_list``)."""
    filters = it.filters or VoiceFilters()
    cursor = cursor_of(it.cursor) or it.cursor
    words = " ".join(word for word in (filters.accent, filters.gender) if word)
    wanted: dict[str, Any] = {
        "pageSize": str(it.limit),
        "cursor": cursor,
        "primaryLanguage": filters.language,
        "ownership": filters.ownership,
        "search": words,
    }
    return {name: value for name, value in wanted.items() if value}
