"""The transcript of a talk with a speech-to-speech model, whose words come when it has them.

    caller's turn ──┬ its words: at once, seconds later, or never
    utterance ──────┤ heard or cut; corrected by the service a moment later
    caller's turn ──┘
                    every line is told in its place, once it and all before it are known

A line that nobody comes to know holds the others up for `PATIENCE_SECONDS` only. Lines of one turn
make a `Turn`, which is over when its last utterance was heard.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from shared import messages
from worker.history import History
from worker.turn import Turn
from worker.turn_times import TurnTimes
from worker.utterance import Spoken, Utterance

PATIENCE_SECONDS = 3.0
"""How long the words of a caller's turn are waited for, once something after it is known."""

CORRECTION_SECONDS = 1.5
"""How long a service has to say what of a cut utterance it counts as spoken."""

MOST_WAITING = 50
"""Turns whose words may still come; those of an older one are not waited for."""

SOMEBODY = ""
"""Key of a turn that showed only by its answer: the next words of the caller are its own."""


@dataclass(slots=True, eq=False)
class Line:
    """A line of the transcript; ``text`` is ``None`` as long as nobody knows it."""

    role: Literal["caller", "agent"]
    key: int
    """Of the history."""
    text: str | None = None
    spoken: Spoken | None = None
    at_ms: float = 0.0
    """Where in the caller's audio it was said; its words may come much later."""
    is_told: bool = False


@dataclass(slots=True, eq=False)
class _Turn:
    number: int
    caller: Line
    lines: list[Line] = field(default_factory=list)
    tools: list[str] = field(default_factory=list)
    reply_ms: float | None = None

    @property
    def is_known(self) -> bool:
        return self.caller.text is not None and all(it.text is not None for it in self.lines)

    def closed(self) -> Turn:
        said = [line.text for line in self.lines if line.text]
        is_cut = any(line.spoken is not None and line.spoken.interrupted for line in self.lines)
        tools = tuple(self.tools)
        caller = self.caller.text or ""
        return Turn(self.number, caller, " ".join(said), is_cut, tools, self.reply_ms)


