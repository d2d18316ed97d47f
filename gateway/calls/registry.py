"""All calls of one gateway: admission, look-up, watching, and what is remembered of the past.

Admission is a plain limit on calls and a release that can take one. Nothing is measured about the
machine: a call that is accepted gets a process, and one that is not is told so.
"""

import asyncio
import dataclasses
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import structlog

from gateway.calls.answers import Answer, Apologise, Busy, HangUp, IncomingCall
from gateway.calls.call import Call, CallRules
from gateway.calls.measurements import Measurements
from gateway.calls.state import CallState, Plan
from gateway.calls.transcript import Line
from gateway.calls.turns import Trouble, TurnTime, weight
from gateway.carriers.tokens import TokenBook, TokenBookFullError
from gateway.farm.farm import Farm, NotReadyError

log = structlog.get_logger(__name__)

MOST_REMEMBERED = 500
"""Ended calls that are kept in memory, the newest."""

MOST_REMEMBERED_BYTES = 64 << 20
"""What their transcripts and states may take together, whatever agents put into them."""

MOST_PAUSE_SECONDS = 2.0
"""A look that comes later than this is the gateway's own pause, and no call's silence."""

WATCH_SECONDS = 1.0
MEMORY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class CallView:
    """What is told of a call outside. Times in Unix seconds; ``cpu_seconds`` after its end.

    ``saying`` is what the agent said last or says now, its ``sayings``-th utterance.
    """

    sid: str
    state: str
    from_: str
    to: str
    direction: str
    release: str
    agent: str
    pid: int | None
    began: float
    ended: float
    reason: str
    exit: str
    cpu_seconds: float
    agent_state: Any
    state_bytes: int
    saying: str
    sayings: int
    lines: tuple[Line, ...]
    turns: tuple[TurnTime, ...]
    troubles: tuple[Trouble, ...]


def view(call: Call) -> CallView:
    """Return the picture of ``call`` now."""
    it = call.incoming
    return CallView(
        sid=it.sid,
        state=call.flow.state.value,
        from_=it.from_,
        to=it.to,
        direction=it.direction,
        release=call.release,
        agent=call.agent,
        pid=call.process.pid if call.process is not None else None,
        began=call.began,
        ended=call.ended,
        reason=call.flow.reason,
        exit=str(call.exit) if call.exit is not None else "",
        cpu_seconds=call.exit.cpu_seconds if call.exit is not None else 0.0,
        agent_state=call.agent_state,
        state_bytes=call.state_bytes,
        saying=call.saying,
        sayings=call.sayings,
        lines=tuple(call.lines),
        turns=call.turn_log.turns,
        troubles=call.turn_log.troubles,
    )


def _weight(it: CallView) -> int:
    """Return about how many bytes ``it`` takes: letters, turns, and the state, unpacked."""
    letters = len(it.saying) + sum(len(line.text) for line in it.lines)
    told = 200 * (10 + len(it.lines)) + 4 * letters + weight(it.turns, it.troubles)
    return told + 10 * it.state_bytes


