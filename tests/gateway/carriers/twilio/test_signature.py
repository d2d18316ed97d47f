"""The documented vectors, what is signed, whose token counts, and hostile variations."""

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.carriers.twilio.signature import Outcome, Verdict
from gateway.carriers.twilio.signed_request import MAX_FIELDS, Parameters
from tests.gateway.carriers.twilio.signing import (
    ACCOUNT,
    PUBLIC,
    TOKEN,
    VECTOR,
    check,
    get,
    post,
    sign,
)


def test_the_documented_form_vector_verifies_and_its_parameters_come_back() -> None:
    request = post("/myapp.php?foo=1&bar=2", signature="L/OH5YylLD5NRKLltdqwSvS0BnU=")
    verdict = check().webhook(request)
    assert verdict.verified
    assert verdict.parameters == VECTOR
    assert str(verdict.origin) == PUBLIC


@pytest.mark.parametrize(
    ("target", "signature"),
    [
        ("/ws", "HXrgvHt0qTHu33oSxSjpOvWtO60="),
        ("/ws/", "j0Lk7oc4I3dN5+UOMYWX25p8tJA="),
        ("/ws", "j0Lk7oc4I3dN5+UOMYWX25p8tJA="),
        ("/ws/", "HXrgvHt0qTHu33oSxSjpOvWtO60="),
    ],
)
def test_a_handshake_verifies_over_wss_with_and_without_a_trailing_slash(
    target: str, signature: str
) -> None:
    assert check().handshake(get(target, signature), ACCOUNT).verified


def test_the_documented_json_vector_verifies() -> None:
    body = b'{"CallSid":"CA1234567890ABCDE","Caller":"+12349013030"}'
    digest = "5ccde7145dfb8f56479710896586cb9d5911809d83afbe34627818790db0aec9"
    request = post(
        f"/myapp?bodySHA256={digest}",
        signature="hPXmLwIy3Fgqv1i9KPmH/HhQ6zo=",
        body=body,
        Content_Type="application/json",
    )
    assert check().webhook(request).verified


def test_a_json_body_that_was_changed_or_is_not_hashed_is_refused() -> None:
    digest = hashlib.sha256(b"{}").hexdigest()
    for target in (f"/x?bodySHA256={digest}", "/x"):
        request = post(
            target,
            signature=sign(PUBLIC + target),
            body=b'{"a":1}',
            Content_Type="application/json",
        )
        verdict = check().webhook(request)
        assert verdict.outcome is Outcome.WRONG
        assert "bodySHA256" in verdict.sentence


def test_the_account_of_a_json_body_chooses_the_tokens() -> None:
    body = b'{"AccountSid":"%s"}' % ACCOUNT.encode()
    target = f"/x?bodySHA256={hashlib.sha256(body).hexdigest()}"
    tokens = {ACCOUNT: ("right",)}
    request = post(
        target,
        signature=sign(PUBLIC + target, token="right"),
        body=body,
        Content_Type="application/json",
    )
    assert check(tokens_for=lambda sid: tokens.get(sid, ())).webhook(request).verified


def test_a_missing_signature_is_400_and_says_how_to_try_a_call() -> None:
    verdict = check().webhook(post("/twilio/voice"))
    assert verdict.outcome is Outcome.MISSING
    assert verdict.outcome.value == 400
    assert "callfarm call" in verdict.sentence


def test_a_wrong_signature_is_403_names_the_url_and_no_secret() -> None:
    verdict = check().webhook(post("/twilio/voice", signature="bm8="))
    assert verdict.outcome.value == 403
    assert verdict.parameters == ()
    assert "https://example.com/twilio/voice" in verdict.sentence
    assert "PUBLIC_URL" in verdict.sentence
    assert TOKEN not in verdict.sentence
    assert sign("https://example.com/twilio/voice", VECTOR) not in verdict.sentence


def test_the_sentence_names_the_public_url_that_the_signature_fits() -> None:
    request = post("/voice", signature=sign("https://tunnel.example/voice", VECTOR))
    through = post(
        "/voice", signature=sign("https://tunnel.example/voice", VECTOR), Host="tunnel.example"
    )
    assert "set PUBLIC_URL=https://tunnel.example" in check().webhook(through).sentence
    assert "set PUBLIC_URL=https://tunnel.example" in check(None).webhook(through).sentence
    assert "tunnel.example" not in check().webhook(request).sentence


def test_a_get_webhook_signs_its_query_once() -> None:
    target = f"/voice?AccountSid={ACCOUNT}&From=%2B4930&FromCity="
    verdict = check().webhook(get(target, sign(PUBLIC + target)))
    assert verdict.verified
    assert verdict.parameters == (("AccountSid", ACCOUNT), ("From", "+4930"), ("FromCity", ""))
    twice = sign(PUBLIC + target, verdict.parameters)
    assert not check().webhook(get(target, twice)).verified


