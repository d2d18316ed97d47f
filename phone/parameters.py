"""The form fields of Twilio's requests. Source: "TwiML for Programmable Voice", "Call resource"."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

API_VERSION = "2010-04-01"

_PLACES = ("City", "State", "Zip", "Country")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who calls whom, and under which ids."""

    account_sid: str
    call_sid: str
    from_: str
    to: str
    extra: Mapping[str, str]
    """Fields that replace or join the standard ones."""

    def standard(self, status: str) -> dict[str, str]:
        """Return the set that every request carries, with ``CallStatus``.

        Geographic fields are sent and empty, as Twilio does where it knows nothing.
        """
        fields = {
            "AccountSid": self.account_sid,
            "ApiVersion": API_VERSION,
            "CallSid": self.call_sid,
            "CallStatus": status,
            "Called": self.to,
            "Caller": self.from_,
            "Direction": "inbound",
            "From": self.from_,
            "To": self.to,
            "CallToken": f'{{"parentCallInfoToken":"{self.call_sid}"}}',
            "StirVerstat": "TN-Validation-Passed-A",
        }
        for who in ("From", "To", "Caller", "Called"):
            fields |= {who + place: "" for place in _PLACES}
        fields |= {who + "Country": "US" for who in ("From", "To", "Caller", "Called")}
        return fields | dict(self.extra)

    def progress(self, status: str, sequence: int) -> dict[str, str]:
        """Return the fields of a call status callback."""
        return self.standard(status) | {
            "CallbackSource": "call-progress-events",
            "SequenceNumber": str(sequence),
            "Timestamp": format_datetime(datetime.now(UTC)),
        }

    def stream(self, stream_sid: str, name: str | None, event: str, error: str) -> dict[str, str]:
        """Return the fields of a stream status callback; ``error`` only with ``stream-error``."""
        fields = {
            "AccountSid": self.account_sid,
            "CallSid": self.call_sid,
            "StreamSid": stream_sid,
            "StreamName": name or stream_sid,
            "StreamEvent": event,
            "Timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        return fields | ({"StreamError": error} if error else {})


_SIP_RESPONSES = {"completed": "200", "busy": "486", "no-answer": "487", "failed": "404"}


def terminal(status: str, seconds: float) -> dict[str, str]:
    """Return what the last call status callback adds; ``seconds`` since the call was answered."""
    fields = {
        "CallDuration": str(round(seconds)),
        "SipResponseCode": _SIP_RESPONSES.get(status, "500"),
    }
    if status == "completed":
        fields["Duration"] = str(-(-round(seconds) // 60))
    return fields
