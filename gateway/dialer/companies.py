"""The store's companies, as a call that is placed for one needs them."""

from sqlalchemy import select

from gateway.dialer.errors import DialRefusedError
from gateway.dialer.lines import CompanyAccount
from gateway.store.companies import Companies, NoCompanyError
from gateway.store.secrets import SecretError
from gateway.store.store import Store
from gateway.store.tables import companies as table


class StoredCompanies:
    """Companies by their id, and by their account at the carrier."""

    def __init__(self, store: Store, companies: Companies) -> None:
        self._store, self._companies = store, companies

    async def account(self, company: int) -> CompanyAccount | None:
        """Return a company, ``None`` if there is none.

        Raises `StoreError`, and `DialRefusedError` when its token cannot be read.
        """
        try:
            it = await self._companies.get(company)
            account = await self._companies.account(company)
        except NoCompanyError:
            return None
        except SecretError as error:
            raise DialRefusedError("credentials", str(error)) from error
        return CompanyAccount(
            company,
            account.sid if account is not None else None,
            account.token if account is not None else None,
            it.region,
            it.edge,
            it.caller_id or it.phone_number,
            it.default_destination,
            it.agent,
            it.settings,
        )

    async def of_account(self, account_sid: str) -> CompanyAccount | None:
        """Return the company whose own account it is."""
        wanted = select(table.c.id).where(table.c.account_sid == account_sid).limit(1)
        rows = await self._store.rows(wanted)
        return await self.account(int(rows[0]["id"])) if rows else None
