"""The headers by which a receiver knows that a body is ours, and new.

    X-Callfarm-Signature: t=1732700000,v1=<hex>[,v1=<hex>]

``v1`` is HMAC-SHA256 over the time, a full stop and the raw body; one for each secret, so that a
receiver may change from the old to the new one at its leisure. The time lets it refuse what was
recorded and is played again. ``X-VoxFlow-Signature: sha256=<hex>`` is over the body alone.
"""

import hashlib
import hmac
from collections.abc import Sequence

SIGNATURE_HEADER = "X-Callfarm-Signature"
VOXFLOW_HEADER = "X-VoxFlow-Signature"


def signature(body: bytes, secrets: Sequence[str], at: int) -> str:
    """Return the header's value; ``at`` is in Unix seconds."""
    signed = b"%d." % at + body
    return ",".join((f"t={at}", *(f"v1={_hmac(secret, signed)}" for secret in secrets)))


def voxflow_signature(body: bytes, secret: str) -> str:
    """Return the value of VoxFlow's header."""
    return "sha256=" + _hmac(secret, body)


def _hmac(secret: str, text: bytes) -> str:
    return hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()
