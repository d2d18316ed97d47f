"""A file of leads, as people have it: CSV of any spreadsheet, JSON, or a bare list of numbers.

Every row comes out, as a `Row` or as a `BadRow` with its number and what is wrong; none is lost. A
file that cannot be read as a whole, a quote that is never closed for one, raises `LeadFileError`.
Whether a number may be called is not known here.
"""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

PHONE_NAMES = (
    *("phone", "phonenumber", "mobile", "mobilephone", "cell", "cellphone", "tel", "telephone"),
    *("telephonenumber", "telefon", "telefonnummer", "rufnummer", "handy", "handynummer"),
    *("mobil", "mobilnummer", "msisdn", "number", "nummer", "to", "destination"),
)
"""Names of the column with the number, the surest first; compared without case and signs."""

_DELIMITERS = ",;\t|"
_HEAD = 64 << 10
"""Letters among which the first line ends."""
_NUMBER = re.compile(r"['+(]*\d[\d\s().\-/]{4,}")
_ROUNDED = re.compile(r"\d([.,]\d+)?[eE]\+?\d+")
_AS_DECIMAL = re.compile(r"(\+?\d{6,})[.,]0+")
"""A number that went through a column of decimals: its digits are all there."""
_AS_FORMULA = re.compile(r'="([^"]*)"')
"""How a cell is kept from being taken for a number."""
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
"""Marks of direction and the like, which come with numbers that are copied from elsewhere."""
_SAID = re.compile(r'\s*"?sep=(?P<sign>[,;\t|])"?[ \t]*(?:\r\n|\r|\n)', re.IGNORECASE)
"""A first line that says what separates cells, as spreadsheets understand it."""


class LeadFileError(Exception):
    """A file that cannot be read. ``line`` is where, or 0; ``sentence`` says what to do."""

    def __init__(self, sentence: str, line: int = 0) -> None:
        self.sentence, self.line = sentence, line
        super().__init__(sentence, line)

    def __str__(self) -> str:
        return f"line {self.line}: {self.sentence}" if self.line else self.sentence


@dataclass(frozen=True, slots=True)
class Row:
    """Somebody to call. ``phone`` is as it is written.

    ``line`` is the row of it as a spreadsheet counts them, from 1 and blank ones included: a cell
    with line breaks is in one row.
    """

    line: int
    phone: str
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that names nobody who can be called."""

    line: int
    phone: str
    reason: str


@dataclass(frozen=True, slots=True)
class LeadFile:
    """The rows of a file. ``column`` is where the numbers are, as the file calls it."""

    rows: Iterator[Row | BadRow]
    column: str


def read_leads(data: bytes, column: str | None = None) -> LeadFile:
    """Return the rows of a file; ``column`` names the one with the number. Raises `LeadFileError`.

    The rows are read as they are taken, and may raise it, too.
    """
    text = _decoded(data)
    start = text.lstrip()[:1]
    if not start:
        raise LeadFileError("the file is empty")
    if start in "[{":
        return _json(text, column)
    return _csv(text, column)


def _decoded(data: bytes) -> str:
    wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    # The last is what Excel writes in the west.
    for encoding in ("utf-16",) if wide else ("utf-8-sig", "cp1252"):
        try:
            text = data.decode(encoding)
        except UnicodeError:
            continue
        if "\x00" not in text:
            return text
    raise LeadFileError("this is no text: save it as CSV (UTF-8) or JSON")


# CSV ---------------------------------------------------------------------------------------------


def _csv(text: str, column: str | None) -> LeadFile:
    said, before = _SAID.match(text), 0
    if said is not None:
        text, before = text[said.end() :], len(said[0].splitlines())
    delimiter = said["sign"] if said is not None else _delimiter(text)
    records = _records(text, delimiter, before)
    line, header = next(records, (0, []))
    if not header:
        raise LeadFileError("the file is empty")
    cells = [cell.strip() for cell in header]
    if len(cells) == 1 and _NUMBER.fullmatch(cells[0]) and column is None:
        rows = _csv_rows(_records(text, delimiter, before), ["phone"], 0)
        return LeadFile(rows, "the only column")
    try:
        place = _phone_place(cells, column)
    except LeadFileError:
        if column is not None or not any(_NUMBER.fullmatch(cell) for cell in cells):
            raise
        sentence = "the first line must name the columns, such as phone,name"
        raise LeadFileError(sentence, line) from None
    return LeadFile(_csv_rows(records, _names(cells, line), place), cells[place])


def _records(text: str, delimiter: str, before: int) -> Iterator[tuple[int, list[str]]]:
    """Yield each record that is not blank, with its row in a spreadsheet.

    ``before`` are lines of the file that are none of its rows.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = before + 1  # where a text editor has it: of a file that no spreadsheet reads right
    try:
        for row, record in enumerate(reader, 1):
            if any(cell.strip() for cell in record):
                yield row, record
            line = before + reader.line_num + 1
    except csv.Error as error:
        raise LeadFileError(_csv_advice(str(error)), line) from error


