"""Tokens of the API: made, listed, revoked."""

from typing import Annotated

import msgspec

from gateway.api.caller import Scope
from gateway.api.calls import Number
from gateway.api.endpoint import Asked, Endpoint, NoQuery, Shape
from gateway.api.problems import ProblemError, sentence
from gateway.api.tokens import ApiTokens, TokenRow
from gateway.store.companies import Companies, NoCompanyError


class NewToken(msgspec.Struct, forbid_unknown_fields=True):
    """A token to be made. With a ``company`` it sees nothing of the others'."""

    name: Annotated[
        str,
        msgspec.Meta(
            pattern=r"^[\w .@-]{1,100}$",
            description="At most 100 letters, digits, spaces, or any of . @ - _.",
        ),
    ]
    scopes: Annotated[list[Scope], msgspec.Meta(min_length=1, max_length=8)]
    company: Number | None = None


class TokenMade(msgspec.Struct):
    """A new token. ``token`` is shown this once: only its hash is kept."""

    id: str
    name: str
    scopes: list[Scope]
    company: int | None
    created: float
    token: str


class TokenList(msgspec.Struct):
    """All tokens, the newest first, without what they open."""

    tokens: list[TokenRow]


class TokensSection:
    """The tokens of the store, made for companies that there are."""

    tag = "tokens"

    def __init__(self, tokens: ApiTokens | None, companies: Companies | None = None) -> None:
        self._tokens, self._companies = tokens, companies

    def endpoints(self) -> list[Endpoint]:
        """Return its rows of the table."""
        return [
            Endpoint(
                method="GET",
                path="/api/tokens",
                scope=Scope.ADMIN,
                handler=self._list,
                summary="List the tokens, without what they open.",
                answer=TokenList,
                whole_farm=True,
            ),
            Endpoint(
                method="POST",
                path="/api/tokens",
                scope=Scope.ADMIN,
                handler=self._create,
                summary="Make a token: it is shown this once.",
                body=NewToken,
                answer=TokenMade,
                status=201,
                refusals=(422,),
                whole_farm=True,
            ),
            Endpoint(
                method="DELETE",
                path="/api/tokens/{id}",
                scope=Scope.ADMIN,
                handler=self._revoke,
                summary="Revoke a token, by its id, or all of a name.",
                status=204,
                shape=Shape.NOTHING,
                refusals=(404,),
                whole_farm=True,
            ),
        ]

    @property
    def _kept(self) -> ApiTokens:
        if self._tokens is None:
            raise ProblemError(503, "This gateway keeps no tokens but API_TOKEN.")
        return self._tokens

    async def _list(self, asked: Asked[NoQuery, None]) -> TokenList:
        return TokenList(await self._kept.all())

    async def _create(self, asked: Asked[NoQuery, NewToken]) -> TokenMade:
        it = asked.body
        if it.company is not None and Scope.ADMIN in it.scopes:
            raise ProblemError(422, "A company's token has the scopes read and calls, not admin.")
        if it.company is not None and self._companies is not None:
            try:
                await self._companies.get(it.company)
            except NoCompanyError as error:
                raise ProblemError(422, sentence(error)) from error
        row, token = await self._kept.create(it.name, set(it.scopes), it.company)
        return TokenMade(row.id, row.name, list(row.scopes), row.company, row.created, token)

    async def _revoke(self, asked: Asked[NoQuery, None]) -> None:
        if not await self._kept.revoke(asked.path["id"]):
            raise ProblemError(404, "There is no such token, or it is revoked already.")
