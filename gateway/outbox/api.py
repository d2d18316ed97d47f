"""The outbox over the API: what was told to whom, how it went, and telling it again."""

import math
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gateway.api.caller import Caller, Scope
from gateway.api.endpoint import Asked, Endpoint, NoQuery
from gateway.api.problems import ProblemError
from gateway.outbox.outbox import Outbox
from gateway.outbox.statistics import OutboxStatistics
from shared.urls import masked

PAGE = 200
MOST_IDS = 500

Id = Annotated[str, Meta(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9_-]+$")]
Word = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00]*$")]


class WebhooksQuery(msgspec.Struct, forbid_unknown_fields=True):
    """Which deliveries. ``cursor`` is the ``next`` of the page before."""

    state: Literal["waiting", "delivered", "failed"] | None = None
    event: Word | None = None
    call: Word | None = None
    cursor: Annotated[str, Meta(max_length=100, pattern=r"^[^\x00]*$")] | None = None
    limit: Annotated[int, Meta(ge=1, le=PAGE)] = 50


class DeliveryShown(msgspec.Struct, kw_only=True):
    """An event on its way to one address. Times in Unix seconds."""

    id: str
    event: str
    state: str
    call: str | None
    company: int | None
    url: str
    tries: int
    next_at: float | None
    created: float
    ended: float | None


class TryShown(msgspec.Struct):
    """One request. ``ms`` is what it took; ``error`` is a sentence."""

    number: int
    at: float
    status: int | None
    error: str | None
    ms: float | None


class DeliveryWhole(DeliveryShown, kw_only=True):
    """A delivery with what is sent and with all its tries."""

    body: Any
    log: list[TryShown]


class DeliveryPage(msgspec.Struct):
    """Deliveries, the newest first. ``next`` is the ``cursor`` of the next page."""

    webhooks: list[DeliveryShown]
    next: str | None


class Redeliver(msgspec.Struct, forbid_unknown_fields=True):
    """Which are told again: these, or all that failed."""

    ids: Annotated[list[Id], Meta(max_length=MOST_IDS)] = []
    failed: bool = False


class Redelivered(msgspec.Struct):
    """How many addresses are being told again."""

    addresses: int


class WebhooksSection:
    """The outbox's endpoints. A company's token sees what goes to that company's addresses."""

    tag = "webhooks"

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def endpoints(self) -> list[Endpoint]:
        """Return its rows of the table."""
        return [
            Endpoint(
                method="GET",
                path="/api/webhooks",
                scope=Scope.READ,
                handler=self._list,
                summary="List what was told to webhooks, the newest first.",
                query=WebhooksQuery,
                answer=DeliveryPage,
                refusals=(422,),
            ),
            Endpoint(
                method="GET",
                path="/api/webhooks/statistics",
                scope=Scope.READ,
                handler=self._figures,
                summary="Count what has become of webhooks since the start.",
                answer=OutboxStatistics,
                whole_farm=True,
            ),
            Endpoint(
                method="GET",
                path="/api/webhooks/{id}",
                scope=Scope.READ,
                handler=self._show,
                summary="Show a delivery with its body and every try.",
                answer=DeliveryWhole,
                refusals=(404,),
            ),
            Endpoint(
                method="POST",
                path="/api/webhooks/redeliver",
                scope=Scope.ADMIN,
                handler=self._again,
                summary="Tell again what failed, or what is named, with the same keys.",
                body=Redeliver,
                answer=Redelivered,
                status=202,
                refusals=(422,),
                whole_farm=True,
            ),
        ]

    async def _list(self, asked: Asked[WebhooksQuery, None]) -> DeliveryPage:
        it = asked.query
        place = _place(it.cursor) if it.cursor else None
        rows = await self._outbox.deliveries.page(
            it.state, it.event, it.call, place, it.limit + 1, asked.who.company
        )
        shown = [DeliveryShown(**_shown(row)) for row in rows[: it.limit]]
        more = len(rows) > it.limit
        return DeliveryPage(shown, f"{shown[-1].created!r}-{shown[-1].id}" if more else None)

    async def _show(self, asked: Asked[NoQuery, None]) -> DeliveryWhole:
        found = await self._outbox.deliveries.one(asked.path["id"][:40].replace("\x00", ""))
        if found is None or not _may_see(asked.who, found):
            raise ProblemError(404, "There is no such delivery, or it is no longer kept.")
        log = [
            TryShown(each["number"], each["at"], each["status"], each["error"], each["ms"])
            for each in found["log"]
        ]
        body = msgspec.json.decode(found["body"])
        return DeliveryWhole(**_shown(found), body=body, log=log)

    async def _again(self, asked: Asked[NoQuery, Redeliver]) -> Redelivered:
        wanted = asked.body
        if bool(wanted.ids) == wanted.failed:
            raise ProblemError(422, "Name deliveries in ids, or say failed, and not both.")
        return Redelivered(await self._outbox.redeliver(None if wanted.failed else wanted.ids))

    async def _figures(self, asked: Asked[NoQuery, None]) -> OutboxStatistics:
        return self._outbox.statistics


def _place(cursor: str) -> tuple[float, str]:
    created, dash, last = cursor.partition("-")
    try:
        place = float(created)
    except ValueError:
        place = math.nan
    if not (dash and last and math.isfinite(place)):
        raise ProblemError(422, "The cursor is not one that was given out here.")
    return place, last


def _may_see(who: Caller, row: dict[str, Any]) -> bool:
    return who.company is None or row["company_id"] == who.company


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"],
        "event": row["event"],
        "state": "waiting" if row["state"] == "held" else row["state"],
        "call": row["call_sid"],
        "company": row["company_id"],
        "url": masked(row["url"]),
        "tries": row["tries"],
        "next_at": row["next_at"],
        "created": row["created"],
        "ended": row["ended"],
    }
