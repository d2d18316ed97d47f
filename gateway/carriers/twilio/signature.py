"""X-Twilio-Signature: did Twilio send this webhook, or open this media socket?

Base64 of HMAC-SHA1 over the public URL and, for a form, its sorted parameters, keyed with the
account's auth token (Twilio docs, "Security"). The SDK's ``RequestValidator`` computes it; the
candidate URLs come from ``Origin``, because the SDK's own variants break on userinfo and IPv6 and
take port 80 for wss. The comparison takes constant time.

It refuses to know routes, calls and answers: it gives a verdict. Twilio joins names and values
without separators, so what a signature covers is the joined text, not where a name ends.
"""

import hmac
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from twilio.request_validator import RequestValidator

from gateway.carriers.twilio.forwarded import (
    Network,
    TrustedProxies,
    forwarded_host,
    forwarded_scheme,
)
from gateway.carriers.twilio.origin import Origin
from gateway.carriers.twilio.signed_request import Parameters, SignedContent, SignedRequest

_MAX_SHOWN = 300


class Outcome(Enum):
    """What a check found. The value is the HTTP status to answer with."""

    VERIFIED = 200
    MISSING = 400
    WRONG = 403


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome, and what it proved. ``parameters`` of a refused request are empty."""

    outcome: Outcome
    sentence: str
    """For the response and the log of a refusal: says the fix, tells no secret."""
    origin: Origin | None = None
    """The public address that the signature proved; signed URLs are built from it."""
    parameters: Parameters = ()

    @property
    def verified(self) -> bool:
        """Tell whether Twilio signed the request."""
        return self.outcome is Outcome.VERIFIED


class SignatureCheck:
    """Checks signatures for one public address, with the tokens of any number of accounts.

    ``tokens_for`` gives the auth tokens of an account, several while one is being rotated, none
    for an account that is not ours; it is asked with ``""`` when a request names no account.
    With ``public_url`` set, it alone decides the URL; its path prefix may have been stripped by
    the proxy or left in place. Without, it is the scheme and Host of the request, or what a
    trusted proxy forwarded of them.

    Raises ``OriginError`` or ``ValueError`` for settings that cannot be read.
    """

    def __init__(
        self,
        tokens_for: Callable[[str], Sequence[str]],
        public_url: str | None = None,
        trusted_proxies: Iterable[str | Network] = (),
    ) -> None:
        self._tokens_for = tokens_for
        self._public = Origin.parse(public_url) if public_url else None
        self._proxies = TrustedProxies(trusted_proxies)

    def webhook(self, request: SignedRequest) -> Verdict:
        """Check a webhook. Its own, not yet verified, AccountSid chooses the tokens to try."""
        try:
            content = request.content()
        except ValueError as error:
            return Verdict(Outcome.WRONG, f"The request is not one that Twilio sends: {error}.")
        return self._verdict(request, content, content.account_sid, socket=False)

    def handshake(self, request: SignedRequest, account_sid: str) -> Verdict:
        """Check the upgrade request of a media socket for a call of ``account_sid``."""
        return self._verdict(request, SignedContent(), account_sid, socket=True)

    def origin_of(self, request: SignedRequest) -> Origin | None:
        """Return the address this request claims to have been sent to, proven or not.

        ``None`` when neither a setting nor the request names a valid one.
        """
        if self._public is not None:
            return self._public
        trusted = self._proxies.trusts(request.client)
        secure = forwarded_scheme(request.headers) if trusted else None
        host = forwarded_host(request.headers) if trusted else None
        return Origin.of_host(
            request.headers.get("host", "") if host is None else host,
            secure=request.tls if secure is None else secure,
        )

    def _verdict(
        self, request: SignedRequest, content: SignedContent, account_sid: str, *, socket: bool
    ) -> Verdict:
        signature = request.headers.get("x-twilio-signature", "")
        if not signature:
            return Verdict(Outcome.MISSING, _MISSING)
        origin = self.origin_of(request)
        if origin is None:
            return Verdict(Outcome.WRONG, _NO_HOST)
        attempt = _Attempt(
            request.target, content, signature, tuple(self._tokens_for(account_sid)), socket
        )
        if content.intact and attempt.fits(origin):
            return Verdict(Outcome.VERIFIED, "", origin, content.parameters)
        return Verdict(Outcome.WRONG, _explain(request, origin, attempt))


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One signature to be explained by some address and one of the account's tokens."""

    target: str
    content: SignedContent
    signature: str
    tokens: tuple[str, ...]
    socket: bool

    def fits(self, origin: Origin) -> bool:
        if not self.target.startswith("/") or not self.target.isascii():
            return False
        urls = tuple(origin.signed_urls(self.target, socket=self.socket))
        return any(self._signed_with(token, url) for token in self.tokens for url in urls)

    def shown_url(self, origin: Origin) -> str:
        return next(origin.signed_urls(self.target, socket=self.socket))[:_MAX_SHOWN]

    def _signed_with(self, token: str, url: str) -> bool:
        expected: str = RequestValidator(token).compute_signature(url, self.content.signed)
        return hmac.compare_digest(
            expected.encode(), self.signature.encode("utf-8", "surrogatepass")
        )


def _explain(request: SignedRequest, origin: Origin, attempt: _Attempt) -> str:
    """Say why nothing fitted, as exactly as someone without the token may know."""
    if "x-twilio-webhooks-signature-settings" in request.headers:
        return _SHARED_KEY
    if not attempt.content.intact:
        return "The body does not fit the bodySHA256 of its URL: a proxy must not change it."
    checked = f"X-Twilio-Signature does not fit {attempt.shown_url(origin)}"
    seen = (Origin.of_host(request.headers.get("host", ""), secure=tls) for tls in (True, False))
    for other in seen:
        if other is not None and attempt.fits(other):
            return f"{checked}, but it fits {attempt.shown_url(other)}: set PUBLIC_URL={other}"
    return f"{checked}. {_WRONG}"


_MISSING = (
    "X-Twilio-Signature is missing: only requests signed by Twilio are answered here. "
    "To try a call without Twilio, run: callfarm call"
)
_NO_HOST = "The request names no valid Host: set PUBLIC_URL to the address that Twilio calls"
_WRONG = (
    "Set PUBLIC_URL to the address exactly as Twilio calls it (scheme, host, port, path), and "
    "TWILIO_AUTH_TOKEN to the primary auth token of the account and region that own the call"
)
_SHARED_KEY = (
    "The request is signed with a SharedKey (X-Twilio-Webhooks-Signature-Settings), which is not "
    "supported: remove the SharedKey from the account's webhook settings in the Twilio Console"
)
