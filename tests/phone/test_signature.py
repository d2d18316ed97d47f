import pytest

from phone.signature import Signer, signed_http_url, signed_socket_url


def test_a_form_is_signed_as_twilios_own_test_vector() -> None:
    form = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675310",
        "Digits": "1234",
        "From": "+14158675310",
        "To": "+18005551212",
    }
    url = "https://example.com/myapp.php?foo=1&bar=2"
    assert Signer("12345").http(url, form) == "L/OH5YylLD5NRKLltdqwSvS0BnU="


@pytest.mark.parametrize(
    ("url", "signature"),
    [
        ("wss://example.com/ws", "HXrgvHt0qTHu33oSxSjpOvWtO60="),
        ("wss://example.com/ws/", "j0Lk7oc4I3dN5+UOMYWX25p8tJA="),
        ("ws://example.com/ws", "HXrgvHt0qTHu33oSxSjpOvWtO60="),
    ],
)
def test_a_handshake_is_signed_as_wss(url: str, signature: str) -> None:
    assert Signer("12345").socket(url) == signature


@pytest.mark.parametrize(
    ("url", "signed"),
    [
        ("https://you:pw@host:8443/v?a=1#rc=2", "https://host/v?a=1"),
        ("http://you:pw@host:8000/v#rc=2", "http://host:8000/v"),
        ("https://[::1]:8443/v", "https://[::1]/v"),
        ("https://host", "https://host/"),
        ("https://host/a%20b?c=%2B", "https://host/a%20b?c=%2B"),
    ],
)
def test_userinfo_fragment_and_the_port_of_https_are_not_signed(url: str, signed: str) -> None:
    assert signed_http_url(url) == signed


def test_a_socket_keeps_its_port() -> None:
    assert signed_socket_url("ws://127.0.0.1:8000/m") == "wss://127.0.0.1:8000/m"
