"""Keeps what calls tell, as changes of the database's rows. It waits for nothing.

Outcomes, for people and for filters:

    completed         there was a conversation, and it was ended in the ordinary way
    transferred       the caller was connected with a human who answered
    transfer-failed   ... who did not
    abandoned         the caller hung up before the agent could be heard
    no-stream         the carrier opened no media stream
    failed            something broke, and the caller was told so
    rejected          there was no room, or no release that could take it
    busy, no-answer, canceled   the carrier's words for a phone that was not answered
    lost              the gateway died, and nobody came back
"""

import time
from collections.abc import Callable, Collection
from math import inf
from typing import Any

from sqlalchemy import update

from gateway.calls.answers import IncomingCall
from gateway.calls.record import CarrierLine, KeptRecording, Record, Records
from gateway.calls.state import CallState, Plan
from gateway.calls.transcript import Line
from gateway.calls.turns import Trouble, TurnTime
from gateway.farm.process import ExitReport
from gateway.store.gateways import is_left, is_ours
from gateway.store.recording_rows import own_recording
from gateway.store.store import Store, Upsert
from gateway.store.tables import calls
from shared import messages

MOST_STATE_BYTES = 64 << 10
"""Of an agent's state that is kept in the database: a larger one is the agent's own affair."""

MOST_TOOL_TEXT = 4000
"""Letters kept of a tool's arguments and of what it returned."""

_MOST_NUMBER = 64
_UNANSWERED = frozenset({"busy", "no-answer", "canceled", "failed"})
_MEDIA = frozenset({CallState.STREAMING, CallState.ELSEWHERE})


class CallRecord(Record):
    """One call's rows."""

    def __init__(
        self,
        write: Callable[..., None],
        incoming: IncomingCall,
        company: int | None = None,
        first: int = 0,
        gateway: str | None = None,
    ) -> None:
        """``first`` is the number of the first line, and of whatever else is numbered.

        ``gateway`` is the one that has the call.
        """
        self._write, self._incoming = write, incoming
        self._company, self._first, self._gateway = company, first, gateway
        self._sid = incoming.sid[:_MOST_NUMBER]
        self._began = time.time()
        self._had_media = False
        self._status = ""
        self._target = ""

    def begun(self, release: str, direct: bool) -> None:
        """The call was accepted."""
        it, placed = self._incoming, self._incoming.placed
        self._change(
            company_id=self._company if placed is None else placed.company,
            campaign_id=None if placed is None else placed.campaign,
            lead=None if placed is None else placed.lead,
            account_sid=it.account_sid[:_MOST_NUMBER],
            direction=it.direction[:32],
            from_number=it.from_[:_MOST_NUMBER],
            to_number=it.to[:_MOST_NUMBER],
            release=release,
            gateway=self._gateway,
            state=CallState.RINGING.value,
            ended=None,
            outcome=None,
        )
        if it.placed is not None:
            who = it.placed
            self._change(company_id=who.company, campaign_id=who.campaign, lead=who.lead)

    def running(self, agent: str) -> None:
        """Its process runs this agent."""
        self._change(agent=agent)

    def known_as(self, conversation_id: str) -> None:
        """The service that holds the conversation calls it so."""
        self._change(conversation_id=conversation_id[:128])

    def state(self, state: CallState) -> None:
        """It has come to another state."""
        if state in _MEDIA and not self._had_media:
            self._had_media = True
            self._change(state=state.value, answered=time.time())
        else:
            self._change(state=state.value)

    def line(self, number: int, line: Line) -> None:
        """Something was said."""
        self._row(
            "lines",
            number,
            role=line.role,
            text=line.text,
            at_ms=line.at_ms,
            reply_ms=line.reply_ms,
            interrupted=line.interrupted,
        )

    def turn(self, turn: TurnTime) -> None:
        """A turn's times."""
        stages = {str(stage): ms for stage, ms in turn.stages.items()}
        self._row("turns", turn.number, stages=stages, reply_ms=turn.reply_ms, own_ms=turn.own_ms)

    def tool(self, number: int, ran: messages.ToolRan) -> None:
        """The agent has run a tool."""
        self._row(
            "tool_calls",
            number,
            name=ran.name[:200],
            arguments=ran.arguments[:MOST_TOOL_TEXT],
            outcome=ran.outcome[:16],
            text=ran.text[:MOST_TOOL_TEXT],
            seconds=ran.seconds,
            at_ms=ran.at_ms,
        )

    def troubles(self, troubles: tuple[Trouble, ...]) -> None:
        """Providers were lost."""
        self._change(
            troubles=[
                {"provider": t.provider, "sentence": t.sentence, "fallback": t.fallback, "at": t.at}
                for t in troubles
            ]
        )

    def agent_state(self, state: Any, size: int) -> None:
        """The agent's state at a checkpoint."""
        if size <= MOST_STATE_BYTES:
            self._change(agent_state=state)

    def event(self, event: messages.Event) -> None:
        """The carrier has told something."""
        if isinstance(event, messages.CallStatus):
            self._status = event.status
        self._write(*_told(self._incoming.sid, event))

    def recording(self, it: KeptRecording) -> None:
        """Our own recording has begun, or is over."""
        self._write(own_recording(self._sid, it, time.time(), self._gateway))

    def dialled(self, target: str, reason: str) -> None:
        """The caller is being connected with somebody."""
        self._target = target
        self._change(
            state=CallState.DIALLED.value,
            transferred_to=target[:_MOST_NUMBER],
            outcome="transferred",
            reason=reason,
            ended=time.time(),
        )

    def ended(self, reason: str, plan: Plan, at: float) -> None:
        """The call is over."""
        outcome = self._outcome(reason, plan)
        self._change(state=CallState.ENDED.value, reason=reason, outcome=outcome, ended=at)

    def exited(self, report: ExitReport) -> None:
        """Its process is gone."""
        self._change(exit=str(report), cpu_seconds=round(report.cpu_seconds, 4))

    def rejected(self, reason: str, at: float) -> None:
        """No process took it."""
        self._change(state=CallState.ENDED.value, reason=reason, outcome="rejected", ended=at)

    def _outcome(self, reason: str, plan: Plan) -> str:
        if self._target:
            return "transfer-failed" if reason == "transfer not answered" else "transferred"
        if not self._had_media:
            if self._status in _UNANSWERED:
                return self._status
            if plan is Plan.APOLOGISE:
                return "failed"
            return "no-stream" if "stream" in reason else "abandoned"
        return "failed" if plan is Plan.APOLOGISE or self._status == "failed" else "completed"

    def _change(self, **values: Any) -> None:
        self._write(Upsert("calls", {"sid": self._sid, "began": self._began, **values}))

    def _row(self, table: str, number: int, **values: Any) -> None:
        key = {"call_sid": self._sid, "number": self._first + number}
        self._write(Upsert(table, {**key, **values}))


