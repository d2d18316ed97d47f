"""What the legs of a phone work with: their own tools, and those that all share."""

import ssl
from dataclasses import dataclass

from phone.callbacks import Callbacks
from phone.clock import Clock
from phone.journal import Journal
from phone.parameters import Identity
from phone.performer import Performer
from phone.session import Handset
from phone.settings import PhoneSettings
from phone.signature import Signer
from phone.ticker import Ticker
from phone.webhooks import WebhookClient


@dataclass(frozen=True, slots=True)
class Plant:
    """What a leg works with: its own tools and those it shares with the phone's other calls."""

    identity: Identity
    settings: PhoneSettings
    clock: Clock
    journal: Journal
    handset: Handset
    signer: Signer
    webhooks: WebhookClient
    callbacks: Callbacks
    performer: Performer
    ticker: Ticker
    context: ssl.SSLContext
