"""Tells a call's carrier, by its REST, what it did not come to ask for.

The carrier is told first, then the call takes the step: nobody hears of what did not happen.
"""

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from gateway.calls.answers import Answer, CallLeg, Connect, HangUp
from gateway.calls.holding import Holding
from gateway.calls.requests import Requests
from gateway.calls.state import Flow, Plan
from gateway.carriers.control import CallGoneError, CarrierError

if TYPE_CHECKING:
    from gateway.calls.answering import Answering


class Told(Protocol):
    """The call that it is about."""

    flow: Flow
    log: structlog.stdlib.BoundLogger
    requests: Requests
    holding: Holding
    answering: "Answering"

    @property
    def leg(self) -> CallLeg:
        """The call at its carrier."""

    def end(self, reason: str) -> None:
        """The call is over."""

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work`` beside the call."""


class Telling:
    """Makes one call's carrier act."""

    def __init__(self, call: Told) -> None:
        self._call = call

    def plan(self) -> None:
        """Have the plan carried out now."""
        call = self._call
        if call.leg.reachable:
            call.run(self._next())
            return
        if call.flow.plan is Plan.HANG_UP:
            call.requests.settle()
        else:
            sentence = "the carrier did not ask and cannot be told: its credentials are not set"
            call.requests.fail("carrier", sentence)
        call.end(call.flow.reason)

    async def _next(self) -> None:
        call = self._call
        foreseen: dict[Plan, Answer] = {
            Plan.HANG_UP: HangUp(),
            Plan.DIAL: call.answering.dial(),
            Plan.APOLOGISE: call.answering.apology(),
        }
        plan = call.flow.plan
        if plan is Plan.HOLD:
            foreseen[plan] = call.holding.answer()
        answer = foreseen.get(plan) or call.answering.next()
        if not await self._told(answer):
            return
        if call.flow.plan is plan:
            call.answering.next()
        else:  # something stronger was decided meanwhile
            self.plan()

    async def connect(self, answer: Connect) -> None:
        """Have a stream opened."""
        await self._told(answer)

    async def _told(self, answer: Answer) -> bool:
        call = self._call
        try:
            await call.leg.enforce(answer)
        except CallGoneError:
            if call.flow.plan is Plan.HANG_UP:
                call.requests.settle()
            else:
                call.requests.fail("gone", "the caller hung up before it could be done")
            call.end("the caller hung up")
        except CarrierError as error:
            call.log.warning("the carrier was not told", answer=str(answer), error=str(error))
            call.requests.fail("carrier", str(error))
            call.end("the carrier could not be told")
        else:
            return not isinstance(answer, Connect)
        return False
