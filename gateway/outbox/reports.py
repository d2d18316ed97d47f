"""What a call tells of itself, as events: that it began, how it ended, to whom it was passed on.

It keeps the call's record, as everybody's, and listens in: what is written down is what is told.

    begun ──> call.started      ended and its process gone ──> call.ended
                                dialled, and the human's leg over ──> call.transferred

`call.ended` is held in the database from the call's end on, so that neither a process that takes
its time nor a gateway that dies loses it.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gateway.calls.answers import IncomingCall
from gateway.calls.state import Plan
from gateway.farm.process import ExitReport
from gateway.outbox.event import Event
from gateway.outbox.outbox import Outbox
from gateway.store.call_rows import WholeCall
from gateway.store.recorder import CallRecord, StoreRecords
from gateway.store.store import Store, Upsert

MOST_LINES = 2000
MOST_TURNS = 1000
MOST_TOOLS = 200
"""Of one call that are told of, the last ones."""

GONE_SECONDS = 20.0
"""A process that outlives its call by this is waited for no longer."""

RECORDING_PATH = "/api/calls/{sid}/recording"


MOST_PASSED = 1000
"""Calls that were passed on, and of whose end we have not heard."""


@dataclass(frozen=True, slots=True)
class Passed:
    """A call that was passed on ``to`` somebody."""

    call: Mapping[str, Any]
    to: str | None
    company: int | None


class ReportedRecord(CallRecord):
    """One call's record, told of as it is written."""

    def __init__(
        self,
        store: Store,
        incoming: IncomingCall,
        company: int | None,
        first: int,
        outbox: Outbox,
        pass_on: Callable[[str, Passed], None],
    ) -> None:
        super().__init__(self._written, incoming, company, first)
        placed = incoming.placed
        self._store, self._outbox = store, outbox
        self._whose = company if placed is None else placed.company
        self._pass_on, self._known = pass_on, first > 0
        self._values: dict[str, Any] = {}
        self._lines: deque[Mapping[str, Any]] = deque(maxlen=MOST_LINES)
        self._turns: dict[int, Mapping[str, Any]] = {}
        self._tools: deque[Mapping[str, Any]] = deque(maxlen=MOST_TOOLS)
        self._recordings: dict[str, Mapping[str, Any]] = {}
        self._is_over = self._is_gone = self._is_told = False
        self._timer: asyncio.TimerHandle | None = None
        self._passed_to = ""

    def _written(self, *changes: Upsert) -> None:
        self._store.write(*changes)
        for change in changes:
            values = change.values
            match change.table:
                case "calls":
                    self._values.update(values)
                case "lines":
                    self._lines.append(values)
                case "turns" if len(self._turns) < MOST_TURNS or values["number"] in self._turns:
                    self._turns[values["number"]] = values
                case "tool_calls":
                    self._tools.append(values)
                case "recordings":
                    known = self._recordings.get(values["id"], {})
                    self._recordings[values["id"]] = {**known, **values}

    # What happens ------------------------------------------------------------------------------

    def begun(self, release: str, direct: bool) -> None:
        """The call was accepted."""
        super().begun(release, direct)
        if release:  # or else nobody could take it
            key = f"{self._began}"
            self._outbox.post(self._event("call.started", {"resumed": self._known}, key))

    def dialled(self, target: str, reason: str) -> None:
        """The caller is being connected with somebody."""
        super().dialled(target, reason)
        self._passed_to = target
        self._pass_on(self._incoming.sid, Passed(self._call(), target, self._whose))
        self._over()

    def ended(self, reason: str, plan: Plan, at: float) -> None:
        """The call is over."""
        super().ended(reason, plan, at)
        if self._passed_to:
            answered = reason != "transfer not answered"
            passed = Passed(self._call(), self._passed_to, self._whose)
            self._outbox.post(transferred(passed, answered))
        self._over()

    def rejected(self, reason: str, at: float) -> None:
        """No process took it."""
        super().rejected(reason, at)
        self._tell()

    def exited(self, report: ExitReport) -> None:
        """Its process is gone."""
        super().exited(report)
        self._is_gone = True
        if self._is_over:
            self._tell()

    def _over(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        if self._is_gone:
            self._tell()
            return
        self._outbox.hold(self._ended())
        self._timer = asyncio.get_running_loop().call_later(GONE_SECONDS, self._tell)

    def _tell(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self._is_told:
            self._is_told = True
            self._outbox.post(self._ended())
            self._lines.clear()
            self._turns.clear()
            self._tools.clear()

    async def emit(self, name: str, data: Mapping[str, Any]) -> None:
        """The agent tells an event of its own; durable when this returns."""
        await self._outbox.posted(self._event(name, data))

    # As values ---------------------------------------------------------------------------------

    def _event(self, name: str, data: Mapping[str, Any], key: str | None = None) -> Event:
        call = self._call()
        whole = None if key is None else f"{call['sid']}\n{key}"
        return Event(name, call, data, self._whose, whole)

    def _call(self) -> dict[str, Any]:
        return {**call_of(self._values), "company": self._whose}

    def _ended(self) -> Event:
        placed, row = self._incoming.placed, self._values
        own_url = self._incoming.leg.url(RECORDING_PATH.format(sid=self._incoming.sid))
        data = {
            **ended_of(row),
            "transcript": [picked(line, _LINE) for line in self._lines],
            "turns": [picked(turn, _TURN) for turn in self._turns.values()],
            "tools": [picked(tool, _TOOL) for tool in self._tools],
            "recordings": [recording_of(it, own_url) for it in self._recordings.values()],
            "state": row.get("agent_state"),
            "troubles": row.get("troubles") or [],
            "variables": dict(placed.variables) if placed is not None else {},
        }
        return ended_event(self._call(), data)


class ReportingRecords(StoreRecords):
    """Keeps all calls' records in a store, and tells of them."""

    def __init__(
        self, store: Store, company_of: Callable[[str, str], int | None], outbox: Outbox
    ) -> None:
        super().__init__(store, company_of)
        self._outbox = outbox
        self._passed: OrderedDict[str, Passed] = OrderedDict()

    def _record(self, it: IncomingCall, first: int) -> CallRecord:
        company = self._company_of(it.account_sid, it.own_number)
        whose = company if it.placed is None else it.placed.company
        if not self._outbox.tells(whose):
            return super()._record(it, first)
        return ReportedRecord(self._store, it, company, first, self._outbox, self._pass)

    def _pass(self, sid: str, passed: Passed) -> None:
        self._passed[sid] = passed
        if len(self._passed) > MOST_PASSED:
            self._passed.popitem(last=False)

    def dial_ended(self, sid: str, answered: bool) -> None:
        """The human's leg of a call whose process is gone is over."""
        super().dial_ended(sid, answered)
        passed = self._passed.pop(sid, None) or Passed({"sid": sid}, None, None)
        self._outbox.post(transferred(passed, answered))


# As values ---------------------------------------------------------------------------------------

_ENDED = ("outcome", "reason", "status", "began", "answered", "ended", "answered_by")
_LINE = ("role", "text", "at_ms", "interrupted")
_TURN = ("number", "reply_ms", "own_ms", "stages")
_TOOL = ("name", "arguments", "outcome", "text", "seconds", "at_ms")


def call_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return which call it is, of a row of the table of calls. ``number`` is the other side's."""
    direction = row.get("direction") or ""
    from_, to = row.get("from_number") or "", row.get("to_number") or ""
    return {
        "sid": row.get("sid"),
        "direction": direction,
        "from": from_,
        "to": to,
        "number": to if direction.startswith("outbound") else from_,
        "agent": row.get("agent"),
        "release": row.get("release"),
        "company": row.get("company_id"),
        "campaign": row.get("campaign_id"),
        "lead": row.get("lead"),
        "conversation_id": row.get("conversation_id"),
    }


def ended_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return how it ended. ``seconds`` is how long somebody was on the line with the agent."""
    answered, ended = row.get("answered"), row.get("ended")
    seconds = round(ended - answered, 3) if answered and ended else 0.0
    return {
        **picked(row, _ENDED),
        "seconds": seconds,
        "transferred_to": row.get("transferred_to"),
        "exit": row.get("exit"),
    }


def lost(it: WholeCall) -> Event:
    """Return the end of a call that died with its gateway, from what was written down."""
    row = asdict(it.call)
    data = {
        **ended_of(row),
        "transcript": [picked(asdict(line), _LINE) for line in it.lines[-MOST_LINES:]],
        "turns": [picked(asdict(turn), _TURN) for turn in it.turns[-MOST_TURNS:]],
        "tools": [picked(asdict(tool), _TOOL) for tool in it.tool_calls[-MOST_TOOLS:]],
        "recordings": [recording_of(asdict(each), None) for each in it.recordings],
        "state": it.agent_state,
        "troubles": list(it.troubles),
        "variables": {},
    }
    return ended_event(call_of(row), data)


def ended_event(call: Mapping[str, Any], data: Mapping[str, Any]) -> Event:
    """Return `call.ended`: one for each call, however often it is told."""
    return Event("call.ended", call, data, call.get("company"), f"{call['sid']}\nended")


def transferred(passed: Passed, answered: bool) -> Event:
    """Return what became of a call that was passed on."""
    data = {"to": passed.to, "answered": answered}
    sid = passed.call["sid"]
    return Event("call.transferred", passed.call, data, passed.company, f"{sid}\ntransferred")


def recording_of(row: Mapping[str, Any], own_url: str | None) -> dict[str, Any]:
    """Return where a recording is to be had: ours at the API, the carrier's at the carrier."""
    own = row.get("kind") != "carrier"
    path = RECORDING_PATH.format(sid=row.get("call_sid") or row.get("id"))
    return {
        "id": row.get("id"),
        "kind": row.get("kind"),
        "status": row.get("status"),
        "seconds": row.get("seconds"),
        "url": (own_url or path) if own else row.get("url"),
    }


def picked(row: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return these columns of a row."""
    return {name: row.get(name) for name in names}
