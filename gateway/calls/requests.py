"""What a call process asks for and wants to know the outcome of.

Hang-up, transfer and digits are answered when the carrier has been told; the others when its REST
has answered. A request that cannot be done gets a typed error, never silence.
"""

from collections.abc import Awaitable, Mapping
from typing import Protocol

import structlog

from gateway.calls.answers import CallLeg
from gateway.calls.elsewhere import Elsewhere
from gateway.calls.emitting import Emitter, Emitting
from gateway.calls.holding import Holding
from gateway.calls.rules import CallRules
from gateway.calls.state import Flow, Plan
from gateway.calls.warm_order import TransferRefusedError, WarmOrder
from gateway.carriers.control import CallGoneError, CarrierError
from gateway.dialer.numbers import NumberRefusedError, NumberRules, callable_number
from gateway.recording.recorder import Recorder, RecordingError
from shared import messages
from shared.e164 import NumberError, phone_number


class Requested(Emitter, Protocol):
    """The call whose process asks."""

    holding: Holding
    recorder: Recorder
    rules: CallRules
    flow: Flow
    elsewhere: Elsewhere | None
    log: structlog.stdlib.BoundLogger

    @property
    def leg(self) -> CallLeg:
        """The call at its carrier."""

    @property
    def is_elsewhere(self) -> bool:
        """Whether the call's media goes past the gateway."""

    def leave(self, plan: Plan, reason: str, target: str = "") -> bool:
        """Close the stream and go on by ``plan``; false when it is too late for that."""


MOST_OPEN = 16
"""Requests of one process that wait for the carrier at a time; a loop gone wild stops here."""


