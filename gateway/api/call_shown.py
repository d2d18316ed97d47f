"""Calls as the API shows them: in a list, and whole. What is live comes from memory."""

from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

import msgspec

from gateway.calls.state import CallState
from gateway.calls.view import CallView
from gateway.store.call_rows import CallRow, RecordingRow, WholeCall

Shown = TypeVar("Shown")

Unix = Annotated[float, msgspec.Meta(description="Unix seconds.")]


class CallShown(msgspec.Struct, rename={"from_": "from"}, kw_only=True):
    """A call in a list. ``live`` while the gateway has it; what did not happen is null.

    ``conversation_id`` is what the service that holds the conversation calls it.
    """

    sid: str
    live: bool
    state: str
    status: str | None = None
    direction: str | None = None
    from_: str | None = None
    to: str | None = None
    agent: str | None = None
    release: str | None = None
    company: int | None = None
    campaign: str | None = None
    began: Unix
    answered: Unix | None = None
    ended: Unix | None = None
    reason: str | None = None
    outcome: str | None = None
    conversation_id: str | None = None
    answered_by: str | None = None
    transferred_to: str | None = None
    error_code: int | None = None
    exit: str | None = None
    cpu_seconds: float | None = None
    pid: int | None = None


class LineShown(msgspec.Struct):
    """Something that was said, as heard. ``at_ms`` counts from the first stream's start."""

    role: str
    text: str
    at_ms: float | None
    reply_ms: float | None
    interrupted: bool


class TurnShown(msgspec.Struct):
    """When a turn reached its stages, in ms from the first stream's start."""

    number: int
    stages: dict[str, float]
    reply_ms: float | None
    own_ms: float | None


class TroubleShown(msgspec.Struct):
    """A provider was given up; ``fallback`` took over, if anybody."""

    provider: str
    sentence: str
    fallback: str | None
    at: Unix


class ToolShown(msgspec.Struct):
    """A tool that the agent ran."""

    number: int
    name: str
    arguments: str | None
    outcome: str
    text: str | None
    seconds: float | None
    at_ms: float | None


class RecordingShown(msgspec.Struct):
    """A recording: ours (``kind`` own) or the carrier's."""

    id: str
    kind: str
    status: str
    seconds: float | None
    size: int | None
    created: Unix


class DeliveryOfCall(msgspec.Struct):
    """A webhook about the call."""

    id: str
    event: str
    state: str
    tries: int
    created: Unix
    ended: Unix | None


class CallDetails(CallShown, kw_only=True):
    """A call with all that is known of it. ``saying`` is what its agent said last or says now."""

    lines: list[LineShown] = []
    turns: list[TurnShown] = []
    troubles: list[TroubleShown] = []
    tools: list[ToolShown] = []
    recordings: list[RecordingShown] = []
    deliveries: list[DeliveryOfCall] = []
    agent_state: Any = None
    state_bytes: int | None = None
    saying: str = ""
    sayings: int = 0


class Transcript(msgspec.Struct):
    """What was said in a call."""

    sid: str
    live: bool
    lines: list[LineShown]


class CallPageShown(msgspec.Struct):
    """Calls, the newest first. ``next`` is the ``cursor`` of the next page, null after the last.

    ``partial``: the database is away, and only what is in memory is listed, or it takes no records,
    and what is in memory is missing.
    """

    calls: list[CallShown]
    next: str | None = None
    partial: bool = False


def of_row(row: CallRow, *, live: bool = False) -> CallShown:
    """Return a kept call as it is shown."""
    return CallShown(**_row_fields(row, live))


def of_view(view: CallView) -> CallShown:
    """Return a call of the gateway's memory as it is shown."""
    return CallShown(**_view_fields(view))


def details(view: CallView | None, kept: WholeCall | None) -> CallDetails:
    """Return a call whole. What is in memory is newer than what is kept."""
    fields: dict[str, Any] = {}
    if kept is not None:
        fields = _row_fields(kept.call, live=False) | {
            "lines": _all(LineShown, kept.lines),
            "turns": _all(TurnShown, kept.turns),
            "troubles": _all(TroubleShown, kept.troubles),
            "tools": _all(ToolShown, kept.tool_calls),
            "recordings": [recording(row) for row in kept.recordings],
            "deliveries": _all(DeliveryOfCall, kept.deliveries),
            "agent_state": kept.agent_state,
        }
    if view is not None:
        newer = {
            name: value
            for name, value in _view_fields(view).items()
            if value not in (None, "") or name not in fields
        }
        fields |= newer | {
            "lines": fields.get("lines")
            if kept is not None and len(kept.lines) > len(view.lines)
            else _all(LineShown, view.lines),
            "turns": _all(TurnShown, view.turns),
            "troubles": _all(TroubleShown, view.troubles),
            "agent_state": view.agent_state,
            "state_bytes": view.state_bytes,
            "saying": view.saying,
            "sayings": view.sayings,
        }
    return CallDetails(**fields)


def recording(row: RecordingRow) -> RecordingShown:
    """Return a recording as it is shown: where it lies is nobody's business."""
    return RecordingShown(row.id, row.kind, row.status, row.seconds, row.size, row.created)


def _all(kind: type[Shown], values: Sequence[object]) -> list[Shown]:
    return [msgspec.convert(it, kind, from_attributes=True, strict=False) for it in values]


def _view_fields(view: CallView) -> dict[str, Any]:
    over = view.state == CallState.ENDED.value
    return {
        "sid": view.sid,
        "live": not (view.ended or over),
        "state": view.state,
        "direction": view.direction,
        "from_": view.from_,
        "to": view.to,
        "agent": view.agent,
        "release": view.release,
        "began": view.began,
        "ended": view.ended or None,
        "reason": view.reason,
        "conversation_id": view.conversation_id or None,
        "exit": view.exit,
        "cpu_seconds": view.cpu_seconds,
        "pid": view.pid,
    }


def _row_fields(row: CallRow, live: bool) -> dict[str, Any]:
    return {
        "sid": row.sid,
        "live": live,
        "state": row.state or CallState.RINGING.value,
        "status": row.status,
        "direction": row.direction,
        "from_": row.from_number,
        "to": row.to_number,
        "agent": row.agent,
        "release": row.release,
        "company": row.company_id,
        "campaign": row.campaign_id,
        "began": row.began,
        "answered": row.answered,
        "ended": row.ended,
        "reason": row.reason,
        "outcome": row.outcome,
        "conversation_id": row.conversation_id,
        "answered_by": row.answered_by,
        "transferred_to": row.transferred_to,
        "error_code": row.error_code,
        "exit": row.exit,
        "cpu_seconds": row.cpu_seconds,
    }
