"""Numbers as people write them, and which of them are never called."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialer.numbers import (
    NumberRefusedError,
    NumberRules,
    Reason,
    callable_number,
    queried,
    read,
)

GERMAN = NumberRules(region="DE")


def refused(text: str, rules: NumberRules = GERMAN) -> Reason:
    with pytest.raises(NumberRefusedError) as caught:
        callable_number(text, rules)
    assert str(caught.value)
    return caught.value.reason


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("+49 30 1234-5678", "+493012345678"),
        ("030 / 1234 5678", "+493012345678"),
        ("(030) 12345678", "+493012345678"),
        ("0049 30 12345678", "+493012345678"),
        ("+1 (212) 555-1234", "+12125551234"),
        ("+15551234567", "+15551234567"),  # made up, but possible: the carrier knows better
        ("+33 1 53 12 34 56", "+33153123456"),  # begins with 15, which alone is the ambulance
        ("+39 06 1234 5678", "+390612345678"),
        ("+91 98765 43210", "+919876543210"),
        ("+800 1234 5678", "+80012345678"),
    ],
)
def test_a_number_is_read_as_people_write_it(text: str, number: str) -> None:
    assert callable_number(text, GERMAN) == number


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", Reason.UNREADABLE),
        ("sip:me@example.com", Reason.UNREADABLE),
        ("client:desk", Reason.UNREADABLE),
        ("1-800-FLOWERS", Reason.UNREADABLE),
        ("+49" + "1" * 60, Reason.UNREADABLE),
        ("+999 12345678", Reason.UNREADABLE),
        ("12", Reason.IMPOSSIBLE),
        ("911", Reason.EMERGENCY),
        ("+49", Reason.UNREADABLE),
        ("+1 212 555", Reason.IMPOSSIBLE),
        ("+1 212 555 12345", Reason.IMPOSSIBLE),
        ("110", Reason.EMERGENCY),
        ("1-1-2", Reason.EMERGENCY),
        ("+49112", Reason.EMERGENCY),
        ("+1911", Reason.EMERGENCY),
        ("+44 999", Reason.EMERGENCY),
        ("+1 900 555 1234", Reason.PREMIUM),
        ("0900 1 234567", Reason.PREMIUM),
        ("+49900123456", Reason.PREMIUM),  # one digit short of a real one
        ("+979 1 2345 6789", Reason.PREMIUM),
        ("0180 5 12345", Reason.SHARED_COST),
        ("+870 773 123456", Reason.SATELLITE),
        ("+881 6 1234567", Reason.SATELLITE),
        ("+883 510 0012345", Reason.SATELLITE),
    ],
)
def test_what_is_never_called_is_refused_with_its_reason(text: str, reason: Reason) -> None:
    assert refused(text) is reason


def test_a_number_without_its_country_needs_a_region() -> None:
    assert refused("030 12345678", NumberRules()) is Reason.NO_COUNTRY
    assert callable_number("+493012345678", NumberRules()) == "+493012345678"


@pytest.mark.parametrize("raw", [" 919876543210", "+919876543210", " +919876543210 "])
def test_a_plus_that_a_query_has_lost_is_put_back(raw: str) -> None:
    assert callable_number(queried(raw), NumberRules()) == "+919876543210"


def test_the_longer_prefix_decides_and_a_tie_denies() -> None:
    rules = NumberRules(allow=("+49", "+4930"), deny=("+4930123", "+4940", "+4930"))
    assert callable_number("+498912345678", rules) == "+498912345678"
    assert refused("+493012345678", rules) is Reason.DENIED
    assert refused("+494012345678", rules) is Reason.DENIED
    assert refused("+493098765432", rules) is Reason.DENIED
    assert refused("+12125551234", rules) is Reason.NOT_ALLOWED


def test_a_companys_lists_come_on_top_of_the_operators() -> None:
    both = NumberRules(deny=("+49900",)).narrowed(["+49"], ["+4930"])
    for number in ("+493012345678", "+499001234567", "+12125551234"):
        with pytest.raises(NumberRefusedError):
            both.check(number)
    both.check("+498912345678")
    assert NumberRules().narrowed([], []) == NumberRules()


@given(st.text(max_size=60))
def test_any_text_is_a_number_or_is_refused(text: str) -> None:
    try:
        number = callable_number(text, GERMAN)
    except NumberRefusedError as error:
        assert str(error)  # noqa: PT017
    else:
        assert read(number) is not None
        assert callable_number(number, GERMAN) == number
