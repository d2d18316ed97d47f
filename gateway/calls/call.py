"""One call: joins its media socket, its process and its carrier, and survives each of them.

What the carrier is told is `Answering`'s and `Telling`'s business, its media sockets are
`Streams`', what the process says `Outbound`'s. Here they meet, and here is how the call begins,
leaves and ends, by its `Flow`. Nothing waits: requests to the carrier run as tasks, deadlines are
timers, and the audio path is one method call each way.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from gateway.calls.answering import Answering
from gateway.calls.answers import Answer, CallLeg, IncomingCall
from gateway.calls.deadlines import NEXT_SECONDS, Deadlines, Due
from gateway.calls.elsewhere import Elsewhere
from gateway.calls.first_message import Asking
from gateway.calls.holding import Holding
from gateway.calls.inbound import Inbound
from gateway.calls.measurements import Measurements
from gateway.calls.metadata import metadata
from gateway.calls.notes import Notes
from gateway.calls.outbound import Outbound
from gateway.calls.record import Record
from gateway.calls.requests import Requests
from gateway.calls.rules import CallRules
from gateway.calls.state import CallState, Flow, Plan
from gateway.calls.stream import CallStream
from gateway.calls.streams import Streams
from gateway.calls.telling import Telling
from gateway.calls.vigil import Vigil
from gateway.farm.process import CallProcess, ExitReport
from gateway.recording.recorder import Recorder
from shared import messages

log = structlog.get_logger(__name__)

END_SECONDS = 5.0
"""What an agent has for its last hook."""

KILL_SECONDS = 10.0
"""A process that outlives its call by this is killed."""


class Call:
    """A call from its webhook to its last callback."""

    def __init__(
        self,
        incoming: IncomingCall,
        rules: CallRules,
        token: Callable[[], str],
        on_over: Callable[["Call"], None],
        measurements: Measurements | None = None,
        tools_url: str | None = None,
        record: Record | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self.incoming, self.rules = incoming, rules
        self.log = log.bind(call_sid=incoming.sid)
        self.flow = Flow.new()
        self.deadlines = Deadlines()
        self.process: CallProcess | None = None
        self.release = ""
        self.exit: ExitReport | None = None
        self.began, self.ended = time.time(), 0.0
        self.record = record or Record()
        self.recorder = recorder or Recorder(incoming.sid)
        self.notes = Notes(self.log, measurements or Measurements(), self.record)
        self.vigil = Vigil(rules.hang_seconds, self.log)
        self.elsewhere = None if tools_url is None else Elsewhere(self, tools_url)
        """Set if the call's media is to go past the gateway."""
        self.token, self._on_over = token, on_over
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._left = False
        self.inbound = Inbound()
        self.streams = Streams(self, rules.stream_seconds)
        self.requests = Requests(self)
        self.holding = Holding(self)
        self.answering = Answering(self)
        self.telling = Telling(self)
        self.frame = Outbound(self).frame
        """Takes a frame of the process."""

    @property
    def sid(self) -> str:
        """The carrier's id of the call."""
        return self.incoming.sid

    @property
    def leg(self) -> CallLeg:
        """The call at its carrier."""
        return self.incoming.leg

    @property
    def is_elsewhere(self) -> bool:
        """Whether the caller talks to a service that the gateway does not hear."""
        return self.flow.state is CallState.ELSEWHERE

    # From the carrier's webhooks -------------------------------------------------------------

    def begin(
        self, process: CallProcess, release: str, first_message: Asking | None = None
    ) -> None:
        """The process is being forked: tell it which call this is, and wait for the stream."""
        # A template that died a moment ago has taken the order with it.
        self.process, self.release = None if process.exited.done() else process, release
        self.inbound.connect(process.pipe)
        self.vigil.begin(self.process, self._loop.time())
        it, elsewhere, asking = self.incoming, self.elsewhere, first_message
        url = elsewhere.tools_url if elsewhere is not None else ""
        seconds = asking.seconds if asking is not None else 0.0
        self.tell(messages.Hello(messages.VERSION))
        self.tell(metadata(it, release, url, seconds, self.rules.company))
        if asking is not None:
            self.run(asking.tell(self.tell))
        if elsewhere is None:
            self.await_stream()
        else:
            elsewhere.begin()
        most = self.rules.most_seconds
        if it.placed is not None:
            most = min(most, it.placed.most_seconds)
        self.deadlines.set(Due.MOST, most, self._too_long)
        self.record.begun(release, direct=elsewhere is not None)
        self.log.info("call accepted", release=release, direction=it.direction)

    def status(self, status: str, final: bool) -> None:
        """The carrier reported the call's status."""
        self.tell(messages.CallStatus(status))
        if final:
            self.end(status)

    def stream_reported(self, error: str, over: bool) -> None:
        """The carrier told of a stream: that it is ``over``, perhaps by an ``error``.

        Of ours it need not tell.
        """
        if self.elsewhere is not None:
            self.elsewhere.reported(error, over)

    # From the media socket -------------------------------------------------------------------

    def stream_started(self, stream: CallStream, sid: str, parameters: dict[str, str]) -> None:
        """A stream is open: it is this call's only one from now on."""
        if not self.streams.opened(stream):
            return
        self.tell(messages.StreamStarted(sid, parameters))
        if self.flow.plan is not Plan.RECONNECT:
            self._leave()
            return
        self.requests.settle()
        if self.holding.is_open:
            self.requests.go_on_at_carrier()
        self.holding.back()

    def stream_ended(self, stream: CallStream, said_stop: bool, reason: str) -> None:
        """A stream is gone. Unless the carrier asks how to go on, the call is over, too."""
        self.streams.lost(stream, said_stop, reason)

    def await_stream(self) -> None:
        """A stream is to come within its time."""
        self.streams.expect()

    # Leaving ---------------------------------------------------------------------------------

    def leave(self, plan: Plan, reason: str, target: str = "") -> bool:
        """Close the stream; what comes next is told when the carrier asks. False: too late."""
        if not self.flow.intend(plan, reason, target):
            return False
        self._leave()
        return True

    def _leave(self) -> None:
        state, it = self.flow.state, self.elsewhere
        if not self.flow.machine.move(CallState.LEAVING):
            return
        if it is not None and it.promised:
            # It is asking now. Not at once: the call may not even have begun.
            self._loop.call_soon(it.keep_promise)
            return
        match state:
            case CallState.STREAMING:
                self.streams.drop(self.flow.reason)
                wait = NEXT_SECONDS
            case CallState.HELD:
                wait = 0.0
            case CallState.ELSEWHERE if it is not None:
                wait = it.away_seconds
            case _:
                # A call whose first answer is still under way asks after its stream, as any other.
                wait = self.rules.stream_seconds
        self.deadlines.set(Due.NEXT, wait, self.telling.plan)

    def _too_long(self) -> None:
        if not self.leave(Plan.HANG_UP, "maximum duration"):
            # Connected with somebody else: their talk goes on at the carrier, without us.
            self.end("maximum duration")

    # From the process ------------------------------------------------------------------------

    def process_exited(self, report: ExitReport) -> None:
        """The process is gone: if the call is not over, the caller is told and connected."""
        self.exit = report
        self.record.exited(report)
        self.process = None
        self.vigil.over()
        self.deadlines.cancel(Due.EXIT)
        self.notes.running.set()
        it = self.elsewhere
        if it is not None:
            it.tools.give_up()
        if self.flow.over or self.flow.state is CallState.DIALLED:
            self._gone()
            return
        if it is not None and it.has_joined and report.clean and not it.stays:
            return
        self.notes.gone(report)
        if self.holding.is_waiting or (it is not None and it.has_joined):
            return  # the call goes on, without its tools
        if report.clean:
            self.leave(Plan.HANG_UP, "the agent left")
        else:
            self.leave(Plan.APOLOGISE, f"call process {report}")

    # The end ---------------------------------------------------------------------------------

    def dialled(self, answer: Answer, target: str, reason: str) -> bool:
        """The carrier connects the caller with ``target``; false when it is too late for that.

        From here on the call is the carrier's; a later question has ``answer`` ready.
        """
        flow = self.flow
        if not flow.machine.move(CallState.DIALLED):
            return False
        flow.plan, flow.target, flow.reason = Plan.DIAL, target, reason
        self.holding.over()
        self.answering.final, self.ended = answer, time.time()
        self.record.dialled(target, reason)
        self.requests.settle()
        self.stop_recording()
        self._dismiss(reason)
        if self.process is None:
            self._loop.call_soon(self._gone)
        return True

    def end(self, reason: str) -> None:
        """The call is over. Only the first end counts."""
        if not self.flow.machine.move(CallState.ENDED):
            return
        self.flow.reason = reason
        self.ended = time.time()
        self.record.ended(reason, self.flow.plan, self.ended)
        self.deadlines.clear()
        self.streams.drop(reason)
        self.recorder.finish()
        if self.elsewhere is not None:
            self.elsewhere.over(self.answering.final)
        self.holding.over()
        self.log.info("call ended", reason=reason, seconds=round(self.ended - self.began, 1))
        self._dismiss(reason)
        if self.process is None:
            self._gone()

    def stop_recording(self) -> None:
        """The caller goes on to somebody who has not agreed to be recorded."""
        self.recorder.finish()
        self.requests.stop_at_carrier()

    def _dismiss(self, reason: str) -> None:
        """Let the process finish."""
        if self.process is not None:
            self.tell(messages.CallEnded(reason, END_SECONDS))
            self.deadlines.set(Due.EXIT, KILL_SECONDS, self.process.kill)

    def _gone(self) -> None:
        if self._left or not (self.flow.over or self.flow.state is CallState.DIALLED):
            return
        self._left = True
        self.deadlines.clear()
        self._on_over(self)

    # Small things ------------------------------------------------------------------------------

    def tell(self, event: messages.Event) -> None:
        """Send an event to the process."""
        self.record.event(event)
        if self.process is not None:
            self.inbound.event(event)

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work`` beside the call; it handles its own errors."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
