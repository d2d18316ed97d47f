"""One call's leg at Twilio: our answers as TwiML, and its REST when Twilio does not ask."""

from gateway.calls.answers import Answer, Apologise, Busy, Connect, Dial, HangUp
from gateway.carriers.control import CallControl, CarrierRefusedError
from gateway.carriers.twilio import twiml
from gateway.carriers.twilio.origin import Origin

MEDIA_PATH = "/twilio/media/"
NEXT_PATH = "/twilio/next"
STREAM_PATH = "/twilio/stream"
RECORDING_PATH = "/twilio/recording"
TRANSCRIPTION_PATH = "/twilio/transcription"


class TwilioLeg:
    """The `CallLeg` of one call. ``origin`` is the public address that its webhook proved."""

    def __init__(
        self, call_sid: str, origin: Origin, control: CallControl | None, caller_id: str | None
    ) -> None:
        self._sid, self._origin, self._control = call_sid, origin, control
        self._caller_id = caller_id
        self._recording: str | None = None
        self._transcription: str | None = None

    @property
    def reachable(self) -> bool:
        """Whether REST credentials are set."""
        return self._control is not None

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
            case Dial(number):
                return twiml.dial(number, self._origin.url(NEXT_PATH), caller_id=self._caller_id)
            case Apologise(fallback):
                return twiml.failure(fallback)
            case Busy(fallback):
                return twiml.busy(fallback)
            case HangUp():
                return twiml.hang_up()

    async def enforce(self, answer: Answer) -> None:
        """Act on ``answer`` by REST. Raises `CarrierError`."""
        control = self._rest("hang up" if isinstance(answer, HangUp) else "redirect")
        if isinstance(answer, HangUp):
            await control.hangup(self._sid)
        else:
            await control.redirect(self._sid, self.document(answer))

    async def start_recording(self) -> None:
        """Record by Twilio. Raises `CarrierError`."""
        control = self._rest("start recording")
        url = self._origin.url(RECORDING_PATH)
        self._recording = await control.start_recording(self._sid, callback_url=url)

    async def stop_recording(self) -> None:
        """Stop the recording started last, when one runs. Raises `CarrierError`."""
        control = self._rest("stop recording")
        if self._recording is not None:
            await control.stop_recording(self._sid, self._recording)

    async def delete_recording(self) -> None:
        """Delete the recording started last. Raises `CarrierError`."""
        control = self._rest("delete recording")
        if self._recording is not None:
            await control.delete_recording(self._recording)

    async def start_transcription(self) -> None:
        """Transcribe by Twilio. Raises `CarrierError`."""
        control = self._rest("start transcription")
        url = self._origin.url(TRANSCRIPTION_PATH)
        self._transcription = await control.start_transcription(self._sid, callback_url=url)

    async def stop_transcription(self) -> None:
        """Stop the transcription started last. Raises `CarrierError`."""
        control = self._rest("stop transcription")
        if self._transcription is not None:
            await control.stop_transcription(self._sid, self._transcription)

    def _rest(self, operation: str) -> CallControl:
        if self._control is None:
            raise CarrierRefusedError(
                operation, 20003, "needs TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN"
            )
        return self._control
