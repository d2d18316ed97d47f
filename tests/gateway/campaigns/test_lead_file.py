"""Files of leads: whatever a spreadsheet writes is read, and every row is accounted for."""

import csv
import io
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.campaigns.lead_file import BadRow, LeadFileError, Row, read_leads


def rows(text: str | bytes, column: str | None = None) -> list[Row | BadRow]:
    data = text.encode() if isinstance(text, str) else text
    return list(read_leads(data, column).rows)


ANNA = Row(2, "+49 30 1234567", {"name": "Anna", "city": "Köln"})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_csv_of_any_spreadsheet_is_read(encoding: str, sign: str, end: str) -> None:
    text = f"Name{sign}Phone{sign}City{end}Anna{sign}+49 30 1234567{sign}Köln{end}"
    assert rows(text.encode(encoding)) == [ANNA]


@pytest.mark.parametrize(
    "name", ["phone", "Phone number", "TELEFON", "mobile_phone", "Handy-Nummer", "to", "Tel."]
)
def test_the_column_of_the_number_is_guessed_by_its_name(name: str) -> None:
    assert rows(f"name,{name}\nAnna,+4930123456") == [Row(2, "+4930123456", {"name": "Anna"})]


def test_the_surest_name_wins_and_the_column_can_be_named() -> None:
    text = "number,phone\n7,+4930123456"
    assert rows(text) == [Row(2, "+4930123456", {"number": "7"})]
    assert rows(text, "Number") == [Row(2, "7", {"phone": "+4930123456"})]
    assert read_leads(text.encode()).column == "phone"


def test_quoted_cells_may_hold_anything_and_rows_are_counted_as_a_spreadsheet_does() -> None:
    text = 'phone,note\n+491,"a ""b"", c\nd"\n\n,nobody\n+492,e'
    assert rows(text) == [
        Row(2, "+491", {"note": 'a "b", c\nd'}),
        BadRow(4, "", "there is no number"),
        Row(5, "+492", {"note": "e"}),
    ]


def test_a_bare_list_of_numbers_needs_no_header() -> None:
    assert rows("+4930123456\n030 123457\n") == [Row(1, "+4930123456"), Row(2, "030 123457")]


def test_rows_with_too_many_cells_and_rounded_numbers_are_bad() -> None:
    found = rows("phone,name\n+491,a,b\n4.93E+11,c\n+492\n'+493,d")
    assert found == [
        BadRow(2, "+491", "it has 3 cells, the first line has 2"),
        BadRow(3, "4.93E+11", "a spreadsheet has rounded the number: format it as text"),
        Row(4, "+492"),
        Row(5, "+493", {"name": "d"}),
    ]


@pytest.mark.parametrize(
    ("cell", "phone"),
    [
        ('"=""+4930123456"""', "+4930123456"),
        ('="+4930123456"', "+4930123456"),
        ("4930123456.0", "4930123456"),
        ("+4930123456,00", "+4930123456"),
        ("\u202a+49 30 123456\u202c", "+49 30 123456"),
        ("\ufeff030123456", "030123456"),
    ],
)
def test_numbers_are_freed_of_what_a_spreadsheet_has_put_around_them(cell: str, phone: str) -> None:
    assert rows(f"phone;name\n{cell};a") == [Row(2, phone, {"name": "a"})]


@pytest.mark.parametrize("cell", ["4.91512E+11", "4,91512E+11", "4.9E11", "5E+11"])
def test_a_number_that_lost_digits_is_told_from_one_that_did_not(cell: str) -> None:
    reason = "a spreadsheet has rounded the number: format it as text"
    assert rows(f"phone;name\n{cell};a") == [BadRow(2, cell, reason)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_first_line_may_say_what_separates_cells(end: str) -> None:
    text = f"sep=;{end}phone;a,b,c{end}+491;x{end}{end}+492;y{end}"
    assert rows(text) == [Row(2, "+491", {"a_b_c": "x"}), Row(4, "+492", {"a_b_c": "y"})]
    assert rows(f"sep=|{end}+4930123456{end}") == [Row(1, "+4930123456")]


def test_lines_may_end_as_on_an_old_mac() -> None:
    text = "phone;name\r+491;a, b, c, d\r+492;e\r"
    assert rows(text) == [Row(2, "+491", {"name": "a, b, c, d"}), Row(3, "+492", {"name": "e"})]


def test_a_column_may_be_called_by_a_date() -> None:
    assert rows("phone,2026-11-27\n+491,x") == [Row(2, "+491", {"2026_11_27": "x"})]


def test_columns_become_variables_by_a_name_that_can_be_written() -> None:
    assert rows("phone,First name,\n+491,Anna,x") == [
        Row(2, "+491", {"first_name": "Anna", "column_3": "x"})
    ]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "empty"),
        ("\n \n", "empty"),
        ("name,city\nAnna,Berlin", "--phone-column"),
        ("+4930123456,Anna\n", "name the columns"),
        ("phone,a,A\n+491,x,y", "two columns"),
        ('phone,name\n+491,"Anna\n+492,Bob', "line 2: a quote is opened here"),
        ('phone,name\n+491,"An"na\n', "doubled"),
        ("[1,", "no JSON"),
        ('{"a": 1}', "exactly one"),
        ("[" * 100_000, "nested"),
        ("PK\x03\x04\x00\x00", "no text"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_a_sentence(text: str, part: str) -> None:
    with pytest.raises(LeadFileError) as caught:
        rows(text)
    assert part in str(caught.value)


def test_json_may_be_numbers_objects_or_lines() -> None:
    assert rows('["+491", "+492"]') == [Row(1, "+491"), Row(2, "+492")]
    assert rows('{"phoneNumbers": ["+491"]}') == [Row(1, "+491")]
    objects = '[{"phone": "+491", "Name": "Anna", "age": 7, "x": null}, {"a": "b"}, 1.5]'
    assert rows(objects) == [
        Row(1, "+491", {"name": "Anna", "age": "7"}),
        BadRow(2, "", "which of a is the number? name it phone"),
        BadRow(3, "", "it is neither a number nor an object"),
    ]
    nested = [{"phone": "+491", "variables": {"name": "Anna"}}]
    assert rows(json.dumps(nested)) == [Row(1, "+491", {"name": "Anna"})]
    assert rows('{"phone": "+491"}\n\n{"phone": "+492"}\n') == [Row(1, "+491"), Row(3, "+492")]


_cell = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\x00"), max_size=8
)


@given(st.lists(st.tuples(st.from_regex(r"\+49[0-9]{5,9}", fullmatch=True), _cell), max_size=8))
def test_what_was_written_as_csv_is_read_again_row_by_row(people: list[tuple[str, str]]) -> None:
    out = io.StringIO(newline="")
    csv.writer(out).writerows([("phone", "name"), *people])
    found = rows(out.getvalue())
    assert [(it.phone, it.variables.get("name", "")) for it in found if isinstance(it, Row)] == [
        (phone, name.strip()) for phone, name in people
    ]


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_do_more_than_be_refused(data: bytes) -> None:
    with suppress(LeadFileError):
        assert all(row.line >= 1 for row in read_leads(data).rows)
