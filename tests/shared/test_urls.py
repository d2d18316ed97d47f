import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.urls import http_url, origin, websocket_url, without_password


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://Calls.Example.com/", "https://calls.example.com"),
        ("https://example.com:443/a/b/", "https://example.com/a/b"),
        ("http://example.com:80", "http://example.com"),
        ("https://example.com:8443", "https://example.com:8443"),
        ("http://[::1]:8000/", "http://[::1]:8000"),
    ],
)
def test_an_address_has_one_form(text: str, expected: str) -> None:
    assert http_url(text) == expected
    assert http_url(expected) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.com",
        "wss://example.com",
        "https://",
        "https://me:pw@example.com",
        "https://example.com?x=1",
        "https://example.com#x",
        "https://example.com:99999",
        "https://exa mple.com",
        "https://example.com\n",
        "https://[::1",
    ],
)
def test_what_is_no_such_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        http_url(text)


@given(st.text())
def test_any_text_is_canonical_or_refused(text: str) -> None:
    try:
        once = http_url(text)
    except ValueError:
        return
    assert http_url(once) == once


def test_the_origin_drops_path_query_and_fragment() -> None:
    assert origin("https://example.com:3443/twiml?a=b#c") == "https://example.com:3443"


def test_the_websocket_form_changes_the_scheme_only() -> None:
    assert websocket_url("https://example.com/a") == "wss://example.com/a"
    assert websocket_url("http://127.0.0.1:9") == "ws://127.0.0.1:9"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:pw@db/x", "postgresql://me:****@db/x"),
        ("postgresql://me:p@w:x@db/x", "postgresql://me:****@db/x"),
        ("postgresql://me@db/x", "postgresql://me@db/x"),
        ("sqlite:///a@b:c", "sqlite:///a@b:c"),
    ],
)
def test_a_password_is_not_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown
