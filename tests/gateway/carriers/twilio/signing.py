"""Requests signed the way Twilio signs them, for the tests of this folder."""

from collections.abc import Callable, Sequence
from urllib.parse import urlencode

from twilio.request_validator import RequestValidator

from gateway.carriers.twilio.signature import SignatureCheck
from gateway.carriers.twilio.signed_request import (
    MultiFields,
    Parameters,
    SignedRequest,
    header_fields,
)

TOKEN = "12345"
ACCOUNT = "AC" + "a" * 32
FORM = "application/x-www-form-urlencoded"
PUBLIC = "https://example.com"

VECTOR = (
    ("CallSid", "CA1234567890ABCDE"),
    ("Caller", "+14158675310"),
    ("Digits", "1234"),
    ("From", "+14158675310"),
    ("To", "+18005551212"),
)


def one_token(account_sid: str) -> Sequence[str]:
    return (TOKEN,)


def check(
    public_url: str | None = PUBLIC,
    proxies: Sequence[str] = (),
    tokens_for: Callable[[str], Sequence[str]] = one_token,
) -> SignatureCheck:
    return SignatureCheck(tokens_for, public_url, proxies)


def sign(url: str, parameters: Parameters = (), token: str = TOKEN) -> str:
    fields = MultiFields()
    for name, value in parameters:
        fields.setdefault(name, []).append(value)
    signature: str = RequestValidator(token).compute_signature(url, fields)
    return signature


def post(
    target: str,
    parameters: Parameters = VECTOR,
    *,
    signature: str | None = None,
    client: str | None = None,
    tls: bool = False,
    body: bytes | None = None,
    **headers: str,
) -> SignedRequest:
    fields = {"Content-Type": FORM} | {k.replace("_", "-"): v for k, v in headers.items()}
    if signature is not None:
        fields["X-Twilio-Signature"] = signature
    content = urlencode(parameters).encode() if body is None else body
    return SignedRequest("POST", target, header_fields(fields.items()), content, client, tls)


def get(target: str, signature: str, **headers: str) -> SignedRequest:
    fields = {k.replace("_", "-"): v for k, v in headers.items()}
    return SignedRequest(
        "GET", target, header_fields([*fields.items(), ("x-twilio-signature", signature)])
    )
