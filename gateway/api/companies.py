"""Companies: made, changed, listed, taken away. Their secrets go in and never come out."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated, Any

import msgspec
from msgspec import UNSET

from gateway.api.caller import Scope
from gateway.api.calls import Number
from gateway.api.company_agents import check_agent
from gateway.api.endpoint import Asked, Endpoint, NoQuery, Shape
from gateway.api.masking import kept, shown
from gateway.api.problems import ProblemError, sentence
from gateway.api.tokens import ApiTokens
from gateway.outbox.webhook_check import WebhookCheck
from gateway.store.companies import Companies, NoCompanyError
from gateway.store.company import Company, CompanyChange, CompanyError
from gateway.store.company_settings import check_settings

PAGE = 100


class CompaniesQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Those with ids above ``after``, in their order."""

    after: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE)] = PAGE


class NewCompany(CompanyChange, forbid_unknown_fields=True, kw_only=True):
    """A company to be made; without an ``id`` it gets the next one."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    id: Number | None = None


class CompanyList(msgspec.Struct):
    """Companies. ``next`` is the ``after`` of the next page, null after the last."""

    companies: list[Company]
    next: int | None


class CompaniesSection:
    """The companies of the store."""

    tag = "companies"

    def __init__(
        self,
        companies: Companies | None,
        tokens: ApiTokens | None = None,
        webhooks: WebhookCheck | None = None,
        agents: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        """``agents`` returns those of the live release."""
        self._companies, self._tokens, self._webhooks = companies, tokens, webhooks
        self._agents = agents

    def endpoints(self) -> list[Endpoint]:
        """Return its rows of the table."""
        every, one = "/api/companies", "/api/companies/{id}"
        return [
            Endpoint(
                method="GET",
                path=every,
                scope=Scope.READ,
                handler=self._list,
                summary="List the companies.",
                query=CompaniesQuery,
                answer=CompanyList,
                whole_farm=True,
            ),
            Endpoint(
                method="POST",
                path=every,
                scope=Scope.ADMIN,
                handler=self._create,
                summary="Make a company.",
                body=NewCompany,
                answer=Company,
                status=201,
                refusals=(409, 422),
                whole_farm=True,
            ),
            Endpoint(
                method="GET",
                path=one,
                scope=Scope.READ,
                handler=self._show,
                summary="Show a company; of its secrets, whether there are any.",
                answer=Company,
                refusals=(404,),
            ),
            Endpoint(
                method="PATCH",
                path=one,
                scope=Scope.ADMIN,
                handler=self._change,
                summary="Change what is named; null takes away.",
                body=CompanyChange,
                answer=Company,
                refusals=(404, 422),
                whole_farm=True,
            ),
            Endpoint(
                method="DELETE",
                path=one,
                scope=Scope.ADMIN,
                handler=self._remove,
                summary="Take a company away, with its tokens; its calls stay.",
                status=204,
                shape=Shape.NOTHING,
                refusals=(404,),
                whole_farm=True,
            ),
        ]

    @property
    def _store(self) -> Companies:
        if self._companies is None:
            raise ProblemError(503, "This gateway keeps no companies.")
        return self._companies

    async def _list(self, asked: Asked[CompaniesQuery, None]) -> CompanyList:
        query = asked.query
        found = await self._store.list(query.after, query.limit + 1)
        more = len(found) > query.limit
        page = [_shown(it) for it in found[: query.limit]]
        return CompanyList(page, page[-1].id if more else None)

    async def _create(self, asked: Asked[NoQuery, NewCompany]) -> Company:
        body = asked.body
        named = body.id is not None and await self._is_there(body.id)
        if named:
            raise ProblemError(409, f"There is a company {body.id} already.")
        try:
            await self._check(body, None, {})
            return _shown(await self._store.create(body, body.id))
        except CompanyError as error:
            raise ProblemError(422, sentence(error)) from error

    async def _check(
        self, change: CompanyChange, agent: str | None, before: dict[str, Any]
    ) -> None:
        """Check what is changed of a company that has this ``agent`` and, ``before``, settings.

        What was shown masked is put back. Raises `CompanyError`.
        """
        if change.settings is not UNSET:
            change.settings = kept(change.settings, before)
            check_settings(change.settings)
        check_agent(change, agent, before, self._agents())
        if change.settings is not UNSET and self._webhooks is not None:
            await self._webhooks.check(change.settings)

    async def _is_there(self, company: int) -> bool:
        try:
            await self._store.get(company)
        except NoCompanyError:
            return False
        return True

    async def _show(self, asked: Asked[NoQuery, None]) -> Company:
        company = _id(asked.path["id"])
        if not asked.who.of(company):
            raise ProblemError(404, f"There is no company {company}.")
        try:
            return _shown(await self._store.get(company))
        except NoCompanyError as error:
            raise ProblemError(404, sentence(error)) from error

    async def _change(self, asked: Asked[NoQuery, CompanyChange]) -> Company:
        company = _id(asked.path["id"])
        try:
            known = await self._store.get(company)
            await self._check(asked.body, known.agent, known.settings)
            return _shown(await self._store.change(company, asked.body))
        except NoCompanyError as error:
            raise ProblemError(404, sentence(error)) from error
        except CompanyError as error:
            raise ProblemError(422, sentence(error)) from error

    async def _remove(self, asked: Asked[NoQuery, None]) -> None:
        company = _id(asked.path["id"])
        try:
            await self._store.remove(company)
        except NoCompanyError as error:
            raise ProblemError(404, sentence(error)) from error
        if self._tokens is not None:
            await self._tokens.revoke_of(company)


def _shown(company: Company) -> Company:
    return replace(company, settings=shown(company.settings))


def _id(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 < int(text[:11]) < 2**31:
        raise ProblemError(404, "There is no such company: its id is a number.")
    return int(text)
