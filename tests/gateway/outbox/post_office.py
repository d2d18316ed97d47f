"""An outbox with a real database and a real sender, for tests; waiting is a thousandth as long."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gateway.outbox.courier import Courier
from gateway.outbox.deliveries import Deliveries
from gateway.outbox.dialling import Lines
from gateway.outbox.event import Endpoint, Event
from gateway.outbox.outbox import Outbox
from gateway.outbox.rules import OutboxRules
from gateway.store.store import Store
from shared.settings.types import Network

SCALE = 0.001
CALL = {"sid": "CA1", "number": "+15550001111"}


@dataclass
class Listeners:
    """Who wants to know, as the test says."""

    endpoints: list[Endpoint] = field(default_factory=list)
    keys: dict[int | None, tuple[str, ...]] = field(default_factory=lambda: {None: ()})

    known: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.known.set()

    def of(self, company: int | None) -> Sequence[Endpoint]:
        return [it for it in self.endpoints if it.owner in (None, company)]

    def secrets(self, owner: int | None) -> Sequence[str] | None:
        return self.keys.get(owner)

    async def load(self) -> None:
        pass


def booking(number: int = 0, company: int | None = None) -> Event:
    """Return an event."""
    return Event("booking", CALL, {"number": number}, company)


@asynccontextmanager
async def outbox(
    store: Store,
    *endpoints: Endpoint,
    keys: tuple[str, ...] = (),
    seconds: float = 2.0,
    scale: float = SCALE,
    look: float = 60.0,
    known: bool = True,
    allowed: Sequence[Network] = (),
) -> AsyncIterator[Outbox]:
    """Run an outbox until the block ends; then it is gone as if it were killed."""
    listeners = Listeners(list(endpoints), {None: keys, **{it.owner: keys for it in endpoints}})
    if not known:
        listeners.known.clear()
    courier = Courier(Lines(ssl.create_default_context(), allowed), seconds)
    rules = OutboxRules(scale=scale, retry_look=100.0, look=look)
    it = Outbox(Deliveries(store), listeners, courier, rules)
    living = asyncio.create_task(it.run())
    try:
        yield it
    finally:
        living.cancel()
        await asyncio.wait([living])
        await courier.aclose()
