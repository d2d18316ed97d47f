"""A caller who waits for a human: put on hold, handed over, or brought back to the agent.

    begin ──> the carrier is told to hold ──> (`gateway.transfers` calls the human)
                                               ├─ taken ────> `hand_over`: the agent is let go
                                               └─ not taken ─> `bring_back`: a new stream, the same
                                                               process, and then `report`

The caller's half of a warm transfer; it refuses to know the human's. What counts as what is
`gateway.calls.warm_transfer`'s.
"""

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from gateway.calls.answers import Answer, CallLeg, Connect, Hold, IncomingCall
from gateway.calls.deadlines import Deadlines, Due
from gateway.calls.elsewhere import Elsewhere
from gateway.calls.state import CallState, Flow, Plan
from gateway.calls.warm_order import TransferRefusedError, WarmOrder
from gateway.calls.warm_transfer import Event
from gateway.carriers.control import CallGoneError, CarrierError
from gateway.carriers.tokens import TokenBookFullError
from gateway.farm.process import CallProcess
from shared import messages

if TYPE_CHECKING:
    from gateway.calls.answering import Answering

PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between attempts to bring a caller back; after the last one the call is given up."""

LEFT_SECONDS = 2.0
"""How long a caller who came out of the room may take to be heard of; then they have hung up."""

_OPEN = frozenset({CallState.RINGING, CallState.STREAMING, CallState.GAP})


class Transfer(Protocol):
    """A transfer under way."""

    @property
    def room(self) -> str:
        """Where the caller waits."""

    def take(self, event: Event) -> None:
        """Something has happened to the caller."""


class Transfers(Protocol):
    """Who calls humans."""

    async def prepare(self, caller: "Holding", order: WarmOrder) -> Transfer:
        """Get ready to call somebody for ``caller``. Raises `TransferRefusedError`."""


class NoTransfers:
    """Nobody does."""

    async def prepare(self, caller: "Holding", order: WarmOrder) -> Transfer:
        """Refuse."""
        raise TransferRefusedError("carrier", "this server places no calls")


class HeldCall(Protocol):
    """The call whose caller it is."""

    flow: Flow
    log: structlog.stdlib.BoundLogger
    incoming: IncomingCall
    process: CallProcess | None
    deadlines: Deadlines
    elsewhere: Elsewhere | None
    answering: "Answering"

    @property
    def leg(self) -> CallLeg:
        """The call at its carrier."""

    def token(self) -> str:
        """Return a token for a new stream. Raises `TokenBookFullError`."""

    def leave(self, plan: Plan, reason: str, target: str = "") -> bool:
        """Close the stream and go on by ``plan``; false when it is too late for that."""

    def dialled(self, answer: Answer, target: str, reason: str) -> bool:
        """The call is somebody else's from here on; false when it is too late for that."""

    def end(self, reason: str) -> None:
        """The call is over."""

    def await_stream(self) -> None:
        """A stream is to come within its time."""

    def tell(self, event: messages.Event) -> None:
        """Send an event to the process."""

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work`` beside the call."""


class Holding:
    """One call's caller, on hold and back."""

    def __init__(self, call: HeldCall) -> None:
        self._call = call
        self._order: WarmOrder | None = None
        self._transfer: Transfer | None = None
        self._is_asked = False
        """The carrier waits for an answer at this moment."""
        self.transfers: Transfers = NoTransfers()

    @property
    def is_open(self) -> bool:
        """Whether a transfer is under way that nobody has taken yet."""
        return self._transfer is not None

    @property
    def is_waiting(self) -> bool:
        """Whether the caller needs no agent now: a human is being asked."""
        return self.is_open and self._call.flow.plan is Plan.HOLD

    @property
    def incoming(self) -> IncomingCall:
        """Which call it is."""
        return self._call.incoming

    @property
    def log(self) -> structlog.stdlib.BoundLogger:
        """Its log."""
        return self._call.log

    # Beginning ---------------------------------------------------------------------------------

    async def begin(self, order: WarmOrder) -> None:
        """Put the caller on hold and have a human called. Raises `TransferRefusedError`."""
        self._check(order)
        self._order = order
        try:
            self._transfer = await self.transfers.prepare(self, order)
            if self._call.flow.state not in _OPEN:
                raise _too_late(self._call)
            if not self._call.leave(Plan.HOLD, "a human is asked to take the call"):
                raise _too_late(self._call)
        except BaseException:
            transfer, self._order, self._transfer = self._transfer, None, None
            if transfer is not None:
                transfer.take(Event.CALLER_LEFT)
            raise

    def _check(self, order: WarmOrder) -> None:
        call = self._call
        order.check()
        if call.elsewhere is not None:
            sentence = "the caller is joined straight to the service: transfer cold instead"
            raise TransferRefusedError("elsewhere", sentence)
        if self._order is not None:
            raise TransferRefusedError("too-late", "a warm transfer is under way already")
        if not call.leg.reachable:
            sentence = (
                f"a human is called by REST, and there are no credentials of the call's account "
                f"{call.incoming.account_sid}: set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, or "
                "the company's"
            )
            raise TransferRefusedError("carrier", sentence)
        if call.flow.state not in _OPEN:
            raise _too_late(call)

    # What the carrier says ---------------------------------------------------------------------

    def answer(self) -> Answer:
        """Return what a carrier is told whose caller is to wait."""
        assert self._transfer is not None
        return Hold(self._transfer.room)

    def held(self) -> Answer:
        """The carrier is being told to hold the caller: return what."""
        answer = self.answer()
        self._take(Event.HELD)
        return answer

    def room_closed(self) -> Answer:
        """The caller came out of the room, and the carrier asks what is next."""
        self._is_asked = True
        try:
            self._take(Event.ROOM_CLOSED)
        finally:
            self._is_asked = False
        if self._call.flow.state is CallState.DIALLED:
            return self._call.answering.dial_ended(True)
        return self._call.answering.next()

    def left_room(self) -> None:
        """The carrier says that the caller is not in the room any more."""
        call = self._call
        if call.flow.state is CallState.HELD and call.flow.plan is Plan.HOLD:
            call.deadlines.set(Due.NEXT, LEFT_SECONDS, call.end, "the caller hung up")

    def back(self) -> None:
        """The caller has a stream again."""
        self._take(Event.CALLER_BACK)

    def over(self) -> None:
        """The call is over, or somebody else's by another way."""
        self._take(Event.CALLER_LEFT)

    def _take(self, event: Event) -> None:
        if self._transfer is not None:
            self._transfer.take(event)

    # What the transfer decides -------------------------------------------------------------------

    def report(self, outcome: messages.WarmOutcome) -> None:
        """Tell the process how it went."""
        order, self._order, self._transfer = self._order, None, None
        if order is not None:
            self._call.log.info("warm transfer", to=order.to, outcome=outcome)
            self._call.tell(messages.WarmTransferred(order.request, order.to, outcome))

    def hand_over(self, room: str, number: str) -> None:
        """The caller is the human's."""
        self._call.dialled(Hold(room), number, "transferred")

    def bring_back(self) -> None:
        """Nobody takes the call: the agent goes on with it, on a new stream."""
        call = self._call
        if call.flow.plan is not Plan.HOLD:
            return  # it is being ended meanwhile
        call.flow.resume()
        if call.process is None:
            call.leave(Plan.APOLOGISE, "nobody took the call, and its process is gone")
        elif not self._is_asked:
            call.run(self._fetch())

    async def _fetch(self) -> None:
        call = self._call
        try:
            answer = Connect(call.token())
        except TokenBookFullError as error:
            call.leave(Plan.APOLOGISE, str(error))
            return
        for pause in PAUSES:
            if call.flow.state is not CallState.HELD:
                return
            try:
                await call.leg.enforce(answer)
            except CallGoneError:
                call.end("the caller hung up")
                return
            except CarrierError as error:
                call.log.warning("the caller is not brought back yet", error=str(error))
                await asyncio.sleep(pause)
            else:
                if call.flow.state is CallState.HELD:
                    call.flow.machine.move(CallState.GAP)
                    call.await_stream()
                return
        # They hear music until the carrier can be told again, and then this.
        call.answering.final = call.answering.apology()
        call.end("the carrier could not be told")

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work`` beside the call."""
        self._call.run(work)


def _too_late(call: HeldCall) -> TransferRefusedError:
    flow = call.flow
    going = flow.plan.value if flow.plan is not Plan.RECONNECT else flow.state.value
    return TransferRefusedError("too-late", f"the call is already going to {going}")
