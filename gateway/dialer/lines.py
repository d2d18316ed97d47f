"""Through whose account a call goes, and as whom: the operator's, or a company's own.

A company with an account of its own calls through it; one without calls through the operator's,
from its own number if it has one. Its lists of numbers come on top of the operator's.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog

from gateway.carriers.placing import CallPlacing
from gateway.dialer.errors import DialRefusedError, DialUnavailableError
from gateway.dialer.numbers import NumberRules
from gateway.dialer.pace import Pace
from gateway.store.company_settings import allowed_agents, number_lists
from gateway.store.errors import StoreError

log = structlog.get_logger(__name__)

MOST_ACCOUNTS = 100
"""Accounts whose connections are kept; the one used least recently is closed for another."""

KNOWN_SECONDS = 0.3
"""How long the database may take to confirm an account whose REST is there."""

TURN_SECONDS = 10.0
"""How long an order may wait for its turn: after that who ordered it has given up, and would hear
from nobody that the phone rings after all."""


@dataclass(frozen=True, slots=True)
class CompanyAccount:
    """What of a company matters to a call; the token is in clear and never shown."""

    id: int
    account_sid: str | None = None
    auth_token: str | None = field(default=None, repr=False)
    region: str | None = None
    edge: str | None = None
    caller_id: str | None = None
    default_to: str | None = None
    agent: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def has_account(self) -> bool:
        """Whether it calls through an account of its own."""
        return bool(self.account_sid and self.auth_token)


class Companies(Protocol):
    """Where companies are kept. Every method raises `StoreError`."""

    async def account(self, company: int) -> CompanyAccount | None:
        """Return a company, ``None`` if there is none."""

    async def of_account(self, account_sid: str) -> CompanyAccount | None:
        """Return the company whose own account it is, ``None`` if it is nobody's."""


class NoCompanies:
    """Nobody but the operator."""

    async def account(self, company: int) -> CompanyAccount | None:
        """Return ``None``."""
        return None

    async def of_account(self, account_sid: str) -> CompanyAccount | None:
        """Return ``None``."""
        return None


@dataclass(frozen=True, slots=True)
class Line:
    """A way out. ``rules`` must all be pleased; ``default_to`` is called when nobody is named.

    ``shared``: others call through its account as well, so that it has not all of its numbers.
    """

    control: CallPlacing
    caller_id: str | None
    rules: Sequence[NumberRules]
    pace: Pace
    default_to: str | None = None
    agent: str | None = None
    shared: bool = False
    account_sid: str | None = None
    agents: tuple[str, ...] | None = None
    """Those that may be named; ``None``: all."""

    def turn_at(self) -> float:
        """Take the next turn; return when it is (monotonic). Raises `DialUnavailableError`."""
        at = self.pace.take(TURN_SECONDS)
        if at is None:
            sentence = f"the account's calls of the next {TURN_SECONDS:.0f} s are ordered already"
            raise DialUnavailableError(f"{sentence}: ask again later, or make a campaign")
        return at


@dataclass(frozen=True, slots=True)
class OperatorLine:
    """The operator's own way out; without ``control`` there is none."""

    control: CallPlacing | None
    caller_id: str | None
    rules: NumberRules
    calls_per_second: float = 1.0
    account_sid: str | None = None


Connect = Callable[[CompanyAccount], CallPlacing]


class Lines:
    """The lines of one gateway. ``connect`` makes the REST of a company's own account."""

    def __init__(self, operator: OperatorLine, companies: Companies, connect: Connect) -> None:
        self._operator, self._companies, self._connect = operator, companies, connect
        self._pace = Pace(operator.calls_per_second, time.monotonic)
        self._accounts: OrderedDict[tuple[object, ...], tuple[CallPlacing, Pace]] = OrderedDict()

    async def line(self, company: int | None) -> Line:
        """Return the line of a company, or the operator's. Raises `DialRefusedError`.

        Raises `StoreError` when a company cannot be looked up.
        """
        operator = self._operator
        if company is None:
            return Line(
                self._own(),
                operator.caller_id,
                (operator.rules,),
                self._pace,
                account_sid=operator.account_sid,
            )
        it = await self._companies.account(company)
        if it is None:
            raise DialRefusedError("company", f"there is no company {company}")
        rules = (operator.rules.narrowed(*number_lists(it.settings)),)
        shared = not it.has_account
        if not shared:
            control, pace = await self._account(it)
            caller_id = it.caller_id
        else:
            control, pace, caller_id = self._own(), self._pace, it.caller_id or operator.caller_id
        account_sid = operator.account_sid if shared else it.account_sid
        lead = (it.default_to, it.agent, shared, account_sid, allowed_agents(it.settings))
        return Line(control, caller_id, rules, pace, *lead)

    def _own(self) -> CallPlacing:
        if self._operator.control is None:
            sentence = "calls are placed with TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN: set both"
            raise DialRefusedError("credentials", sentence)
        return self._operator.control

    async def _account(self, it: CompanyAccount) -> tuple[CallPlacing, Pace]:
        key = (it.account_sid, it.auth_token, it.region, it.edge)
        if key not in self._accounts:
            try:
                control = self._connect(it)
            except ValueError as error:  # a region that nobody knows
                raise DialRefusedError("credentials", str(error)) from error
            rate = it.settings.get("calls_per_second", self._operator.calls_per_second)
            is_rate = isinstance(rate, int | float) and 0 < rate <= 1000
            pace = Pace(rate if is_rate else 1.0, time.monotonic)
            self._accounts[key] = control, pace
        self._accounts.move_to_end(key)
        found = self._accounts[key]
        while len(self._accounts) > MOST_ACCOUNTS:
            _, (oldest, _) = self._accounts.popitem(last=False)
            await oldest.aclose()
        return found

    async def account_of(self, company: int | None) -> str | None:
        """Return the account through which a company calls, if it is known.

        Raises `StoreError`.
        """
        it = None if company is None else await self._companies.account(company)
        own = it.account_sid if it is not None and it.has_account else None
        return own or self._operator.account_sid

    async def agents_of(self, company: int | None) -> tuple[str, ...] | None:
        """Return the agents that a company may name, ``None`` for all. Raises `StoreError`."""
        it = None if company is None else await self._companies.account(company)
        return None if it is None else allowed_agents(it.settings)

    async def company_of(self, account_sid: str) -> int | None:
        """Return whose own account it is, ``None`` if it is no company's. Raises `StoreError`."""
        it = await self._companies.of_account(account_sid)
        return it.id if it is not None else None

    async def control_of(self, account_sid: str) -> CallPlacing | None:
        """Return the REST of a company's own account, ``None`` if it cannot be had now.

        While the database is away or slow it is the one that was used last: a caller waits for it.
        """
        latest = self._latest(account_sid)
        try:
            async with asyncio.timeout(None if latest is None else KNOWN_SECONDS):
                it = await self._companies.of_account(account_sid)
            return (await self._account(it))[0] if it is not None and it.auth_token else None
        except (DialRefusedError, StoreError, TimeoutError) as error:
            if latest is not None and not isinstance(error, DialRefusedError):
                return latest
            log.warning("an account's REST is not there", account=account_sid, error=str(error))
            return None

    def _latest(self, account_sid: str) -> CallPlacing | None:
        used = reversed(self._accounts.items())
        return next((control for key, (control, _) in used if key[0] == account_sid), None)

    async def aclose(self) -> None:
        """Close the connections to the companies' accounts."""
        while self._accounts:
            _, (control, _) = self._accounts.popitem()
            await control.aclose()
