"""Reading what remains of calls: pages of them, one of them whole, its transcript.

A page is found by the place where the last one ended (when the call began, and its sid), not by
counting: it takes the same time at the first and at the thousandth page. What was just said is
in the database a moment later; of a call in progress the gateway itself knows more.
"""

import base64
import binascii
import math
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, Select, and_, or_, select, union_all

from gateway.store.call_rows import (
    CallPage,
    CallQuery,
    CallRow,
    DeliveryRow,
    LineRow,
    RecordingRow,
    ToolRow,
    TurnRow,
    WholeCall,
)
from gateway.store.store import Store
from gateway.store.tables import calls, deliveries, lines, recordings, tool_calls, turns

MOST_ON_A_PAGE = 500

_SUMMARY = (
    calls.c.sid,
    calls.c.company_id,
    calls.c.campaign_id,
    calls.c.direction,
    calls.c.from_number,
    calls.c.to_number,
    calls.c.agent,
    calls.c.release,
    calls.c.state,
    calls.c.status,
    calls.c.reason,
    calls.c.outcome,
    calls.c.began,
    calls.c.answered,
    calls.c.ended,
    calls.c.conversation_id,
    calls.c.answered_by,
    calls.c.transferred_to,
    calls.c.error_code,
    calls.c.exit,
    calls.c.cpu_seconds,
)


class CursorError(ValueError):
    """The place that a page was to begin at is none."""

    def __str__(self) -> str:
        return "the cursor is not one that was given out here; begin again without one"


class CallBook:
    """The calls of one store. Everything here raises ``StoreError`` when the database is away."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def page(
        self, query: CallQuery | None = None, after: str | None = None, limit: int = 50
    ) -> CallPage:
        """Return calls, the newest first, from where ``after`` says. Raises `CursorError`."""
        limit = max(1, min(limit, MOST_ON_A_PAGE))
        place = _place(after) if after else None
        rows = await self._store.rows(page_of(query or CallQuery(), place, limit + 1))
        found = tuple(CallRow(**row) for row in rows[:limit])
        more = len(rows) > limit
        return CallPage(found, _cursor(found[-1]) if more else None)

    async def call(self, sid: str) -> WholeCall | None:
        """Return all that is kept of one call."""
        wanted = select(*_SUMMARY, calls.c.agent_state, calls.c.troubles).where(calls.c.sid == sid)
        found = await self._store.rows(wanted)
        if not found:
            return None
        row = dict(found[0])
        state, troubles = row.pop("agent_state"), row.pop("troubles") or ()
        return WholeCall(
            CallRow(**row),
            state,
            troubles,
            await self.transcript(sid),
            tuple(TurnRow(**_rest(each)) for each in await self._of(turns, sid)),
            tuple(ToolRow(**_rest(each)) for each in await self._of(tool_calls, sid)),
            await self.recordings(sid),
            await self._deliveries(sid),
        )

    async def account_of(self, sid: str) -> str | None:
        """Return the carrier's account of a call, ``None`` if it is not known."""
        rows = await self._store.rows(select(calls.c.account_sid).where(calls.c.sid == sid))
        return rows[0]["account_sid"] if rows else None

    async def transcript(self, sid: str) -> tuple[LineRow, ...]:
        """Return what was said in a call."""
        return tuple(LineRow(**_rest(each)) for each in await self._of(lines, sid))

    async def recordings(self, sid: str) -> tuple[RecordingRow, ...]:
        """Return a call's recordings, the oldest first."""
        wanted = select(recordings).where(recordings.c.call_sid == sid)
        rows = await self._store.rows(wanted.order_by(recordings.c.created))
        return tuple(RecordingRow(**_rest(each)) for each in rows)

    async def _deliveries(self, sid: str) -> tuple[DeliveryRow, ...]:
        d = deliveries.c
        wanted = select(d.id, d.event, d.state, d.tries, d.created, d.ended)
        rows = await self._store.rows(wanted.where(d.call_sid == sid).order_by(d.created))
        return tuple(DeliveryRow(**each) for each in rows)

    async def _of(self, table: Any, sid: str) -> Sequence[RowMapping]:
        wanted = select(table).where(table.c.call_sid == sid).order_by(table.c.number)
        return await self._store.rows(wanted)


def page_of(query: CallQuery, place: tuple[float, str] | None, limit: int) -> Select[Any]:
    """Return the question for ``limit`` calls behind ``place``, the newest first.

    Either side of a call is looked up in an index of its own: one condition on both would read
    and sort every call of a number.
    """
    wanted = _conditions(query)
    if place is not None:
        began, sid = place
        wanted.append(calls.c.began <= began)
        wanted.append(or_(calls.c.began < began, calls.c.sid < sid))
    if query.number is None:
        return _newest(select(*_SUMMARY).where(*wanted), limit)
    sides = (
        calls.c.from_number == query.number,
        and_(
            calls.c.to_number == query.number,
            or_(calls.c.from_number.is_(None), calls.c.from_number != query.number),
        ),
    )
    either = union_all(
        *(
            select(_newest(select(*_SUMMARY).where(side, *wanted), limit).subquery())
            for side in sides
        )
    ).subquery()
    return select(either).order_by(either.c.began.desc(), either.c.sid.desc()).limit(limit)


def _newest(found: Select[Any], limit: int) -> Select[Any]:
    return found.order_by(calls.c.began.desc(), calls.c.sid.desc()).limit(limit)


def _conditions(query: CallQuery) -> list[ColumnElement[bool]]:
    c = calls.c
    equal = (
        (c.direction, query.direction),
        (c.from_number, query.from_number),
        (c.to_number, query.to_number),
        (c.agent, query.agent),
        (c.state, query.state),
        (c.outcome, query.outcome),
        (c.company_id, query.company_id),
        (c.campaign_id, query.campaign_id),
    )
    wanted = [column == value for column, value in equal if value is not None]
    if query.began_from is not None:
        wanted.append(c.began >= query.began_from)
    if query.began_to is not None:
        wanted.append(c.began < query.began_to)
    return wanted


def _rest(row: RowMapping) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "call_sid"}


def _cursor(last: CallRow) -> str:
    return base64.urlsafe_b64encode(f"{last.began!r} {last.sid}".encode()).decode().rstrip("=")


def _place(cursor: str) -> tuple[float, str]:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        began, _, sid = text.partition(" ")
        place = float(began), sid
    except (binascii.Error, ValueError):
        raise CursorError from None
    if not math.isfinite(place[0]) or "\x00" in sid:
        raise CursorError
    return place
