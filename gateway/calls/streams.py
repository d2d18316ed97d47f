"""The streams of one call: one at a time, each at the place of the one before.

    connect ──> expected ──opened──> current ──lost──> the carrier asks, or is told: connect
                   └──never came: the call is over        └──dropped, by us

How a call goes on with a stream, or without, is not decided here but for one thing: a carrier that
has lost a stream and does not come to ask is made to bring another.
"""

from collections.abc import Coroutine
from typing import Any, Protocol

import structlog

from gateway.calls.answers import CallLeg, Connect
from gateway.calls.deadlines import NEXT_SECONDS, Deadlines, Due
from gateway.calls.record import Record
from gateway.calls.state import CallState, Flow
from gateway.calls.stream import CallStream
from gateway.calls.telling import Telling
from gateway.recording.recorder import Recorder
from shared import messages

MOST_CONNECTS = 4
"""How often in a row a call is sent to a stream that does not last, before it is given up."""

STEADY_SECONDS = 5.0
"""A stream that lasts so long does last."""


class Streaming(Protocol):
    """The call whose streams they are."""

    flow: Flow
    log: structlog.stdlib.BoundLogger
    deadlines: Deadlines
    record: Record
    recorder: Recorder
    telling: Telling

    @property
    def leg(self) -> CallLeg:
        """The call at its carrier."""

    def token(self) -> str:
        """Return a token for a new stream. Raises `TokenBookFullError`."""

    def tell(self, event: messages.Event) -> None:
        """Send an event to the process."""

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work`` beside the call."""

    def end(self, reason: str) -> None:
        """The call is over."""


class Streams:
    """One call's streams. Each may take ``seconds`` to come."""

    __slots__ = ("_call", "_connects", "_seconds", "current")

    def __init__(self, call: Streaming, seconds: float) -> None:
        self._call, self._seconds = call, seconds
        self.current: CallStream | None = None
        """The one that is open."""
        self._connects = 0

    @property
    def is_hopeless(self) -> bool:
        """Whether so many in a row have not lasted that another will not, either."""
        return self._connects >= MOST_CONNECTS

    def connect(self, digits: str | None = None) -> Connect:
        """Return what brings the next one, after pressing ``digits``.

        Raises `TokenBookFullError`.
        """
        self._connects += digits is None
        self.expect()
        return Connect(self._call.token(), digits)

    def expect(self) -> None:
        """One is to come within its time."""
        end = self._call.end
        self._call.deadlines.set(Due.STREAM, self._seconds, end, "no stream came in time")

    def opened(self, stream: CallStream) -> bool:
        """It is the only one from now on; false, and it is closed, if it comes too late."""
        call = self._call
        if self.current is not None and self.current is not stream:
            self.drop("replaced by a new stream")
            call.flow.machine.move(CallState.GAP)
        call.deadlines.cancel(Due.STREAM)
        call.deadlines.cancel(Due.NEXT)
        if not call.flow.machine.move(CallState.STREAMING):
            stream.close("the call is over")
            return False
        self.current = stream
        call.recorder.opened(stream)
        call.record.state(CallState.STREAMING)
        call.deadlines.set(Due.STEADY, STEADY_SECONDS, self._lasts)
        return True

    def _lasts(self) -> None:
        self._connects = 0

    def lost(self, stream: CallStream, said_stop: bool, reason: str) -> None:
        """It is gone. Unless the carrier asks how to go on, or can be told, the call is, too."""
        if self.current is not stream:
            return
        call = self._call
        self._forget(stream, reason)
        if call.flow.machine.move(CallState.GAP):
            call.log.info("stream gone", said_stop=said_stop, reason=reason)
            call.deadlines.set(Due.NEXT, NEXT_SECONDS, self._not_asked, said_stop)

    def _not_asked(self, said_stop: bool) -> None:
        call = self._call
        if said_stop or not call.leg.reachable:
            call.end("the caller hung up" if said_stop else "the stream was lost")
        else:
            self.expect()
            call.run(call.telling.connect(Connect(call.token())))

    def drop(self, reason: str) -> None:
        """Close the one that is open, if one is."""
        stream = self.current
        if stream is not None:
            self._forget(stream, reason)
            stream.close(reason)

    def _forget(self, stream: CallStream, reason: str) -> None:
        self.current = None
        self._call.deadlines.cancel(Due.STEADY)
        self._call.recorder.closed(stream)
        self._call.tell(messages.StreamStopped(reason))