def _csv_advice(error: str) -> str:
    if "unexpected end" in error:
        return "a quote is opened here and never closed"
    if "expected after" in error:
        return "a quote inside a cell must be doubled"
    return f"it cannot be read: {error}"


def _csv_rows(
    records: Iterator[tuple[int, list[str]]], names: Sequence[str], place: int
) -> Iterator[Row | BadRow]:
    for line, record in records:
        phone = record[place].strip() if place < len(record) else ""
        if len(record) > len(names) and any(cell.strip() for cell in record[len(names) :]):
            reason = f"it has {len(record)} cells, the first line has {len(names)}"
            yield BadRow(line, phone, reason)
            continue
        cells = dict(zip(names, (cell.strip() for cell in record), strict=False))
        del cells[names[place]]
        yield _row(line, phone, cells)


def _delimiter(text: str) -> str:
    """Return what separates cells: what the first line has most of, outside quotes."""
    first = re.split(r"[\r\n]", re.sub(r'"[^"]*"', "", text[:_HEAD].lstrip("\r\n")), maxsplit=1)
    return max(_DELIMITERS, key=first[0].count)


def _phone_place(cells: Sequence[str], column: str | None) -> int:
    plain = [_plain(cell) for cell in cells]
    if column is not None:
        if _plain(column) in plain:
            return plain.index(_plain(column))
        raise LeadFileError(f"there is no column {column!r}; there are: {', '.join(cells)}", 1)
    for name in PHONE_NAMES:
        if name in plain:
            return plain.index(name)
    for name in PHONE_NAMES[:4]:
        found = [place for place, it in enumerate(plain) if name in it]
        if len(found) == 1:
            return found[0]
    raise LeadFileError(
        f"which column is the phone number? Say it with --phone-column; there are: "
        f"{', '.join(cells)}",
        1,
    )


def _names(cells: Sequence[str], line: int) -> list[str]:
    names = [variable_name(cell) or f"column_{place + 1}" for place, cell in enumerate(cells)]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise LeadFileError(f"two columns are called {', '.join(sorted(twice))}", line)
    return names


def variable_name(column: str) -> str:
    """Return what an agent calls a column: ``First name`` is ``first_name``."""
    return re.sub(r"\W+", "_", column.strip()).strip("_").lower()


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()


# JSON --------------------------------------------------------------------------------------------


def _json(text: str, column: str | None) -> LeadFile:
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        lines = text.strip().splitlines()
        if error.msg != "Extra data" or len(lines) < 2:
            raise LeadFileError(f"it is no JSON: {error.msg}", error.lineno) from error
        return LeadFile(_json_rows(_json_lines(text), column), column or "phone")
    except RecursionError as error:
        raise LeadFileError("it is nested too deeply") from error
    if isinstance(data, dict):
        lists = [it for it in data.values() if isinstance(it, list)]
        if len(lists) != 1:
            raise LeadFileError("the JSON must be a list of leads, or hold exactly one")
        data = lists[0]
    return LeadFile(_json_rows(enumerate(data, 1), column), column or "phone")


def _json_lines(text: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (json.JSONDecodeError, RecursionError) as error:
                raise LeadFileError("it is no JSON", number) from error


def _json_rows(items: Iterator[tuple[int, Any]], column: str | None) -> Iterator[Row | BadRow]:
    """Yield the leads of a list; their "line" is their place in it."""
    for line, item in items:
        if isinstance(item, str | int) and not isinstance(item, bool):
            yield _row(line, str(item), {})
        elif isinstance(item, dict):
            yield _json_object(line, item, column)
        else:
            yield BadRow(line, "", "it is neither a number nor an object")


def _json_object(line: int, item: dict[str, Any], column: str | None) -> Row | BadRow:
    keys = list(item)
    try:
        phone = str(item[keys[_phone_place(keys, column)]])
    except LeadFileError:
        return BadRow(line, "", f"which of {', '.join(keys)[:80]} is the number? name it phone")
    own = keys[_phone_place(keys, column)]
    nested = item.get("variables")
    others = {name: it for name, it in item.items() if name not in (own, "variables")}
    if isinstance(nested, dict):
        others |= nested
    elif nested is not None:
        others["variables"] = nested
    return _row(
        line, phone, {variable_name(name) or name: _text(it) for name, it in others.items()}
    )


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _row(line: int, phone: str, variables: Mapping[str, str]) -> Row | BadRow:
    phone = _INVISIBLE.sub("", phone).strip().lstrip("'").strip()
    if formula := _AS_FORMULA.fullmatch(phone):
        phone = formula[1].strip()
    if decimal := _AS_DECIMAL.fullmatch(phone):
        phone = decimal[1]
    if not phone:
        return BadRow(line, "", "there is no number")
    if _ROUNDED.fullmatch(phone):
        return BadRow(line, phone, "a spreadsheet has rounded the number: format it as text")
    return Row(line, phone, {name: text for name, text in variables.items() if text})
