"""The words Twilio uses for states and events in its webhooks, as enums.

New words appear without notice, so each enum reads an unknown one as ``OTHER``. They are Twilio's:
what they mean for a call is decided elsewhere.
"""

from enum import StrEnum


class _Word(StrEnum):
    """A list that grows without notice."""

    @classmethod
    def _missing_(cls, value: object) -> "_Word":
        return cls("other")


class CallStatus(_Word):
    """CallStatus and DialCallStatus; ``answered`` is a conference's."""

    QUEUED = "queued"
    INITIATED = "initiated"
    RINGING = "ringing"
    IN_PROGRESS = "in-progress"
    ANSWERED = "answered"
    COMPLETED = "completed"
    BUSY = "busy"
    FAILED = "failed"
    NO_ANSWER = "no-answer"
    CANCELED = "canceled"
    OTHER = "other"

    @property
    def final(self) -> bool:
        """Tell whether nothing can follow: a late event must not take it back."""
        return self in _FINAL


_FINAL = frozenset(
    {
        CallStatus.COMPLETED,
        CallStatus.BUSY,
        CallStatus.FAILED,
        CallStatus.NO_ANSWER,
        CallStatus.CANCELED,
    }
)


class StreamEvent(_Word):
    """StreamEvent."""

    STARTED = "stream-started"
    STOPPED = "stream-stopped"
    ERROR = "stream-error"
    OTHER = "other"


class RoomEvent(_Word):
    """StatusCallbackEvent of a conference."""

    STARTED = "conference-start"
    ENDED = "conference-end"
    JOINED = "participant-join"
    LEFT = "participant-leave"
    OTHER = "other"


class RecordingState(_Word):
    """RecordingStatus."""

    IN_PROGRESS = "in-progress"
    COMPLETED = "completed"
    ABSENT = "absent"
    FAILED = "failed"
    OTHER = "other"


class TranscriptionStep(_Word):
    """TranscriptionEvent."""

    STARTED = "transcription-started"
    CONTENT = "transcription-content"
    STOPPED = "transcription-stopped"
    ERROR = "transcription-error"
    OTHER = "other"


class Answerer(_Word):
    """AnsweredBy."""

    HUMAN = "human"
    MACHINE_START = "machine_start"
    MACHINE_END_BEEP = "machine_end_beep"
    MACHINE_END_SILENCE = "machine_end_silence"
    MACHINE_END_OTHER = "machine_end_other"
    FAX = "fax"
    UNKNOWN = "unknown"
    OTHER = "other"
