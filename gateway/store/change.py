"""A record's change, and how many of them become few statements. No I/O.

A change says what columns of one row hold from now on, with the row's whole key, so that it can
be repeated any number of times. Changes of one row in one batch become one; rows that name the
same columns go to the database together.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Column, ColumnElement, String, Table, and_, bindparam, func, or_
from sqlalchemy.sql.dml import Insert, Update

from gateway.store.tables import metadata

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite


@dataclass(frozen=True, slots=True)
class Upsert:
    """A row of ``table`` has these values: made if it is new, else changed where it is named.

    ``values`` holds the whole key, so that it can be repeated. A change that names the key but not
    every column that a new row must have only changes a row that is there.
    """

    table: str
    values: Mapping[str, Any]


class BadChangeError(ValueError):
    """No database could take this change: ``reason`` says why, without its values."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


_KEY = "key_of_"
"""Prefix of an update's parameters that name the row: SQLAlchemy keeps the columns' for itself."""


@lru_cache(maxsize=512)
def statement(table_name: str, columns: tuple[str, ...], dialect: str) -> Insert | Update:
    """Return what writes these columns of a row on ``sqlite`` or ``postgresql``.

    Its parameters are `parameters`. Raises `BadChangeError`.
    """
    table = metadata.tables.get(table_name)
    if table is None:
        raise BadChangeError(f"there is no table {table_name}")
    keys = [column.name for column in table.primary_key]
    unknown, missing = set(columns) - set(table.columns.keys()), set(keys) - set(columns)
    if unknown or missing:
        raise BadChangeError(f"{table_name} has no {unknown}, or lacks its key {missing}")
    others = [name for name in columns if name not in keys]
    if not set(_needed(table)) <= set(columns):
        update = table.update().values({name: bindparam(name) for name in others})
        here = (table.c[key] == bindparam(_KEY + key) for key in keys)
        return update.where(*here, *_may_change(table, {}))
    insert = inserting(table, dialect)
    if not others:
        return insert.on_conflict_do_nothing(index_elements=keys)
    new = {name: insert.excluded[name] for name in others}
    may, changed = _may_change(table, new), _changed(table, insert, others)
    where = and_(*may) if may else None
    return insert.on_conflict_do_update(index_elements=keys, set_=changed, where=where)


def inserting(table: Table, dialect: str) -> "postgresql.Insert | sqlite.Insert":
    """Return an INSERT that can be told what to do about a row that is there.

    Only the SQL of the database in use is imported, as its engine has done before.
    """
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(table)


def _changed(table: Table, insert: Any, names: Iterable[str]) -> dict[str, Any]:
    first = {name for name in names if table.c[name].info.get("first")}
    return {
        name: func.coalesce(table.c[name], insert.excluded[name])
        if name in first
        else insert.excluded[name]
        for name in names
    }


