"""Campaigns over a real dialer, store and REST client, with the fake Twilio at the other end."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import select

from gateway.campaigns.admission import Candidate
from gateway.campaigns.policy import Policy
from gateway.campaigns.service import Campaigns
from gateway.campaigns.surroundings import Surroundings
from gateway.campaigns.views import CampaignView, LeadView
from gateway.dialer.dialer import Dialer
from gateway.outbox.courier import Courier
from gateway.outbox.deliveries import Deliveries
from gateway.outbox.dialling import Lines
from gateway.outbox.event import Endpoint
from gateway.outbox.outbox import Outbox
from gateway.store.store import Store
from gateway.store.tables import deliveries
from tests.fakes.twilio_account import Call
from tests.fakes.twilio_callee import Callee
from tests.gateway.dialer import exchange
from tests.gateway.dialer.exchange import World
from tests.gateway.outbox.post_office import Listeners

FATAL, CROWDED = frozenset({20003}), frozenset({10004})


def numbers(count: int) -> list[Candidate]:
    """Return that many people of Berlin."""
    return [Candidate(f"+4930{1234000 + n}") for n in range(count)]


@dataclass
class Yard:
    """Campaigns and the world they call."""

    world: World
    campaigns: Campaigns
    outbox: Outbox
    """Does not run: what is told stays in the database."""
    room: int = 1000
    life: "asyncio.Task[None] | None" = None

    @property
    def store(self) -> Store:
        """The database."""
        return self.world.store

    async def begun(
        self, people: Sequence[Candidate], name: str = "x", **policy: Any
    ) -> CampaignView:
        """Make a campaign for ``people`` and start it."""
        it = await self.campaigns.create(name, Policy(**policy))
        await self.campaigns.add(it.id, people, repeats=True)
        return await self.campaigns.start(it.id)

    async def events(self) -> list[dict[str, Any]]:
        """Return what the database has for those who want to know, in order."""
        rows = await self.store.rows(select(deliveries).order_by(deliveries.c.created))
        return [msgspec.json.decode(row["body"]) for row in rows]

    async def stop(self) -> None:
        """End the campaigns' life as the gateway's end does; calls go on."""
        assert self.life is not None
        self.life.cancel()
        await asyncio.gather(self.life, return_exceptions=True)

    async def ended(self, campaign: str, seconds: float = 60.0) -> list[LeadView]:
        """Wait for a campaign's end; return its leads."""
        async with asyncio.timeout(seconds):
            while not await self.campaigns.finished(campaign, seconds):
                pass
        await self.store.flush(60)
        return await self.leads(campaign)

    async def leads(self, campaign: str) -> list[LeadView]:
        """Return the leads of a campaign."""
        found: list[LeadView] = []
        after: int | None = -1
        while after is not None:
            page = await self.campaigns.leads(campaign, after, 50)
            found, after = [*found, *page.leads], page.next
        return found

    def live(self) -> list[Call]:
        """Return the calls at Twilio that are not over."""
        return [call for call in self.dialled() if call.ended is None]

    def end(self, call: Call, status: str = "completed") -> None:
        """End a call as its callee does."""
        account = self.world.twilio.account
        account.end_call(call.sid, status)
        account.tell(call)

    def dialled(self) -> list[Call]:
        """Return the calls that exist at Twilio, in the order in which they were created."""
        return list(self.world.twilio.account.calls.values())


@asynccontextmanager
async def yard(
    folder: Path, callee: Callable[[str], Callee] = lambda number: Callee(), **more: Any
) -> AsyncIterator[Yard]:
    """Open a world with campaigns in it."""
    async with exchange.world(folder, callee, **more) as world, _running(world, world.dialer) as it:
        yield it


@asynccontextmanager
async def successor(it: Yard, **more: Any) -> AsyncIterator[Yard]:
    """Open the campaigns of another gateway, after this one or beside it, on the same database."""
    async with exchange.successor(it.world, **more) as dialer, _running(it.world, dialer) as after:
        for name in ("told", "answered_by"):  # callbacks reach the gateway that is there
            setattr(it.world.dialer, name, getattr(dialer, name))
        yield after


@asynccontextmanager
async def _running(world: World, dialer: Dialer) -> AsyncIterator[Yard]:
    around = Surroundings(dialer, lambda: it.room, fatal=FATAL, crowded=CROWDED)
    outbox = outbox_of(world.store)
    it = Yard(world, Campaigns(world.store, around, outbox), outbox)
    it.life = asyncio.create_task(it.campaigns.run())
    try:
        await asyncio.sleep(0)
        yield it
    finally:
        await it.stop()


def outbox_of(store: Store) -> Outbox:
    """Return an outbox that does not run, with one address that wants to know everything."""
    courier = Courier(Lines(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)))
    listeners = Listeners([Endpoint("http://127.0.0.1:9/", None)])
    return Outbox(Deliveries(store), listeners, courier)


ENDLESS = Callee(ring_s=1, talk_s=1e6)
"""Talks until the test ends the call, if it is given `LONG`."""

LONG = 4 * 3600
"""The longest ``max_seconds``: half a minute here."""


def overlaps(calls: Sequence[Call]) -> int:
    """Return the most calls there were at a time."""
    now = time.time()
    moments = [(it.created, 1) for it in calls] + [(it.ended or now, -1) for it in calls]
    most = current = 0
    for _, change in sorted(moments):
        current += change
        most = max(most, current)
    return most
