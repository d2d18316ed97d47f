"""Deliveries in the database: one row for each event and address, one for each try.

held ──the call's process is gone, or the gateway was──> waiting ──> delivered | failed

Rows are written as records are: soon, in order, and never waited for. What is asked here is asked
beside the calls. Everything that asks raises ``StoreError`` when the database is away.
"""

import hashlib
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    ColumnElement,
    RowMapping,
    Select,
    func,
    select,
    update,
)

from gateway.outbox.event import Endpoint, Shape
from gateway.outbox.schedule import LIFETIME, Next, Tried
from gateway.store.store import Store, Upsert
from gateway.store.tables import deliveries, delivery_tries

WAITING, HELD = Next.AGAIN.value, "held"
DELIVERED, FAILED = Next.DONE.value, Next.GIVEN_UP.value

_c = deliveries.c


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to one address. Times in Unix seconds."""

    id: str
    event: str
    url: str = field(repr=False)
    owner: int | None
    shape: Shape
    body: bytes = field(repr=False)
    call_sid: str | None
    created: float
    tries: int = 0
    tries_before: int = 0
    gateway: str | None = None
    """The one that brings it."""

    @property
    def lane(self) -> str:
        """The id of its address's lane."""
        return lane_id(self.url, self.owner)


def lane_id(url: str, owner: int | None) -> str:
    """Return the id under which deliveries to one address are found."""
    return hashlib.sha256(f"{owner}\n{url}".encode("utf-8", "replace")).hexdigest()[:32]


