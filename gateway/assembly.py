"""The parts of one gateway, put together: each is given those that it needs, and knows no others.

farm, records ──> calls ──> carrier's routes ──┐
                    └─────> dialer ──> campaigns ├──> application, media gate
                              └──────> API ────┘
"""

import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from gateway.api import Api, Parts
from gateway.api.records import RecordsSection
from gateway.app import application
from gateway.archive import Archive
from gateway.calls.registry import Calls
from gateway.calls.rules import CallRules
from gateway.campaigns.figures import CampaignFigures
from gateway.campaigns.made import make_campaigns, places
from gateway.carriers.recordings import CarrierArchive
from gateway.carriers.twilio.account import archive_at, rest_control
from gateway.carriers.twilio.gate import TwilioGate
from gateway.carriers.twilio.owners import Owners
from gateway.carriers.twilio.phrases import phrases_of
from gateway.carriers.twilio.routes import TwilioOptions, TwilioRoutes
from gateway.carriers.twilio.signature import SignatureCheck
from gateway.carriers.twilio.transfer_routes import TransferRoutes
from gateway.dialer.api import DialSection
from gateway.dialer.call_me import CallMe
from gateway.dialer.company_rules import rules_by_company
from gateway.dialer.made import make_dialer, number_rules
from gateway.dialer.outgoing import OutgoingSection
from gateway.dialer.unanswered import keep_unanswered
from gateway.farm.farm import Farm, FarmOptions
from gateway.outbox.api import WebhooksSection
from gateway.outbox.figures import OutboxFigures
from gateway.outbox.made import Webhooks
from gateway.outbox.webhook_check import WebhookCheck
from gateway.recording.api import RecordingSection
from gateway.recording.carrier import CarrierRecordings
from gateway.recording.inventory import Inventory
from gateway.recording.studio import Studio
from gateway.throttle import Throttle
from gateway.transfers.desk import TransferDesk
from gateway.transfers.hold_music import HoldMusic
from gateway.ultravox.made import Ultravox
from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the gateway knows and no process it starts may know."""

    twilio_token: str
    api_token: str


class Assembly:
    """All parts, made and not started. Raises `StoreError` for a database that is none."""

    def __init__(self, settings: Settings, secrets: Secrets, farm_options: FarmOptions) -> None:
        self._settings = settings
        self._public_url = str(settings.public_url) if settings.public_url else None
        self.farm = Farm(farm_options)
        self.archive = Archive(settings, secrets.twilio_token)
        self.webhooks = Webhooks(settings, self.archive.store, self.archive.companies)
        self.studio = Studio(settings.data_dir, self.archive.store)
        self.calls = self._calls()
        self.archive.needed = lambda: {*self.calls.live(), *self.studio.unfinished()}
        self.control = rest_control(settings)
        self.dialer = make_dialer(
            settings, self.archive.store, self.archive.companies, self.farm, self.control
        )
        self.dialer.room = lambda: settings.max_calls - len(self.calls)
        unanswered = keep_unanswered(self.archive.store, self.webhooks.outbox)
        self.dialer.following.listeners.append(unanswered)
        self.carrier_recordings = self._carrier_recordings()
        self.campaigns = make_campaigns(
            self.archive.store,
            self.dialer,
            self.calls,
            self.farm,
            places(settings.max_calls, settings.campaign_reserve),
            self.webhooks.outbox,
        )
        check = SignatureCheck(
            self.archive.companies.tokens_for, self._public_url, settings.trusted_proxies
        )
        throttle = Throttle(time.monotonic)
        self.ultravox = self._ultravox(throttle)
        self.owners = Owners(self.calls, self.archive.calls.account_of, settings.twilio_account_sid)
        twilio = self._twilio(check, throttle)
        self.gate = TwilioGate(self.calls, check, throttle)
        self.app = self._application(twilio, self._api(secrets.api_token))

    def _calls(self) -> Calls:
        settings = self._settings
        rules = CallRules(
            stream_seconds=settings.stream_timeout_seconds,
            most_seconds=settings.max_call_seconds,
            hang_seconds=settings.hang_seconds,
            fallback=settings.fallback_number,
            destinations=dict(settings.transfer_numbers),
            ring_seconds=settings.transfer_ring_seconds,
            numbers=number_rules(settings),
        )
        calls = Calls(
            self.farm,
            rules,
            settings.max_calls,
            settings.call_memory_mb << 20,
            self.webhooks.records,
            self.webhooks.first_messages,
            self.studio.recorder,
        )
        calls.rules_of = rules_by_company(rules, self.archive.companies)
        return calls

    def _carrier_recordings(self) -> CarrierRecordings:
        recordings = CarrierRecordings(
            self.archive.store,
            self._settings.data_dir,
            self._carrier_archive,
            lambda sid: self.calls.get(sid) is not None,
            fetch=self._settings.carrier_fetch,
        )
        self.calls.recording_told = recordings.told
        return recordings

    async def _carrier_archive(self, account_sid: str) -> CarrierArchive | None:
        if account_sid in ("", self._settings.twilio_account_sid):
            return archive_at(self.control)
        return archive_at(await self.dialer.control_of(account_sid))

    def _ultravox(self, throttle: Throttle) -> Ultravox:
        store, companies = self.archive.store, self.archive.companies
        made = Ultravox(self._settings, store, companies, self.webhooks.outbox, throttle)
        made.join(self.calls)
        return made

    def _twilio(self, check: SignatureCheck, throttle: Throttle) -> TwilioRoutes:
        settings = self._settings
        desk = TransferDesk(self.dialer, settings.twilio_account_sid)
        self.calls.transfers = desk
        options = TwilioOptions(
            settings.max_body_bytes,
            settings.fallback_number,
            settings.twilio_phone_number,
            settings.twilio_account_sid,
            phrases_of(settings),
        )
        return TwilioRoutes(
            self.calls,
            check,
            throttle,
            self.control,
            options,
            self.dialer,
            TransferRoutes(desk, settings.hold_music_url),
            self.owners,
        )

    def _api(self, token: str) -> Api:
        store = self.archive.store
        sections = (
            RecordsSection(self.archive),
            DialSection(self.dialer),
            OutgoingSection(self.dialer),
            WebhooksSection(self.webhooks.outbox),
            RecordingSection(self.studio, self.calls, store),
            self.ultravox.voices,
        )
        check = WebhookCheck(self._settings.events_allow_private)
        known = (store, self.archive.companies, self.campaigns, self.dialer)
        parts = Parts(*known, check, sections=sections)
        return Api(self.calls, self.farm, token, dict(self._settings.transfer_numbers), parts)

    def _application(self, twilio: TwilioRoutes, api: Api) -> Any:
        settings = self._settings
        prefix = urlsplit(self._public_url).path.rstrip("/") if self._public_url else ""
        call_me = CallMe(
            self.dialer,
            settings.call_me_token.get_secret_value() if settings.call_me_token else None,
            api.may_call,
            is_set_up=self.control is not None and settings.twilio_phone_number is not None,
            prefix=prefix,
        )
        return application(
            self.calls,
            self.farm,
            twilio,
            api,
            prefix,
            self.archive.store,
            (*call_me.routes(), *HoldMusic().routes(), *self.ultravox.routes()),
            (OutboxFigures(self.webhooks.outbox), CampaignFigures(self.campaigns)),
            dials=lambda: self.dialer.right.standing.value,
        )

    # Running -----------------------------------------------------------------------------------

    def work(self) -> list[Coroutine[Any, Any, None]]:
        """Return what runs as long as the gateway serves; each is ended by cancelling it."""
        return [
            self.calls.watch(),
            self.archive.keep(self.calls.live),
            self.dialer.run(),
            self.owners.run(),
            self.studio.run(),
            Inventory(self.archive.store, self._settings.data_dir, self.studio).run(),
            self.carrier_recordings.run(),
            self.webhooks.run(self.calls.live),
            self.ultravox.run(self.calls.live),
            self.campaigns.run(),
        ]

    async def settle(self) -> None:
        """Let what calls have left behind be fetched and told, in bounded time."""
        await self.ultravox.settle()
        await self.webhooks.settle()

    async def aclose(self) -> None:
        """End everything, in the order in which the parts need each other."""
        # A template that is left alive holds up the interpreter's exit for good.
        await self.farm.close()
        await self.dialer.aclose()
        await self.studio.aclose()
        await self.ultravox.aclose()
        await self.webhooks.aclose()
        await self.archive.aclose()
        if self.control is not None:
            await self.control.aclose()
