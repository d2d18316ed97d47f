"""Calls at Ultravox in the database: which of them lack their transcript, and where it goes.

A call is told from those of other services by its id there, which is a UUID. Everything that asks
raises ``StoreError`` when the database is away.
"""

import asyncio
import time
import uuid
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Select, select

from gateway.outbox.call_values import call_of, transcript_event
from gateway.outbox.event import Event
from gateway.store.gateways import may_be_taken
from gateway.store.records import CallBook
from gateway.store.store import Store, StoreError, Upsert
from gateway.store.tables import calls, deliveries, lines, tool_calls
from gateway.ultravox.conversation import Conversation

MOST_OWED = 500
"""Calls of an earlier life that are asked about, the newest."""

_MOST_TEXT = 4000
_AT_ONCE = 100
_FLUSH_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Owed:
    """A call without its transcript. ``began`` is in Unix seconds."""

    sid: str
    conversation_id: str
    company: int | None
    began: float


class Ledger:
    """Those calls of one store."""

    def __init__(self, store: Store) -> None:
        self._store, self._book = store, CallBook(store)

    async def owed(self, since: float, before: float, live: Collection[str]) -> list[Owed]:
        """Return calls that were answered, began in that time, and have no line."""
        await self._settle()
        c = calls.c
        wanted = self._owed().where(c.began >= since, c.began < before, c.sid.not_in(live))
        rows = await self._store.rows(wanted.order_by(c.began.desc()).limit(MOST_OWED))
        return [it for row in rows if is_ultravox((it := Owed(**row)).conversation_id)]

    async def find(self, conversation_id: str) -> Owed | None:
        """Return the call of that id, unless it is not known or has its lines."""
        if not is_ultravox(conversation_id):
            return None
        await self._settle()
        wanted = self._owed().where(calls.c.conversation_id == conversation_id)
        rows = await self._store.rows(wanted.limit(1))
        return Owed(**rows[0]) if rows else None

    def _owed(self) -> Select[Any]:
        """Calls without a line, but those of another gateway, which asks about them itself."""
        return _without_lines().where(may_be_taken(calls.c.gateway, self._store, time.time()))

    async def _settle(self) -> None:
        """Have what was written a moment ago count."""
        if not await self._store.flush(_FLUSH_SECONDS):
            raise StoreError("records wait", away=True)

    async def write(self, it: Owed, found: Conversation) -> Event | None:
        """Write a transcript down.

        Returns what is to be told of it, if the call's end was told before. Of a call that was
        pruned meanwhile nothing is.
        """
        if not await self._store.rows(select(calls.c.sid).where(calls.c.sid == it.sid)):
            return None
        has_tools = await self._store.rows(
            select(tool_calls.c.number).where(tool_calls.c.call_sid == it.sid).limit(1)
        )
        rows = rows_of(it.sid, found, with_tools=not has_tools)
        for start in range(0, len(rows), _AT_ONCE):
            self._store.write(*rows[start : start + _AT_ONCE])
            await asyncio.sleep(0)  # others are on the air
        await self._settle()
        told = await self._store.rows(
            select(deliveries.c.id)
            .where(deliveries.c.call_sid == it.sid, deliveries.c.event == "call.ended")
            .limit(1)
        )
        whole = await self._book.call(it.sid) if told else None
        if whole is None:
            return None
        tools = [asdict(each) for each in whole.tool_calls]
        said = [asdict(line) for line in whole.lines]
        return transcript_event(call_of(asdict(whole.call)), said, tools, again=True)


def is_ultravox(conversation_id: str) -> bool:
    """Tell whether this could be the id of a call there."""
    try:
        return str(uuid.UUID(conversation_id)) == conversation_id.lower()
    except ValueError:
        return False


def rows_of(sid: str, found: Conversation, *, with_tools: bool) -> list[Upsert]:
    """Return what is written of a call that no record is kept of any more."""
    rows = [
        Upsert(
            "lines",
            {
                "call_sid": sid,
                "number": number,
                "role": line.role,
                "text": line.text,
                "at_ms": line.at_ms,
                "reply_ms": None,
                "interrupted": False,
            },
        )
        for number, line in enumerate(found.lines)
    ]
    for number, ran in enumerate(found.tools if with_tools else ()):
        values = {
            "call_sid": sid,
            "number": number,
            "name": ran.name,
            "arguments": ran.arguments[:_MOST_TEXT],
            "outcome": ran.outcome,
            "text": ran.text[:_MOST_TEXT],
            "seconds": ran.seconds,
            "at_ms": ran.at_ms,
        }
        rows.append(Upsert("tool_calls", values))
    return rows


def _without_lines() -> Select[Any]:
    c = calls.c
    return select(c.sid, c.conversation_id, c.company_id.label("company"), c.began).where(
        c.conversation_id.is_not(None),
        c.answered.is_not(None),
        ~select(lines.c.number).where(lines.c.call_sid == c.sid).exists(),
    )
