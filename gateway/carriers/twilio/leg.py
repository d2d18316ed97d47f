"""One call's leg at Twilio: our answers as TwiML, and its REST when Twilio does not ask."""

import asyncio
from urllib.parse import urlencode

from gateway.calls.answers import (
    Answer,
    Apologise,
    AskAgain,
    Brief,
    Busy,
    Connect,
    Dial,
    Excuse,
    HangUp,
    Hold,
    Join,
    Meet,
    Unanswered,
)
from gateway.carriers.control import CallControl, CarrierRefusedError, CarrierUnavailableError
from gateway.carriers.twilio import transfer_twiml, twiml
from gateway.carriers.twilio.origin import Origin
from gateway.carriers.twilio.phrases import USUAL, Phrases
from gateway.carriers.twilio.placing import MARKER

MEDIA_PATH = "/twilio/media/"
NEXT_PATH = "/twilio/next"
STREAM_PATH = "/twilio/stream"
RECORDING_PATH = "/twilio/recording"
TRANSCRIPTION_PATH = "/twilio/transcription"
HOLD_PATH = "/twilio/hold"
ROOM_PATH = "/twilio/room"
BRIEFING_PATH = "/twilio/briefing"
_CURRENT = "Twilio.CURRENT"
"""The call's only active recording, whatever its SID (Twilio docs, "Recordings" of a call)."""

ALONE = "alone"
"""In the query of `NEXT_PATH` when a caller was fetched out of a room in which nobody came."""


