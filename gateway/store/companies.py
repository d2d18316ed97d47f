"""The companies that calls are made and taken for, each with an account and a voice of its own.

Whose webhook it is must be known at once and without the database: the tokens of all accounts are
in memory. Everything else is asked for when it is needed.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import structlog
from msgspec import UNSET
from sqlalchemy import RowMapping, delete, func, insert, select, union_all, update

from gateway.store.company import (
    HIDDEN,
    Account,
    Company,
    CompanyChange,
    CompanyError,
    Speech,
    checked,
)
from gateway.store.company_settings import number_lists
from gateway.store.secrets import SecretError, Secrets
from gateway.store.store import Store, StoreError
from gateway.store.tables import (
    attempts,
    calls,
    campaigns,
    companies,
    deliveries,
    do_not_call,
    tokens,
)
from gateway.store.voices import COLUMNS, speech_by_company, speech_of

log = structlog.get_logger(__name__)

MOST_ON_A_PAGE = 500

_RETRY_SECONDS = 2.0
_NEW_ID_TRIES = 5
_OF_COMPANIES = (attempts, calls, campaigns, deliveries, do_not_call, tokens)


class NoCompanyError(Exception):
    """There is no company of this ``id``."""

    def __init__(self, company_id: int) -> None:
        self.id = company_id
        super().__init__(company_id)

    def __str__(self) -> str:
        return f"there is no company {self.id}"


class Companies:
    """All companies. What asks the database raises ``StoreError`` when it is away.

    ``own_tokens`` are the operator's: valid whatever account a request names.
    """

    def __init__(self, store: Store, secrets: Secrets, own_tokens: Sequence[str] = ()) -> None:
        self._store, self._secrets, self._own = store, secrets, tuple(own_tokens)
        self._tokens: Mapping[str, tuple[str, ...]] = {}
        self._known: Sequence[RowMapping] = ()
        self._lists: Mapping[int, tuple[tuple[str, ...], tuple[str, ...]]] = {}
        self._voices: Mapping[int, Speech] = {}
        self._loading, self._changing = asyncio.Lock(), asyncio.Lock()

    # Whose webhook it is -----------------------------------------------------------------------

    def tokens_for(self, account_sid: str) -> tuple[str, ...]:
        """Return every auth token that a request of this account may be signed with."""
        return self._own + self._tokens.get(account_sid, ())

    def company_of(self, account_sid: str, number: str) -> int | None:
        """Return whose call it is that came to, or from, ``number`` of ours in this account.

        It is the company's whose number it is, or whose account alone it is.
        """
        theirs = [row for row in self._known if row["account_sid"] == account_sid]
        numbers = [r for r in theirs or self._unattached() if r["phone_number"] == number]
        found = numbers or theirs
        return int(found[0]["id"]) if len(found) == 1 else None

    def lists_of(self, company: int | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the beginnings of numbers that a company allows, and that it denies."""
        return ((), ()) if company is None else self._lists.get(company, ((), ()))

    def voice_of(self, company: int | None) -> Speech | None:
        """Return what a company says of the voice that holds its calls, from memory."""
        return None if company is None else self._voices.get(company)

    def _unattached(self) -> list[RowMapping]:
        """Return the companies that use the operator's account."""
        return [row for row in self._known if row["account_sid"] is None]

    async def load(self) -> None:
        """Read what calls need: tokens, numbers, lists, voices. Raises ``StoreError``.

        All of it at once, and one after the other: no call meets a half, and none an older state.
        """
        c = companies.c
        wanted = select(c.account_sid, c.auth_token, c.phone_number, c.settings, *COLUMNS)
        async with self._loading:
            rows = await self._store.rows(wanted)
            opened = await asyncio.to_thread(self._opened, rows)
            voices = await asyncio.to_thread(speech_by_company, rows, self._secrets)
            self._tokens, self._voices = opened, voices
            self._lists = {it["id"]: number_lists(it["settings"]) for it in rows}
            self._known = [it for it in rows if it["account_sid"] or it["phone_number"]]

    async def load_when_possible(self) -> None:
        """Read them as soon as the database is there."""
        while True:
            try:
                await self.load()
            except StoreError:
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return

    def _opened(self, rows: Sequence[RowMapping]) -> dict[str, tuple[str, ...]]:
        tokens: dict[str, tuple[str, ...]] = {}
        for row in rows:
            if row["account_sid"] is None or row["auth_token"] is None:
                continue
            try:
                token = self._secrets.shown(row["auth_token"])
            except SecretError as error:
                log.error("a company's calls are refused", company=row["id"], reason=str(error))  # noqa: TRY400
                continue
            known = tokens.get(row["account_sid"], ())
            if token not in known:
                tokens[row["account_sid"]] = (*known, token)
        return tokens

    # What is told of them ----------------------------------------------------------------------

    async def get(self, company_id: int) -> Company:
        """Return one. Raises `NoCompanyError`."""
        return self._company(await self._row(company_id))

    async def list(self, after: int = -1, limit: int = 100) -> list[Company]:
        """Return those with ids above ``after``, in their order."""
        wanted = select(companies).where(companies.c.id > after).order_by(companies.c.id)
        rows = await self._store.rows(wanted.limit(max(1, min(limit, MOST_ON_A_PAGE))))
        if rows:
            await self._secrets.ready()
        return [self._company(row) for row in rows]

    def _company(self, row: RowMapping) -> Company:
        values = {name: value for name, value in row.items() if name not in {*HIDDEN, "secrets"}}
        return Company(
            **values,
            has_auth_token=row["auth_token"] is not None,
            has_speech_key=row["speech_key"] is not None,
            secret_names=tuple(sorted(self._named(row))),
        )

    # Changing them -----------------------------------------------------------------------------

    async def create(self, change: CompanyChange, company_id: int | None = None) -> Company:
        """Make a company; without an id it gets the next one. Raises `CompanyError`."""
        values = {"created": time.time(), "settings": {}, **checked(change)}
        if "name" not in values:
            raise CompanyError("a company needs a name")
        await self._secrets.ready()
        values |= self._sealed(change, {})
        if company_id is not None:
            try:
                await self._store.commit(insert(companies).values(id=company_id, **values))
            except StoreError as error:
                if error.taken:
                    raise CompanyError(f"there is a company {company_id} already") from None
                raise
        else:
            company_id = await self._insert(values)
        await self.load()
        return await self.get(company_id)

    async def _insert(self, values: dict[str, Any]) -> int:
        for _ in range(_NEW_ID_TRIES):
            company_id = await self._last_id() + 1
            try:
                await self._store.commit(insert(companies).values(id=company_id, **values))
            except StoreError as error:
                if not error.taken:
                    raise
            else:
                return company_id
        raise CompanyError("no id is free for a new company: name one")

    async def _last_id(self) -> int:
        """Return the highest id there is or was, as far as anything of its company is kept.

        What is kept of one that was taken away must not come to be another's.
        """
        ids = (companies.c.id, *(table.c.company_id for table in _OF_COMPANIES))
        rows = await self._store.rows(
            union_all(*(select(func.max(it).label("last")) for it in ids))
        )
        return max(int(row["last"] or 0) for row in rows)

    async def change(self, company_id: int, change: CompanyChange) -> Company:
        """Change what is named. Raises `NoCompanyError` and `CompanyError`."""
        values = checked(change)
        if change.name is not UNSET and values["name"] is None:
            raise CompanyError("a company needs a name")
        async with self._changing:  # secrets are in one column: two who change some must not meet
            row = await self._row(company_id)
            values |= self._sealed(change, self._kept(row) if change.secrets else {})
            if values:
                here = update(companies).where(companies.c.id == company_id)
                await self._store.commit(here.values(**values))
        if values:
            await self.load()
        return await self.get(company_id)

    def _kept(self, row: RowMapping) -> dict[str, str]:
        """Return the secrets beside which others are put. Raises `CompanyError`."""
        try:
            return self._named(row, must=True)
        except SecretError as error:
            raise CompanyError(f"{error}; or take all of them away: secrets null") from None

    async def remove(self, company_id: int) -> None:
        """Take a company away; its calls stay. Raises `NoCompanyError`."""
        if not await self._store.commit(delete(companies).where(companies.c.id == company_id)):
            raise NoCompanyError(company_id)
        await self.load()

    def _sealed(self, change: CompanyChange, named: dict[str, str]) -> dict[str, str | None]:
        """Return the encrypted columns that are changed; ``named`` are the secrets there were."""
        sealed: dict[str, str | None] = {}
        for name in HIDDEN:
            value = getattr(change, name)
            if value is not UNSET:
                sealed[name] = self._secrets.hidden(value) if value else None
        if change.secrets is None:
            sealed["secrets"] = None
        elif change.secrets:
            both = {**named, **change.secrets}
            kept = {name: value for name, value in both.items() if value is not None}
            text = msgspec.json.encode(kept).decode()
            sealed["secrets"] = self._secrets.hidden(text) if kept else None
        return sealed

    # What their calls need ---------------------------------------------------------------------

    async def account(self, company_id: int) -> Account | None:
        """Return a company's account at the carrier, ``None`` if it has none of its own.

        Raises `NoCompanyError` and ``SecretError``.
        """
        row = await self._row(company_id)
        if row["account_sid"] is None or row["auth_token"] is None:
            return None
        return Account(
            company_id,
            row["account_sid"],
            self._secrets.shown(row["auth_token"]),
            row["phone_number"],
            row["region"],
            row["edge"],
            row["caller_id"],
            row["default_destination"],
        )

    async def speech(self, company_id: int) -> Speech:
        """Return a company's settings of the voice. Raises `NoCompanyError`, ``SecretError``."""
        row = await self._row(company_id)
        return speech_of(row, self._secrets)

    async def secret(self, company_id: int, name: str) -> str | None:
        """Return one of the named secrets. Raises `NoCompanyError` and ``SecretError``."""
        row = await self._row(company_id)
        return self._named(row, must=True).get(name)

    def _named(self, row: RowMapping, must: bool = False) -> dict[str, str]:
        if row["secrets"] is None:
            return {}
        try:
            return msgspec.json.decode(self._secrets.shown(row["secrets"]), type=dict[str, str])
        except SecretError:
            if must:
                raise
            return {}

    async def _row(self, company_id: int) -> RowMapping:
        rows = await self._store.rows(select(companies).where(companies.c.id == company_id))
        if not rows:
            raise NoCompanyError(company_id)
        await self._secrets.ready()
        return rows[0]
