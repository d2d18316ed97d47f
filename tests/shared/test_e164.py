"""Numbers a call may be sent to, and none else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.e164 import DestinationError, NumberError, destinations, phone_number, queried_number


@pytest.mark.parametrize("text", ["+493012345678", "+49 30 1234-5678", " +49 (30) 1234.5678 "])
def test_a_number_is_read_without_the_separators_people_write(text: str) -> None:
    assert phone_number(text) == "+493012345678"


@pytest.mark.parametrize("text", ["+12345678", "+123456789012345"])
def test_8_to_15_digits_are_a_number(text: str) -> None:
    assert phone_number(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "+1234567",
        "+1234567890123456",
        "+0493012345",
        "493012345678",
        "0049301234567",
        "+49301234x678",
        "++493012345678",
        "+4930123\u06645678",
        "client:anna",
        "+493012345678\n;9",
    ],
)
def test_anything_else_is_none_and_the_error_says_how_to_write_it(text: str) -> None:
    with pytest.raises(NumberError, match="write it like"):
        phone_number(text)


def test_a_plus_that_a_query_decoded_to_a_space_is_restored() -> None:
    assert queried_number(" 919876543210") == "+919876543210"
    assert queried_number("+919876543210") == "+919876543210"
    with pytest.raises(NumberError):
        queried_number("919876543210")


def test_destinations_are_numbers_by_name() -> None:
    found = destinations("sales=+49 30 12345678, front-desk = +15551234567,,")
    assert found == {"sales": "+493012345678", "front-desk": "+15551234567"}
    assert destinations("") == {}


@pytest.mark.parametrize("text", ["sales", "=+493012345678", "a b=+493012345678"])
def test_a_destination_without_name_or_number_is_refused(text: str) -> None:
    with pytest.raises(DestinationError, match="named number"):
        destinations(text)


def test_a_name_given_twice_is_refused() -> None:
    with pytest.raises(DestinationError, match="twice"):
        destinations("a=+493012345678,a=+15551234567")


def test_a_wrong_number_is_named_by_its_destination() -> None:
    with pytest.raises(NumberError, match="of sales") as caught:
        destinations("sales=030 1234")
    assert caught.value.name == "sales"


@given(st.text(max_size=40))
def test_what_is_accepted_is_always_e164(text: str) -> None:
    try:
        number = phone_number(text)
    except NumberError:
        return
    assert number[0] == "+"
    assert number[1:].isascii()
    assert 8 <= len(number) - 1 <= 15
