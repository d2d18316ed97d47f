"""The Twilio account of the settings, and how an account's REST is reached."""

from gateway.carriers.control import CallControl
from gateway.carriers.recordings import CarrierArchive
from gateway.carriers.twilio.placing import TwilioPlacing
from gateway.carriers.twilio.recordings import TwilioRecordings
from gateway.carriers.twilio.region import placement
from gateway.carriers.twilio.sdk import Account
from shared.settings import Settings


def rest_control(settings: Settings) -> TwilioPlacing | None:
    """Return the REST of the configured account, ``None`` without credentials."""
    if settings.twilio_account_sid is None or settings.twilio_auth_token is None:
        return None
    return rest_of(
        settings.twilio_account_sid,
        settings.twilio_auth_token.get_secret_value(),
        settings.twilio_region,
        settings.twilio_edge,
        settings.twilio_base_url,
    )


def archive_at(control: CallControl | None) -> CarrierArchive | None:
    """Return the recordings of the account whose REST this is, if it can be asked for them."""
    return control if isinstance(control, TwilioRecordings) else None


def rest_of(
    account_sid: str,
    auth_token: str,
    region: str | None = None,
    edge: str | None = None,
    base_url: str | None = None,
) -> TwilioPlacing:
    """Return the REST of any account. Raises ``RegionError``."""
    return TwilioPlacing(
        Account(account_sid, auth_token, placement(region, edge), origin=base_url or None)
    )
