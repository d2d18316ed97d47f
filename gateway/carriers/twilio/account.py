"""The Twilio account of the settings, and how its REST is reached."""

from gateway.carriers.twilio.region import placement
from gateway.carriers.twilio.rest import TwilioRest
from gateway.carriers.twilio.sdk import Account
from shared.settings import Settings


def rest_control(settings: Settings) -> TwilioRest | None:
    """Return the REST of the configured account, ``None`` without credentials."""
    if settings.twilio_account_sid is None or settings.twilio_auth_token is None:
        return None
    return TwilioRest(
        Account(
            settings.twilio_account_sid,
            settings.twilio_auth_token.get_secret_value(),
            placement(settings.twilio_region, settings.twilio_edge),
            origin=str(settings.twilio_base_url) if settings.twilio_base_url else None,
        )
    )
