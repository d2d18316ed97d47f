"""What a call tells of itself, as events: that it began, how it ended, to whom it was passed on.

It keeps the call's record, as everybody's, and listens in: what is written down is what is told.

    begun ──> call.started      ended and its process gone ──> call.ended ──> call.transcript
                                dialled, and the human's leg over ──> call.transferred

`call.ended` is held in the database from the call's end on, so that neither a process that takes
its time nor a gateway that dies loses it.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from gateway.calls.answers import IncomingCall
from gateway.calls.state import Plan
from gateway.farm.process import ExitReport
from gateway.outbox.call_values import (
    LINE,
    RECORDING_PATH,
    TOOL,
    TURN,
    call_of,
    ended_of,
    picked,
    recording_of,
    transcript_event,
)
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

OWED_SECONDS = 15.0
"""A service that takes longer to tell what was said is told of by an event of its own."""

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
        find_company: Callable[[], int | None] | None = None,
    ) -> None:
        """``find_company`` is asked again while it is not known whose call it is."""
        super().__init__(self._written, incoming, company, first, store.gateway)
        placed = incoming.placed
        self._store, self._outbox = store, outbox
        self._whose_now = company if placed is None else placed.company
        self._find_company = find_company if placed is None else None
        self._pass_on, self._known = pass_on, first > 0
        self._values: dict[str, Any] = {}
        self._lines: deque[Mapping[str, Any]] = deque(maxlen=MOST_LINES)
        self._turns: dict[int, Mapping[str, Any]] = {}
        self._tools: deque[Mapping[str, Any]] = deque(maxlen=MOST_TOOLS)
        self._recordings: dict[str, Mapping[str, Any]] = {}
        self._is_over = self._is_gone = self._is_told = False
        self._is_direct, self._is_whole = False, False
        self._timer: asyncio.TimerHandle | None = None
        self._passed_to = ""

    @property
    def _whose(self) -> int | None:
        if self._whose_now is None and self._find_company is not None:
            self._whose_now = self._find_company()
            if self._whose_now is not None:
                self._change(company_id=self._whose_now)
        return self._whose_now

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
                    if known.get("status") != "deleted" or values.get("kind") != "carrier":
                        self._recordings[values["id"]] = {**known, **values}

    # What happens ------------------------------------------------------------------------------

    def begun(self, release: str, direct: bool) -> None:
        """The call was accepted."""
        super().begun(release, direct)
        self._is_direct = direct
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
            self._finish()

    def _over(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        if self._is_gone:
            self._finish()
        else:
            self._hold(GONE_SECONDS)

    def _finish(self) -> None:
        """Its process is gone: tell its end, when the service that held it has told its words."""
        if self._is_owed:
            self._hold(OWED_SECONDS)
        else:
            self._tell()

    @property
    def _is_owed(self) -> bool:
        return self._is_direct and not (self._is_whole or self._is_told or self._lines)

    def whole(self) -> None:
        """Nothing more is coming of it."""
        self._is_whole = True
        if self._is_over and not self._is_told:
            self._tell()
        elif self._is_told and self._lines:
            call = self._call()
            event = transcript_event(call, self._lines, self._tools, again=self._known)
            self._outbox.post(event)
            self._lines.clear()

    def _hold(self, seconds: float) -> None:
        """Keep its end in the database, and tell it in some seconds at the latest."""
        self._outbox.hold(self._ended())
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._tell)

    def _tell(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self._is_told:
            event = self._ended()
            self._is_told = True
            self._outbox.post(event)
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
            "transcript": [picked(line, LINE) for line in self._lines],
            "turns": [picked(turn, TURN) for turn in self._turns.values()],
            "tools": [picked(tool, TOOL) for tool in self._tools],
            "recordings": [recording_of(it, own_url) for it in self._recordings.values()],
            "state": row.get("agent_state"),
            "troubles": row.get("troubles") or [],
            "variables": dict(placed.variables) if placed is not None else {},
        }
        if self._is_owed:
            data["transcript_follows"] = True
        return ended_event(self._call(), data, again=self._known)


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
        find = partial(self._company_of, it.account_sid, it.own_number)
        again = find if whose is None and self._outbox.is_early else None
        return ReportedRecord(self._store, it, company, first, self._outbox, self._pass, again)

    def _pass(self, sid: str, passed: Passed) -> None:
        self._passed[sid] = passed
        if len(self._passed) > MOST_PASSED:
            self._passed.popitem(last=False)

    def dial_ended(self, sid: str, answered: bool) -> None:
        """The human's leg of a call whose process is gone is over."""
        super().dial_ended(sid, answered)
        passed = self._passed.pop(sid, None)
        lost = Passed({"sid": sid}, None, None)
        self._outbox.post(transferred(passed or lost, answered, again=passed is None))


# As values ---------------------------------------------------------------------------------------


def lost(it: WholeCall) -> Event:
    """Return the end of a call that died with its gateway, from what was written down."""
    row = asdict(it.call)
    data = {
        **ended_of(row),
        "transcript": [picked(asdict(line), LINE) for line in it.lines[-MOST_LINES:]],
        "turns": [picked(asdict(turn), TURN) for turn in it.turns[-MOST_TURNS:]],
        "tools": [picked(asdict(tool), TOOL) for tool in it.tool_calls[-MOST_TOOLS:]],
        "recordings": [recording_of(asdict(each), None) for each in it.recordings],
        "state": it.agent_state,
        "troubles": list(it.troubles),
        "variables": {},
    }
    return ended_event(call_of(row), data, again=True)


def ended_event(call: Mapping[str, Any], data: Mapping[str, Any], *, again: bool) -> Event:
    """Return `call.ended`: one for each call. ``again``: it may have been told in a life before."""
    key = f"{call['sid']}\nended"
    return Event("call.ended", call, data, call.get("company"), key, again=again)


def transferred(passed: Passed, answered: bool, *, again: bool = False) -> Event:
    """Return what became of a call that was passed on. ``again``: as of `ended_event`."""
    data = {"to": passed.to, "answered": answered}
    key = f"{passed.call['sid']}\ntransferred"
    return Event("call.transferred", passed.call, data, passed.company, key, again=again)
