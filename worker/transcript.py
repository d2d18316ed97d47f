"""What was said, written down once it is known how much of it was heard.

For the gateway (the transcript of the call), for the model (`History`) and for the turn in progress
(`Turn`, once it is over).
"""

from collections.abc import Callable

from shared import messages
from worker.history import History
from worker.llm import Call, Sound
from worker.turn import Turn
from worker.turn_times import TurnTimes
from worker.utterance import Utterance
from worker.voip import VoIP

MOST_TOLD = 4000
"""Letters of a tool's arguments, and of what it returned, that the gateway is told."""

_MOST_NAME = 100


class Transcript:
    """One call's lines. ``heard_ms`` is the position in the caller's audio, in ms."""

    def __init__(self, call: VoIP, times: TurnTimes, heard_ms: Callable[[], float]) -> None:
        self._call, self._times, self._heard_ms = call, times, heard_ms
        self.history = History()
        self._number = 0
        self._asked: int | None = None
        """The history's line of the turn in progress, until the model is asked about it."""
        self._caller = ""
        self._said: list[str] = []
        self._tools: list[str] = []
        self._cut = False
        self._reply_ms: float | None = None
        self._followed: dict[Utterance, tuple[int | None, int]] = {}
        """Utterances to be written down: the history's line, if it has one, and the turn."""

    def caller(self, text: str) -> None:
        """The caller's turn is over. What it has cut stands before it."""
        for utterance in list(self._followed):
            if utterance.ended.done():
                self._ended(utterance)
        if text:
            self._call.tell(messages.Said("caller", text, self._heard_ms()))

    def asked(self, text: str) -> None:
        """The model is asked to answer ``text``: the turn's words, or what was made of them."""
        key, self._asked = self._asked, None
        if key is None or key not in self.history:
            self.history.caller(text)
        else:
            self.history.heard(key, text)

    def follow(self, key: int | None, utterance: Utterance) -> None:
        """Write the agent's line ``key`` of the history down as soon as ``utterance`` has ended.

        ``None``: it is no line of the history, since no model is to take it for its own.
        """
        self._followed[utterance] = key, self._number
        utterance.ended.add_done_callback(lambda _: self._ended(utterance))

    def _ended(self, utterance: Utterance) -> None:
        if utterance not in self._followed:
            return
        key, turn = self._followed.pop(utterance)
        spoken = utterance.so_far()
        if key is not None:
            self.history.heard(key, spoken.text)
        reply_ms = None
        if turn == self._number:
            self._said += [spoken.text] if spoken.text else []
            self._cut = self._cut or spoken.interrupted
            if utterance.is_reply and spoken.first_audio_at and self._reply_ms is None:
                reply_ms = self._reply_ms = self._times.took_ms()
        if spoken.text or spoken.first_audio_at is not None:
            self._call.tell(
                messages.Said("agent", spoken.text, self._heard_ms(), reply_ms, spoken.interrupted)
            )

    def tool(self, name: str) -> None:
        """A tool is called for the turn in progress."""
        self._tools.append(name)

    def ran(self, call: Call, outcome: str, text: str, seconds: float) -> None:
        """A tool has run, or gave up: for the record, so far as that is of a length to be kept."""
        name = _plain(call.name, _MOST_NAME)
        arguments, text = _plain(call.arguments, MOST_TOLD), _plain(text, MOST_TOLD)
        at_ms = self._heard_ms()
        self._call.tell(messages.ToolRan(name, arguments, outcome, text, seconds, at_ms))

    def begin_turn(self, text: str, sound: Sound | None = None) -> None:
        """A turn is answered from here on; ``sound`` is for a model that hears."""
        self._number += 1
        self._asked = self.history.caller(text, sound) if text else None
        self._caller, self._said, self._tools = text, [], []
        self._cut, self._reply_ms = False, None

    def end_turn(self) -> Turn:
        """Return the turn, which is over."""
        self._asked = None
        return Turn(
            self._number,
            self._caller,
            " ".join(self._said),
            self._cut,
            tuple(self._tools),
            self._reply_ms,
        )


def _plain(text: str, most: int) -> str:
    """Return what a model wrote as text that can be sent: it may hold half a surrogate pair."""
    return text[:most].encode("utf-8", "replace").decode()