class Calls:
    """The calls in progress and those remembered."""

    def __init__(self, farm: Farm, rules: CallRules, most_calls: int, call_memory: int = 0) -> None:
        self._farm, self._rules = farm, rules
        self._most, self._memory = most_calls, call_memory
        self._live: dict[str, Call] = {}
        self._past: OrderedDict[str, tuple[CallView, Answer]] = OrderedDict()
        self._past_bytes = 0
        self._empty = asyncio.Event()
        self._empty.set()
        self.tokens = TokenBook(time.monotonic, lifetime_s=2 * rules.stream_seconds)
        self.measurements = Measurements()
        self.draining = False
        self.accepted = self.refused = 0

    # Admission -------------------------------------------------------------------------------

    def incoming(self, incoming: IncomingCall) -> Answer:
        """Answer the voice webhook. A second one for the same call makes no second call."""
        known = self._live.get(incoming.sid)
        if known is not None:
            return known.first_answer()
        past = self._past.get(incoming.sid)
        if past is not None:
            return past[1]
        fallback = self._rules.fallback
        if self.draining or len(self._live) >= self._most:
            why = "draining" if self.draining else f"{len(self._live)} calls are the most"
            self.refused += 1
            log.warning("call refused", call_sid=incoming.sid, reason=why)
            return Busy(fallback)
        call = Call(
            incoming, self._rules, lambda: self._issue(incoming), self._over, self.measurements
        )
        try:
            answer = call.first_answer()
            process, release = self._farm.start_process(
                incoming.sid, call.frame, call.process_exited
            )
        except (NotReadyError, TokenBookFullError, OSError) as error:
            self.tokens.revoke(incoming.sid)
            self.refused += 1
            log.error("call refused", call_sid=incoming.sid, reason=str(error))  # noqa: TRY400
            return Apologise(fallback)
        self._live[incoming.sid] = call
        self._empty.clear()
        self.accepted += 1
        call.begin(process, release)
        return answer if call.process is not None else call.next_answer()

    def next(self, incoming: IncomingCall, dial_answered: bool | None) -> Answer:
        """Answer how a call goes on; ``dial_answered`` when a human's leg has just ended.

        A call that is not known, since its gateway died, is taken up afresh.
        """
        call = self._live.get(incoming.sid)
        if call is None:
            past = self._past.get(incoming.sid)
            if dial_answered is not None:
                answer = HangUp() if dial_answered else Apologise(None)
                if past is not None:
                    how = "transferred" if dial_answered else "transfer not answered"
                    self._past[incoming.sid] = dataclasses.replace(past[0], reason=how), answer
                return answer
            if past is not None:
                return past[1]
            log.warning("a call of another life is taken up", call_sid=incoming.sid)
            return self.incoming(incoming)
        if dial_answered is not None:
            return call.dial_ended(dial_answered)
        return call.next_answer()

    def _issue(self, incoming: IncomingCall) -> str:
        return self.tokens.issue(incoming.sid, incoming.account_sid)

    def _over(self, call: Call) -> None:
        if self._live.pop(call.sid, None) is None:
            return
        self.tokens.revoke(call.sid)
        self._past[call.sid] = view(call), call.final
        self._past_bytes += _weight(self._past[call.sid][0])
        while len(self._past) > MOST_REMEMBERED or self._past_bytes > MOST_REMEMBERED_BYTES:
            _, (oldest, _) = self._past.popitem(last=False)
            self._past_bytes -= _weight(oldest)
        if not self._live:
            self._empty.set()

    # What is there ---------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._live)

    def get(self, sid: str) -> Call | None:
        """Return a call in progress."""
        return self._live.get(sid)

    def find(self, sid: str) -> CallView | None:
        """Return the picture of a call, in progress or remembered."""
        call = self._live.get(sid)
        if call is not None:
            return view(call)
        return self._past[sid][0] if sid in self._past else None

    def views(self) -> list[CallView]:
        """Return all calls in progress, then those remembered, the newest first."""
        past = [known for known, _ in reversed(self._past.values())]
        return [view(call) for call in self._live.values()] + past

    @property
    def streaming(self) -> int:
        """How many calls have an open stream."""
        return sum(c.flow.state is CallState.STREAMING for c in self._live.values())

    # Watching --------------------------------------------------------------------------------

    async def watch(self) -> None:
        """Look after processes that hang or grow, until cancelled."""
        loop = asyncio.get_running_loop()
        weighed = loop.time()
        while True:
            before = loop.time()
            await asyncio.sleep(WATCH_SECONDS)
            paused = loop.time() - before - WATCH_SECONDS
            for call in list(self._live.values()):
                if paused > MOST_PAUSE_SECONDS:
                    # Stopped, or starved: what the calls said meanwhile is not read yet.
                    call.heard_at += paused
                call.watch(loop.time())
            self._farm.end_strays()
            if self._memory and loop.time() - weighed >= MEMORY_SECONDS:
                await self._weigh()
                weighed = loop.time()

    async def _weigh(self) -> None:
        for call in list(self._live.values()):
            process = call.process
            if process is None or process.pid is None:
                continue
            try:
                if process.resident_bytes() <= self._memory:
                    continue  # what is its own is a part of that
                size = await asyncio.to_thread(process.private_bytes)
            except OSError:
                continue
            if size > self._memory:
                call.log.error(
                    "call process killed: over its memory (CALL_MEMORY_MB)",
                    private_mb=size >> 20,
                    limit_mb=self._memory >> 20,
                )
                process.kill()

    # The end ---------------------------------------------------------------------------------

    async def drain(self, seconds: float) -> None:
        """Take no new calls, and return when the last one ended or ``seconds`` have passed."""
        self.draining = True
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            log.warning("calls outlive the drain and are hung up", calls=len(self._live))

    async def hang_up_all(self, reason: str, seconds: float) -> None:
        """Hang every call up, and return when they are over or ``seconds`` have passed."""
        self.draining = True
        for call in list(self._live.values()):
            call.leave(Plan.HANG_UP, reason)
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            for call in list(self._live.values()):
                call.end(reason)
