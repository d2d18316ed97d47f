"""One call: joins its media socket, its process and its carrier, and survives each of them.

The call decides by its `Flow`; here is what it does about it. Nothing here waits: requests to the
carrier run as tasks, deadlines are timers, and the audio path is one method call each way.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

import msgpack
import structlog

from gateway.allowance import LineAllowance
from gateway.calls.answers import Answer, Apologise, CallLeg, Connect, Dial, HangUp, IncomingCall
from gateway.calls.inbound import Inbound
from gateway.calls.measurements import Measurements
from gateway.calls.requests import Requests
from gateway.calls.state import CallState, Flow, Plan
from gateway.calls.stream import CallStream
from gateway.calls.transcript import MOST_LETTERS, MOST_LINES, Line
from gateway.calls.turns import TurnLog
from gateway.carriers.control import CallGoneError, CarrierError
from gateway.farm.process import CallProcess, ExitReport
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

MOST_FRAMES = 5000
"""Frames of one process between two looks at it, a second apart; the others wait in its pipe."""

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


class Call:
    """A call from its webhook to its last callback."""

    def __init__(
        self,
        incoming: IncomingCall,
        rules: CallRules,
        token: Callable[[], str],
        on_over: Callable[["Call"], None],
        measurements: Measurements | None = None,
    ) -> None:
        self.incoming, self.rules = incoming, rules
        self.flow = Flow.new()
        self.process: CallProcess | None = None
        self.inbound = Inbound()
        self.stream: CallStream | None = None
        self.release = self.agent = ""
        self.began, self.ended = time.time(), 0.0
        self.lines: deque[Line] = deque(maxlen=MOST_LINES)
        self.turn_log = TurnLog()
        self.agent_state: Any = {}
        self.state_bytes = 0
        self.saying, self.sayings = "", 0
        self.exit: ExitReport | None = None
        self.heard_at = 0.0
        self.running = asyncio.Event()
        self.log = log.bind(call_sid=incoming.sid)
        self._token, self._on_over = token, on_over
        self._measurements = measurements if measurements is not None else Measurements()
        self._first: Connect | None = None
        self._loop = asyncio.get_running_loop()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._requests = Requests(self)
        self._dumped = self._heard = self._lossy = False
        self._frames = 0
        self._allowance = LineAllowance(self._loop.time)
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
    def plan(self) -> Plan:
        """What the carrier is told next."""
        return self.flow.plan

    # From the carrier's webhooks -------------------------------------------------------------

    def begin(self, process: CallProcess, release: str) -> None:
        """The process is being forked: tell it which call this is, and wait for the stream."""
        # A template that died a moment ago has taken the order with it.
        self.process, self.release = None if process.exited.done() else process, release
        self.inbound.connect(process.pipe)
        self.heard_at = self._loop.time()
        it = self.incoming
        self.tell(messages.Hello(messages.VERSION))
        self.tell(
            messages.Metadata(
                it.sid, it.account_sid, it.from_, it.to, it.direction, release, it.parameters
            )
        )
        self._after("stream", self.rules.stream_seconds, self._stream_never_came)
        self._after("most", self.rules.most_seconds, self._too_long)
        self.log.info("call accepted", release=release, direction=it.direction)

    def first_answer(self) -> Answer:
        """Answer the voice webhook: the same each time until the stream opens."""
        if self.flow.state is not CallState.RINGING:
            return self.next_answer()
        if self._first is None:
            self._first = Connect(self._token())
        return self._first

    def next_answer(self) -> Answer:
        """The carrier asks how the call goes on: decide, once and for all where it is final.

        A carrier whose network fails asks again, and is given the same answer.
        """
        if self.flow.over:
            return self.final
        if self.flow.state is CallState.DIALLED:
            return Dial(self.flow.target)
        self._cancel("next")
        self._drop_stream("the carrier went on")
        flow = self.flow
        if self._connects >= MOST_CONNECTS:
            flow.intend(Plan.APOLOGISE, "no stream could be opened")
        match flow.plan:
            case Plan.RECONNECT | Plan.DIGITS:
                flow.machine.move(CallState.GAP)
                digits = flow.target if flow.plan is Plan.DIGITS else None
                flow.resume()
                self._connects += digits is None
                self._after("stream", self.rules.stream_seconds, self._stream_never_came)
                return Connect(self._token(), digits)
            case Plan.DIAL if flow.machine.move(CallState.DIALLED):
                # From here on the call is the carrier's; a later question has an answer ready.
                self.final, self.ended = Dial(flow.target), time.time()
                self._requests.settle()
                self._dismiss(flow.reason)
                if self.process is None:
                    self._loop.call_soon(self._gone)
                return Dial(flow.target)
            case Plan.APOLOGISE:
                self.final = Apologise(self.rules.fallback)
        self._requests.settle()
        self.end(flow.reason or "hung up")
        return self.final

    def dial_ended(self, answered: bool) -> Answer:
        """The human's leg is over: a caller nobody answered is told so."""
        if not self.flow.over:
            self.final = HangUp() if answered else Apologise(None)
        self.end("transferred" if answered else "transfer not answered")
        return self.final

    def status(self, status: str, final: bool) -> None:
        """The carrier reported the call's status."""
        self.tell(messages.CallStatus(status))
        if final:
            self.end(status)

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
        self._after("steady", STEADY_SECONDS, self._steady)
        self.tell(messages.StreamStarted(sid, parameters))
        if self.flow.plan is Plan.RECONNECT:
            self._requests.settle()
        else:
            self._leave()

    def stream_ended(self, stream: CallStream, said_stop: bool, reason: str) -> None:
        """A stream is gone. Unless the carrier asks how to go on, the call is over, too."""
        if self.stream is not stream:
            return
        self.stream = None
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
            self._after("stream", self.rules.stream_seconds, self._stream_never_came)
            self.run(self._reconnect())

    async def _reconnect(self) -> None:
        await self._enforce(Connect(self._token()))

    def _steady(self) -> None:
        self._connects = 0

    def _drop_stream(self, reason: str) -> None:
        self._cancel("steady")
        stream, self.stream = self.stream, None
        if stream is not None:
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
        streaming = self.flow.state is CallState.STREAMING
        if not self.flow.machine.move(CallState.LEAVING):
            return
        if streaming:
            self._drop_stream(self.flow.reason)
        # A call whose first answer is still under way asks after its stream, as any other.
        wait = NEXT_SECONDS if streaming else self.rules.stream_seconds
        self._after("next", wait, self._enforce_plan)

    def _enforce_plan(self) -> None:
        """The carrier did not ask: tell it."""
        if self.leg.reachable:
            self.run(self._enforce_next())
            return
        if self.flow.plan is Plan.HANG_UP:
            self._requests.settle()
        else:
            sentence = "the carrier did not ask and cannot be told: its credentials are not set"
            self._requests.fail("carrier", sentence)
        self.end(self.flow.reason)

    async def _enforce_next(self) -> None:
        """Tell the carrier first, then take the step: nobody hears of what did not happen."""
        foreseen: dict[Plan, Answer] = {
            Plan.HANG_UP: HangUp(),
            Plan.DIAL: Dial(self.flow.target),
            Plan.APOLOGISE: Apologise(self.rules.fallback),
        }
        plan = self.flow.plan
        answer = foreseen.get(plan) or self.next_answer()
        if not await self._enforce(answer):
            return
        if self.flow.plan is plan:
            self.next_answer()
        else:  # something stronger was decided meanwhile
            self._enforce_plan()

    async def _enforce(self, answer: Answer) -> bool:
        try:
            await self.leg.enforce(answer)
        except CallGoneError:
            if self.flow.plan is Plan.HANG_UP:
                self._requests.settle()
            else:
                self._requests.fail("gone", "the caller hung up before it could be done")
            self.end("the caller hung up")
        except CarrierError as error:
            self.log.warning("the carrier was not told", answer=str(answer), error=str(error))
            self._requests.fail("carrier", str(error))
            self.end("the carrier could not be told")
        else:
            return not isinstance(answer, Connect)
        return False

    # From the process ------------------------------------------------------------------------

    def frame(self, frame: bytes) -> None:
        """A frame of the call's process: audio for the caller, or a command."""
        self._heard = True
        self._frames += 1
        if self._frames == MOST_FRAMES and self.process is not None:
            self.log.warning("call process says too much: it is heard with pauses")
            self.process.pipe.pause_reading()
        try:
            audio = messages.audio_of(frame)
            if audio is not None:
                if self.stream is not None:
                    self.stream.socket.play(audio)
                return
            command = messages.decode_command(frame)
        except messages.MalformedFrameError as error:
            if self._allowance.take():
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
                self._requests.take(command)
            case _:
                self._note(command)

    def _note(self, command: messages.Command) -> None:
        """Keep what the process tells of itself."""
        match command:
            case messages.Running(agent):
                self.agent = agent
                self.running.set()
            case messages.Said(role, text, at_ms, reply_ms, interrupted):
                line = Line(role, text[:MOST_LETTERS], at_ms, reply_ms, interrupted)
                self.lines.append(line)
            case messages.Speaking(text):
                self.saying, self.sayings = text[:MOST_LETTERS], self.sayings + 1
            case messages.Metric(name, value):
                self._measurements.take(name, value)
            case messages.TurnTimed(number, stages):
                turn = self.turn_log.timed(number, stages)
                if turn is not None:
                    self._measurements.turn(turn)
            case messages.ProviderTrouble(provider, sentence, fallback):
                self._trouble(provider, sentence, fallback)
            case messages.Checkpoint(state):
                self._checkpoint(state)
            case messages.Log(level, event, fields):
                self._log(level, event, fields)
            case messages.Finished(problem) if problem:
                self.log.warning("the agent failed", problem=problem)

    def _checkpoint(self, state: bytes) -> None:
        try:
            self.agent_state = msgpack.unpackb(state, strict_map_key=False)
            self.state_bytes = len(state)
        except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
            self.log.warning("checkpoint ignored", error=str(error))

    def _trouble(self, provider: str, sentence: str, fallback: str | None) -> None:
        trouble = self.turn_log.trouble(provider, sentence, fallback, time.time())
        self._measurements.trouble(trouble)
        if self._allowance.take():
            self.log.warning(
                "provider given up",
                provider=trouble.provider,
                problem=trouble.sentence,
                fallback=trouble.fallback or "none",
            )

    def _log(self, level: str, event: str, fields: dict[str, Any]) -> None:
        left_out = self._allowance.left_out
        if not self._allowance.take():
            return
        if left_out:
            self._allowance.left_out = 0
            self.log.warning("agent's log lines left out: too many", lines=left_out)
        named = {f"agent_{name}": value for name, value in fields.items()}
        emit = getattr(
            self.log, level if level in {"debug", "info", "warning", "error"} else "info"
        )
        emit("agent: " + event, **named)

    def process_exited(self, report: ExitReport) -> None:
        """The process is gone: if the call is not over, the caller is told and connected."""
        self.exit = report
        self.process = None
        self._cancel("kill")
        self.running.set()
        if self.flow.over or self.flow.state is CallState.DIALLED:
            self._gone()
            return
        self.log.error(
            "call process gone before its call",
            how=str(report),
            cpu_seconds=round(report.cpu_seconds, 2),
            peak_mb=report.peak_bytes >> 20,
            last_words=report.last_words[-2000:],
        )
        if report.clean:
            self.leave(Plan.HANG_UP, "the agent left")
        else:
            self.leave(Plan.APOLOGISE, f"call process {report}")

    # Watching --------------------------------------------------------------------------------

    def watch(self, now: float) -> None:
        """Called about once a second: a process that says nothing is looked into, then ended."""
        process = self.process
        if process is None:
            return
        self._watch_pipe(process)
        if self._heard or process.pid is None:
            self._heard, self.heard_at = False, now
        silent = now - self.heard_at
        if silent < self.rules.hang_seconds / 3:
            self._dumped = False
        elif silent >= self.rules.hang_seconds:
            self.log.error("call process hangs: killed", silent_seconds=round(silent, 1))
            process.kill()
        elif not self._dumped:
            self._dumped = True
            self.log.warning("call process is silent: its stacks follow", process=process.title)
            process.dump_stacks()

    def _watch_pipe(self, process: CallProcess) -> None:
        if self._frames >= MOST_FRAMES:
            process.pipe.resume_reading()
        self._frames = 0
        if not self._lossy and process.pipe.statistics().dropped:
            self._lossy = True
            self.log.warning("call process does not read: it loses the caller's oldest audio")

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
        for name in list(self._timers):
            self._cancel(name)
        self._drop_stream(reason)
        self.log.info("call ended", reason=reason, seconds=round(self.ended - self.began, 1))
        self._dismiss(reason)
        if self.process is None:
            self._gone()

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
