"""The do-not-call list: whom no campaign and no order may call."""

import time
from typing import Annotated

import msgspec
from sqlalchemy import select

from gateway.api.caller import Caller, Scope
from gateway.api.calls import Number, Word
from gateway.api.endpoint import Asked, Endpoint, NoQuery, Shape
from gateway.api.problems import ProblemError
from gateway.dialer.do_not_call import EVERYBODY, DoNotCall
from gateway.store.store import Store
from gateway.store.tables import do_not_call
from shared.e164 import NumberError, queried_number

PAGE = 200


class DoNotCallQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Of whose list; without a company, of everybody's. ``after`` is the last number known."""

    company: Number | None = None
    after: Word = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE)] = PAGE


class WhoseQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Of whose list; without a company, of everybody's."""

    company: Number | None = None


class NewEntry(msgspec.Struct, forbid_unknown_fields=True):
    """A number that must not be called: by a company, or by anybody."""

    number: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    company: Number | None = None
    reason: Annotated[str, msgspec.Meta(max_length=500)] = ""


class EntryShown(msgspec.Struct):
    """A number on the list."""

    number: str
    company: int | None
    reason: str
    created: float


class DoNotCallList(msgspec.Struct):
    """Numbers in their order. ``next`` is the ``after`` of the next page, null after the last."""

    numbers: list[EntryShown]
    next: str | None


class DoNotCallSection:
    """The list of the store. A company's token reads and changes that company's alone."""

    tag = "do not call"

    def __init__(self, store: Store | None) -> None:
        self._store = store

    def endpoints(self) -> list[Endpoint]:
        """Return its rows of the table."""
        path = "/api/do-not-call"
        return [
            Endpoint(
                method="GET",
                path=path,
                scope=Scope.READ,
                handler=self._list,
                summary="List the numbers that must not be called.",
                query=DoNotCallQuery,
                answer=DoNotCallList,
            ),
            Endpoint(
                method="POST",
                path=path,
                scope=Scope.CALLS,
                handler=self._add,
                summary="Put a number on the list.",
                body=NewEntry,
                answer=EntryShown,
                status=201,
            ),
            Endpoint(
                method="DELETE",
                path=path + "/{number}",
                scope=Scope.CALLS,
                handler=self._remove,
                summary="Take a number off the list.",
                query=WhoseQuery,
                status=204,
                shape=Shape.NOTHING,
                refusals=(404,),
            ),
        ]

    @property
    def _kept(self) -> Store:
        if self._store is None:
            raise ProblemError(503, "This gateway keeps no list.")
        return self._store

    async def _list(self, asked: Asked[DoNotCallQuery, None]) -> DoNotCallList:
        query, table = asked.query, do_not_call.c
        company = _whose(query.company, asked.who)
        wanted = select(do_not_call).where(
            table.company_id == (company or EVERYBODY), table.phone > query.after
        )
        rows = await self._kept.rows(wanted.order_by(table.phone).limit(query.limit + 1))
        shown = [
            EntryShown(row["phone"], company, row["reason"] or "", row["created"])
            for row in rows[: query.limit]
        ]
        return DoNotCallList(shown, shown[-1].number if len(rows) > query.limit else None)

    async def _add(self, asked: Asked[NoQuery, NewEntry]) -> EntryShown:
        it = asked.body
        number, company = _number(it.number), _whose(it.company, asked.who)
        await DoNotCall(self._kept).add(number, company, it.reason)
        return EntryShown(number, company, it.reason, time.time())

    async def _remove(self, asked: Asked[WhoseQuery, None]) -> None:
        number = _number(asked.path["number"])
        company = _whose(asked.query.company, asked.who)
        if not await DoNotCall(self._kept).remove(number, company):
            raise ProblemError(404, "That number is not on the list.")


def _whose(company: int | None, who: Caller) -> int | None:
    if not who.of(company if company is not None else who.company):
        raise ProblemError(403, f"This token is company {who.company}'s alone.")
    return company if company is not None else who.company


def _number(text: str) -> str:
    try:
        return queried_number(text)
    except NumberError as error:
        raise ProblemError(422, f"{error}.") from error
