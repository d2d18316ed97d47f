"""Calls that Ultravox holds: the fake of it, and a gateway's parts with a real database."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from sqlalchemy import select

from gateway.calls.call import Call
from gateway.calls.registry import Calls
from gateway.farm.farm import Farm
from gateway.outbox.dialling import Lines
from gateway.outbox.event import Endpoint
from gateway.outbox.outbox import Outbox
from gateway.outbox.reports import ReportingRecords
from gateway.store.companies import Companies
from gateway.store.secrets import Secrets
from gateway.store.store import Store
from gateway.store.tables import lines, tool_calls
from gateway.ultravox.accounts import Accounts
from gateway.ultravox.ledger import Ledger
from gateway.ultravox.rest import UltravoxRest
from gateway.ultravox.transcripts import TranscriptRules, Transcripts
from shared import messages
from shared.settings.types import Network
from tests.fakes.ultravox import KEY, UltravoxFake
from tests.fakes.ultravox_calls import FakeCall
from tests.gateway.calls.actors import RULES, SID, FakeFarm, Worker, incoming
from tests.gateway.outbox.post_office import outbox

QUICK = TranscriptRules(first=0.02, longest=0.1, patience=5.0, retry=0.05)
SAID = [("agent", "Hello."), ("caller", "A table.")]


def held(fake: UltravoxFake, *, over: bool = True, medium: str = "twilio") -> FakeCall:
    """Return a call at Ultravox in which something was said."""
    call = FakeCall({"medium": {medium: {}}})
    call.joined = call.created
    call.joined_at = call.created_at
    call.say("AGENT", "Hello.")
    call.say("USER", "A table.")
    if over:
        call.end("hangup")
    fake.sessions.append(call)
    return call


@dataclass
class Scene:
    """What a test has before it."""

    fake: UltravoxFake
    store: Store
    calls: Calls
    farm: FakeFarm
    outbox: Outbox
    transcripts: Transcripts
    companies: Companies
    ledger: Ledger
    living: asyncio.Task[None] = field(repr=False)

    def begin(self, conversation: str, *, stays: bool = False) -> Worker:
        """Have a caller joined to Ultravox; without ``stays`` the process leaves at once."""
        self.farm.direct = True
        self.calls.incoming(incoming())
        worker = self.farm.workers[-1]
        self.says(messages.Running("desk:Bare"))
        self.says(messages.KnownAs(conversation))
        self.says(messages.Join("wss://voice.test/1", "ultravox", stays=stays))
        if not stays:
            worker.exit(0)
        return worker

    @property
    def call(self) -> Call:
        """The call in progress."""
        call = self.calls.get(SID)
        assert call is not None
        return call

    def says(self, command: messages.Command) -> None:
        """The process says something."""
        self.call.frame(messages.encode(command))

    def ends(self) -> None:
        """The carrier says that it is over."""
        self.call.status("completed", True)

    async def lines(self) -> list[tuple[str, str]]:
        """Return what the database has of what was said."""
        await self.store.flush()
        rows = await self.store.rows(select(lines).order_by(lines.c.number))
        return [(row["role"], row["text"]) for row in rows]

    async def tools(self) -> list[tuple[str, str]]:
        """Return the tools in the database, and what came of them."""
        await self.store.flush()
        rows = await self.store.rows(select(tool_calls).order_by(tool_calls.c.number))
        return [(row["name"], row["outcome"]) for row in rows]

    def reads(self) -> list[str]:
        """Return what was asked of Ultravox, the last part of each path."""
        return [it.rpartition("/")[2] for it in self.fake.requests]


@asynccontextmanager
async def scene(
    store: Store,
    *endpoints: Endpoint,
    key: str | None = KEY,
    rules: TranscriptRules = QUICK,
    allowed: tuple[Network, ...] = (),
    fake: UltravoxFake | None = None,
    run: bool = True,
) -> AsyncIterator[Scene]:
    """Set it; with ``run`` false nothing is fetched until the test has `Transcripts.run`."""
    async with fake or UltravoxFake() as server, outbox(store, *endpoints) as box:
        farm = FakeFarm()
        companies = Companies(store, Secrets(["a key"]))
        records = ReportingRecords(store, lambda account, number: None, box)
        calls = Calls(cast("Farm", farm), RULES, 10, records=records)
        rest = UltravoxRest(Lines(ssl.create_default_context(), allowed))
        ledger = Ledger(store)
        accounts = Accounts(server.url, key, companies)
        transcripts = Transcripts(
            rest, accounts, ledger, lambda call: None, box.post, most_call_seconds=5.0, rules=rules
        )
        calls.over = transcripts.call_over
        work: Any = transcripts.run(calls.live) if run else asyncio.sleep(0)
        living = asyncio.create_task(work)
        yield Scene(server, store, calls, farm, box, transcripts, companies, ledger, living)
        living.cancel()
        await asyncio.wait([living])
        await rest.aclose()
        farm.close()
