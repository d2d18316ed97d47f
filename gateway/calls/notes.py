"""What a call's process tells of itself: its transcript, its turns, its state, its log lines.

Nothing that is told here changes how the call goes on.
"""

import asyncio
import time
from collections import deque
from typing import Any

import msgpack
import structlog

from gateway.allowance import LineAllowance
from gateway.calls.measurements import Measurements
from gateway.calls.record import Record
from gateway.calls.transcript import MOST_LETTERS, MOST_LINES, Line
from gateway.calls.turns import TurnLog
from gateway.farm.process import ExitReport
from shared import messages

MOST_ID = 200
"""Letters of a service's name for a conversation."""

_LEVELS = frozenset({"debug", "info", "warning", "error"})


class Notes:
    """What is known of one call by its process. ``log`` is bound to the call."""

    def __init__(
        self,
        log: structlog.stdlib.BoundLogger,
        measurements: Measurements,
        record: Record | None = None,
    ) -> None:
        self.agent = ""
        self.running = asyncio.Event()
        """The process runs the agent, or is gone."""
        self.conversation_id = ""
        """What the service that holds the conversation calls it."""
        self.lines: deque[Line] = deque(maxlen=MOST_LINES)
        self.turn_log = TurnLog()
        self.agent_state: Any = {}
        self.state_bytes = 0
        self.saying, self.sayings = "", 0
        self.allowance = LineAllowance(asyncio.get_running_loop().time)
        self._emit, self._measurements = log, measurements
        self._record = record or Record()
        self._said = self._ran = 0
        self._given_up = ""
        self.is_explained = False
        """The process ends because a provider could not be had, and the log says what to do."""

    def take(self, command: messages.Command) -> None:
        """Note what the process says, if it is of this kind."""
        match command:
            case messages.Running(agent):
                self.agent = agent
                self._record.running(agent)
                self.running.set()
            case messages.KnownAs(conversation_id):
                self.conversation_id = conversation_id[:MOST_ID]
                self._record.known_as(self.conversation_id)
            case messages.Said() | messages.ToolRan():
                self._keep(command)
            case messages.Speaking(text):
                self.saying, self.sayings = text[:MOST_LETTERS], self.sayings + 1
            case messages.Metric(name, value):
                self._measurements.take(name, value)
            case messages.TurnTimed(number, stages):
                turn = self.turn_log.timed(number, stages)
                if turn is not None:
                    self._measurements.turn(turn)
                    self._record.turn(self.turn_log.turn(number))
            case messages.ProviderTrouble(provider, sentence, fallback):
                self._trouble(provider, sentence, fallback)
            case messages.Checkpoint(state):
                self._checkpoint(state)
            case messages.Log(level, event, fields):
                self._log(level, event, fields)
            case messages.Finished(problem) if problem:
                self.is_explained = bool(self._given_up) and self._given_up in problem
                emit = self._emit.debug if self.is_explained else self._emit.warning
                emit("the agent failed", problem=problem)

    def gone(self, report: ExitReport) -> None:
        """The process has gone before its call: say so, unless that is explained."""
        is_known = self.is_explained and report.signal is None
        (self._emit.debug if is_known else self._emit.error)(
            "call process gone before its call",
            how=str(report),
            cpu_seconds=round(report.cpu_seconds, 2),
            peak_mb=report.peak_bytes >> 20,
            last_words=report.last_words[-2000:],
        )

    def _keep(self, command: messages.Said | messages.ToolRan) -> None:
        if isinstance(command, messages.ToolRan):
            self._record.tool(self._ran, command)
            self._ran += 1
            return
        it, text = command, command.text[:MOST_LETTERS]
        line = Line(it.role, text, it.at_ms, it.reply_ms, it.interrupted)
        self.lines.append(line)
        self._record.line(self._said, line)
        self._said += 1

    def _checkpoint(self, state: bytes) -> None:
        try:
            self.agent_state = msgpack.unpackb(state, strict_map_key=False)
            self.state_bytes = len(state)
            self._record.agent_state(self.agent_state, len(state))
        except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
            self._emit.warning("checkpoint ignored", error=str(error))

    def _trouble(self, provider: str, sentence: str, fallback: str | None) -> None:
        trouble = self.turn_log.trouble(provider, sentence, fallback, time.time())
        self._measurements.trouble(trouble)
        self._record.troubles(self.turn_log.troubles)
        self._given_up = ""
        if self.allowance.take():
            self._given_up = "" if fallback else trouble.sentence
            self._emit.warning(
                "provider given up",
                provider=trouble.provider,
                problem=trouble.sentence,
                fallback=trouble.fallback or "none",
            )

    def _log(self, level: str, event: str, fields: dict[str, Any]) -> None:
        left_out = self.allowance.left_out
        if not self.allowance.take():
            return
        if left_out:
            self.allowance.left_out = 0
            self._emit.warning("agent's log lines left out: too many", lines=left_out)
        named = {f"agent_{name}": value for name, value in fields.items()}
        emit = getattr(self._emit, level if level in _LEVELS else "info")
        emit("agent: " + event, **named)
