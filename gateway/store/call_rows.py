"""What remains of a call, as values: rows of lists, and one call whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class CallQuery:
    """Which calls: those that are all of this. Times in Unix seconds.

    ``number`` is on either side. ``began_from`` is the earliest beginning, ``began_to`` the first
    moment that is too late.
    """

    direction: str | None = None
    number: str | None = None
    from_number: str | None = None
    to_number: str | None = None
    agent: str | None = None
    state: str | None = None
    outcome: str | None = None
    company_id: int | None = None
    campaign_id: str | None = None
    began_from: float | None = None
    began_to: float | None = None


@dataclass(frozen=True, slots=True)
class CallRow:
    """A call as a list shows it. Times in Unix seconds, ``None`` where it did not happen."""

    sid: str
    company_id: int | None
    campaign_id: str | None
    direction: str | None
    from_number: str | None
    to_number: str | None
    agent: str | None
    release: str | None
    state: str | None
    status: str | None
    reason: str | None
    outcome: str | None
    began: float
    answered: float | None
    ended: float | None
    conversation_id: str | None
    answered_by: str | None
    transferred_to: str | None
    error_code: int | None
    exit: str | None
    cpu_seconds: float | None


@dataclass(frozen=True, slots=True)
class CallPage:
    """Calls, the newest first. ``next`` is where the next page begins, ``None`` after the last."""

    calls: tuple[CallRow, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class LineRow:
    """Something that was said. See `gateway.calls.transcript.Line`."""

    number: int
    role: str
    text: str
    at_ms: float | None
    reply_ms: float | None
    interrupted: bool


@dataclass(frozen=True, slots=True)
class TurnRow:
    """A turn's times. See `gateway.calls.turns.TurnTime`."""

    number: int
    stages: dict[str, float]
    reply_ms: float | None
    own_ms: float | None


@dataclass(frozen=True, slots=True)
class ToolRow:
    """A tool that was run: ``arguments`` as the model wrote them, ``text`` what it was told."""

    number: int
    name: str
    arguments: str | None
    outcome: str
    text: str | None
    seconds: float | None
    at_ms: float | None


@dataclass(frozen=True, slots=True)
class RecordingRow:
    """A recording: ours (``kind`` own) has a path below ``DATA_DIR``, the carrier's a URL.

    ``gateway`` is the one on whose disk that is.
    """

    id: str
    kind: str
    status: str
    path: str | None
    url: str | None
    seconds: float | None
    size: int | None
    created: float
    gateway: str | None = None


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """A webhook about the call, without its body."""

    id: str
    event: str
    state: str
    tries: int
    created: float
    ended: float | None


@dataclass(frozen=True, slots=True)
class WholeCall:
    """All that is kept of one call."""

    call: CallRow
    agent_state: Any
    troubles: Sequence[dict[str, Any]]
    lines: tuple[LineRow, ...]
    turns: tuple[TurnRow, ...]
    tool_calls: tuple[ToolRow, ...]
    recordings: tuple[RecordingRow, ...]
    deliveries: tuple[DeliveryRow, ...]
