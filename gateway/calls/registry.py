"""All calls of one gateway: admission, look-up, watching, and what is remembered of the past.

Admission is a plain limit on calls and a release that can take one. Nothing is measured about the
machine: a call that is accepted gets a process, and one that is not is told so.
"""

import asyncio
import dataclasses
import time
from collections import OrderedDict
from collections.abc import Callable

import structlog

from gateway.calls.answers import (
    Answer,
    Apologise,
    Asked,
    Busy,
    HangUp,
    Hold,
    IncomingCall,
    Unanswered,
)
from gateway.calls.call import Call
from gateway.calls.first_message import FirstMessages
from gateway.calls.holding import NoTransfers, Transfers
from gateway.calls.measurements import Measurements
from gateway.calls.record import CarrierLine, Record, Records
from gateway.calls.rules import CallRules
from gateway.calls.state import CallState, Plan
from gateway.calls.tool_calls import ToolTokens
from gateway.calls.view import CallView, view, weight_of
from gateway.carriers.tokens import TokenBook, TokenBookFullError
from gateway.farm.farm import Farm, NotReadyError
from gateway.recording.recorder import Recorder
from shared import messages

log = structlog.get_logger(__name__)

MOST_REMEMBERED = 500
"""Ended calls that are kept in memory, the newest."""

MOST_REMEMBERED_BYTES = 64 << 20
"""What their transcripts and states may take together, whatever agents put into them."""

MOST_PAUSE_SECONDS = 2.0
"""A look that comes later than this is the gateway's own pause, and no call's silence."""

TOOLS_PATH = "/ultravox/tools/"
"""Where a service calls tools: a call's token and the tool's name follow."""

WATCH_SECONDS = 1.0
MEMORY_SECONDS = 5.0


