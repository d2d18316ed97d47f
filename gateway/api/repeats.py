"""Requests that are sent again because their answer was lost: by their key they are one.

    Idempotency-Key: order-4711        (draft-ietf-httpapi-idempotency-key-header)

What a request makes gets its id from the key, so that a second one finds it, whatever became of the
gateway meanwhile. A key is a company's own, or the operator's.
"""

import hashlib

from starlette.requests import Request

from gateway.api.problems import ProblemError

KEY_HEADER = "idempotency-key"

MOST_KEY = 200
"""Letters of a key."""


def key_of(request: Request) -> str | None:
    """Return a request's key, ``None`` if it has none. Raises `ProblemError`."""
    key = request.headers.get(KEY_HEADER, "").strip()
    if len(key) > MOST_KEY:
        raise ProblemError(400, f"An Idempotency-Key has at most {MOST_KEY} letters.")
    return key or None


def id_of(kind: str, company: int | None, key: str) -> str:
    """Return what the id of a ``kind`` of thing made with a key ends with: 24 letters."""
    return hashlib.sha256(f"{kind}\n{company or 0}\n{key}".encode()).hexdigest()[:24]


def other_request(what: str) -> ProblemError:
    """Return what a key gets that was used before, for something else."""
    return ProblemError(422, f"This key was used for another {what}: give each its own.")
