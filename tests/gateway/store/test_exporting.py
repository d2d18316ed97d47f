"""What is exported is what was kept, in order, whole, and harmless to a spreadsheet."""

import csv
import io
import tracemalloc
from typing import Any

import msgspec
import pytest

from gateway.store.export_kinds import Form, What
from gateway.store.exporting import columns, exported
from gateway.store.store import Store, Upsert


async def text_of(store: Store, what: What, form: Form, since: float | None = None) -> str:
    return "".join([text async for _, text in exported(store, what, form, since)])


def write_call(store: Store, number: int, said: str = "Hello", **values: Any) -> None:
    sid = f"CA{number:05d}"
    store.write(Upsert("calls", {"sid": sid, "began": float(number), "state": "ended", **values}))
    for line in range(2):
        row = {"call_sid": sid, "number": line, "role": "caller", "text": f"{said} {line}"}
        store.write(Upsert("lines", row))


async def test_calls_and_lines_come_in_the_order_in_which_calls_began(store: Store) -> None:
    for number in reversed(range(1200)):
        write_call(store, number)
    assert await store.flush(60)
    text = await text_of(store, What.CALLS, Form.CSV)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["sid"] for row in rows] == [f"CA{number:05d}" for number in range(1200)]
    assert list(rows[0]) == columns(What.CALLS)
    since = await text_of(store, What.LINES, Form.JSONL, since=1195.0)
    lines = [msgspec.json.decode(line) for line in since.splitlines()]
    assert [(line["call_sid"], line["text"]) for line in lines] == [
        (f"CA{number:05d}", f"Hello {line}") for number in range(1195, 1200) for line in range(2)
    ]


async def test_leads_come_by_campaign(store: Store) -> None:
    for name in ("b", "a"):
        made = {"state": "done", "settings": {}, "total": 2, "created": 1.0}
        store.write(Upsert("campaigns", {"id": name, "name": name, **made}))
        for number in range(2):
            lead = {"campaign_id": name, "number": number, "phone": "+15551234567"}
            variables = {"name": 'Zoë, "the" first'}
            store.write(Upsert("leads", {**lead, "state": "done", "variables": variables}))
    await store.flush(60)
    rows = list(csv.DictReader(io.StringIO(await text_of(store, What.LEADS, Form.CSV))))
    assert [(row["campaign_id"], row["number"]) for row in rows] == [
        ("a", "0"), ("a", "1"), ("b", "0"), ("b", "1"),
    ]  # fmt: skip
    assert msgspec.json.decode(rows[0]["variables"]) == {"name": 'Zoë, "the" first'}
    assert rows[0]["phone"] == "+15551234567"


@pytest.mark.parametrize("said", ["=HYPERLINK(1)", "@SUM(1)", "+cmd|' /C calc'!A0", "-2+3", "\t=1"])
async def test_what_a_spreadsheet_would_run_is_marked_as_text(store: Store, said: str) -> None:
    write_call(store, 1, said, from_number="+15551234567", reason="-5")
    await store.flush(60)
    lines = list(csv.DictReader(io.StringIO(await text_of(store, What.LINES, Form.CSV))))
    assert [line["text"] for line in lines] == [f"'{said} 0", f"'{said} 1"]
    calls = list(csv.DictReader(io.StringIO(await text_of(store, What.CALLS, Form.CSV))))
    assert (calls[0]["from_number"], calls[0]["reason"]) == ("+15551234567", "-5")
    assert (
        said
        in msgspec.json.decode((await text_of(store, What.LINES, Form.JSONL)).splitlines()[0])[
            "text"
        ]
    )


async def test_of_nothing_a_head_is_left(store: Store) -> None:
    assert await text_of(store, What.TURNS, Form.CSV) == ",".join(columns(What.TURNS)) + "\r\n"
    assert await text_of(store, What.TURNS, Form.JSONL) == ""


async def test_memory_does_not_grow_with_what_is_exported(store: Store) -> None:
    async def peak(count: int) -> int:
        for number in range(count):
            write_call(store, number, "x" * 500)
        assert await store.flush(60)
        tracemalloc.start()
        async for _ in exported(store, What.CALLS, Form.JSONL):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    few = await peak(1000)
    assert await peak(4000) < 1.5 * few
