"""The public address in every form in which Twilio may sign it, and in none else."""

import pytest

from gateway.carriers.twilio.origin import OriginError
from gateway.carriers.twilio.signature import Outcome
from tests.gateway.carriers.twilio.signing import (
    ACCOUNT,
    VECTOR,
    check,
    get,
    post,
    sign,
)


@pytest.mark.parametrize(
    ("public_url", "signed"),
    [
        ("https://example.com:8443", "https://example.com/v"),
        ("https://example.com:8443", "https://example.com:8443/v"),
        ("https://example.com", "https://example.com:443/v"),
        ("http://example.com:8080", "http://example.com:8080/v"),
        ("http://example.com", "http://example.com:80/v"),
        ("https://Example.com", "https://example.com/v"),
        ("https://user:secret@example.com:8443", "https://example.com/v"),
        ("https://example.com/#fragment", "https://example.com/v"),
        ("wss://example.com/", "https://example.com/v"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]/v"),
    ],
)
def test_the_public_url_verifies_in_every_form_twilio_may_sign(
    public_url: str, signed: str
) -> None:
    assert check(public_url).webhook(post("/v", signature=sign(signed, VECTOR))).verified


@pytest.mark.parametrize(
    "signed",
    [
        "http://example.com/v",
        "https://www.example.com/v",
        "https://example.com:8443/v",
        "https://example.com/v/",
        "https://example.com/V",
        "https://example.com/v?",
        "wss://example.com/v",
        "https://user:secret@example.com/v",
    ],
)
def test_another_scheme_host_port_or_path_is_refused(signed: str) -> None:
    verdict = check().webhook(post("/v", signature=sign(signed, VECTOR)))
    assert verdict.outcome is Outcome.WRONG


@pytest.mark.parametrize("received", ["/twilio/voice", "/ai/twilio/voice"])
def test_a_path_prefix_verifies_whether_the_proxy_strips_it_or_not(received: str) -> None:
    signature = sign("https://example.com/ai/twilio/voice", VECTOR)
    verdict = check("https://example.com/ai/").webhook(post(received, signature=signature))
    assert verdict.origin is not None
    assert verdict.origin.url("/twilio/next") == "https://example.com/ai/twilio/next"
    assert verdict.origin.socket_url("/m/T") == "wss://example.com/ai/m/T"


@pytest.mark.parametrize("received", ["/m/T", "/ai/m/T"])
def test_a_handshake_verifies_under_a_path_prefix(received: str) -> None:
    request = get(received, sign("wss://example.com/ai/m/T"))
    assert check("https://example.com/ai").handshake(request, ACCOUNT).verified


def test_a_prefix_that_only_looks_alike_is_no_prefix() -> None:
    request = post("/airport/voice", signature=sign("https://example.com/airport/voice", VECTOR))
    assert not check("https://example.com/ai").webhook(request).verified


def test_a_handshake_signed_as_https_or_for_another_port_is_refused() -> None:
    for url in ("https://example.com/m/T", "ws://example.com/m/T", "wss://example.com:8443/m/T"):
        assert not check().handshake(get("/m/T", sign(url)), ACCOUNT).verified


@pytest.mark.parametrize("public_url", ["example.com", "ftp://x", "https://", "https://x?y=1"])
def test_a_public_url_that_cannot_be_one_is_refused_at_the_start(public_url: str) -> None:
    with pytest.raises(OriginError, match="write it like https://"):
        check(public_url)
