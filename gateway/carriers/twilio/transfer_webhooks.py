"""What Twilio's webhooks say of warm transfers, as typed values made from verified parameters.

Fields: Twilio docs, "<Gather>", "<Conference>". See `gateway.carriers.twilio.webhooks`.
"""

from dataclasses import dataclass

from gateway.carriers.twilio.fields import Fields
from gateway.carriers.twilio.signed_request import Parameters
from gateway.carriers.twilio.vocabulary import RoomEvent
from gateway.carriers.twilio.webhooks import CallWebhook


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered(CallWebhook):
    """What a ``<Gather>`` has heard; both are empty when it was nothing."""

    digits: str
    speech: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomCallback:
    """Somebody has come into a conference or left it; ``call_sid`` is empty for other news."""

    event: RoomEvent
    room: str
    call_sid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting(CallWebhook):
    """What a caller in ``room`` hears is to be told; the ids are those that we wrote there."""

    room: str


def gathered(parameters: Parameters) -> Gathered:
    """Read what a ``<Gather>`` has heard."""
    fields = Fields(parameters)
    return Gathered(
        call_sid=fields.sid("CallSid", "CA"),
        account_sid=fields.sid("AccountSid", "AC"),
        everything=fields.everything,
        digits=fields.text("Digits"),
        speech=fields.text("SpeechResult"),
    )


def waiting(parameters: Parameters) -> Waiting:
    """Read the question what a caller on hold hears."""
    fields = Fields(parameters)
    return Waiting(
        call_sid=fields.sid("call", "CA"),
        account_sid=fields.sid("AccountSid", "AC"),
        everything=fields.everything,
        room=fields.text("room"),
    )


def room_callback(parameters: Parameters) -> RoomCallback:
    """Read a conference's status callback; some are about no call."""
    fields = Fields(parameters)
    return RoomCallback(
        event=RoomEvent(fields.text("StatusCallbackEvent")),
        room=fields.text("FriendlyName"),
        call_sid=fields.text("CallSid"),
    )