def _may_change(table: Table, new: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    """Return what must hold of a row that is there for it to be given these ``new`` values."""
    may = [
        or_(table.c[name].is_(None), table.c[name] == "", table.c[name] == new[name])
        for name in table.info.get("same", ())
        if name in new
    ]
    if final := table.info.get("final"):
        may.append(or_(*(table.c[name] != value for name, value in final.items())))
    return may


def _stays(table: Table, earlier: Mapping[str, Any], later: Mapping[str, Any]) -> bool:
    """Whether a row of ``earlier`` values is not to be changed by ``later`` ones."""
    both = {**later, **earlier}
    final = table.info.get("final")
    if final and all(both.get(name) == value for name, value in final.items()):
        return True
    same = (name for name in table.info.get("same", ()) if earlier.get(name) and name in later)
    return any(earlier[name] != later[name] for name in same)


def parameters(made: Insert | Update, change: Upsert) -> dict[str, Any]:
    """Return what ``made``, the `statement` of its columns, takes for ``change``."""
    if isinstance(made, Insert):
        return dict(change.values)
    keys = {column.name for column in metadata.tables[change.table].primary_key}
    return {(_KEY + name if name in keys else name): v for name, v in change.values.items()}


def statement_of(change: Upsert, dialect: str) -> Insert | Update:
    """Return the statement that carries ``change`` out, to be committed with others.

    Raises `BadChangeError`.
    """
    made = statement(change.table, tuple(sorted(change.values)), dialect)
    if isinstance(made, Insert):
        return made.values(**change.values)
    table = metadata.tables[change.table]
    keys = [column.name for column in table.primary_key]
    others = {name: value for name, value in change.values.items() if name not in keys}
    return table.update().values(**others).where(*(table.c[k] == change.values[k] for k in keys))


def merged(changes: Iterable[Upsert]) -> list[Upsert]:
    """Return one change a row, later values over earlier ones, in the order of the first ones."""
    rows: dict[tuple[Any, ...], Upsert] = {}
    for number, change in enumerate(changes):
        table = metadata.tables.get(change.table)
        try:
            key: tuple[Any, ...] = (
                change.table,
                *(change.values[column.name] for column in table.primary_key),  # type: ignore[union-attr]
            )
            earlier = rows.get(key)
        except (AttributeError, KeyError, TypeError):
            key, earlier = (number,), None  # not fit for any database: it is told so on its own
        rows[key] = change if earlier is None else _both(earlier, change)
    return list(rows.values())


def _both(earlier: Upsert, later: Upsert) -> Upsert:
    """Return what the row holds after both: as the database does it, a first value stays."""
    table = metadata.tables[later.table]
    if _stays(table, earlier.values, later.values):
        return earlier
    columns = table.columns
    stay = {
        name: value
        for name, value in earlier.values.items()
        if value is not None and name in columns and columns[name].info.get("first")
    }
    return Upsert(later.table, {**earlier.values, **later.values, **stay})


def grouped(changes: Iterable[Upsert], most: int) -> Iterator[Sequence[Upsert]]:
    """Yield changes that one statement writes, at most ``most`` at once."""
    groups: dict[tuple[str, ...], list[Upsert]] = {}
    for change in changes:
        groups.setdefault((change.table, *sorted(change.values)), []).append(change)
    for group in groups.values():
        for start in range(0, len(group), most):
            yield group[start : start + most]


def mended(change: Upsert) -> Upsert:
    """Return the change as every database takes it: no NUL in a text, none longer than its column.

    Carriers and models may send either; the record is worth more than the letter.
    """
    table = metadata.tables.get(change.table)
    if table is None:
        return change
    return Upsert(
        change.table,
        {name: _fit(value, table.columns.get(name)) for name, value in change.values.items()},
    )


def _fit(value: Any, column: Column[Any] | None) -> Any:
    if not isinstance(value, str):
        return value
    most = column.type.length if column is not None and isinstance(column.type, String) else None
    return value.replace("\x00", "\ufffd")[:most]


@lru_cache(maxsize=64)
def _needed(table: Table) -> tuple[str, ...]:
    """Return the columns that a new row cannot do without."""
    return tuple(c.name for c in table.columns if not c.nullable and c.default is None)


# On paper ------------------------------------------------------------------------------------

_encoder = msgspec.msgpack.Encoder(enc_hook=repr)
_decoder = msgspec.msgpack.Decoder(tuple[str, dict[str, Any]])


def packed(change: Upsert) -> bytes:
    """Return the change as bytes, for the queue and the journal. Raises `BadChangeError`."""
    try:
        return _encoder.encode((change.table, change.values))
    except UnicodeEncodeError:
        return _encoder.encode((change.table, _whole(dict(change.values))))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise BadChangeError(f"{change.table}: {type(error).__name__}") from None


def unpacked(entry: bytes) -> Upsert:
    """Return the change that `packed` wrote. Raises `BadChangeError`."""
    try:
        return Upsert(*_decoder.decode(entry))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadChangeError(f"not a change: {type(error).__name__}") from None


def _whole(value: Any) -> Any:
    """Replace the halves of characters that no encoding of Unicode has."""
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case Mapping():
            return {_whole(name): _whole(item) for name, item in value.items()}
        case list() | tuple():
            return [_whole(item) for item in value]
    return value