def test_blank_and_repeated_parameters_are_signed_and_kept() -> None:
    parameters = (("FromCity", ""), ("Tag", "b"), ("Tag", "a"), ("Name", " x "), ("Digits", "#"))
    request = post("/v", parameters, signature=sign(f"{PUBLIC}/v", parameters))
    assert check().webhook(request).parameters == parameters


def test_plus_and_percent_escapes_of_the_body_are_decoded_before_signing() -> None:
    parameters = (("Name", "Ä b+c&d=e"),)
    request = post(
        "/v", body=b"Name=%C3%84+b%2Bc%26d%3De", signature=sign(f"{PUBLIC}/v", parameters)
    )
    assert check().webhook(request).parameters == parameters


def test_the_path_is_taken_raw() -> None:
    target = "/a%2Bb/%7Ec//d?x=%20"
    assert check().webhook(post(target, (), signature=sign(PUBLIC + target))).verified
    decoded = sign(PUBLIC + "/a+b/~c//d?x= ")
    assert not check().webhook(post(target, (), signature=decoded)).verified


def test_the_account_in_the_request_chooses_the_tokens_and_any_of_them_fits() -> None:
    other = "AC" + "b" * 32
    tokens = {ACCOUNT: ("old", "new"), other: ("theirs",)}
    verify = check(tokens_for=lambda sid: tokens.get(sid, ())).webhook

    def verdict(account: str, token: str) -> Verdict:
        parameters = (("AccountSid", account), ("CallSid", "CA1"))
        signature = sign(f"{PUBLIC}/v", parameters, token)
        return verify(post("/v", parameters, signature=signature))

    assert verdict(ACCOUNT, "old").verified
    assert verdict(ACCOUNT, "new").verified
    assert verdict(other, "theirs").verified
    assert not verdict(ACCOUNT, "theirs").verified
    assert not verdict("AC" + "c" * 32, "old").verified


def test_a_handshake_is_checked_with_the_tokens_of_the_calls_account() -> None:
    asked: list[str] = []

    def tokens_for(account_sid: str) -> Sequence[str]:
        asked.append(account_sid)
        return (TOKEN,)

    request = get("/m/T", sign("wss://example.com/m/T"))
    assert check(tokens_for=tokens_for).handshake(request, ACCOUNT).verified
    assert asked == [ACCOUNT]


def test_a_shared_key_signature_is_refused_with_the_way_out() -> None:
    request = post(
        "/v",
        signature="bm8=",
        X_Twilio_Webhooks_Signature_Settings="key=webhooks_sharedkey_x,algorithm=HMAC_SHA256",
    )
    verdict = check().webhook(request)
    assert verdict.outcome is Outcome.WRONG
    assert "SharedKey" in verdict.sentence


def test_more_parameters_than_twilio_sends_are_refused_before_they_are_hashed() -> None:
    parameters = tuple((f"p{i}", "") for i in range(MAX_FIELDS + 1))
    verdict = check().webhook(post("/v", parameters, signature="bm8="))
    assert verdict.outcome is Outcome.WRONG
    assert "parameters" in verdict.sentence


@pytest.mark.parametrize("target", ["", "*", "http://example.com/v", "/\u00e4", "/\ud800"])
@pytest.mark.parametrize("signature", ["bm8=", "\u00e4", "\ud800", "=" * 10_000])
def test_nonsense_is_wrong_and_never_raises(target: str, signature: str) -> None:
    assert check().webhook(post(target, signature=signature)).outcome is Outcome.WRONG
    assert check().handshake(get(target, signature), ACCOUNT).outcome is Outcome.WRONG
    assert check(None).webhook(post(target, signature=signature, Host="x")).outcome.value == 403


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
fields = st.lists(st.tuples(st.text("ABCab", min_size=1, max_size=4), texts), max_size=8)


@given(fields)
def test_whatever_twilio_signs_verifies_and_comes_back_unchanged(
    pairs: list[tuple[str, str]],
) -> None:
    parameters = tuple(pairs)
    request = post("/v", parameters, signature=sign(f"{PUBLIC}/v", parameters))
    verdict = check().webhook(request)
    assert verdict.verified
    assert verdict.parameters == parameters


def signed_text(parameters: Parameters) -> str:
    """What Twilio's scheme covers: it joins names and values, and drops equal repeats."""
    return "".join(name + value for name, value in sorted(set(parameters)))


@given(fields, fields)
def test_any_change_of_what_is_signed_is_refused(
    signed: list[tuple[str, str]], sent: list[tuple[str, str]]
) -> None:
    assume(signed_text(tuple(signed)) != signed_text(tuple(sent)))
    request = post("/v", tuple(sent), signature=sign(f"{PUBLIC}/v", tuple(signed)))
    assert check().webhook(request).outcome is Outcome.WRONG


@given(st.binary(max_size=300), st.text(max_size=40), st.text(max_size=40))
def test_hostile_bytes_get_a_verdict(body: bytes, target: str, signature: str) -> None:
    request = post("/" + target, body=body, signature=signature)
    assert check().webhook(request).outcome in (Outcome.WRONG, Outcome.MISSING)