class Minutes:
    """One call's lines. ``turn_over`` gets each turn once it is over and known."""

    def __init__(
        self,
        tell: Callable[[messages.Said], None],
        history: History,
        times: TurnTimes,
        heard_ms: Callable[[], float],
        turn_over: Callable[[Turn], None],
    ) -> None:
        self._tell, self.history, self._times = tell, history, times
        self._heard_ms, self._turn_over = heard_ms, turn_over
        self._loop = asyncio.get_running_loop()
        self._lines: deque[Line] = deque()
        self._waiting: dict[str, Line] = {}
        """Turns whose words are on their way."""
        self._turn: _Turn | None = None
        self._over: deque[_Turn] = deque()
        """Turns that are over, and of which something is not known yet."""
        self._number = 0
        self._timers: dict[int, asyncio.TimerHandle] = {}

    # The caller ----------------------------------------------------------------------------

    def caller_turn(self, key: str) -> None:
        """A turn of the caller is over; what comes next answers it."""
        self.close_turn()
        self._number += 1
        line = Line("caller", self.history.caller(""), at_ms=self._heard_ms())
        self._waiting[key] = line
        if len(self._waiting) > MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]
        self._turn = _Turn(self._number, line)
        self._lines.append(line)

    def knows(self, key: str) -> bool:
        """Whether there is a turn whose words these would be."""
        return key in self._waiting or SOMEBODY in self._waiting

    def caller_said(self, key: str, text: str) -> None:
        """The words of a turn that was told of."""
        line = self._waiting.pop(key, None) or self._waiting.pop(SOMEBODY, None)
        if line is not None:
            self.history.heard(line.key, text)
            self._known(line, text)

    @property
    def owes_words(self) -> bool:
        """Whether a turn is unanswered whose words nobody knows yet."""
        turn = self._turn
        return turn is not None and turn.caller.text is None and not turn.lines

    def lost(self) -> None:
        """The service is gone: words of turns that are not known yet will not come."""
        for line in self._waiting.values():
            if line.text is None:
                line.text = ""
        self._waiting.clear()
        self._flush()

    # The agent -----------------------------------------------------------------------------

    def agent(self, utterance: Utterance, *, corrected: bool) -> Line:
        """An utterance begins; ``corrected``: a correction follows if it is cut."""
        line = Line("agent", self.history.agent(""))
        self._lines.append(line)
        turn = self._turn
        if turn is not None:
            turn.lines.append(line)

        def ended(_: object) -> None:
            spoken = line.spoken = utterance.so_far()
            line.at_ms = self._heard_ms()
            if turn is not None and turn.reply_ms is None and utterance.first_audio_at is not None:
                turn.reply_ms = self._times.took_ms()
            self.history.heard(line.key, spoken.text)
            if corrected and spoken.interrupted and spoken.first_audio_at is not None:
                self._after(line, CORRECTION_SECONDS, spoken.text)
            else:
                self._known(line, spoken.text)

        utterance.ended.add_done_callback(ended)
        return line

    def corrected(self, line: Line, text: str) -> None:
        """The service counts ``text`` as spoken of a line that was cut."""
        if line.spoken is None or not line.spoken.interrupted:
            return
        self.history.heard(line.key, text)
        if not line.is_told:
            self._known(line, text)

    def tool(self, name: str) -> None:
        """A tool is called."""
        if self._turn is not None:
            self._turn.tools.append(name)

    # What is known ---------------------------------------------------------------------------

    @property
    def is_answered(self) -> bool:
        """Whether the turn in progress has an answer, and all of it was heard or cut."""
        turn = self._turn
        return turn is not None and bool(turn.lines) and all(it.spoken for it in turn.lines)

    def close_turn(self) -> None:
        """The turn in progress is over."""
        turn, self._turn = self._turn, None
        if turn is not None:
            self._over.append(turn)
            self._hand_over()

    def _hand_over(self) -> None:
        while self._over and self._over[0].is_known:
            self._turn_over(self._over.popleft().closed())

    def _known(self, line: Line, text: str) -> None:
        timer = self._timers.pop(id(line), None)
        if timer is not None:
            timer.cancel()
        late = line.is_told
        line.text = text
        if late:
            self._say(line)
        self._flush()

    def _flush(self) -> None:
        while self._lines and self._lines[0].text is not None:
            self._say(self._lines.popleft())
        self._hand_over()
        if self._lines and self._lines[0].role == "caller" and _any_known(self._lines):
            self._after(self._lines[0], PATIENCE_SECONDS, "")

    def _after(self, line: Line, seconds: float, text: str) -> None:
        if id(line) not in self._timers:
            self._timers[id(line)] = self._loop.call_later(seconds, self._known, line, text)

    def _say(self, line: Line) -> None:
        line.is_told = True
        text, spoken = line.text or "", line.spoken
        if spoken is None:
            if text:
                self._tell(messages.Said("caller", text, line.at_ms))
        elif text or spoken.first_audio_at is not None:
            reply_ms = self._reply_ms(line)
            said = messages.Said("agent", text, line.at_ms, reply_ms, spoken.interrupted)
            self._tell(said)

    def _reply_ms(self, line: Line) -> float | None:
        """Return the reply time for the first line of a turn's answer."""
        for turn in (*self._over, self._turn):
            if turn is not None and turn.lines and turn.lines[0] is line:
                return turn.reply_ms
        return None

    def close(self) -> None:
        """The call is over: tell what there is."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self.close_turn()
        for line in list(self._lines):
            if line.text is None:
                line.text = line.spoken.text if line.spoken is not None else ""
        self._flush()


def _any_known(lines: deque[Line]) -> bool:
    return any(line.text is not None for line in lines)