class StoreRecords(Records):
    """Keeps all calls' records in a store. ``company_of`` an account and a number of ours."""

    def __init__(
        self, store: Store, company_of: Callable[[str, str], int | None] = lambda *_: None
    ) -> None:
        self._store, self._company_of = store, company_of

    def of(self, incoming: IncomingCall, known: bool) -> Record:
        """Return the record of a call.

        What is said after the gateway's death counts on from the second in which it went on, so
        that it comes behind what was said before.
        """
        return self._record(incoming, int(time.time()) if known else 0)

    def refused(self, incoming: IncomingCall, reason: str) -> None:
        """No process took this call."""
        now = time.time()
        record = self._record(incoming, 0)
        record.begun("", direct=False)
        record.rejected(reason, now)

    def _record(self, it: IncomingCall, first: int) -> CallRecord:
        ours = it.to if it.direction == "inbound" else it.from_
        company = self._company_of(it.account_sid, ours)
        return CallRecord(self._store.write, it, company, first, self._store.gateway)

    def event(self, sid: str, event: messages.Event) -> None:
        """The carrier tells of a call that is not in progress, if it ever was."""
        self._store.write(*_told(sid, event))

    def carrier_line(self, sid: str, line: CarrierLine) -> None:
        """The carrier's own transcription of a call has heard something, for good."""
        values = {
            "id": line.id[:128],
            "call_sid": sid[:_MOST_NUMBER],
            "track": line.track[:16],
            "text": line.text,
            "confidence": line.confidence,
            "at": time.time(),
        }
        self._store.write(Upsert("carrier_lines", values))

    def dial_ended(self, sid: str, answered: bool) -> None:
        """The human's leg of a call whose process is gone is over."""
        values = {
            "sid": sid[:64],
            "state": CallState.ENDED.value,
            "ended": time.time(),
            "outcome": "transferred" if answered else "transfer-failed",
            "reason": "transferred" if answered else "transfer not answered",
        }
        self._store.write(Upsert("calls", values))


def _told(sid: str, event: messages.Event) -> tuple[Upsert, ...]:
    """Return what an event of the carrier's changes. A call that is not known stays so."""
    sid = sid[:_MOST_NUMBER]
    match event:
        case messages.AnsweredBy(verdict):
            return (Upsert("calls", {"sid": sid, "answered_by": verdict[:32]}),)
        case messages.CallStatus(status):
            return (Upsert("calls", {"sid": sid, "status": status[:16]}),)
        case messages.RecordingChanged(recording_sid, status, url):
            values = {
                "id": recording_sid[:_MOST_NUMBER],
                "call_sid": sid,
                "kind": "carrier",
                "status": status[:16],
                "created": time.time(),
            }
            return (Upsert("recordings", {**values, "url": url} if url else values),)
    return ()


async def mark_lost(
    store: Store, before: float, live: Collection[str] = (), longest: float = inf
) -> int:
    """End the calls that nobody ended and nobody has any more; return how many.

    Those are this gateway's that began ``before`` and are not ``live``, and those of a gateway that
    is gone if they would have lasted more than ``longest`` seconds: until then their callers may
    come back, to either. Raises ``StoreError``.
    """
    c, now = calls.c, time.time()
    values = {"state": CallState.ENDED.value, "outcome": "lost", "reason": "the gateway died"}
    open_ = update(calls).where(c.ended.is_(None), c.sid.not_in(live))
    ours = open_.where(is_ours(c.gateway, store), c.began < before)
    left = open_.where(is_left(c.gateway, store, now), c.began < now - longest)
    return await store.commit(ours.values(ended=before, **values)) + await store.commit(
        # Who ends it tells its end.
        left.values(ended=now, gateway=store.gateway, **values)
    )
