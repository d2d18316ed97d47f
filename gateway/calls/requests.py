"""What a call process asks for and wants to know the outcome of.

Hang-up, transfer and digits are answered when the carrier has been told; the others when its REST
has answered. A request that cannot be done gets a typed error, never silence.
"""

from collections.abc import Awaitable, Coroutine, Mapping
from typing import Any, Protocol

from gateway.calls.answers import CallLeg
from gateway.calls.state import Plan
from gateway.carriers.control import CarrierError
from shared import messages
from shared.e164 import NumberError, phone_number


class Requested(Protocol):
    """The call whose process asks."""

    @property
    def leg(self) -> CallLeg:
        """The call at its carrier."""

    @property
    def destinations(self) -> Mapping[str, str]:
        """Named numbers a caller may be transferred to."""

    @property
    def plan(self) -> Plan:
        """What the carrier is told next."""

    def leave(self, plan: Plan, reason: str, target: str = "") -> bool:
        """Close the stream and go on by ``plan``; false when it is too late for that."""

    def tell(self, event: messages.Event) -> None:
        """Send an event to the call's process."""

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work`` beside the call."""


MOST_OPEN = 16
"""Requests of one process that wait for the carrier at a time; a loop gone wild stops here."""


class Requests:
    """The open requests of one call's process."""

    def __init__(self, call: Requested) -> None:
        self._call = call
        self._leaving: list[int] = []
        self._asking = 0

    def take(self, request: messages.Request) -> None:
        """Carry out a request."""
        if self._asking + len(self._leaving) >= MOST_OPEN:
            sentence = f"{MOST_OPEN} requests wait for the carrier: await them"
            self._call.tell(messages.Failure(request.request, "too-many", sentence))
            return
        leg = self._call.leg
        match request:
            case messages.HangUp(number):
                self._leave(number, Plan.HANG_UP, "the agent hung up")
            case messages.Transfer(number, to):
                self._transfer(number, to)
            case messages.SendDigits(number, digits):
                self._send_digits(number, digits)
            case messages.StartRecording(number):
                self._ask(number, leg.start_recording())
            case messages.StopRecording(number):
                self._ask(number, leg.stop_recording())
            case messages.DeleteRecording(number):
                self._ask(number, leg.delete_recording())
            case messages.StartTranscription(number):
                self._ask(number, leg.start_transcription())
            case messages.StopTranscription(number):
                self._ask(number, leg.stop_transcription())

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
        try:
            target = destination(to, self._call.destinations)
        except NumberError as error:
            known = ", ".join(self._call.destinations) or "none is set (TRANSFER_NUMBERS)"
            sentence = f"{error}; named destinations: {known}"
            self._call.tell(messages.Failure(number, "destination", sentence))
            return
        self._leave(number, Plan.DIAL, "transferred", target)

    def _send_digits(self, number: int, digits: str) -> None:
        if not digits or len(digits) > 128 or set(digits) - set("0123456789ABCD#*wW"):
            sentence = "digits are 0-9 A-D # * w W, at most 128"
            self._call.tell(messages.Failure(number, "digits", sentence))
            return
        self._leave(number, Plan.DIGITS, "digits", digits)

    def _leave(self, number: int, plan: Plan, reason: str, target: str = "") -> None:
        if self._call.leave(plan, reason, target):
            self._leaving.append(number)
        else:
            sentence = f"the call is already going to {self._call.plan.value}"
            self._call.tell(messages.Failure(number, "too-late", sentence))

    def _ask(self, number: int, work: Awaitable[None]) -> None:
        async def asked() -> None:
            try:
                await work
            except CarrierError as error:
                self._call.tell(messages.Failure(number, "carrier", str(error)))
            else:
                self._call.tell(messages.Reply(number))
            finally:
                self._asking -= 1

        self._asking += 1
        self._call.run(asked())


def destination(to: str, named: Mapping[str, str]) -> str:
    """Return the number that ``to`` means: a named destination, or a number in E.164.

    Raises `NumberError`.
    """
    return named[to] if to in named else phone_number(to)
