"""One call: joins its media socket, its process and its carrier, and survives each of them.

The call decides by its `Flow`; here is what it does about it. Nothing here waits: requests to the
carrier run as tasks, deadlines are timers, and the audio path is one method call each way.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from gateway.calls.answers import (
    Answer,
    Apologise,
    Asked,
    CallLeg,
    Connect,
    Dial,
    HangUp,
    IncomingCall,
    Join,
    Unanswered,
)
from gateway.calls.elsewhere import (
    AWAY_SECONDS,
    JOIN_SECONDS,
    STATUS_SECONDS,
    Elsewhere,
)
from gateway.calls.first_message import Asking
from gateway.calls.holding import Holding
from gateway.calls.inbound import Inbound
from gateway.calls.measurements import Measurements
from gateway.calls.metadata import CallCompany, metadata
from gateway.calls.notes import Notes
from gateway.calls.record import Record
from gateway.calls.requests import Requests
from gateway.calls.state import CallState, Flow, Plan
from gateway.calls.stream import CallStream
from gateway.calls.telling import Telling
from gateway.calls.tool_calls import ToolCalls
from gateway.calls.vigil import Vigil
from gateway.carriers.tokens import TokenBookFullError
from gateway.dialer.numbers import NumberRules
from gateway.farm.process import CallProcess, ExitReport
from gateway.recording.recorder import Recorder
from shared import messages

log = structlog.get_logger(__name__)

NEXT_SECONDS = 2.0
"""How long the carrier may take to come and ask, before it is told by its REST."""

END_SECONDS = 5.0
"""What an agent has for its last hook."""

MOST_CONNECTS = 4
"""How often in a row a call is sent to a stream that does not last, before it is given up."""

STEADY_SECONDS = 5.0
"""A stream that lasts so long does last."""

KILL_SECONDS = 10.0
"""A process that outlives its call by this is killed."""


@dataclass(frozen=True, slots=True)
class CallRules:
    """What the operator set for every call. Times in seconds, numbers in E.164."""

    stream_seconds: float
    most_seconds: float
    hang_seconds: float
    fallback: str | None
    destinations: dict[str, str]
    ring_seconds: int = 20
    """How long the phone of somebody rings to whom a caller is transferred."""
    numbers: NumberRules = field(default_factory=NumberRules)
    """Which numbers without a name a caller may be transferred to."""
    company: CallCompany | None = None
    """Whose call it is."""


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
        self.process: CallProcess | None = None
        self.inbound = Inbound()
        self.stream: CallStream | None = None
        self.release = ""
        self.began, self.ended = time.time(), 0.0
        self.record = record or Record()
        self.recorder = recorder or Recorder(incoming.sid)
        self.notes = Notes(self.log, measurements or Measurements(), self.record)
        self.vigil = Vigil(rules.hang_seconds, self.log)
        self.exit: ExitReport | None = None
        self.elsewhere = None if tools_url is None else Elsewhere(ToolCalls(self.tell), tools_url)
        """Set if the call's media is to go past the gateway."""
        self.token, self._on_over = token, on_over
        self._first: Connect | Join | None = None
        self._loop = asyncio.get_running_loop()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.requests = Requests(self)
        self.holding = Holding(self)
        self._telling = Telling(self)
        self._connects = 0
        self._left = False
        self.final: Answer = HangUp()

    @property
    def sid(self) -> str:
        """The carrier's id of the call."""
        return self.incoming.sid

    @property
    def leg(self) -> CallLeg:
        """The call at its carrier."""
        return self.incoming.leg

    @property
    def destinations(self) -> Mapping[str, str]:
        """Named numbers a caller may be transferred to."""
        return self.rules.destinations

    @property
    def numbers(self) -> NumberRules:
        """Which numbers without a name a caller may be transferred to."""
        return self.rules.numbers

    @property
    def ring_seconds(self) -> int:
        """How long the phone of somebody rings to whom a caller is transferred."""
        return self.rules.ring_seconds

    @property
    def is_elsewhere(self) -> bool:
        """Whether the caller talks to a service that the gateway does not hear."""
        return self.flow.state is CallState.ELSEWHERE

    @property
    def is_direct(self) -> bool:
        """Whether its media goes past the gateway, or is going to."""
        return self.elsewhere is not None

    @property
    def plan(self) -> Plan:
        """What the carrier is told next."""
        return self.flow.plan

    # From the carrier's webhooks -------------------------------------------------------------

    def begin(
        self, process: CallProcess, release: str, first_message: Asking | None = None
    ) -> None:
        """The process is being forked: tell it which call this is, and wait for the stream."""
        # A template that died a moment ago has taken the order with it.
        self.process, self.release = None if process.exited.done() else process, release
        self.inbound.connect(process.pipe)
        self.vigil.heard_at = self._loop.time()
        it, elsewhere = self.incoming, self.elsewhere
        url = elsewhere.tools_url if elsewhere is not None else ""
        self.tell(messages.Hello(messages.VERSION))
        asking = first_message
        seconds = asking.seconds if asking is not None else 0.0
        self.tell(metadata(it, release, url, seconds, self.rules.company))
        if asking is not None:
            self.run(asking.tell(self.tell))
        if elsewhere is None:
            self.await_stream()
        else:
            self._after("join", JOIN_SECONDS, self.leave, Plan.APOLOGISE, "nothing to join in time")
        most = self.rules.most_seconds
        if it.placed is not None:
            most = min(most, it.placed.most_seconds)
        self._after("most", most, self._too_long)
        self.record.begun(release, direct=elsewhere is not None)
        self.log.info("call accepted", release=release, direction=it.direction)

    def first_answer(self) -> Asked:
        """Answer the voice webhook: the same each time until the stream opens."""
        if self.elsewhere is not None and self.elsewhere.promised:
            return self.elsewhere.promise()
        if self.flow.state not in (CallState.RINGING, CallState.ELSEWHERE):
            return self.next_answer()
        if self._first is None:
            self._first = Connect(self.token())
        return self._first

    def asked_next(self) -> Asked:
        """The carrier asks how the call goes on. What it comes back from it tells in a moment."""
        it = self.elsewhere
        undecided = self.is_elsewhere and self.flow.plan is Plan.RECONNECT
        if it is None or not undecided or it.is_back:
            return self.next_answer()
        if not it.promised:
            self._after("next", STATUS_SECONDS, self._keep_promise)
        return it.promise()

    def next_answer(self) -> Answer:
        """The carrier asks how the call goes on: decide, once and for all where it is final.

        A carrier whose network fails asks again, and is given the same answer.
        """
        if self.flow.over or self.flow.state is CallState.DIALLED:
            return self.final
        self._cancel("next")
        if self.flow.state is CallState.HELD and self.flow.plan is Plan.HOLD:
            return self.holding.answer()
        self._drop_stream("the carrier went on")
        flow, it = self.flow, self.elsewhere
        if it is not None and self.is_elsewhere and flow.plan is Plan.RECONNECT:
            flow.intend(*it.outcome())
        if self._connects >= MOST_CONNECTS:
            flow.intend(Plan.APOLOGISE, "no stream could be opened")
        match flow.plan:
            case Plan.RECONNECT | Plan.DIGITS:
                flow.machine.move(CallState.GAP)
                digits = flow.target if flow.plan is Plan.DIGITS else None
                flow.resume()
                self._connects += digits is None
                self.await_stream()
                return Connect(self.token(), digits)
            case Plan.HOLD if flow.machine.move(CallState.HELD):
                self.record.state(CallState.HELD)
                self.requests.pause_at_carrier()
                return self.holding.held()
            case Plan.DIAL if self.dialled(self.dial(), flow.target, flow.reason):
                return self.final
            case Plan.APOLOGISE:
                self.final = self.apology()
                self._stop_recording()
        self.requests.settle()
        self.end(flow.reason or "hung up")
        return self.final

    def dial(self) -> Dial:
        """Return what connects the caller with somebody else."""
        return Dial(self.flow.target, self.rules.ring_seconds)

    def dialled(self, answer: Answer, target: str, reason: str) -> bool:
        """The carrier connects the caller with ``target``; false when it is too late for that.

        From here on the call is the carrier's; a later question has ``answer`` ready.
        """
        flow = self.flow
        if not flow.machine.move(CallState.DIALLED):
            return False
        flow.plan, flow.target, flow.reason = Plan.DIAL, target, reason
        self.holding.over()
        self.final, self.ended = answer, time.time()
        self.record.dialled(target, reason)
        self.requests.settle()
        self._stop_recording()
        self._dismiss(reason)
        if self.process is None:
            self._loop.call_soon(self._gone)
        return True

    def apology(self) -> Apologise:
        """Return what a caller is told to whom something has gone wrong."""
        it = self.elsewhere
        return Apologise(self.rules.fallback, unconnected=it is not None and it.is_early)

    def dial_ended(self, answered: bool) -> Answer:
        """The human's leg is over: a caller nobody answered is told so."""
        if self.holding.is_open:
            return self.holding.room_closed()
        if not self.flow.over:
            self.final = HangUp() if answered else Unanswered()
        self.end("transferred" if answered else "transfer not answered")
        return self.final

    def status(self, status: str, final: bool) -> None:
        """The carrier reported the call's status."""
        self.tell(messages.CallStatus(status))
        if final:
            self.end(status)

    def stream_reported(self, error: str, over: bool) -> None:
        """The carrier told of a stream: that it is ``over``, perhaps by an ``error``.

        Of ours it need not tell.
        """
        it = self.elsewhere
        if it is None or not self.is_elsewhere:
            return
        if not over:
            it.came_on_line()
            return
        it.came_back(error)
        if it.promised:
            self._keep_promise()
        elif error:
            self._after("next", NEXT_SECONDS, self.leave, *it.outcome())
        else:
            self._after("next", NEXT_SECONDS, self._not_asked, True)

    # From the media socket -------------------------------------------------------------------

    def stream_started(self, stream: CallStream, sid: str, parameters: dict[str, str]) -> None:
        """A stream is open: it is this call's only one from now on."""
        if self.stream is not None and self.stream is not stream:
            self._drop_stream("replaced by a new stream")
            self.flow.machine.move(CallState.GAP)
        self._cancel("stream")
        self._cancel("next")
        if not self.flow.machine.move(CallState.STREAMING):
            stream.close("the call is over")
            return
        self.stream = stream
        self.recorder.opened(stream)
        self.record.state(CallState.STREAMING)
        self._after("steady", STEADY_SECONDS, self._steady)
        self.tell(messages.StreamStarted(sid, parameters))
        if self.flow.plan is Plan.RECONNECT:
            self.requests.settle()
            if self.holding.is_open:
                self.requests.go_on_at_carrier()
            self.holding.back()
        else:
            self._leave()

    def stream_ended(self, stream: CallStream, said_stop: bool, reason: str) -> None:
        """A stream is gone. Unless the carrier asks how to go on, the call is over, too."""
        if self.stream is not stream:
            return
        self.stream = None
        self.recorder.closed(stream)
        self._cancel("steady")
        self.tell(messages.StreamStopped(reason))
        if self.flow.machine.move(CallState.GAP):
            self.log.info("stream gone", said_stop=said_stop, reason=reason)
            self._after("next", NEXT_SECONDS, self._not_asked, said_stop)

    def _not_asked(self, said_stop: bool) -> None:
        """The carrier did not come to ask after its stream went away."""
        if said_stop or not self.leg.reachable:
            self.end("the caller hung up" if said_stop else "the stream was lost")
        else:
            self.await_stream()
            self.run(self._telling.connect(Connect(self.token())))

    def left_room(self, seconds: float) -> None:
        """Unless the carrier asks what is next within ``seconds``, the caller has hung up."""
        self._after("next", seconds, self._not_asked, True)

    def _steady(self) -> None:
        self._connects = 0

    def _drop_stream(self, reason: str) -> None:
        self._cancel("steady")
        stream, self.stream = self.stream, None
        if stream is not None:
            self.recorder.closed(stream)
            self.tell(messages.StreamStopped(reason))
            stream.close(reason)

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
            self._loop.call_soon(self._keep_promise)
            return
        match state:
            case CallState.STREAMING:
                self._drop_stream(self.flow.reason)
                wait = NEXT_SECONDS
            case CallState.HELD:
                wait = 0.0
            case CallState.ELSEWHERE:
                # Only a service that waits for a tool can be told; else nobody there lets go.
                wait = AWAY_SECONDS if it is not None and len(it.tools) else 0.0
            case _:
                # A call whose first answer is still under way asks after its stream, as any other.
                wait = self.rules.stream_seconds
        self._after("next", wait, self._telling.plan)

    def _keep_promise(self) -> None:
        if self.elsewhere is not None and self.elsewhere.promised:
            self.elsewhere.keep(self.next_answer())

    # From the process ------------------------------------------------------------------------

    def frame(self, frame: bytes) -> None:
        """A frame of the call's process: audio for the caller, or a command."""
        self.vigil.heard(self.process)
        try:
            audio = messages.audio_of(frame)
            if audio is not None:
                if self.stream is not None:
                    self.stream.socket.play(audio)
                return
            command = messages.decode_command(frame)
        except messages.MalformedFrameError as error:
            if self.notes.allowance.take():
                self.log.warning("call ended: nonsense on its pipe", error=str(error))
            if self.process is not None:
                self.process.kill()
            return
        self._command(command)

    def _command(self, command: messages.Command) -> None:
        stream = self.stream
        match command:
            case messages.Mark(name):
                if stream is not None:
                    stream.socket.mark(name)
            case messages.Clear():
                if stream is not None:
                    stream.socket.clear()
            case messages.Hear(batch_ms):
                self.inbound.gather(batch_ms)
            case _ if isinstance(command, messages.Request):
                self.requests.take(command)
                self._let_go()
            case messages.Join() | messages.Relay() | messages.ToolReturned():
                self._direct(command)
            case _:
                self.notes.take(command)

    def _direct(self, command: messages.Join | messages.Relay | messages.ToolReturned) -> None:
        """Act on what only the process of a call says whose media goes past the gateway."""
        it = self.elsewhere
        if it is None:
            return
        if isinstance(command, messages.ToolReturned):
            it.tools.returned(command)
        elif it.promised and self.flow.state is CallState.RINGING:
            self._cancel("join")
            if isinstance(command, messages.Join):
                self.flow.machine.move(CallState.ELSEWHERE)
                self.record.state(CallState.ELSEWHERE)
                it.joined(command.stays)
                self._first = Join(command.url, command.name, command.say, command.language)
                it.keep(self._first)
            else:
                self._relay(it)

    def _relay(self, it: Elsewhere) -> None:
        """It is a call like any other from here on."""
        try:
            self._first = Connect(self.token())
        except TokenBookFullError as error:
            self.leave(Plan.APOLOGISE, str(error))
            return
        self.elsewhere = None
        it.came_on_line()  # nobody waits for that any more
        self.await_stream()
        it.keep(self._first)

    def _let_go(self) -> None:
        """A tool that has ended the call returns now: the service is waiting for that."""
        it = self.elsewhere
        if it is not None and len(it.tools) and self.flow.state is CallState.LEAVING:
            self.requests.settle()

    def process_exited(self, report: ExitReport) -> None:
        """The process is gone: if the call is not over, the caller is told and connected."""
        self.exit = report
        self.record.exited(report)
        self.process = None
        self._cancel("kill")
        self.notes.running.set()
        it = self.elsewhere
        if it is not None:
            it.tools.give_up()
        if self.flow.over or self.flow.state is CallState.DIALLED:
            self._gone()
            return
        if it is not None and it.has_joined and report.clean and not it.stays:
            return
        is_known = self.notes.is_explained and report.signal is None
        (self.log.debug if is_known else self.log.error)(
            "call process gone before its call",
            how=str(report),
            cpu_seconds=round(report.cpu_seconds, 2),
            peak_mb=report.peak_bytes >> 20,
            last_words=report.last_words[-2000:],
        )
        if self.holding.is_waiting or (it is not None and it.has_joined):
            return  # the call goes on, without its tools
        if report.clean:
            self.leave(Plan.HANG_UP, "the agent left")
        else:
            self.leave(Plan.APOLOGISE, f"call process {report}")

    # Watching --------------------------------------------------------------------------------

    def watch(self, now: float) -> None:
        """Called about once a second: a process that says nothing is looked into, then ended."""
        if self.process is not None:
            self.vigil.look(self.process, now)

    def await_stream(self) -> None:
        """A stream is to come within its time."""
        self._after("stream", self.rules.stream_seconds, self._stream_never_came)

    def _stream_never_came(self) -> None:
        self.end("no stream came in time")

    def _too_long(self) -> None:
        if not self.leave(Plan.HANG_UP, "maximum duration"):
            # Connected with somebody else: their talk goes on at the carrier, without us.
            self.end("maximum duration")

    # The end ---------------------------------------------------------------------------------

    def end(self, reason: str) -> None:
        """The call is over. Only the first end counts."""
        if not self.flow.machine.move(CallState.ENDED):
            return
        self.flow.reason = reason
        self.ended = time.time()
        self.record.ended(reason, self.flow.plan, self.ended)
        for name in list(self._timers):
            self._cancel(name)
        self._drop_stream(reason)
        self.recorder.finish()
        if self.elsewhere is not None:
            self.elsewhere.over()
            self.elsewhere.keep(self.final)
        self.holding.over()
        self.log.info("call ended", reason=reason, seconds=round(self.ended - self.began, 1))
        self._dismiss(reason)
        if self.process is None:
            self._gone()

    def _stop_recording(self) -> None:
        """The caller goes on to somebody who has not agreed to be recorded."""
        self.recorder.finish()
        self.requests.stop_at_carrier()

    def _dismiss(self, reason: str) -> None:
        """Let the process finish."""
        if self.process is not None:
            self.tell(messages.CallEnded(reason, END_SECONDS))
            self._after("kill", KILL_SECONDS, self.process.kill)

    def _gone(self) -> None:
        if self._left or not (self.flow.over or self.flow.state is CallState.DIALLED):
            return
        self._left = True
        for name in list(self._timers):
            self._cancel(name)
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

    def _after(self, name: str, seconds: float, action: Callable[..., object], *args: Any) -> None:
        self._cancel(name)
        self._timers[name] = self._loop.call_later(seconds, action, *args)

    def _cancel(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()
