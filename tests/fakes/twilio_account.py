"""A Twilio account: its calls, recordings, transcriptions and numbers, and when they change.

It refuses to know HTTP and forms; what it will not do is a ``Refusal`` with Twilio's code.
"""

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

LIVE = frozenset({"queued", "ringing", "in-progress"})
RECORDING = frozenset({"in-progress", "paused"})


class Refusal(Exception):  # noqa: N818
    """An answer of 400 or more with one of Twilio's error codes."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(status, code, message)
        self.status, self.code, self.message = status, code, message


@dataclass
class Call:
    """A call. ``twiml`` and ``url`` are what a request last told it to carry out.

    ``form`` is what it was created with, ``events`` the log of the requests made for it. Times in
    Unix seconds; ``started`` is when it left the queue.
    """

    sid: str
    status: str = "in-progress"
    to: str = "+15551234567"
    from_: str = "+15557654321"
    direction: str = "inbound"
    twiml: str | None = None
    url: str | None = None
    form: Mapping[str, list[str]] = field(default_factory=dict)
    created: float = field(default_factory=time.time)
    started: float | None = None
    answered: float | None = None
    ended: float | None = None
    answered_by: str | None = None
    talked: float | None = None
    events: list[dict[str, object]] = field(default_factory=list)

    def asked(self, name: str) -> str | None:
        """Return a field that the call was created with."""
        values = self.form.get(name)
        return values[0] if values else None

    @property
    def seconds(self) -> int | None:
        """How long it was talked, once it is over."""
        if self.ended is None:
            return None
        return round(self.talked or 0)


@dataclass
class Recording:
    """A recording; ``callback`` is where its status should be reported."""

    sid: str
    call_sid: str
    channels: int
    track: str
    trim: str
    callback: str | None
    callback_events: tuple[str, ...]
    status: str = "in-progress"


@dataclass
class Transcription:
    """A real-time transcription; ``callback`` is where its events should go."""

    sid: str
    call_sid: str
    name: str
    track: str
    engine: str
    language: str
    callback: str | None
    status: str = "in-progress"


@dataclass
class Number:
    """A phone number of the account; ``settings`` are fields it was updated with."""

    sid: str
    phone_number: str
    settings: dict[str, str] = field(default_factory=dict)


@dataclass
class Account:
    """What one account owns. ``watchers`` are told of every call that a request changed.

    ``verified`` are the only numbers that a trial account may call; ``None``: no trial.
    ``blocked`` numbers are refused with the code beside them. ``ahead_s`` is by how much Twilio's
    clock is ahead of everybody's.
    """

    sid: str
    verified: set[str] | None = None
    blocked: dict[str, int] = field(default_factory=dict)
    calls: dict[str, Call] = field(default_factory=dict)
    recordings: dict[str, Recording] = field(default_factory=dict)
    transcriptions: dict[str, Transcription] = field(default_factory=dict)
    numbers: dict[str, Number] = field(default_factory=dict)
    watchers: list[Callable[[Call], None]] = field(default_factory=list)
    ahead_s: float = 0.0

    def add_call(self, sid: str | None = None, status: str = "in-progress") -> Call:
        """Let a call exist, as if a phone had placed it."""
        call = Call(sid or new_sid("CA"), status)
        self.calls[call.sid] = call
        return call

    def add_number(self, phone_number: str) -> Number:
        """Let the account own a number."""
        number = Number(new_sid("PN"), phone_number)
        self.numbers[number.sid] = number
        return number

    def end_call(self, sid: str, status: str = "completed") -> None:
        """End a call, by either side, and all that was going on in it."""
        self.calls[sid].status, self.calls[sid].ended = status, time.time()
        for recording in self.active_recordings(sid):
            recording.status = "completed"
        for transcription in self.transcriptions.values():
            if transcription.call_sid == sid:
                transcription.status = "stopped"

    def call(self, sid: str) -> Call:
        """Return a call. Raises ``Refusal``."""
        if sid not in self.calls:
            raise Refusal(404, 20404, f"The requested resource /Calls/{sid}.json was not found")
        return self.calls[sid]

    def answered_call(self, sid: str) -> Call:
        """Return a call that is in progress. Raises ``Refusal``."""
        call = self.call(sid)
        if call.status != "in-progress":
            raise Refusal(400, 21220, "Call is not in-progress. Cannot redirect.")
        return call

    def recording(self, sid: str) -> Recording:
        """Return a recording. Raises ``Refusal``."""
        if sid not in self.recordings:
            raise Refusal(404, 20404, f"Recording {sid} was not found")
        return self.recordings[sid]

    def recording_of(self, call_sid: str, sid: str) -> Recording:
        """Return a call's recording; ``Twilio.CURRENT`` needs exactly one that is active."""
        active = self.active_recordings(call_sid)
        if sid == "Twilio.CURRENT" and len(active) == 1:
            return active[0]
        recording = self.recording(sid)
        if recording.call_sid != call_sid:
            raise Refusal(404, 20404, f"Recording {sid} is not of {call_sid}")
        return recording

    def active_recordings(self, call_sid: str) -> list[Recording]:
        """Return the call's recordings that are going or paused."""
        found = self.recordings.values()
        return [it for it in found if it.call_sid == call_sid and it.status in RECORDING]

    def transcription_of(self, call_sid: str, key: str) -> Transcription:
        """Return a call's transcription by SID or name. Raises ``Refusal``."""
        for it in self.transcriptions.values():
            if it.call_sid == call_sid and key in (it.sid, it.name):
                return it
        raise Refusal(404, 20404, f"Transcription {key} was not found")

    def number(self, sid: str) -> Number:
        """Return a number. Raises ``Refusal``."""
        if sid not in self.numbers:
            raise Refusal(404, 20404, f"IncomingPhoneNumber {sid} was not found")
        return self.numbers[sid]

    def tell(self, call: Call) -> None:
        """Tell the watchers of a call that a request changed."""
        for watcher in self.watchers:
            watcher(call)


def new_sid(prefix: str) -> str:
    """Return a fresh id: two letters and 32 hexadecimal digits."""
    return prefix + secrets.token_hex(16)
