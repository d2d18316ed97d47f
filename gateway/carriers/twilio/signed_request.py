"""A request as it came over the wire, and which part of it Twilio's signature covers.

POST form: every parameter, decoded, blanks and duplicates included. GET and handshakes: the URL
alone. JSON: the URL, which carries the body's hash as ``bodySHA256`` (Twilio docs, "Security").
It refuses to know tokens and addresses.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import msgspec

MAX_FIELDS = 500
"""Parameters that a request may carry; Twilio sends some forty."""

_FORM = "application/x-www-form-urlencoded"

Parameters = tuple[tuple[str, str], ...]
"""Names and values as received, decoded, in order, blanks and duplicates kept."""


def header_fields(headers: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """Return header values by lower-case name; of a repeated header the first."""
    fields: dict[str, str] = {}
    for name, value in headers:
        fields.setdefault(name.lower(), value)
    return fields


class MultiFields(dict[str, list[str]]):
    """Values by name in the form in which the SDK's validator reads a multi-dict."""

    def getall(self, name: str) -> list[str]:
        """Return all values of ``name``."""
        return self[name]


@dataclass(frozen=True, slots=True)
class SignedContent:
    """What a request says and what of it is appended to the URL that is signed."""

    parameters: Parameters = ()
    signed: MultiFields = field(default_factory=MultiFields)
    account_sid: str = ""
    intact: bool = True
    """False when there is a body that neither the parameters nor a fitting hash cover."""


class _Account(msgspec.Struct, rename="pascal"):
    account_sid: str = ""


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """An HTTP request before anything in it is believed.

    ``target`` is path and query exactly as received, not decoded; ``headers`` are by lower-case
    name (see ``header_fields``); ``client`` is the peer's address, ``None`` for a Unix socket;
    ``tls`` says whether this server ended TLS itself.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""
    client: str | None = None
    tls: bool = False

    def content(self) -> SignedContent:
        """Parse the parameters, and say which are signed.

        Raises ``ValueError`` when there are more than ``MAX_FIELDS``.
        """
        if self.method.upper() != "POST":
            return _content(self._query())
        if self.headers.get("content-type", "").lower().startswith(_FORM):
            pairs = _pairs(self.body.decode("utf-8", "replace"))
            return _content(pairs, signed=True)
        return SignedContent(account_sid=self._json_account(), intact=self._body_fits_hash())

    def further(self) -> Parameters:
        """Return the parameters of a POST's URL: what we wrote into it ourselves.

        The signature covers the URL. Of those that a body has, too, the body's count.
        """
        return self._query() if self.method.upper() == "POST" else ()

    def _query(self) -> Parameters:
        return _pairs(self.target.partition("#")[0].partition("?")[2])

    def _body_fits_hash(self) -> bool:
        claimed = _first(self._query(), "bodySHA256")
        if not claimed:
            return not self.body
        actual = hashlib.sha256(self.body).hexdigest()
        return hmac.compare_digest(actual.encode(), claimed.lower().encode("utf-8", "replace"))

    def _json_account(self) -> str:
        named = _first(self._query(), "AccountSid")
        try:
            return named or msgspec.json.decode(self.body, type=_Account).account_sid
        except (msgspec.DecodeError, UnicodeDecodeError):
            return ""


def _content(pairs: Parameters, *, signed: bool = False) -> SignedContent:
    fields = MultiFields()
    for name, value in pairs if signed else ():
        fields.setdefault(name, []).append(value)
    return SignedContent(pairs, fields, _first(pairs, "AccountSid"))


def _pairs(text: str) -> Parameters:
    if text.count("&") >= MAX_FIELDS:
        raise ValueError(f"it has more than {MAX_FIELDS} parameters")
    return tuple(parse_qsl(text, keep_blank_values=True))


def _first(pairs: Parameters, name: str) -> str:
    return next((value for key, value in pairs if key == name), "")
