"""What Twilio's webhooks say, as typed values made from verified parameters.

Required ids are checked strictly: they become file names, process titles and keys. Everything
else is taken as it comes, because Twilio adds parameters and values without notice: an unknown
word becomes ``OTHER``, and all parameters stay readable in ``everything``. It refuses to know what
a webhook means for a call.

Fields: Twilio docs, "TwiML for Programmable Voice", "Call resource", "Recordings resource",
"<Transcription>", "<Stream>", "Answering Machine Detection".
"""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from gateway.calls.record import CarrierLine
from gateway.carriers.twilio.fields import Fields
from gateway.carriers.twilio.signed_request import Parameters
from gateway.carriers.twilio.vocabulary import (
    Answerer,
    CallStatus,
    RecordingState,
    StreamEvent,
    TranscriptionStep,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallWebhook:
    """What every webhook about a call carries."""

    call_sid: str
    account_sid: str
    everything: Mapping[str, str]
    """All parameters; of a repeated one the first value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceWebhook(CallWebhook):
    """A question for TwiML. Numbers are E.164 when possible; withheld ones may be any word."""

    from_: str
    to: str
    call_status: CallStatus
    direction: str
    caller_name: str
    forwarded_from: str
    error_code: int | None
    """Set when Twilio comes to a fallback URL because another answer failed."""

    @property
    def own_number(self) -> str | None:
        """The account's number of this call, ``None`` if it is not by a number that it came."""
        ours = self.from_ if self.direction.startswith("outbound") else self.to
        return ours if ours.startswith("+") else None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusCallback(CallWebhook):
    """Progress of a call. Callbacks may overtake each other: order them by sequence number."""

    call_status: CallStatus
    sequence_number: int | None
    duration_s: int | None
    sip_response_code: int | None
    timestamp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStatus(CallWebhook):
    """Progress of a media stream; ``error`` is Twilio's text, empty without one."""

    stream_sid: str
    name: str
    event: StreamEvent
    error: str
    timestamp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingStatus(CallWebhook):
    """Progress of a recording; the file behind ``url`` is there once it is completed."""

    recording_sid: str
    status: RecordingState
    url: str
    duration_s: int | None
    channels: int | None
    source: str
    error_code: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptionEvent(CallWebhook):
    """A piece of a transcript. ``track`` is ``inbound_track`` for the person on this leg."""

    transcription_sid: str
    event: TranscriptionStep
    sequence_id: int | None
    track: str
    text: str
    confidence: float | None
    final: bool
    error: str
    timestamp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AmdResult(CallWebhook):
    """Who answered an outbound call, and how long it took to tell."""

    answered_by: Answerer
    duration_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DialResult(CallWebhook):
    """How a ``<Dial>`` ended. ``dialled_sid`` is the other leg's, empty if there was none."""

    status: CallStatus
    dialled_sid: str
    duration_s: int | None
    bridged: bool


def voice_webhook(parameters: Parameters) -> VoiceWebhook:
    """Read a voice webhook. Raises ``FieldError``, as all functions here do."""
    fields = Fields(parameters)
    return VoiceWebhook(
        call_sid=fields.sid("CallSid", "CA"),
        account_sid=fields.sid("AccountSid", "AC"),
        everything=fields.everything,
        from_=fields.text("From"),
        to=fields.text("To"),
        call_status=CallStatus(fields.text("CallStatus")),
        direction=fields.text("Direction"),
        caller_name=fields.text("CallerName"),
        forwarded_from=fields.text("ForwardedFrom"),
        error_code=fields.whole("ErrorCode"),
    )


def status_callback(parameters: Parameters) -> StatusCallback:
    """Read a status callback (CallDuration is seconds; Duration would be billed minutes)."""
    fields = Fields(parameters)
    return StatusCallback(
        call_sid=fields.sid("CallSid", "CA"),
        account_sid=fields.sid("AccountSid", "AC"),
        everything=fields.everything,
        call_status=CallStatus(fields.text("CallStatus")),
        sequence_number=fields.whole("SequenceNumber"),
        duration_s=fields.whole("CallDuration"),
        sip_response_code=fields.whole("SipResponseCode"),
        timestamp=fields.text("Timestamp"),
    )


def call_status(parameters: Parameters) -> CallStatus:
    """Read how the call stands that a webhook is about."""
    return CallStatus(Fields(parameters).text("CallStatus"))


def stream_status(parameters: Parameters) -> StreamStatus:
    """Read a stream's status callback."""
    fields = Fields(parameters)
    return StreamStatus(
        call_sid=fields.sid("CallSid", "CA"),
        account_sid=fields.sid("AccountSid", "AC"),
        everything=fields.everything,
        stream_sid=fields.sid("StreamSid", "MZ"),
        name=fields.text("StreamName"),
        event=StreamEvent(fields.text("StreamEvent")),
        error=fields.text("StreamError"),
        timestamp=fields.text("Timestamp"),
    )


def recording_status(parameters: Parameters) -> RecordingStatus:
    """Read a recording's status callback."""
    fields = Fields(parameters)
    return RecordingStatus(
        call_sid=fields.sid("CallSid", "CA"),
        account_sid=fields.sid("AccountSid", "AC"),
        everything=fields.everything,
        recording_sid=fields.sid("RecordingSid", "RE"),
        status=RecordingState(fields.text("RecordingStatus")),
        url=fields.text("RecordingUrl"),
        duration_s=fields.whole("RecordingDuration"),
        channels=fields.whole("RecordingChannels"),
        source=fields.text("RecordingSource"),
        error_code=fields.whole("ErrorCode"),
    )


class _Spoken(msgspec.Struct):
    transcript: str = ""
    confidence: float | None = None


def transcription_event(parameters: Parameters) -> TranscriptionEvent:
    """Read an event of a real-time transcription (its data is JSON inside a form)."""
    fields = Fields(parameters)
    spoken = _spoken(fields.text("TranscriptionData"))
    return TranscriptionEvent(
        call_sid=fields.sid("CallSid", "CA"),
        account_sid=fields.sid("AccountSid", "AC"),
        everything=fields.everything,
        transcription_sid=fields.sid("TranscriptionSid", "GT"),
        event=TranscriptionStep(fields.text("TranscriptionEvent")),
        sequence_id=fields.whole("SequenceId"),
        track=fields.text("Track"),
        text=spoken.transcript,
        confidence=spoken.confidence,
        final=fields.flag("Final"),
        error=fields.text("TranscriptionError"),
        timestamp=fields.text("Timestamp"),
    )


def carrier_line(it: TranscriptionEvent) -> CarrierLine:
    """Return what a final piece of a transcript is for the record."""
    track = it.track.removesuffix("_track")
    line_id = f"{it.transcription_sid}:{it.sequence_id if it.sequence_id is not None else ''}"
    if it.sequence_id is None:  # no repeat can be told from another line
        line_id += f"{track}:{it.timestamp}"
    return CarrierLine(line_id, track, it.text, it.confidence)


def amd_result(parameters: Parameters) -> AmdResult:
    """Read the result of answering machine detection."""
    fields = Fields(parameters)
    return AmdResult(
        call_sid=fields.sid("CallSid", "CA"),
        account_sid=fields.sid("AccountSid", "AC"),
        everything=fields.everything,
        answered_by=Answerer(fields.text("AnsweredBy")),
        duration_ms=fields.whole("MachineDetectionDuration"),
    )


def dial_result(parameters: Parameters) -> DialResult | None:
    """Read how a ``<Dial>`` ended; ``None`` when the webhook is not about one."""
    fields = Fields(parameters)
    if not fields.text("DialCallStatus"):
        return None
    return DialResult(
        call_sid=fields.sid("CallSid", "CA"),
        account_sid=fields.sid("AccountSid", "AC"),
        everything=fields.everything,
        status=CallStatus(fields.text("DialCallStatus")),
        dialled_sid=fields.text("DialCallSid"),
        duration_s=fields.whole("DialCallDuration"),
        bridged=fields.flag("DialBridged"),
    )


def _spoken(data: str) -> _Spoken:
    try:
        return msgspec.json.decode(data, type=_Spoken)
    except (msgspec.DecodeError, UnicodeError):
        return _Spoken()
