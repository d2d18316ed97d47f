"""A dialer with a real store and a real REST client, and the fake Twilio at the other end."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from gateway.carriers.twilio.placing import TwilioPlacing
from gateway.carriers.twilio.sdk import Account
from gateway.dialer.dialer import Dialer, DialRules
from gateway.dialer.follow_times import FollowTimes
from gateway.dialer.lines import Companies, CompanyAccount, Lines, OperatorLine
from gateway.dialer.numbers import NumberRules
from gateway.dialer.right import Right
from gateway.store.engine import open_store
from gateway.store.store import Store
from tests.fakes.twilio_callee import Callee
from tests.fakes.twilio_rest import ACCOUNT_SID, AUTH_TOKEN, TwilioRestServer

TO, FROM = "+493012345678", "+15557654321"
QUICK = FollowTimes(
    tick=0.02,
    first_look=0.1,
    give_up=0.5,
    again=0.1,
    longest=1.0,
    overdue=0.2,
    catch_up=0.1,
    hang_up=(0.1,) * 50,
)


class Crew:
    """Agents that are live: ``desk:Desk`` and ``sales:Caller``, who hangs up on machines."""

    def named(self, name: str) -> str | None:
        known = {"Desk": "desk:Desk", "Caller": "sales:Caller"}
        return known.get(name) or (name if name in known.values() else None)

    def machine_policy(self, agent: str, number: str) -> str:
        return "hang-up" if agent == "sales:Caller" else "go-on"


class Directory:
    """Companies by number."""

    def __init__(self, companies: Mapping[int, CompanyAccount]) -> None:
        self._companies = companies

    async def account(self, company: int) -> CompanyAccount | None:
        return self._companies.get(company)

    async def of_account(self, account_sid: str) -> CompanyAccount | None:
        found = self._companies.values()
        return next((it for it in found if it.account_sid == account_sid), None)


@dataclass
class World:
    """Everything of one test. ``origin`` is where Twilio's webhooks go: to the dialer."""

    twilio: TwilioRestServer
    store: Store
    dialer: Dialer
    origin: str

    async def settled(self) -> None:
        """Return when every call is over, told, and written."""
        await self.twilio.exchange.idle()
        await self.store.flush()


def rest(twilio: TwilioRestServer, timeout_s: float = 2.0) -> TwilioPlacing:
    """Return the REST client of the fake's account."""
    return TwilioPlacing(
        Account(ACCOUNT_SID, AUTH_TOKEN, origin=twilio.base_url),
        timeout_s=timeout_s,
        backoff_s=0.01,
    )


def new_dialer(
    store: Store,
    control: TwilioPlacing | None,
    origin: str | None,
    *,
    companies: Companies | None = None,
    rules: NumberRules | None = None,
    caller_id: str | None = FROM,
    clock: Callable[[], float] = time.time,
    right: Right | None = None,
) -> Dialer:
    """Return a dialer; `QUICK` is how it follows calls."""
    rules = rules or NumberRules(region="DE")
    operator = OperatorLine(control, caller_id, rules, 1000.0, ACCOUNT_SID)

    def connect(it: CompanyAccount) -> TwilioPlacing:
        assert control is not None
        assert it.account_sid is not None
        assert it.auth_token is not None
        return TwilioPlacing(
            Account(it.account_sid, it.auth_token, origin=control._account.origin), timeout_s=2.0
        )

    lines = Lines(operator, companies or Directory({}), connect)
    said = DialRules(origin, ring_seconds=20, most_seconds=14_400)
    return Dialer(store, lines, Crew(), said, QUICK, clock, right)


@asynccontextmanager
async def world(
    folder: Path, callee: Callable[[str], Callee] = lambda number: Callee(), **more: Any
) -> AsyncIterator[World]:
    """Open a world; its dialer runs."""
    async with TwilioRestServer(callee=callee, speed=500) as twilio:
        store = await open_store(f"sqlite+aiosqlite:///{folder / 'x.db'}")
        control = rest(twilio)
        dialers: list[Dialer] = []
        async with _webhooks(dialers) as origin:
            dialer = new_dialer(store, control, origin, **more)
            dialers.append(dialer)
            running = asyncio.create_task(dialer.run())
            try:
                yield World(twilio, store, dialer, origin)
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                await twilio.exchange.close()
                await dialer.aclose()
                await control.aclose()
                await store.aclose()


@asynccontextmanager
async def successor(it: World, *, account: bool = True, **more: Any) -> AsyncIterator[Dialer]:
    """Have another dialer run on the same database, as after a restart."""
    control = rest(it.twilio)
    origin = more.pop("origin", it.origin)
    dialer = new_dialer(it.store, control if account else None, origin, **more)
    running = asyncio.create_task(dialer.run())
    try:
        yield dialer
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await control.aclose()


@asynccontextmanager
async def _webhooks(dialers: list[Dialer]) -> AsyncIterator[str]:
    """Take callbacks as the gateway's routes do; the last dialer is told."""
    final = {"completed", "busy", "failed", "no-answer", "canceled"}

    async def take(request: web.Request) -> web.Response:
        form, marker, dialer = await request.post(), request.query["dial"], dialers[-1]
        sid, account = str(form["CallSid"]), str(form["AccountSid"])
        if request.path == "/twilio/amd":
            await dialer.answered_by(marker, sid, str(form["AnsweredBy"]), account)
        elif request.path == "/twilio/status":
            status = str(form["CallStatus"])
            await dialer.told(marker, sid, status, account, final=status in final)
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/{path:.*}", take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