class Deliveries:
    """The tables of deliveries and their tries."""

    def __init__(self, store: Store) -> None:
        self.store, self.gateway = store, store.gateway
        """Several gateways may share the tables: each brings what is its own."""

    # Written -----------------------------------------------------------------------------------

    def add(self, it: Delivery, state: str) -> None:
        """Have a delivery written soon; one of the same id is replaced."""
        self.store.write(Upsert("deliveries", row_of(it, state)))

    def tried(self, it: Delivery, tried: Tried, following: Next, at: float, again: float) -> None:
        """Have a try written soon, and what follows from it; ``again`` is when the next is due."""
        number = it.tries + 1
        ended = None if following is Next.AGAIN else at
        self.store.write(
            Upsert(
                "delivery_tries",
                {
                    "delivery_id": it.id,
                    "number": number,
                    "at": at,
                    "status": tried.status,
                    "error": tried.error,
                    "ms": tried.ms,
                },
            ),
            Upsert(
                "deliveries",
                {
                    "id": it.id,
                    "state": following.value,
                    "tries": number,
                    "next_at": again if following is Next.AGAIN else None,
                    "ended": ended,
                },
            ),
        )

    async def written(self, seconds: float) -> bool:
        """Wait until all that was written is in the database; false if it was not in time."""
        return await self.store.flush(seconds)

    # For those who send --------------------------------------------------------------------------

    async def lanes(self) -> Sequence[tuple[str, float]]:
        """Return the lanes in which something waits, each with when the first is due."""
        soonest = func.min(_c.next_at).label("soonest")
        rows = await self.store.rows(
            select(_c.lane, soonest)
            .where(_c.state == WAITING, _c.lane.is_not(None), _c.gateway == self.gateway)
            .group_by(_c.lane)
        )
        return [(row["lane"], row["soonest"] or 0.0) for row in rows]

    async def due(
        self, lane: str, now: float, most: int, but: Collection[str]
    ) -> tuple[list[Delivery], float | None]:
        """Return what is to be tried now in a lane, the oldest first, and when more will be.

        ``but`` are known already. Without more there is no time.
        """
        rows = await self.store.rows(
            select(deliveries)
            .where(*self._waiting(lane), _c.next_at <= now)
            .order_by(_c.next_at)
            .limit(most + len(but))
        )
        found = [_delivery(row) for row in rows if row["id"] not in but][:most]
        if len(found) == most:
            return found, now
        later = await self.store.rows(
            select(func.min(_c.next_at).label("soonest")).where(
                *self._waiting(lane), _c.next_at > now
            )
        )
        return found, later[0]["soonest"]

    def _waiting(self, lane: str) -> tuple[ColumnElement[bool], ...]:
        return _c.lane == lane, _c.state == WAITING, _c.gateway == self.gateway

    async def told(self, ids: Sequence[str]) -> frozenset[str]:
        """Return those of ``ids`` that are no longer held back: they are told, or will be."""
        rows = await self.store.rows(select(_c.id).where(_c.id.in_(ids), _c.state != HELD))
        return frozenset(str(row["id"]) for row in rows)

    # For people ----------------------------------------------------------------------------------

    async def page(
        self,
        state: str | None = None,
        event: str | None = None,
        call_sid: str | None = None,
        before: tuple[float, str] | None = None,
        most: int = 50,
        owner: int | None = None,
    ) -> list[dict[str, Any]]:
        """Return deliveries without their bodies, the newest first, ``before`` a time and id.

        With an ``owner``: those to a company's addresses.
        """
        columns = [
            c
            for c in deliveries.columns
            if c.name not in {"body", "lane", "tries_before", "gateway"}
        ]
        wanted: Select[Any] = select(*columns).limit(most)
        wanted = wanted.order_by(_c.created.desc(), _c.id.desc())
        equal = ((_c.event, event), (_c.call_sid, call_sid), (_c.company_id, owner))
        for column, value in equal:
            if value is not None:
                wanted = wanted.where(column == value)
        if state is not None:
            states = (WAITING, HELD) if state == WAITING else (state,)
            wanted = wanted.where(_c.state.in_(states))
        if before is not None:
            created, last = before
            older = (_c.created == created) & (_c.id < last)
            wanted = wanted.where(_c.created <= created, (_c.created < created) | older)
        return [dict(row) for row in await self.store.rows(wanted)]

    async def one(self, delivery: str) -> dict[str, Any] | None:
        """Return a delivery with its body and its tries."""
        rows = await self.store.rows(select(deliveries).where(_c.id == delivery))
        if not rows:
            return None
        tries = await self.store.rows(
            select(delivery_tries)
            .where(delivery_tries.c.delivery_id == delivery)
            .order_by(delivery_tries.c.number)
        )
        return {**rows[0], "log": [dict(each) for each in tries]}

    async def again(self, ids: Sequence[str] | None, now: float) -> Sequence[str]:
        """Have deliveries tried anew, all that failed without ``ids``; return their lanes.

        Those under way are left alone. They get as many tries as new ones, and from this gateway.
        """
        is_settled = _c.state.in_((DELIVERED, FAILED)) if ids is not None else _c.state == FAILED
        which = is_settled if ids is None else is_settled & _c.id.in_(ids)
        lanes = await self.store.rows(select(_c.lane).where(which).distinct())
        if lanes:
            await self.store.commit(
                update(deliveries)
                .where(which)
                .values(
                    state=WAITING,
                    next_at=now,
                    ended=None,
                    tries_before=_c.tries,
                    expires=now + LIFETIME,
                    gateway=self.gateway,
                )
            )
        return [row["lane"] for row in lanes if row["lane"]]


def delivery(
    identity: str,
    event: str,
    endpoint: Endpoint,
    body: bytes,
    call_sid: str | None,
    gateway: str | None,
) -> Delivery:
    """Return a new delivery to ``endpoint``, to be brought by ``gateway``."""
    owner, shape, now = endpoint.owner, endpoint.shape, time.time()
    url = endpoint.url
    return Delivery(identity, event, url, owner, shape, body, call_sid, now, gateway=gateway)


def row_of(it: Delivery, state: str) -> dict[str, Any]:
    """Return the row of a new delivery."""
    return {
        "id": it.id,
        "call_sid": it.call_sid[:64] if it.call_sid else None,
        "company_id": it.owner,
        "event": it.event,
        "url": it.url,
        "body": it.body,
        "lane": it.lane,
        "shape": it.shape.value,
        "state": state,
        "tries": it.tries,
        "tries_before": it.tries_before,
        "next_at": it.created,
        "expires": it.created + LIFETIME,
        "created": it.created,
        "ended": None,
        "gateway": it.gateway,
    }


def _delivery(row: RowMapping) -> Delivery:
    return Delivery(
        row["id"],
        row["event"],
        row["url"],
        row["company_id"],
        Shape(row["shape"] or Shape.CALLFARM),
        row["body"],
        row["call_sid"],
        row["created"],
        row["tries"],
        row["tries_before"],
    )
