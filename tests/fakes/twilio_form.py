"""The form of a REST request, and what Twilio refuses in it."""

import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

from tests.fakes.twilio_account import Refusal

Form = Mapping[str, list[str]]

CALL_EVENTS = ("initiated", "ringing", "answered", "completed")
"""What StatusCallbackEvent may name."""

CALL_FIELDS = (
    *("To", "From", "Url", "Twiml", "ApplicationSid", "Method", "FallbackUrl", "FallbackMethod"),
    *("StatusCallback", "StatusCallbackEvent", "StatusCallbackMethod", "Timeout", "TimeLimit"),
    *("SendDigits", "Record", "RecordingChannels", "RecordingTrack", "Trim"),
    *("RecordingStatusCallback", "RecordingStatusCallbackMethod", "RecordingStatusCallbackEvent"),
    *("CallerId", "CallReason", "CallToken", "Byoc", "SipAuthUsername", "SipAuthPassword"),
    *("ClientNotificationUrl", "MachineDetection", "MachineDetectionTimeout", "AsyncAmd"),
    *("MachineDetectionSpeechThreshold", "MachineDetectionSpeechEndThreshold"),
    *("MachineDetectionSilenceTimeout", "AsyncAmdStatusCallback", "AsyncAmdStatusCallbackMethod"),
)
"""What a call may be created with (Twilio's OpenAPI description)."""

_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}|client:.+|sips?:.+|app:AP[0-9a-f]{32}")
_SEND_DIGITS = re.compile(r"[0-9A-D#*wW]{1,32}")


def one(form: Form, name: str) -> str | None:
    """Return the value of a field, ``None`` when it was not sent."""
    return form[name][0] if form.get(name) else None


def word(form: Form, name: str, default: str, known: Iterable[str]) -> str:
    """Return a field that holds one of the ``known`` words. Raises ``Refusal``."""
    value = one(form, name)
    if value is None and default:
        return default
    if value not in tuple(known):
        raise Refusal(400, 20001, f"Invalid {name}: {value}")
    return value


def words(form: Form, name: str, default: str, known: Iterable[str]) -> tuple[str, ...]:
    """Return a repeated field of ``known`` words. Raises ``Refusal``."""
    values = tuple(form.get(name) or [default])
    if not set(values) <= set(known):
        raise Refusal(400, 20001, f"Invalid {name}: {' '.join(values)}")
    return values


def number(form: Form, name: str, missing: int, invalid: int) -> str:
    """Return a phone number, client or SIP address. Raises ``Refusal`` with one of the codes."""
    value = one(form, name)
    if not value:
        raise Refusal(400, missing, f"No '{name}' number is specified")
    if not _NUMBER.fullmatch(value):
        raise Refusal(400, invalid, f"The '{name}' number {value} is not a valid phone number")
    return value


def check_urls(form: Form, *names: str) -> None:
    """Refuse URLs that are not absolute, and methods that are neither GET nor POST."""
    for name in names:
        parts = urlsplit(one(form, name) or "https://absent.example")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Refusal(400, 21205, f"Url is not a valid URL: {one(form, name)}")
        if "_" in parts.hostname and "Callback" in name:
            raise Refusal(400, 20001, f"{name} has a host name with an underscore")
        if one(form, f"{name}Method") not in (None, "GET", "POST"):
            raise Refusal(400, 21209, f"{name}Method is not valid")


def check_instructions(form: Form) -> None:
    """Refuse a document that is too long, or is not XML.

    The latter Twilio would only report in its debugger, when the call has failed.
    """
    check_urls(form, "Url", "FallbackUrl", "StatusCallback")
    if one(form, "Method") not in (None, "GET", "POST"):
        raise Refusal(400, 21209, "Method is not valid")
    document = one(form, "Twiml")
    if document is None:
        return
    if len(document) > 4_000:
        raise Refusal(400, 20001, "Twiml is longer than 4000 characters")
    try:
        root = ET.fromstring(document)
    except ET.ParseError as error:
        raise Refusal(400, 12100, f"Document parse failure: {error}") from error
    if root.tag != "Response":
        raise Refusal(400, 12100, f"The root element is {root.tag}, not Response")


def check_known(form: Form, known: Iterable[str]) -> None:
    """Refuse parameters that the resource does not have.

    Twilio may let them pass in silence; a client that is tested must not have any.
    """
    unknown = sorted(set(form) - set(known))
    if unknown:
        raise Refusal(400, 20001, f"Unknown parameter {unknown[0]}")


def check_range(form: Form, name: str, least: int, most: int) -> None:
    """Refuse a number that is none, or out of its range."""
    value = one(form, name)
    if value is not None and not (value.isdecimal() and least <= int(value) <= most):
        raise Refusal(400, 20001, f"{name} must be {least} to {most}, not {value}")


def check_detection(form: Form) -> None:
    """Refuse what answering machine detection cannot do."""
    word(form, "MachineDetection", "Enable", ("Enable", "DetectMessageEnd"))
    word(form, "AsyncAmd", "false", ("true", "false"))
    check_urls(form, "AsyncAmdStatusCallback")
    check_range(form, "MachineDetectionTimeout", 3, 59)
    check_range(form, "MachineDetectionSpeechThreshold", 1000, 6000)
    check_range(form, "MachineDetectionSpeechEndThreshold", 500, 5000)
    check_range(form, "MachineDetectionSilenceTimeout", 2000, 10000)


def check_dialling(form: Form) -> None:
    """Refuse a ring time over 600 s, and digits that cannot be sent."""
    words(form, "StatusCallbackEvent", "completed", CALL_EVENTS)
    check_range(form, "TimeLimit", 1, 24 * 3600)
    timeout = one(form, "Timeout") or "60"
    if not timeout.isdigit() or int(timeout) > 600:
        raise Refusal(400, 21208, f"Invalid Timeout {timeout}")
    if not _SEND_DIGITS.fullmatch(one(form, "SendDigits") or "0"):
        raise Refusal(400, 21206, "Invalid SendDigits")
