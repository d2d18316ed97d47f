"""Twilio's webhooks: checked, read, handed to the calls, answered with TwiML.

Order of every request: method, size, content type, signature; nothing of it is believed before
the last. A caller never hears Twilio's own error message because of us: once a request is
verified the answer is a document, whatever goes wrong.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from gateway.body import BodyError, whole_body
from gateway.calls.answers import Apologise, IncomingCall, given
from gateway.calls.call import Call
from gateway.calls.registry import Calls
from gateway.carriers.control import CallControl
from gateway.carriers.placing import PlacedCalls
from gateway.carriers.twilio import webhooks
from gateway.carriers.twilio.fields import FieldError
from gateway.carriers.twilio.leg import (
    ALONE,
    NEXT_PATH,
    RECORDING_PATH,
    STREAM_PATH,
    TRANSCRIPTION_PATH,
    TwilioLeg,
)
from gateway.carriers.twilio.origin import Origin
from gateway.carriers.twilio.owners import Owners
from gateway.carriers.twilio.phrases import USUAL, Phrases
from gateway.carriers.twilio.placing import MARKER
from gateway.carriers.twilio.signature import SignatureCheck, Verdict
from gateway.carriers.twilio.signed_request import Parameters, SignedRequest, header_fields
from gateway.carriers.twilio.transfer_routes import Handler, TransferRoutes, told
from gateway.carriers.twilio.vocabulary import CallStatus, StreamEvent
from gateway.carriers.twilio.voice_paths import VOICE_PATHS
from gateway.throttle import Throttle
from shared import messages

log = structlog.get_logger(__name__)

CALL_STATUS_PATH = "/call-status"
_FORM = "application/x-www-form-urlencoded"
_BODY_SECONDS = 15.0  # Twilio gives up on a webhook after as long
_TALKED = {CallStatus.COMPLETED, CallStatus.ANSWERED}
_STREAM_OVER = {StreamEvent.STOPPED, StreamEvent.ERROR}


@dataclass(frozen=True, slots=True)
class TwilioOptions:
    """What the webhooks need of the settings. ``caller_id`` is shown to those we dial.

    ``account_sid`` is the operator's own account; ``None``: all calls are.
    """

    max_body: int
    fallback: str | None
    caller_id: str | None
    account_sid: str | None = None
    phrases: Phrases = USUAL


class TwilioRoutes:
    """All routes that Twilio calls."""

    def __init__(
        self,
        calls: Calls,
        check: SignatureCheck,
        throttle: Throttle,
        control: CallControl | None,
        options: TwilioOptions,
        placed: PlacedCalls | None = None,
        transfers: TransferRoutes | None = None,
        owners: Owners | None = None,
    ) -> None:
        self._calls, self._check, self._throttle = calls, check, throttle
        self._control, self._options = control, options
        self._placed, self._transfers = placed or PlacedCalls(), transfers
        self._owners = owners or Owners(calls)

    def routes(self) -> list[Route]:
        """Return the routes for the application."""
        handlers: dict[str, Handler] = dict.fromkeys(VOICE_PATHS, self._voice)
        handlers |= {
            NEXT_PATH: self._next,
            "/twilio/status": self._status,
            CALL_STATUS_PATH: self._call_status,
            STREAM_PATH: self._stream,
            RECORDING_PATH: self._recording,
            TRANSCRIPTION_PATH: self._transcription,
            "/twilio/amd": self._amd,
        }
        if self._transfers is not None:
            handlers |= self._transfers.handlers(self._control_of)
        return [
            Route(path + slash, self._endpoint(handler), methods=["GET", "POST"])
            for path, handler in handlers.items()
            for slash in ("", "/")  # a redirect would be a second request, signed for the first
        ]

    # Around every webhook ----------------------------------------------------------------------

    def _endpoint(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            refusal = self._unreadable(request)
            if refusal is not None:
                return refusal
            try:
                most = self._options.max_body
                body = await whole_body(request, most, _BODY_SECONDS, "MAX_BODY_BYTES")
            except BodyError as error:
                return PlainTextResponse(error.sentence, error.status)
            signed = _signed(request, body)
            verdict = self._check.webhook(signed)
            if not verdict.verified or verdict.origin is None:
                return await self._refuse(signed, verdict)
            self._throttle.passed(signed.client or "")
            parameters = (*verdict.parameters, *signed.further())
            return await self._handle(handler, parameters, verdict.origin)

        return endpoint

    def _unreadable(self, request: Request) -> Response | None:
        if request.method == "POST":
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind not in (_FORM, "application/json"):
                return PlainTextResponse(f"Send {_FORM}, as Twilio does.", 415)
        return None

    async def _refuse(self, signed: SignedRequest, verdict: Verdict) -> Response:
        """Refuse; an address that keeps failing waits for it."""
        log.warning("webhook refused", client=signed.client, reason=verdict.sentence)
        await self._throttle.withhold(signed.client or "")
        return PlainTextResponse(verdict.sentence, int(verdict.outcome.value))

    async def _handle(self, handler: Handler, parameters: Parameters, origin: Origin) -> Response:
        refusal = await self._owners.refusal(parameters, handler in (self._voice, self._next))
        if refusal is not None:
            return PlainTextResponse(*refusal)
        try:
            return await handler(parameters, origin)
        except FieldError as error:
            log.warning("webhook without a call", reason=str(error))
            return PlainTextResponse(str(error), 400)
        except Exception:
            log.exception("webhook failed")
            leg = TwilioLeg("", origin, None, None, phrases=self._options.phrases)
            return told(leg, Apologise(self._options.fallback))

    # The webhooks --------------------------------------------------------------------------------

    async def _leg(self, it: webhooks.VoiceWebhook, origin: Origin) -> TwilioLeg:
        control = await self._control_of(it.account_sid)
        # Neither the operator's REST nor its number are any good in another account.
        caller_id = self._options.caller_id if self._is_ours(it.account_sid) else it.own_number
        phrases = self._options.phrases
        return TwilioLeg(it.call_sid, origin, control, caller_id, it.account_sid, phrases)

    def _is_ours(self, account_sid: str) -> bool:
        return self._options.account_sid in (None, account_sid)

    async def _control_of(self, account_sid: str) -> CallControl | None:
        if self._is_ours(account_sid):
            return self._control
        return await self._placed.control_of(account_sid)

    async def _incoming(
        self, parameters: Parameters, origin: Origin
    ) -> tuple[IncomingCall, TwilioLeg]:
        it = webhooks.voice_webhook(parameters)
        leg = await self._leg(it, origin)
        placed = None
        if it.direction.startswith("outbound") and self._calls.get(it.call_sid) is None:
            placed = await self._placed.plan(_marker(it), it.call_sid, it.account_sid)
        ids, who = (it.call_sid, it.account_sid), (it.from_, it.to, it.direction)
        return IncomingCall(*ids, *who, dict(it.everything), leg, placed), leg

    async def _voice(self, parameters: Parameters, origin: Origin) -> Response:
        incoming, leg = await self._incoming(parameters, origin)
        to_human = self._transfers.answered(incoming) if self._transfers is not None else None
        if to_human is not None:
            return told(leg, to_human)
        return told(leg, await given(self._calls.incoming(incoming)))

    async def _next(self, parameters: Parameters, origin: Origin) -> Response:
        incoming, leg = await self._incoming(parameters, origin)
        dial = webhooks.dial_result(parameters)
        answered = None if dial is None else dial.status in _TALKED
        if ALONE in incoming.parameters and self._calls.is_handed_over(incoming.sid):
            answered = False
        status, call = webhooks.call_status(parameters), self._calls.get(incoming.sid)
        if call is not None and call.holding.is_open and status.final:
            call.status(status.value, final=True)  # the room was left by hanging up
        return told(leg, await given(self._calls.next(incoming, answered)))

    async def _status(self, parameters: Parameters, origin: Origin) -> Response:
        it = webhooks.status_callback(parameters)
        call = self._calls.get(it.call_sid)
        if call is not None:
            call.status(it.call_status.value, it.call_status.final)
        else:
            self._calls.late(it.call_sid, messages.CallStatus(it.call_status.value))
        if marker := _marker(it):
            status, final = it.call_status.value, it.call_status.final
            await self._placed.told(marker, it.call_sid, status, it.account_sid, final=final)
        return Response(status_code=204)

    async def _call_status(self, parameters: Parameters, origin: Origin) -> Response:
        """Answer as the replaced system whose path this is."""
        try:
            await self._status(parameters, origin)
        except FieldError:
            return PlainTextResponse("Invalid request", 400)
        return JSONResponse({"success": True})

    async def _stream(self, parameters: Parameters, origin: Origin) -> Response:
        it = webhooks.stream_status(parameters)
        if it.error:
            log.warning("Twilio reports a stream error", call_sid=it.call_sid, error=it.error)
        call = self._calls.get(it.call_sid)
        if call is not None:
            call.stream_reported(it.error, over=it.event in _STREAM_OVER)
        return Response(status_code=204)

    async def _recording(self, parameters: Parameters, origin: Origin) -> Response:
        it = webhooks.recording_status(parameters)
        event = messages.RecordingChanged(it.recording_sid, it.status.value, it.url or None)
        answer = self._tell(it.call_sid, event)
        self._calls.recording_told()
        return answer

    async def _transcription(self, parameters: Parameters, origin: Origin) -> Response:
        it = webhooks.transcription_event(parameters)
        if it.error:
            log.warning("Twilio cannot transcribe", call_sid=it.call_sid, error=it.error)
        if not it.text:
            return Response(status_code=204)
        if it.final:
            self._calls.transcribed(it.call_sid, webhooks.carrier_line(it))
        return self._tell(it.call_sid, messages.TranscriptReceived(it.track, it.text, it.final))

    async def _amd(self, parameters: Parameters, origin: Origin) -> Response:
        it = webhooks.amd_result(parameters)
        if marker := _marker(it):
            verdict = it.answered_by.value
            await self._placed.answered_by(marker, it.call_sid, verdict, it.account_sid)
        return self._tell(it.call_sid, messages.AnsweredBy(it.answered_by.value))

    def _tell(self, call_sid: str, event: messages.Event) -> Response:
        call: Call | None = self._calls.get(call_sid)
        if call is not None:
            call.tell(event)
        else:
            self._calls.late(call_sid, event)
        return Response(status_code=204)


def _marker(it: webhooks.CallWebhook) -> str:
    """Return the marker of a call that we placed; it is in the URL, which is signed."""
    return it.everything.get(MARKER, "")


def _signed(request: Request, body: bytes) -> SignedRequest:
    scope = request.scope
    target = scope.get("raw_path", scope["path"].encode()).decode("latin-1")
    if scope["query_string"]:
        target += "?" + scope["query_string"].decode("latin-1")
    return SignedRequest(
        method=request.method,
        target=target,
        headers=header_fields(request.headers.items()),
        body=body,
        client=request.client.host if request.client else None,
        tls=scope["scheme"] in ("https", "wss"),
    )
