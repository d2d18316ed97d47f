"""What is told of a call, as values made of rows of the store. No I/O."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gateway.outbox.event import Event

RECORDING_PATH = "/api/calls/{sid}/recording"

_ENDED = ("outcome", "reason", "status", "began", "answered", "ended", "answered_by")
LINE = ("role", "text", "at_ms", "interrupted")
TURN = ("number", "reply_ms", "own_ms", "stages")
TOOL = ("name", "arguments", "outcome", "text", "seconds", "at_ms")


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


def transcript_event(
    call: Mapping[str, Any],
    lines: Iterable[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]],
    *,
    again: bool,
) -> Event:
    """Return what was said in a call whose end was told before that was known, once."""
    data = {
        "transcript": [picked(line, LINE) for line in lines],
        "tools": [picked(tool, TOOL) for tool in tools],
    }
    key = f"{call['sid']}\ntranscript"
    return Event("call.transcript", call, data, call.get("company"), key, again=again)


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
