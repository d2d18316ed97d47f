"""Named tokens of the API: made here, kept as hashes, looked up without a trace in the timing.

A token is 256 random bits, so its plain SHA-256 gives nothing away and needs no salt. The tokens
are held in memory and read again now and then, so that a database that is away shuts nobody out.
"""

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import structlog
from sqlalchemy import select, update

from gateway.api.caller import Caller, Scope
from gateway.store.store import Store, StoreError, Upsert, statement_of
from gateway.store.tables import tokens

log = structlog.get_logger(__name__)

PREFIX = "cf_"
"""Every token begins so, for scanners of leaked secrets and for people."""

FRESH_SECONDS = 60.0
"""So old may what is known be when a token is looked up."""

RETRY_SECONDS = 2.0
"""How often an unknown token may have the table read again."""

PATIENCE_SECONDS = 1.0
"""What the database has to tell the tokens while somebody waits for an answer."""


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token without its secret. Times in Unix seconds; ``revoked`` if it opens nothing."""

    id: str
    name: str
    scopes: tuple[Scope, ...]
    company: int | None
    created: float
    revoked: float | None


class ApiTokens:
    """The tokens of one store."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._clock = store, clock
        self._known: dict[str, Caller] = {}
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()
        self.is_blind = True
        """Whether they were never read: then an unknown token may be a good one."""

    async def create(
        self, name: str, scopes: Iterable[Scope], company: int | None = None
    ) -> tuple[TokenRow, str]:
        """Make a token; return it with its secret, which is told this once. Raises `StoreError`."""
        token = PREFIX + secrets.token_urlsafe(32)
        row = TokenRow(
            "tok_" + secrets.token_hex(8), name, tuple(sorted(scopes)), company, time.time(), None
        )
        values = {
            "id": row.id,
            "name": name,
            "hash": digest(token),
            "scopes": [scope.value for scope in row.scopes],
            "company_id": company,
            "created": row.created,
            "revoked": None,
        }
        dialect = self._store.engine.dialect.name
        await self._store.commit(statement_of(Upsert("tokens", values), dialect))
        self._known[digest(token)] = Caller(row.id, frozenset(row.scopes), company)
        return row, token

    async def all(self) -> list[TokenRow]:
        """Return all tokens, the newest first. Raises `StoreError`."""
        rows = await self._store.rows(select(tokens).order_by(tokens.c.created.desc()))
        return [
            TokenRow(
                row["id"],
                row["name"],
                _scopes(row["scopes"]),
                row["company_id"],
                row["created"],
                row["revoked"],
            )
            for row in rows
        ]

    async def revoke(self, name_or_id: str) -> int:
        """Have all tokens of a name, or the one of an id, open nothing; return how many did.

        Raises `StoreError`.
        """
        which = (tokens.c.id == name_or_id) | (tokens.c.name == name_or_id)
        count = await self._store.commit(
            update(tokens).where(which, tokens.c.revoked.is_(None)).values(revoked=time.time())
        )
        await self._read()
        return count

    async def revoke_of(self, company: int) -> None:
        """Have all tokens of a company open nothing. Raises `StoreError`."""
        await self._store.commit(
            update(tokens)
            .where(tokens.c.company_id == company, tokens.c.revoked.is_(None))
            .values(revoked=time.time())
        )
        await self._read()

    async def find(self, token: str) -> Caller | None:
        """Return whose token that is."""
        key = digest(token)
        # Whoever comes while they are being read waits for that: his may be among them.
        if self._is_stale(key) or (key not in self._known and self._reading.locked()):
            try:
                async with asyncio.timeout(PATIENCE_SECONDS), self._reading:
                    if self._is_stale(key):
                        await self._read()
            except (StoreError, TimeoutError) as error:
                # Not again at once: a database that hangs must not hold up every request.
                self._read_at = self._clock() - FRESH_SECONDS + RETRY_SECONDS
                log.warning("tokens cannot be read; the known ones hold", reason=str(error))
        return self._known.get(key)

    def _is_stale(self, key: str) -> bool:
        age = self._clock() - self._read_at
        return age > FRESH_SECONDS or (key not in self._known and age > RETRY_SECONDS)

    async def _read(self) -> None:
        self._read_at = self._clock()
        rows = await self._store.rows(select(tokens).where(tokens.c.revoked.is_(None)))
        self._known = {
            row["hash"]: Caller(row["id"], frozenset(_scopes(row["scopes"])), row["company_id"])
            for row in rows
        }
        self.is_blind = False


def digest(token: str) -> str:
    """Return what is kept of a token. Two are compared by it: a guess learns nothing by timing."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _scopes(kept: object) -> tuple[Scope, ...]:
    """Read scopes; one of a newer version counts for nothing here."""
    names = kept if isinstance(kept, list) else []
    return tuple(scope for scope in Scope if scope.value in names)
