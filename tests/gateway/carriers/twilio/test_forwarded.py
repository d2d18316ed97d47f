"""Without a public URL: the request's own word, or a trusted proxy's, and nobody else's."""

import pytest

from gateway.carriers.twilio.signature import Outcome
from gateway.carriers.twilio.signed_request import SignedRequest
from tests.gateway.carriers.twilio.signing import (
    PUBLIC,
    VECTOR,
    check,
    post,
    sign,
)


def test_without_a_public_url_scheme_and_host_are_the_requests_own() -> None:
    signature = sign("https://pbx.example:8443/v", VECTOR)
    request = post("/v", signature=signature, Host="pbx.example:8443", tls=True)
    verdict = check(None).webhook(request)
    assert str(verdict.origin) == "https://pbx.example:8443"
    plain = post("/v", signature=signature, Host="pbx.example:8443")
    assert not check(None).webhook(plain).verified


@pytest.mark.parametrize("host", ["", "a b", "evil.example/x", "a@b", "[::1", "x:99999", "x:0"])
def test_a_host_that_is_none_is_refused_and_the_sentence_asks_for_the_public_url(
    host: str,
) -> None:
    verdict = check(None).webhook(post("/v", signature="bm8=", Host=host))
    assert verdict.outcome is Outcome.WRONG
    assert "PUBLIC_URL" in verdict.sentence


def forwarded(client: str | None) -> SignedRequest:
    return post(
        "/v",
        signature=sign("https://voice.example/v", VECTOR),
        client=client,
        Host="internal:8080",
        X_Forwarded_Proto="https, http",
        X_Forwarded_Host="voice.example, internal",
    )


@pytest.mark.parametrize(
    ("proxies", "client"),
    [
        (["10.0.0.1"], "10.0.0.1"),
        (["10.0.0.0/8"], "10.9.8.7"),
        (["10.0.0.0/8"], "::ffff:10.9.8.7"),
        (["192.168.0.0/16", "fd00::/8"], "fd00::1"),
        (["*"], "203.0.113.9"),
        (["*"], None),
    ],
)
def test_the_first_value_a_trusted_proxy_forwards_decides(
    proxies: list[str], client: str | None
) -> None:
    verdict = check(None, proxies).webhook(forwarded(client))
    assert str(verdict.origin) == "https://voice.example"


@pytest.mark.parametrize("client", ["203.0.113.9", "unix", None, "10.0.0.1.evil"])
def test_what_a_stranger_forwards_is_ignored(client: str | None) -> None:
    assert not check(None, ["10.0.0.0/8"]).webhook(forwarded(client)).verified


def test_the_public_url_outweighs_what_a_trusted_proxy_forwards() -> None:
    request = post(
        "/v",
        signature=sign(f"{PUBLIC}/v", VECTOR),
        client="10.0.0.1",
        X_Forwarded_Host="other.example",
        X_Forwarded_Proto="http",
    )
    assert check(PUBLIC, ["*"]).webhook(request).verified


def test_a_proxy_that_is_no_address_is_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match="no address or network"):
        check(proxies=["proxy.local"])


@pytest.mark.parametrize(
    ("signed", "scheme", "host"),
    [
        ("https://pbx.example/v", "https", ""),
        ("http://voice.example/v", "", "voice.example"),
    ],
)
def test_each_forwarding_header_counts_alone_and_only_from_a_trusted_proxy(
    signed: str, scheme: str, host: str
) -> None:
    request = post(
        "/v",
        signature=sign(signed, VECTOR),
        client="10.0.0.1",
        Host="pbx.example",
        X_Forwarded_Proto=scheme,
        X_Forwarded_Host=host,
    )
    assert check(None, ["10.0.0.1"]).webhook(request).verified
    assert not check(None, ["10.0.0.2"]).webhook(request).verified
