"""Whether a webhook is Ultravox', and new. No I/O.

    X-Ultravox-Webhook-Timestamp: 2026-11-27T18:00:00.123456+00:00
    X-Ultravox-Webhook-Signature: <hex>[, <hex>]

A signature is HMAC-SHA256 over the raw body followed by the timestamp as it stands there, one for
each secret of the webhook, so that secrets can be changed without a gap (Ultravox' documentation,
"Securing Webhooks").
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum

TIMESTAMP = "x-ultravox-webhook-timestamp"
SIGNATURE = "x-ultravox-webhook-signature"

FRESH_SECONDS = 60.0
"""How far a timestamp may be from now, either way."""

_MOST_SIGNATURES = 16
_MOST_STAMP = 64


class Verdict(Enum):
    """What a signature is worth: the status of the refusal, and its sentence."""

    GOOD = (200, "")
    MISSING = (400, "Send Ultravox' headers for timestamp and signature.")
    STALE = (403, "The timestamp is over a minute old, or none: check the clock of this server.")
    WRONG = (403, "The signature fits no secret of ULTRAVOX_WEBHOOK_SECRET.")

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.value[0]

    @property
    def sentence(self) -> str:
        """What is wrong, and what to do."""
        return self.value[1]


def judge(
    body: bytes, headers: Mapping[str, str], secrets: Sequence[str], now: datetime
) -> Verdict:
    """Judge a request. ``headers`` are by lower-case name, ``now`` is aware of its zone."""
    stamp, given = headers.get(TIMESTAMP, ""), headers.get(SIGNATURE, "")
    if not stamp or not given:
        return Verdict.MISSING
    sent = _moment(stamp)
    if sent is None or abs((now - sent).total_seconds()) > FRESH_SECONDS:
        return Verdict.STALE
    signed = body + stamp.encode("latin-1", "replace")
    wanted = [hmac.new(key.encode(), signed, hashlib.sha256).hexdigest() for key in secrets]
    found = given.split(",", _MOST_SIGNATURES)[:_MOST_SIGNATURES]
    # Every pair is compared: how long it takes says nothing about which one fits.
    fits = [
        hmac.compare_digest(each.strip().lower().encode("utf-8", "replace"), want.encode())
        for each in found
        for want in wanted
    ]
    return Verdict.GOOD if any(fits) else Verdict.WRONG


def _moment(stamp: str) -> datetime | None:
    if len(stamp) > _MOST_STAMP:
        return None
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
