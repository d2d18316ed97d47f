"""What the gateway has of Ultravox, made of its settings; living beside the calls."""

import ssl
from collections.abc import Callable, Collection

from starlette.routing import Route

from gateway.calls.registry import Calls
from gateway.dialer.company_rules import company_of
from gateway.outbox.audience import listed
from gateway.outbox.dialling import Lines
from gateway.outbox.outbox import Outbox
from gateway.store.companies import Companies
from gateway.store.store import Store
from gateway.throttle import Throttle
from gateway.ultravox.accounts import Accounts
from gateway.ultravox.events import UltravoxEvents
from gateway.ultravox.ledger import Ledger
from gateway.ultravox.rest import UltravoxRest
from gateway.ultravox.transcripts import Transcripts
from gateway.ultravox.voices import VoicesSection
from shared.settings import Settings

SETTLE_SECONDS = 5.0
"""What the last transcripts have when the server stops; the rest is fetched at the next start."""


class Ultravox:
    """All of it. Build it before the first process: it loads certificates."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        companies: Companies,
        outbox: Outbox,
        throttle: Throttle,
    ) -> None:
        key, secrets = settings.ultravox_api_key, settings.ultravox_webhook_secret
        lines = Lines(ssl.create_default_context(), settings.events_allow_private)
        self._rest = UltravoxRest(lines)
        accounts = Accounts(
            settings.ultravox_base_url, key.get_secret_value() if key else None, companies
        )
        self.transcripts = Transcripts(
            self._rest,
            accounts,
            Ledger(store),
            lambda call: company_of(call.incoming, companies),
            outbox.post,
            settings.max_call_seconds,
        )
        self._events = UltravoxEvents(
            listed(secrets.get_secret_value() if secrets else ""),
            self.transcripts.ended,
            throttle,
        )
        self.voices = VoicesSection(self._rest, accounts)

    def join(self, calls: Calls) -> None:
        """Hear of calls that are over."""
        calls.over = self.transcripts.call_over

    def routes(self) -> list[Route]:
        """Return the routes for the application."""
        return self._events.routes()

    async def run(self, live: Callable[[], Collection[str]]) -> None:
        """Fetch transcripts until cancelled. ``live`` are the calls in progress."""
        await self.transcripts.run(live)

    async def settle(self) -> None:
        """Let the last transcripts come, in bounded time."""
        await self.transcripts.settle(SETTLE_SECONDS)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._rest.aclose()
