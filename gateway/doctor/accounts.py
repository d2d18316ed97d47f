"""Do the credentials look right. Nothing is sent to anybody."""

import re
from collections.abc import Iterator

from gateway.carriers.twilio.region import RegionError, placement
from gateway.doctor.finding import Finding, fail, ok, warn
from shared.settings import Settings
from shared.settings.fields import variable

_SID = re.compile(r"AC[0-9a-f]{32}")
_TOKEN = re.compile(r"[0-9a-f]{32}")
_SHORTEST_TOKEN = 16
_PROVIDERS = ("deepgram", "openai", "cartesia", "elevenlabs", "ultravox")


def check_twilio(settings: Settings) -> Iterator[Finding]:
    """Look at the form of account SID, auth token and region."""
    sid, token = settings.twilio_account_sid, settings.twilio_auth_token
    if sid is None and token is None:
        yield ok("Twilio", "no account: the built-in phone can call")
        return
    if sid is None or token is None:
        missing = variable("twilio_auth_token" if token is None else "twilio_account_sid")
        yield fail("Twilio", f"{missing} is not set", "copy it from the Twilio console")
        return
    faults = [*_twilio_faults(sid, token.get_secret_value()), *_region_faults(settings)]
    yield from faults
    if not faults:
        yield ok("Twilio", f"account {sid[:6]}…{sid[-4:]}")


def check_providers(settings: Settings) -> Iterator[Finding]:
    """Tell for which hosted providers there is a key."""
    keyed = [name for name in _PROVIDERS if getattr(settings, f"{name}_api_key") is not None]
    yield ok("providers", f"keys for {', '.join(keyed)}" if keyed else "no key")


def check_placing(settings: Settings) -> Iterator[Finding]:
    """Tell whether calls can be placed."""
    if settings.twilio_account_sid is None:
        return
    absent = [it for it in ("twilio_phone_number", "public_url") if getattr(settings, it) is None]
    if absent:
        names = " and ".join(map(variable, absent))
        yield ok("outbound", f"no calls are placed without {names}")
    else:
        yield ok("outbound", f"calls are placed from {settings.twilio_phone_number}")


def check_own_secrets(settings: Settings) -> Iterator[Finding]:
    """Look whether our own secrets can be guessed."""
    for field in ("api_token", "secret_key", "call_me_token"):
        secret = getattr(settings, field)
        written = secret.get_secret_value() if secret is not None else ""
        keys = [key for key in written.split(",") if key.strip()]
        if keys and min(map(len, keys)) < _SHORTEST_TOKEN:
            made = "" if field == "call_me_token" else "unset it and one is made, or "
            fix = f"{made}take 16 random characters or more"
            yield warn(variable(field), "short enough to be guessed", fix)


def _twilio_faults(sid: str, token: str) -> Iterator[Finding]:
    if sid.startswith("SK"):
        fix = "set the account's own SID, which begins with AC"
        yield fail("Twilio", "TWILIO_ACCOUNT_SID is an API key's SID", fix)
    elif not _SID.fullmatch(sid):
        fix = "it is AC and 32 hex digits: copy it again"
        yield fail("Twilio", "TWILIO_ACCOUNT_SID is no account SID", fix)
    if not _TOKEN.fullmatch(token):
        fix = "it is 32 hex digits: copy it again, without spaces and quotes"
        yield warn("Twilio", "TWILIO_AUTH_TOKEN does not look like one", fix)


def _region_faults(settings: Settings) -> Iterator[Finding]:
    try:
        placement(settings.twilio_region, settings.twilio_edge)
    except RegionError as error:
        yield fail("Twilio", str(error), "set TWILIO_EDGE, or another TWILIO_REGION")