class TwilioLeg:
    """The `CallLeg` of one call. ``origin`` is the public address that its webhook proved."""

    def __init__(
        self,
        call_sid: str,
        origin: Origin,
        control: CallControl | None,
        caller_id: str | None,
        account_sid: str = "",
        phrases: Phrases = USUAL,
    ) -> None:
        self._sid, self._origin, self._control = call_sid, origin, control
        self._caller_id, self._account_sid, self._phrases = caller_id, account_sid, phrases
        self._recording: str | None = None
        self._transcription: str | None = None
        self._is_recording = self._is_transcribing = False
        self._is_paused = self._transcribes_again = self._has_left_off = False
        self._turn = asyncio.Lock()
        """Starting, pausing, going on and stopping, in the order in which they were asked for:
        what is being started when the caller is passed on must not go on without us."""

    @property
    def reachable(self) -> bool:
        """Whether REST credentials are set."""
        return self._control is not None

    def url(self, path: str) -> str:
        """Return the public address of a path of the gateway."""
        return self._origin.url(path)

    def document(self, answer: Answer) -> str:
        """Return ``answer`` as TwiML."""
        match answer:
            case Connect(token, digits):
                return twiml.connect_stream(
                    self._origin.socket_url(MEDIA_PATH + token),
                    self._origin.url(NEXT_PATH),
                    status_url=self._origin.url(STREAM_PATH),
                    digits=digits,
                )
            case Join(url, name, say, language):
                return twiml.connect_elsewhere(
                    url,
                    self._origin.url(NEXT_PATH),
                    name=name,
                    status_url=self._origin.url(STREAM_PATH),
                    say=say,
                    language=language,
                )
            case Dial(number, ring_seconds):
                return twiml.dial(
                    number,
                    self._origin.url(NEXT_PATH),
                    caller_id=self._caller_id,
                    timeout_s=ring_seconds,
                )
            case Hold() | Brief() | Meet() | Excuse() | AskAgain():
                return self._of_transfer(answer)
            case Apologise() | Busy() | Unanswered() | HangUp():
                return _ending(answer, self._phrases)

    def _of_transfer(self, answer: Hold | Brief | Meet | Excuse | AskAgain) -> str:
        next_url = self._origin.url(NEXT_PATH)
        match answer:
            case Hold(room):
                return transfer_twiml.hold(
                    room,
                    next_url,
                    wait_url=hold_url(self._origin, room, self._sid, self._account_sid),
                    events_url=self._origin.url(ROOM_PATH),
                )
            case AskAgain():
                return transfer_twiml.ask_again(f"{next_url}?{ALONE}=1")
            case Meet(room):
                return transfer_twiml.meet(room)
            case Excuse(text, language):
                return transfer_twiml.last_words(text, language=language)
            case Brief(marker, attempt, text, language, words):
                url = self._origin.url(f"{BRIEFING_PATH}?{MARKER}={marker}&n={attempt}")
                return transfer_twiml.brief(text, url, language=language, words=words)

    async def enforce(self, answer: Answer) -> None:
        """Act on ``answer`` by REST. Raises `CarrierError`."""
        control = self._rest("hang up" if isinstance(answer, HangUp) else "redirect")
        if isinstance(answer, HangUp):
            await control.hangup(self._sid)
        else:
            await control.redirect(self._sid, self.document(answer))

    async def start_recording(self) -> str:
        """Record by Twilio; return the recording's SID. Raises `CarrierError`."""
        url = self._origin.url(RECORDING_PATH)
        async with self._turn:
            control = self._rest("start recording", starts=True)
            try:
                sid = await control.start_recording(self._sid, callback_url=url)
            except CarrierUnavailableError as error:
                if error.perhaps_done and not self._is_recording:
                    self._recording, self._is_recording = _CURRENT, True
                raise
            self._recording, self._is_recording = sid, True
            return sid

    async def stop_recording(self) -> None:
        """Stop the recording started last, when one runs. Raises `CarrierError`."""
        async with self._turn:
            await self._stop_recording()

    async def _stop_recording(self) -> None:
        control = self._rest("stop recording")
        if self._recording is not None:
            await control.stop_recording(self._sid, self._recording)
            self._is_recording = False

    async def delete_recording(self) -> str:
        """Delete the recording started last; return its SID. Raises `CarrierError`."""
        control = self._rest("delete recording")
        if self._recording in (None, _CURRENT):
            return ""
        await control.delete_recording(self._recording)
        return self._recording

    async def start_transcription(self) -> None:
        """Transcribe by Twilio. Raises `CarrierError`."""
        async with self._turn:
            await self._start_transcription()

    async def _start_transcription(self) -> None:
        control = self._rest("start transcription", starts=True)
        url = self._origin.url(TRANSCRIPTION_PATH)
        self._transcription = await control.start_transcription(self._sid, callback_url=url)
        self._is_transcribing = True

    async def stop_transcription(self) -> None:
        """Stop the transcription started last. Raises `CarrierError`."""
        async with self._turn:
            await self._stop_transcription()

    async def _stop_transcription(self) -> None:
        control = self._rest("stop transcription")
        if self._transcription is not None:
            await control.stop_transcription(self._sid, self._transcription)
            self._is_transcribing = False

    async def leave_off(self) -> None:
        """Stop what was started of these and goes on; for good. Raises `CarrierError`."""
        self._has_left_off = True
        async with self._turn:
            self._is_paused = False
            try:
                if self._is_recording:
                    await self._stop_recording()
            finally:
                if self._is_transcribing:
                    await self._stop_transcription()

    async def pause(self) -> None:
        """Let the recording be silent, and transcribe nothing, until `go_on`.

        A transcription cannot be paused: another one begins then. Raises `CarrierError`.
        """
        async with self._turn:
            if not (self._is_recording or self._is_transcribing):
                return
            self._is_paused, self._transcribes_again = True, self._is_transcribing
            try:
                if self._is_recording:
                    await self._pause_recording(True)
            finally:
                if self._is_transcribing:
                    await self._stop_transcription()

    async def go_on(self) -> None:
        """Keep again what was kept before `pause`. Raises `CarrierError`."""
        async with self._turn:
            if not self._is_paused:
                return
            self._is_paused = False
            try:
                if self._is_recording:
                    await self._pause_recording(False)
            finally:
                if self._transcribes_again:
                    await self._start_transcription()

    async def _pause_recording(self, paused: bool) -> None:
        control = self._rest("pause recording")
        if self._recording is not None:
            await control.pause_recording(self._sid, self._recording, paused=paused)

    def _rest(self, operation: str, *, starts: bool = False) -> CallControl:
        if starts and self._has_left_off:
            reason = "somebody else has the call"
            raise CarrierUnavailableError(operation, reason, perhaps_done=False)
        if self._control is None:
            raise CarrierRefusedError(
                operation, 20003, "needs TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN"
            )
        return self._control


def hold_url(origin: Origin, room: str, call_sid: str, account_sid: str) -> str:
    """Return the address that is asked what a caller hears in ``room``; it says who waits."""
    query = {"AccountSid": account_sid, "call": call_sid, "room": room}
    return f"{origin.url(HOLD_PATH)}?{urlencode(query)}"


def _ending(answer: Apologise | Busy | Unanswered | HangUp, phrases: Phrases) -> str:
    match answer:
        case Apologise(fallback, unconnected=True):
            return twiml.unconnected(fallback, phrases)
        case Apologise(fallback):
            return twiml.failure(fallback, phrases)
        case Busy(fallback):
            return twiml.busy(fallback, phrases)
        case Unanswered():
            return twiml.unanswered(phrases)
        case HangUp():
            return twiml.hang_up()
