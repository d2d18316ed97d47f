"""What a call tells of itself to whoever keeps records. Here nobody does.

A call says each thing once, when it happens, and does not wait. Times are Unix seconds, ``at_ms``
and stages ms from the first stream's start.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.calls.answers import IncomingCall
from gateway.calls.state import CallState, Plan
from gateway.calls.transcript import Line
from gateway.calls.turns import Trouble, TurnTime
from gateway.farm.process import ExitReport
from shared import messages


@dataclass(frozen=True, slots=True)
class KeptRecording:
    """How our own recording of a call stands: ``path`` is below the data folder.

    ``status`` is ``in-progress``, ``completed``, ``interrupted`` (by a crash, or a full disk),
    ``absent`` or ``deleted``; ``frames`` are samples a side (8 kHz).
    """

    path: str | None
    status: str
    frames: int


@dataclass(frozen=True, slots=True)
class CarrierLine:
    """What the carrier's own transcription has heard. ``id`` is the carrier's.

    ``track`` is ``inbound`` for the caller's side, ``outbound`` for ours.
    """

    id: str
    track: str
    text: str
    confidence: float | None


class Record:
    """One call's record. Every method may be called at any time, and none fails."""

    def begun(self, release: str, direct: bool) -> None:
        """The call was accepted; with ``direct`` its media goes past the gateway."""

    def running(self, agent: str) -> None:
        """Its process runs this agent."""

    def known_as(self, conversation_id: str) -> None:
        """The service that holds the conversation calls it so."""

    def state(self, state: CallState) -> None:
        """It has come to another state, other than its end."""

    def line(self, number: int, line: Line) -> None:
        """Something was said."""

    def turn(self, turn: TurnTime) -> None:
        """A turn's times, as far as they are known: later ones of a number replace earlier ones."""

    def tool(self, number: int, ran: messages.ToolRan) -> None:
        """The agent has run a tool."""

    def troubles(self, troubles: tuple[Trouble, ...]) -> None:
        """Providers were lost: all so far."""

    def agent_state(self, state: Any, size: int) -> None:
        """The agent's state at a checkpoint, ``size`` bytes when packed."""

    def event(self, event: messages.Event) -> None:
        """The carrier has told something that the process is told as well."""

    def dialled(self, target: str, reason: str) -> None:
        """The caller is being connected with ``target``."""

    def ended(self, reason: str, plan: Plan, at: float) -> None:
        """The call is over, and ``plan`` was what its carrier was told last."""

    def exited(self, report: ExitReport) -> None:
        """Its process is gone."""

    def recording(self, it: KeptRecording) -> None:
        """Our own recording has begun, or is over."""

    def whole(self) -> None:
        """It is over, and whatever a service was to tell of it has come, or never will."""

    async def emit(self, name: str, data: Mapping[str, Any]) -> None:
        """The agent tells an event of its own, a checked one; durable when this returns."""


class Records:
    """Where the records of calls begin."""

    def of(self, incoming: IncomingCall, known: bool) -> Record:
        """Return the record of a call; ``known`` when it began in another gateway's life."""
        return Record()

    def refused(self, incoming: IncomingCall, reason: str) -> None:
        """No process took this call."""

    def event(self, sid: str, event: messages.Event) -> None:
        """The carrier tells of a call that is not in progress, if it ever was."""

    def carrier_line(self, sid: str, line: CarrierLine) -> None:
        """The carrier's own transcription of a call has heard something, for good."""

    def dial_ended(self, sid: str, answered: bool) -> None:
        """The human's leg of a call whose process is gone is over."""