class Requests:
    """The open requests of one call's process."""

    def __init__(self, call: Requested) -> None:
        self._call = call
        self._leaving: list[int] = []
        self._asking = 0
        self._emitting = Emitting(call)

    def take(self, request: messages.Request) -> None:
        """Carry out a request."""
        if self._asking + len(self._leaving) >= MOST_OPEN:
            sentence = f"{MOST_OPEN} requests wait for the carrier: await them"
            self._call.tell(messages.Failure(request.request, "too-many", sentence))
            return
        match request:
            case messages.HangUp(number):
                self._leave(number, Plan.HANG_UP, "the agent hung up")
            case messages.Transfer(number, to):
                self._transfer(number, to)
            case messages.TransferWarm(number, to):
                target = self._destination(number, to)
                if target:
                    self._ask_warm(request, target)
            case messages.SendDigits(number, digits):
                self._send_digits(number, digits)
            case messages.Emit():
                self._emitting.take(request)
            case _:
                self._record(request)

    def _record(self, request: messages.Request) -> None:
        """Carry out what has to do with recording and transcription."""
        leg = self._call.leg
        match request:
            case messages.Record(number, on, ahead_ms):
                self._ask(number, self._call.recorder.record(on, ahead_ms))
            case messages.StartRecording(number):
                self._ask(number, self._start_recording())
            case messages.StopRecording(number):
                self._ask(number, leg.stop_recording())
            case messages.DeleteRecording(number):
                self._ask(number, self._delete_recording())
            case messages.StartTranscription(number):
                self._ask(number, self._start_transcription())
            case messages.StopTranscription(number):
                self._ask(number, leg.stop_transcription())

    async def _on_line(self, operation: str) -> None:
        """Return once the caller has come to where they are to be heard. Raises `CarrierError`."""
        if self._call.elsewhere is not None:
            await self._call.elsewhere.on_line(operation)

    async def _start_transcription(self) -> None:
        await self._on_line("start transcription")
        await self._call.leg.start_transcription()

    async def _start_recording(self) -> None:
        await self._on_line("start recording")
        sid = await self._call.leg.start_recording()
        self._call.tell(messages.RecordingChanged(sid, "in-progress"))

    async def _delete_recording(self) -> None:
        sid = await self._call.leg.delete_recording()
        if sid:
            self._call.tell(messages.RecordingChanged(sid, "deleted"))

    def stop_at_carrier(self) -> None:
        """Have the carrier record and transcribe no more, if it does."""
        self._call.run(self._stop_at_carrier())

    async def _stop_at_carrier(self) -> None:
        try:
            await self._call.leg.leave_off()
        except CarrierError as error:
            self._call.log.warning("the carrier may still record", error=str(error))

    def pause_at_carrier(self) -> None:
        """Have the carrier keep nothing while the caller waits, and nobody's first words."""
        self._call.run(self._at_carrier(self._call.leg.pause()))

    def go_on_at_carrier(self) -> None:
        """The caller is back: have the carrier keep again what it kept."""
        self._call.run(self._at_carrier(self._call.leg.go_on()))

    async def _at_carrier(self, change: Awaitable[None]) -> None:
        try:
            await change
        except CallGoneError:
            return  # and so is what was recorded of it
        except CarrierError as error:
            self._call.log.warning("the carrier records as before", error=str(error))

    def settle(self) -> None:
        """The carrier has been told: those who wait for that are answered."""
        leaving, self._leaving = self._leaving, []
        for number in leaving:
            self._call.tell(messages.Reply(number))

    def fail(self, code: str, sentence: str) -> None:
        """The carrier could not be told."""
        leaving, self._leaving = self._leaving, []
        for number in leaving:
            self._call.tell(messages.Failure(number, code, sentence))

    def _transfer(self, number: int, to: str) -> None:
        target = self._destination(number, to)
        if target:
            self._leave(number, Plan.DIAL, "transferred", target)

    def _destination(self, number: int, to: str) -> str:
        """Return whom ``to`` means; empty, and the process is told, if nobody is meant."""
        rules = self._call.rules
        try:
            return destination(to, rules.destinations, rules.numbers)
        except (NumberError, NumberRefusedError) as error:
            sentence = unknown_destination(error, rules.destinations)
            self._call.tell(messages.Failure(number, "destination", sentence))
            return ""

    def _ask_warm(self, asked: messages.TransferWarm, target: str) -> None:
        order = WarmOrder(
            to=asked.to,
            number=target,
            summary=asked.summary,
            ring_seconds=asked.ring_seconds or self._call.rules.ring_seconds,
            language=asked.language,
            request=asked.request,
        )

        async def begin() -> None:
            try:
                await self._call.holding.begin(order)
            except TransferRefusedError as error:
                refusal = messages.Failure(asked.request, error.code, error.sentence)
                self._call.tell(refusal)

        self._call.run(begin())

    def _send_digits(self, number: int, digits: str) -> None:
        if not digits or len(digits) > 128 or set(digits) - set("0123456789ABCD#*wW"):
            sentence = "digits are 0-9 A-D # * w W, at most 128"
            self._call.tell(messages.Failure(number, "digits", sentence))
            return
        if self._call.is_elsewhere:
            sentence = "the caller is joined straight to the service: have it press the keys"
            self._call.tell(messages.Failure(number, "elsewhere", sentence))
            return
        self._leave(number, Plan.DIGITS, "digits", digits)

    def _leave(self, number: int, plan: Plan, reason: str, target: str = "") -> None:
        if self._call.leave(plan, reason, target):
            self._leaving.append(number)
        else:
            sentence = f"the call is already going to {self._call.flow.plan.value}"
            self._call.tell(messages.Failure(number, "too-late", sentence))

    def _ask(self, number: int, work: Awaitable[None]) -> None:
        async def asked() -> None:
            try:
                await work
            except CarrierError as error:
                self._call.tell(messages.Failure(number, "carrier", str(error)))
            except RecordingError as error:
                self._call.tell(messages.Failure(number, "recording", str(error)))
            else:
                self._call.tell(messages.Reply(number))
            finally:
                self._asking -= 1

        self._asking += 1
        self._call.run(asked())


def unknown_destination(error: Exception, named: Mapping[str, str]) -> str:
    """Say that nobody is meant, and who there is."""
    known = ", ".join(named) or "none is set (TRANSFER_NUMBERS)"
    return f"{error}; named destinations: {known}"


def destination(to: str, named: Mapping[str, str], rules: NumberRules) -> str:
    """Return the number that ``to`` means: a named destination, or a number in E.164.

    The operator has chosen what has a name. Any other may be a caller's or a model's idea, and is
    called only if it may be called at all. Raises `NumberError` and `NumberRefusedError`.
    """
    return named[to] if to in named else callable_number(phone_number(to), rules)
