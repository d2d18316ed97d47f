"""The phone: places calls to a server as Twilio would, one or many at a time.

It knows a server only by its voice webhook and the account's auth token. All calls of a phone
share one beat, one TLS context and one pool of HTTP connections, made with the first call and
closed with the last.
"""

import asyncio
import secrets
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random

from phone.call import Call
from phone.callbacks import Callbacks
from phone.clock import Clock, LoopClock
from phone.document import Course
from phone.ear import Ear
from phone.journal import Journal, Listener
from phone.leg import Leg
from phone.line import Line
from phone.microphone import Microphone
from phone.parameters import Identity
from phone.performer import Performer
from phone.plant import Plant
from phone.recording import Recording
from phone.session import Handset
from phone.settings import PhoneSettings
from phone.signature import Signer
from phone.ticker import Ticker
from phone.transport import SharedTransport, tls_context
from phone.webhooks import WebhookClient

ACCOUNT_SID = "AC" + "0" * 31 + "1"
"""The account of calls that name no other."""


@dataclass(slots=True)
class _Shared:
    """What the calls now going on have in common."""

    context: ssl.SSLContext
    transport: SharedTransport
    ticker: Ticker
    calls: int = 0


class Phone:
    """Calls ``voice_url``, signing with ``auth_token``."""

    def __init__(
        self,
        voice_url: str,
        *,
        auth_token: str,
        account_sid: str = ACCOUNT_SID,
        to: str = "+15550001111",
        from_: str = "+15550002222",
        status_url: str | None = None,
        fallback_url: str | None = None,
        settings: PhoneSettings | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._voice_url, self._status_url, self._fallback_url = voice_url, status_url, fallback_url
        self._signer = Signer(auth_token)
        self._account_sid, self._to, self._from = account_sid, to, from_
        self.settings = settings or PhoneSettings()
        self._clock = clock or LoopClock()
        self._opening = asyncio.Lock()
        self._shared: _Shared | None = None

    @asynccontextmanager
    async def dial(
        self,
        *,
        to: str | None = None,
        from_: str | None = None,
        call_sid: str | None = None,
        parameters: Mapping[str, str] | None = None,
        on_event: Listener | None = None,
    ) -> AsyncIterator[Call]:
        """Place a call. Leaving the block hangs up and waits for the last callback.

        Leaving it by an exception cuts everything at once. ``parameters`` join those of the
        settings; ``on_event`` is called with every event as it happens and must not block.
        """
        identity = Identity(
            account_sid=self._account_sid,
            call_sid=call_sid or "CA" + secrets.token_hex(16),
            from_=from_ or self._from,
            to=to or self._to,
            extra={**self.settings.parameters, **(parameters or {})},
        )
        async with self._plugged_in() as shared:
            call = self._call(identity, shared, Journal(self._clock, on_event))
            try:
                yield call
                await call.hangup()
                await call.ended()
            finally:
                await call.abort()

    @asynccontextmanager
    async def _plugged_in(self) -> AsyncIterator[_Shared]:
        async with self._opening:
            if self._shared is None:
                # Loading the certificates takes a tenth of a second: not on the loop.
                context = await asyncio.to_thread(tls_context, insecure=self.settings.insecure)
                self._shared = _Shared(context, SharedTransport(context), Ticker(self._clock))
        shared = self._shared
        shared.calls += 1
        try:
            yield shared
        finally:
            shared.calls -= 1
            if shared.calls == 0:
                self._shared = None
                await shared.transport.close()

    def _call(self, identity: Identity, shared: _Shared, journal: Journal) -> Call:
        settings, clock = self.settings, self._clock
        http = shared.transport.client()
        webhooks = WebhookClient(http, self._signer, clock, settings.webhook_limit_ms)
        callbacks = Callbacks(webhooks, identity, journal, self._status_url, settings.status_events)
        performer = Performer(http, callbacks, clock, journal, settings)
        handset = self._handset()
        plant = Plant(
            identity=identity,
            settings=settings,
            clock=clock,
            journal=journal,
            handset=handset,
            signer=self._signer,
            webhooks=webhooks,
            callbacks=callbacks,
            performer=performer,
            ticker=shared.ticker,
            context=shared.context,
        )
        course = Course(
            self._voice_url, settings.method, self._fallback_url, settings.max_documents
        )
        return Call(identity, journal, handset, performer, Leg(plant, course))

    def _handset(self) -> Handset:
        settings = self.settings
        line = None
        if settings.loss or settings.jitter_ms:
            line = Line(settings.loss, settings.jitter_ms, Random(settings.seed))  # noqa: S311
        return Handset(
            microphone=Microphone(),
            ear=Ear(settings.quiet_ms, settings.speech_dbfs),
            recording=Recording(keep=settings.record),
            line=line,
        )
