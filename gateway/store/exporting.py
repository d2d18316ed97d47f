"""What was kept, as CSV or as JSON lines, for other programs: in constant memory, page by page.

It reads the database itself, so that it works beside a gateway, without one, and without costing
the calls anything. What a spreadsheet would take for a formula is marked as text.
"""

import csv
import io
import re
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Column, RowMapping, Select, Table, and_, or_, select

from gateway.store.export_kinds import Form, What
from gateway.store.store import Store
from gateway.store.tables import calls, campaigns, leads, lines, turns

PAGE = 500


_TABLES = {What.CALLS: calls, What.LINES: lines, What.TURNS: turns, What.LEADS: leads}

_FORMULA = re.compile(r"[=@\t\r]|[+-](?!\d[\d .]*\Z)")
"""What a spreadsheet runs: a number with its sign is none."""


def columns(what: What) -> list[str]:
    """Return the names of what is exported."""
    return [column.name for column in _TABLES[what].columns]


async def exported(
    store: Store, what: What, form: Form, since: float | None = None
) -> AsyncIterator[tuple[int, str]]:
    """Yield text piece by piece, each with how many rows it holds.

    They come in the order in which calls, or campaigns, began.

    ``since`` (Unix seconds) is when they began at the earliest. Raises ``StoreError``.
    """
    names = columns(what)
    written = _csv(names) if form is Form.CSV else _jsonl
    if form is Form.CSV:
        yield 0, ",".join(names) + "\r\n"
    async for rows in _pages(store, what, since):
        yield len(rows), written(rows)


async def _pages(
    store: Store, what: What, since: float | None
) -> AsyncIterator[Sequence[RowMapping]]:
    if what is What.LEADS:
        async for parents in _walk(store, campaigns, campaigns.c.created, campaigns.c.id, since):
            for parent in parents:
                async for rows in _numbered(store, leads, leads.c.campaign_id, parent["id"]):
                    yield rows
        return
    async for rows in _walk(store, calls, calls.c.began, calls.c.sid, since):
        if what is What.CALLS:
            yield rows
            continue
        table = _TABLES[what]
        # A call's lines are bounded, those of a page of calls are not.
        for row in rows:
            async for found in _numbered(store, table, table.c.call_sid, row["sid"]):
                yield found


async def _walk(
    store: Store, table: Table, at: Column[Any], key: Column[Any], since: float | None
) -> AsyncIterator[Sequence[RowMapping]]:
    """Yield pages of a table's rows by time and key."""
    place: tuple[Any, Any] | None = None
    while True:
        wanted: Select[Any] = select(table)
        if since is not None:
            wanted = wanted.where(at >= since)
        if place is not None:
            wanted = wanted.where(at >= place[0], or_(at > place[0], and_(key > place[1])))
        rows = await store.rows(wanted.order_by(at, key).limit(PAGE))
        if rows:
            yield rows
        if len(rows) < PAGE:
            return
        place = rows[-1][at.name], rows[-1][key.name]


async def _numbered(
    store: Store, table: Table, of: Column[Any], whose: str
) -> AsyncIterator[Sequence[RowMapping]]:
    last = -1
    while True:
        wanted = select(table).where(of == whose, table.c.number > last)
        rows = await store.rows(wanted.order_by(table.c.number).limit(PAGE))
        if rows:
            yield rows
        if len(rows) < PAGE:
            return
        last = rows[-1]["number"]


def _jsonl(rows: Sequence[RowMapping]) -> str:
    return "".join(msgspec.json.encode(dict(row)).decode() + "\n" for row in rows)


def _csv(names: Sequence[str]) -> Callable[[Sequence[RowMapping]], str]:
    def text(rows: Sequence[RowMapping]) -> str:
        out = io.StringIO()
        writer = csv.writer(out)
        for row in rows:
            writer.writerow([_cell(row[name]) for name in names])
        return out.getvalue()

    return text


def _cell(value: Any) -> object:
    if isinstance(value, dict | list):
        value = msgspec.json.encode(value).decode()
    if isinstance(value, str) and _FORMULA.match(value):
        return "'" + value
    return "" if value is None else value