class Calls:
    """The calls in progress and those remembered."""

    def __init__(
        self,
        farm: Farm,
        rules: CallRules,
        most_calls: int,
        call_memory: int = 0,
        records: Records | None = None,
        first_messages: FirstMessages | None = None,
        recorder: Callable[[str, Record], Recorder] | None = None,
    ) -> None:
        self._farm, self._rules, self._records = farm, rules, records or Records()
        self.rules_of: Callable[[IncomingCall], CallRules] = lambda incoming: rules
        self._most, self._memory = most_calls, call_memory
        self._first_messages = first_messages or FirstMessages()
        self._recorder = recorder
        self._live: dict[str, Call] = {}
        self._past: OrderedDict[str, tuple[CallView, Answer]] = OrderedDict()
        self._past_bytes = 0
        self._empty = asyncio.Event()
        self._empty.set()
        self.tokens = TokenBook(time.monotonic, lifetime_s=2 * rules.stream_seconds)
        self.tool_tokens = ToolTokens()
        self.measurements = Measurements()
        self.transfers: Transfers = NoTransfers()
        """Who calls humans for callers that are to be transferred."""
        self.draining = False
        self.recording_told: Callable[[], None] = lambda: None
        """Told that the carrier has told something of a recording."""
        self.over: Callable[[Call], None] = lambda call: call.record.whole()
        """Told that a call is over and its process gone."""
        self.accepted = self.refused = 0

    # Admission -------------------------------------------------------------------------------

    def incoming(self, incoming: IncomingCall, known_elsewhere: bool = False) -> Asked:
        """Answer the voice webhook. A second one for the same call makes no second call.

        ``known_elsewhere``: it began in another gateway's life.
        """
        known = self._live.get(incoming.sid)
        if known is not None:
            return known.answering.first()
        past = self._past.get(incoming.sid)
        if past is not None:
            return past[1]
        if self.draining or len(self._live) >= self._most:
            why = "draining" if self.draining else f"{len(self._live)} calls are the most"
            self.refused += 1
            log.warning("call refused", call_sid=incoming.sid, reason=why)
            self._records.refused(incoming, why)
            return Busy(self._rules.fallback)
        record = self._records.of(incoming, known_elsewhere)
        call = self._new(incoming, record)
        try:
            answer = call.answering.first()
            process, release = self._farm.start_process(
                incoming.sid, call.frame, call.process_exited
            )
        except (NotReadyError, TokenBookFullError, OSError) as error:
            self.tokens.revoke(incoming.sid)
            self.tool_tokens.revoke(call)
            self.refused += 1
            log.error("call refused", call_sid=incoming.sid, reason=str(error))  # noqa: TRY400
            self._records.refused(incoming, str(error))
            return Apologise(self._rules.fallback)
        self._live[incoming.sid] = call
        self._empty.clear()
        self.accepted += 1
        call.begin(process, release, self._first_messages.ask(incoming))
        return answer if call.process is not None else call.answering.next()

    def _new(self, incoming: IncomingCall, record: Record) -> Call:
        rules, over, measurements = self.rules_of(incoming), self._over, self.measurements
        agent = incoming.placed.agent if incoming.placed is not None else ""
        is_direct = self._farm.is_direct(incoming.own_number, agent)
        token = self.tool_tokens.new() if is_direct else ""
        url = incoming.leg.url(TOOLS_PATH + token) if is_direct else None
        recorder = self._recorder(incoming.sid, record) if self._recorder is not None else None
        parts = (measurements, url, record, recorder)
        call = Call(incoming, rules, lambda: self._issue(incoming), over, *parts)
        call.holding.transfers = self.transfers
        if is_direct:
            self.tool_tokens.add(token, call)
        return call

    def next(self, incoming: IncomingCall, dial_answered: bool | None) -> Asked:
        """Answer how a call goes on; ``dial_answered`` when a human's leg has just ended.

        A call that is not known, since its gateway died, is taken up afresh.
        """
        call = self._live.get(incoming.sid)
        if call is None:
            past = self._past.get(incoming.sid)
            if dial_answered is not None:
                answer = HangUp() if dial_answered else Unanswered()
                self._records.dial_ended(incoming.sid, dial_answered)
                if past is not None:
                    how = "transferred" if dial_answered else "transfer not answered"
                    self._past[incoming.sid] = dataclasses.replace(past[0], reason=how), answer
                return answer
            if past is not None:
                return past[1]
            log.warning("a call of another life is taken up", call_sid=incoming.sid)
            return self.incoming(incoming, known_elsewhere=True)
        if dial_answered is None:
            return call.answering.asked()
        return call.answering.dial_ended(dial_answered)

    def is_handed_over(self, sid: str) -> bool:
        """Whether a caller waits, or talks, in a room with a human who has taken the call."""
        call = self._live.get(sid)
        if call is not None:
            return call.flow.state is CallState.DIALLED and isinstance(call.answering.final, Hold)
        return sid in self._past and isinstance(self._past[sid][1], Hold)

    def _issue(self, incoming: IncomingCall) -> str:
        return self.tokens.issue(incoming.sid, incoming.account_sid)

    def _over(self, call: Call) -> None:
        if self._live.pop(call.sid, None) is None:
            return
        self.tokens.revoke(call.sid)
        self.tool_tokens.revoke(call)
        self.over(call)
        self._past[call.sid] = view(call), call.answering.final
        self._past_bytes += weight_of(self._past[call.sid][0])
        while len(self._past) > MOST_REMEMBERED or self._past_bytes > MOST_REMEMBERED_BYTES:
            _, (oldest, _) = self._past.popitem(last=False)
            self._past_bytes -= weight_of(oldest)
        if not self._live:
            self._empty.set()

    def late(self, sid: str, event: messages.Event) -> None:
        """Take what the carrier tells of a call that is over, or of none."""
        self._records.event(sid, event)

    def transcribed(self, sid: str, line: CarrierLine) -> None:
        """Take what the carrier's own transcription of a call has heard, for good."""
        self._records.carrier_line(sid, line)

    # What is there ---------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._live)

    def live(self) -> list[str]:
        """Return the sids of the calls in progress."""
        return list(self._live)

    def get(self, sid: str) -> Call | None:
        """Return a call in progress."""
        return self._live.get(sid)

    def find(self, sid: str) -> CallView | None:
        """Return the picture of a call, in progress or remembered."""
        call = self._live.get(sid)
        if call is not None:
            return view(call)
        return self._past[sid][0] if sid in self._past else None

    def unserved(self, sid: str) -> str | None:
        """Return why an answered call could not be served, ``None`` if it was or is not known."""
        call = self._live.get(sid)
        if call is not None:
            return call.flow.reason if call.flow.plan is Plan.APOLOGISE else None
        known, answer = self._past.get(sid, (None, None))
        return known.reason if known is not None and isinstance(answer, Apologise) else None

    def by_conversation(self, conversation_id: str) -> Call | None:
        """Return the call in progress that its service calls so."""
        found = (c for c in self._live.values() if c.notes.conversation_id == conversation_id)
        return next(found, None) if conversation_id else None

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
                    call.vigil.heard_at += paused
                call.vigil.look(loop.time())
            self._farm.end_strays()
            if self._memory and loop.time() - weighed >= MEMORY_SECONDS:
                await self._weigh()
                weighed = loop.time()

    async def _weigh(self) -> None:
        for call in list(self._live.values()):
            await call.vigil.weigh(self._memory)

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
