"""Pages of calls: all of them once, the newest first, and never by reading more than a page."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from gateway.store.call_rows import CallQuery
from gateway.store.records import CallBook, CursorError, _place, page_of
from gateway.store.store import Store, Upsert

OURS = "+15550001111"


def write(store: Store, number: int, **values: Any) -> None:
    row = {
        "sid": f"CA{number:06d}",
        # Several begin in one moment.
        "began": float(number // 3),
        "direction": "inbound",
        "from_number": f"+1555{number % 50:07d}",
        "to_number": OURS,
        "agent": "Receptionist" if number % 2 else "Clerk",
        "state": "ended",
        "outcome": "completed" if number % 10 else "failed",
        "company_id": number % 4,
        **values,
    }
    store.write(Upsert("calls", row))


async def filled(store: Store, count: int) -> CallBook:
    for number in range(count):
        write(store, number)
    assert await store.flush(60)
    return CallBook(store)


async def test_pages_show_every_call_once_the_newest_first(store: Store) -> None:
    book = await filled(store, 100)
    sids, after = list[str](), None
    while True:
        page = await book.page(after=after, limit=7)
        sids += [call.sid for call in page.calls]
        after = page.next
        if after is None:
            break
    assert sids == [f"CA{number:06d}" for number in reversed(range(100))]


async def test_a_call_that_begins_meanwhile_moves_nothing(store: Store) -> None:
    book = await filled(store, 20)
    first = await book.page(limit=10)
    for number in range(20, 40):
        write(store, number)
    await store.flush(60)
    second = await book.page(after=first.next, limit=10)
    assert [call.sid for call in second.calls] == [f"CA{n:06d}" for n in reversed(range(10))]
    assert second.next is None


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        (CallQuery(number="+15550000007"), [57, 7]),
        (CallQuery(agent="Clerk", outcome="failed"), [90, 80, 70, 60, 50, 40, 30, 20, 10, 0]),
        (CallQuery(began_from=31.0, began_to=32.0), [95, 94, 93]),
        (CallQuery(company_id=3, began_from=30.0), [99, 95, 91]),
        (CallQuery(number="+15550000007", agent="Clerk"), []),
        (CallQuery(direction="outbound-api"), []),
        (CallQuery(state="streaming"), []),
        (CallQuery(campaign_id="c"), []),
    ],
)
async def test_filters_narrow_a_page(store: Store, query: CallQuery, numbers: list[int]) -> None:
    book = await filled(store, 100)
    page = await book.page(query)
    assert [call.sid for call in page.calls] == [f"CA{number:06d}" for number in numbers]
    assert page.next is None


async def test_a_number_on_both_sides_is_found_once(store: Store) -> None:
    write(store, 1, from_number=OURS)
    write(store, 2, from_number=None)
    await store.flush(60)
    page = await CallBook(store).page(CallQuery(number=OURS))
    assert [call.sid for call in page.calls] == ["CA000002", "CA000001"]


async def test_a_call_nobody_knows_is_none(store: Store) -> None:
    assert await CallBook(store).call("CA1") is None


@given(st.text(max_size=30))
def test_no_text_breaks_the_search_for_a_place(cursor: str) -> None:
    try:
        began, sid = _place(cursor)
    except CursorError:
        return
    assert isinstance(began, float)
    assert "\x00" not in sid


QUERIES = [
    CallQuery(),
    CallQuery(number=OURS),
    CallQuery(number="+15550000007"),
    CallQuery(agent="Clerk"),
    CallQuery(state="ended"),
    CallQuery(outcome="failed"),
    CallQuery(direction="inbound"),
    CallQuery(company_id=1),
    CallQuery(campaign_id="c"),
    CallQuery(began_from=100.0, began_to=1000.0),
]


async def plan(store: Store, query: CallQuery) -> str:
    dialect = store.engine.dialect
    made = page_of(query, (500.0, "CA001500"), 51).compile(
        dialect=dialect, compile_kwargs={"literal_binds": True}
    )
    explain = "EXPLAIN QUERY PLAN" if dialect.name == "sqlite" else "EXPLAIN"
    rows = await store.rows(text(f"{explain} {str(made).replace(':', chr(92) + ':')}"))
    return "\n".join(
        str(row["detail" if dialect.name == "sqlite" else "QUERY PLAN"]) for row in rows
    )


async def test_a_page_is_read_off_the_end_of_an_index(store: Store) -> None:
    is_sqlite = store.engine.dialect.name == "sqlite"
    if not is_sqlite:  # it plans by what it knows of the rows; autovacuum sees to that
        await filled(store, 3000)
        async with store.engine.begin() as connection:
            await connection.exec_driver_sql("ANALYZE calls")
    for query in QUERIES:
        how = await plan(store, query)
        if is_sqlite:
            found = [line for line in how.splitlines() if "SEARCH calls" in line or "SCAN" in line]
            # Of both sides of a number a page each is read, and these are sorted.
            steps = [line for line in found if "subquery" not in line and "anon" not in line]
            assert steps, how
            assert all("USING INDEX ix_calls_" in line for line in steps), how
            assert "TEMP B-TREE" not in how or query.number is not None, how
        else:
            assert "Seq Scan" not in how, how


async def test_a_page_takes_as_long_of_many_as_of_few(store: Store) -> None:
    book = await filled(store, 300)

    async def took(query: CallQuery) -> float:
        times = []
        for _ in range(15):
            began = time.perf_counter()
            await book.page(query)
            times.append(time.perf_counter() - began)
        return min(times)

    queries = [CallQuery(), CallQuery(number=OURS), CallQuery(agent="Clerk")]
    few = [await took(query) for query in queries]
    for number in range(300, 6_000):
        write(store, number)
    assert await store.flush(60)
    many = [await took(query) for query in queries]
    assert all(b < 5 * a + 0.005 for a, b in zip(few, many, strict=True)), (few, many)
