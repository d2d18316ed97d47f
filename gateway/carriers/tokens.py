"""Media tokens: what lets a socket claim the audio of a call, once.

A handshake's signature covers only its URL, so it could be replayed; a token in the path is bound
to one call, short-lived, and spent by the first handshake that proves genuine. Kept by digest, so
that how long a look-up takes says nothing about the tokens there are. It refuses to know sockets.
"""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass


class TokenBookFullError(Exception):
    """More tokens are outstanding than ``limit``: calls are announced but never streamed."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit

    def __str__(self) -> str:
        return f"{self.limit} media tokens are waiting for a stream; refuse the call as at capacity"


@dataclass(frozen=True, slots=True)
class MediaToken:
    """Whose audio a token gives access to; ``expires_at`` is in seconds of the book's clock."""

    call_sid: str
    account_sid: str
    expires_at: float


class TokenBook:
    """The tokens outstanding. ``clock`` is monotonic, in seconds, as is ``lifetime_s``."""

    def __init__(
        self, clock: Callable[[], float], *, lifetime_s: float = 30.0, limit: int = 10_000
    ) -> None:
        self._clock, self._lifetime_s, self._limit = clock, lifetime_s, limit
        self._tokens: dict[bytes, MediaToken] = {}  # oldest first, so the first to expire first

    def __len__(self) -> int:
        self._forget_expired()
        return len(self._tokens)

    def issue(self, call_sid: str, account_sid: str) -> str:
        """Return a new URL-safe token of 256 random bits. Raises ``TokenBookFullError``."""
        if len(self) >= self._limit:
            raise TokenBookFullError(self._limit)
        token = secrets.token_urlsafe(32)
        expires_at = self._clock() + self._lifetime_s
        self._tokens[_digest(token)] = MediaToken(call_sid, account_sid, expires_at)
        return token

    def peek(self, token: str) -> MediaToken | None:
        """Return what a token is bound to, ``None`` if it is unknown, spent or expired.

        For the account whose signature is to be checked: an unsigned handshake spends nothing.
        """
        self._forget_expired()
        return self._tokens.get(_digest(token))

    def spend(self, token: str) -> MediaToken | None:
        """Take a token whose handshake proved genuine; ``None`` if another was faster."""
        self._forget_expired()
        return self._tokens.pop(_digest(token), None)

    def revoke(self, call_sid: str) -> None:
        """Forget the tokens of a call that ended."""
        for digest in [key for key, it in self._tokens.items() if it.call_sid == call_sid]:
            del self._tokens[digest]

    def _forget_expired(self) -> None:
        now = self._clock()
        while self._tokens:
            oldest = next(iter(self._tokens))
            if self._tokens[oldest].expires_at > now:
                return
            del self._tokens[oldest]


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
