"""Answers one call's carrier, which asks how the call goes on, and takes that step.

    voice webhook ──> `first`: the same answer each time, until something comes of it
    next ───────────> `asked`: perhaps a promise ──> `next`: decided by the call's `Flow`
    dial's end ─────> `dial_ended`

A carrier whose network fails asks again, and is given the same answer. One that does not come to
ask is told by `gateway.calls.telling`.
"""

from typing import Protocol

from gateway.calls.answers import (
    Answer,
    Apologise,
    Asked,
    Connect,
    Dial,
    HangUp,
    Join,
    Unanswered,
)
from gateway.calls.deadlines import Deadlines, Due
from gateway.calls.elsewhere import Elsewhere
from gateway.calls.holding import Holding
from gateway.calls.record import Record
from gateway.calls.requests import Requests
from gateway.calls.rules import CallRules
from gateway.calls.state import CallState, Flow, Plan
from gateway.calls.streams import Streams


class Questioned(Protocol):
    """The call that the carrier asks about."""

    rules: CallRules
    flow: Flow
    deadlines: Deadlines
    record: Record
    streams: Streams
    requests: Requests
    holding: Holding
    elsewhere: Elsewhere | None

    def token(self) -> str:
        """Return a token for a new stream. Raises `TokenBookFullError`."""

    def dialled(self, answer: Answer, target: str, reason: str) -> bool:
        """The carrier connects the caller with ``target``; false when it is too late for that."""

    def stop_recording(self) -> None:
        """The caller goes on to somebody who has not agreed to be recorded."""

    def end(self, reason: str) -> None:
        """The call is over."""


class Answering:
    """What one call's carrier is told."""

    def __init__(self, call: Questioned) -> None:
        self._call = call
        self.beginning: Connect | Join | None = None
        """How the call begins, once that is known."""
        self.final: Answer = HangUp()
        """For whoever asks about a call that is over, or somebody else's."""

    def first(self) -> Asked:
        """Answer the voice webhook. Raises `TokenBookFullError`."""
        call = self._call
        if call.elsewhere is not None and call.elsewhere.promised:
            return call.elsewhere.promise()
        if call.flow.state not in (CallState.RINGING, CallState.ELSEWHERE):
            return self.next()
        if self.beginning is None:
            self.beginning = Connect(call.token())
        return self.beginning

    def asked(self) -> Asked:
        """Answer how the call goes on; that may not be known for a moment."""
        elsewhere = self._call.elsewhere
        return self.next() if elsewhere is None else elsewhere.asked()

    def next(self) -> Answer:
        """Decide how the call goes on, once and for all where it is final."""
        call, flow, it = self._call, self._call.flow, self._call.elsewhere
        if flow.over or flow.state is CallState.DIALLED:
            return self.final
        call.deadlines.cancel(Due.NEXT)
        if flow.state is CallState.HELD and flow.plan is Plan.HOLD:
            return call.holding.answer()
        call.streams.drop("the carrier went on")
        if it is not None and it.is_undecided:
            flow.intend(*it.outcome())
        if call.streams.is_hopeless:
            flow.intend(Plan.APOLOGISE, "no stream could be opened")
        match flow.plan:
            case Plan.RECONNECT | Plan.DIGITS:
                flow.machine.move(CallState.GAP)
                digits = flow.target if flow.plan is Plan.DIGITS else None
                flow.resume()
                return call.streams.connect(digits)
            case Plan.HOLD if flow.machine.move(CallState.HELD):
                call.record.state(CallState.HELD)
                call.requests.pause_at_carrier()
                return call.holding.held()
            case Plan.DIAL if call.dialled(self.dial(), flow.target, flow.reason):
                return self.final
            case Plan.APOLOGISE:
                self.final = self.apology()
                call.stop_recording()
        call.requests.settle()
        call.end(flow.reason or "hung up")
        return self.final

    def dial_ended(self, answered: bool) -> Answer:
        """The human's leg is over: a caller nobody answered is told so."""
        call = self._call
        if call.holding.is_open:
            return call.holding.room_closed()
        if not call.flow.over:
            self.final = HangUp() if answered else Unanswered()
        call.end("transferred" if answered else "transfer not answered")
        return self.final

    def dial(self) -> Dial:
        """Return what connects the caller with somebody else."""
        return Dial(self._call.flow.target, self._call.rules.ring_seconds)

    def apology(self) -> Apologise:
        """Return what a caller is told to whom something has gone wrong."""
        it = self._call.elsewhere
        return Apologise(self._call.rules.fallback, it is not None and it.is_early)
