"""Who may open a media socket: the holder of a call's token whose handshake Twilio signed."""

import structlog

from gateway.calls.registry import Calls
from gateway.calls.stream import CallStream
from gateway.carriers.twilio.leg import MEDIA_PATH
from gateway.carriers.twilio.signature import SignatureCheck
from gateway.carriers.twilio.signed_request import SignedRequest, header_fields
from gateway.media.listener import Admission, Handshake, Refusal
from gateway.throttle import Throttle

log = structlog.get_logger(__name__)


class TwilioGate:
    """The `Gatekeeper` of Twilio's media sockets."""

    def __init__(self, calls: Calls, check: SignatureCheck, throttle: Throttle) -> None:
        self._calls, self._check, self._throttle = calls, check, throttle

    def admit(self, handshake: Handshake) -> Admission | Refusal:
        """Let the token's call listen: its signature first, then the token is spent."""
        path, _, query = handshake.target.partition("?")
        _, found, token = path.rpartition(MEDIA_PATH)
        if not found or not token or query or "/" in token:
            return Refusal(404, "There is nothing here. Media sockets have a URL from the TwiML.")
        bound = self._calls.tokens.peek(token)
        if bound is None:
            return Refusal(404, "This media URL is unknown, used or expired; each serves one call.")
        request = SignedRequest(
            method="GET",
            target=handshake.target,
            headers=header_fields(handshake.headers.raw_items()),
            client=handshake.client[0] if handshake.client else None,
            tls=handshake.tls,
        )
        verdict = self._check.handshake(request, bound.account_sid)
        if not verdict.verified:
            self._throttle.failed(request.client or "")
            log.warning("media socket refused", call_sid=bound.call_sid, reason=verdict.sentence)
            return Refusal(int(verdict.outcome.value), verdict.sentence)
        self._throttle.passed(request.client or "")
        call = self._calls.get(bound.call_sid)
        if self._calls.tokens.spend(token) is None or call is None or call.flow.over:
            return Refusal(404, "This call is over.")
        return Admission(CallStream(call), bound.call_sid, bound.account_sid)
