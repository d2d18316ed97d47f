"""A company's own account can be steered while the database is away."""

import asyncio
import time
from typing import cast

import pytest

from gateway.carriers.placing import CallPlacing
from gateway.dialer.lines import CompanyAccount, Lines, OperatorLine
from gateway.dialer.numbers import NumberRules
from gateway.store.errors import StoreError

ACCOUNT = "AC" + "a" * 32
COMPANY = CompanyAccount(1, ACCOUNT, "token")


class Away:
    """Companies in a database that is there first, and then away or standing still."""

    def __init__(self) -> None:
        self.trouble = ""

    async def account(self, company: int) -> CompanyAccount | None:
        """Return the company."""
        if self.trouble == "still":
            await asyncio.sleep(60)
        if self.trouble:
            raise StoreError("the database is away", away=True)
        return COMPANY if company == 1 else None

    async def of_account(self, account_sid: str) -> CompanyAccount | None:
        """Return the company of the account."""
        return await self.account(1 if account_sid == ACCOUNT else 2)


def lines(companies: Away) -> Lines:
    """Return lines whose accounts are connected with nobody."""
    operator = OperatorLine(None, None, NumberRules(None, (), ()))
    return Lines(operator, companies, lambda it: cast("CallPlacing", object()))


@pytest.mark.parametrize("trouble", ["away", "still"])
async def test_an_account_that_was_used_before_is_there_while_the_database_is_not(
    trouble: str,
) -> None:
    companies = Away()
    of = lines(companies)
    known = await of.control_of(ACCOUNT)
    assert known is not None
    companies.trouble = trouble
    began = time.monotonic()
    assert await of.control_of(ACCOUNT) is known
    assert time.monotonic() - began < 2


async def test_an_account_that_nobody_has_used_is_not_there_while_the_database_is_away() -> None:
    companies = Away()
    companies.trouble = "away"
    assert await lines(companies).control_of(ACCOUNT) is None


async def test_an_account_that_is_no_companys_is_steered_by_nobody() -> None:
    assert await lines(Away()).control_of("AC" + "b" * 32) is None
