"""Changes of one row become one, and bytes and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Dialect
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.dialects.sqlite.base import SQLiteDialect

from gateway.store.change import (
    BadChangeError,
    Upsert,
    grouped,
    mended,
    merged,
    packed,
    statement,
    unpacked,
)

DIALECTS: tuple[Dialect, ...] = (SQLiteDialect(), PGDialect())  # type: ignore[no-untyped-call]


def test_changes_of_one_row_become_one_in_the_first_ones_place() -> None:
    changes = [
        Upsert("calls", {"sid": "A", "state": "ringing", "began": 1.0}),
        Upsert("calls", {"sid": "B", "state": "ringing", "began": 1.0}),
        Upsert("calls", {"sid": "A", "state": "ended", "reason": "gone"}),
    ]
    assert merged(changes) == [
        Upsert("calls", {"sid": "A", "state": "ended", "began": 1.0, "reason": "gone"}),
        changes[1],
    ]


def test_what_is_told_first_stays_within_a_batch_as_between_two() -> None:
    row = {"id": "RE1", "call_sid": "CA1", "kind": "carrier", "status": "in-progress"}
    again = {**row, "status": "completed", "created": 2.0}
    (made,) = merged([Upsert("recordings", {**row, "created": 1.0}), Upsert("recordings", again)])
    assert (made.values["created"], made.values["status"]) == (1.0, "completed")


def test_what_no_record_may_change_stays_within_a_batch_as_between_two() -> None:
    deleted = Upsert("recordings", {"id": "RE1", "kind": "carrier", "status": "deleted"})
    later = Upsert("recordings", {"id": "RE1", "kind": "carrier", "status": "completed"})
    assert merged([deleted, later]) == [deleted]
    ours = [Upsert("recordings", {**it.values, "kind": "own"}) for it in (deleted, later)]
    assert merged(ours) == [ours[1]]
    first = Upsert("calls", {"sid": "A", "began": 1.0, "account_sid": "AC1", "company_id": 1})
    other = Upsert("calls", {"sid": "A", "began": 1.0, "account_sid": "AC2", "company_id": 2})
    assert merged([first, other]) == [first]


def test_a_change_without_its_key_or_its_table_is_left_for_the_database_to_refuse() -> None:
    changes = [Upsert("calls", {"state": "x"}), Upsert("nothing", {}), Upsert("calls", {"sid": []})]
    assert merged(changes) == changes


def test_rows_of_the_same_columns_go_together() -> None:
    changes = [Upsert("calls", {"sid": str(n), "began": 1.0}) for n in range(5)]
    other = Upsert("calls", {"sid": "6", "state": "ended"})
    assert [len(group) for group in grouped([*changes, other], 3)] == [3, 2, 1]


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: d.name)
def test_a_change_that_names_not_all_a_new_row_needs_only_changes_one(dialect: Dialect) -> None:
    new = statement("calls", ("began", "sid", "state"), dialect.name)
    old = statement("calls", ("sid", "state"), dialect.name)
    assert "ON CONFLICT (sid) DO UPDATE" in str(new.compile(dialect=dialect))
    assert str(old.compile(dialect=dialect)).startswith("UPDATE calls SET state=")


@pytest.mark.parametrize(
    "columns", [("state",), ("sid", "colour")], ids=["no key", "unknown column"]
)
def test_what_fits_no_table_is_refused(columns: tuple[str, ...]) -> None:
    with pytest.raises(BadChangeError):
        statement("calls", columns, "sqlite")
    with pytest.raises(BadChangeError, match="no table"):
        statement("planets", columns, "sqlite")


def test_a_mended_change_has_no_nul_and_no_text_longer_than_its_column() -> None:
    change = Upsert("calls", {"sid": "A" * 100, "reason": "a\x00b", "began": 1.0})
    assert mended(change).values == {"sid": "A" * 64, "reason": "a\ufffdb", "began": 1.0}


def test_half_a_character_is_replaced() -> None:
    entry = packed(Upsert("lines", {"text": "a\ud800b", "list": ["\udfff"]}))
    assert unpacked(entry).values == {"text": "a?b", "list": ["?"]}


def test_what_cannot_be_packed_is_refused() -> None:
    with pytest.raises(BadChangeError):
        packed(Upsert("calls", {"sid": 1 << 70}))


_values = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text() | st.binary()


@given(st.text(), st.dictionaries(st.text(), _values | st.lists(_values)))
def test_bytes_and_back(table: str, values: dict[str, object]) -> None:
    assert unpacked(packed(Upsert(table, values))) == Upsert(table, values)


@given(st.binary())
def test_other_bytes_are_no_change(data: bytes) -> None:
    try:
        change = unpacked(data)
    except BadChangeError:
        return
    assert isinstance(change.table, str)
