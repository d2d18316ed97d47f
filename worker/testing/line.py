"""The line of a call in text: plays at once what is said, and stops where the caller interrupts.

The call's clock is here, too, and stands still but for what is played and for what a test lets
pass: a conversation takes no time, and a silence of a minute takes none either.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Container, Mapping

from shared import messages
from shared.audio import SAMPLE_RATE
from worker.testing.happenings import (
    DigitsSent,
    HandedOver,
    Happening,
    HungUp,
    Moved,
    Problem,
    ToolJudged,
    Transferred,
    Word,
)
from worker.testing.text_speech import first_unit

_TROUBLED = ("warning", "error", "critical")
_END_SECONDS = 5.0


class CallClock:
    """Monotonic seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


class TextLine:
    """The gateway's and the carrier's stand-in.

    ``deliver`` takes events for the call, ``told`` hears what happens, ``passed`` is called
    whenever time has passed. Callers can be transferred to ``destinations``; ``None``: to any.
    Of those who are asked first, ``humans`` says what they answer; others take the call.
    """

    def __init__(
        self,
        clock: CallClock,
        told: Callable[[Happening], None],
        destinations: Container[str] | None,
        humans: Mapping[str, messages.WarmOutcome] | None = None,
    ) -> None:
        self._clock, self._told, self._destinations = clock, told, destinations
        self._humans = humans or {}
        self._loop = asyncio.get_running_loop()
        self._unplayed = b""
        self._sent = 0
        self._marks: deque[tuple[int, str]] = deque()
        self._pump: asyncio.Handle | None = None
        self._said = ""
        self._until = ""
        self.deliver: Callable[[messages.Event], None]
        self.passed: Callable[[], None] = lambda: None
        self.held = False
        """The words to stop at were heard: what follows waits."""

    @property
    def busy(self) -> bool:
        """Whether something is about to be played."""
        return self._pump is not None

    def take_said(self) -> str:
        """Return what was heard since this was asked last."""
        said, self._said = self._said, ""
        return " ".join(said.split())

    def stop_after(self, until: str) -> None:
        """Stop playing when the words ``until`` were heard; empty: play all."""
        self._until = _plain(until)

    def go_on(self) -> None:
        """Play on where it was stopped."""
        self.held = False
        self._soon()

    # What the call sends -----------------------------------------------------------------------

    def send(self, frame: bytes, droppable: bool = False) -> None:
        """Take a frame as the gateway would."""
        audio = messages.audio_of(frame)
        if audio is not None:
            self._unplayed += audio
            self._sent += len(audio)
            self._soon()
            return
        match messages.decode_command(frame):
            case messages.Mark(name):
                self._marks.append((self._sent, name))
                self._soon()
            case messages.Clear():
                self._clear()
            case messages.Log(level, event, fields):
                self._logged(level, event, fields)
            case messages.Metric(name) if name.startswith("tool."):
                self._told(ToolJudged(name.rpartition(".")[2]))
            case messages.ProviderTrouble(provider, sentence, fallback):
                took_over = f"; {fallback} took over" if fallback else ""
                self._told(Problem(f"{provider}: {sentence}{took_over}"))
            case command if isinstance(command, messages.Request):
                self._loop.call_soon(self._answer, command)

    def _clear(self) -> None:
        self._sent -= len(self._unplayed)
        self._unplayed = b""
        marks, self._marks = self._marks, deque()
        for _, name in marks:  # the carrier echoes them all
            self._loop.call_soon(self.deliver, messages.MarkPlayed(name))

    def _answer(self, command: messages.Request) -> None:
        match command:
            case messages.HangUp(request):
                self.deliver(messages.Reply(request))
                self._end(HungUp(), "the agent hung up")
            case messages.Transfer(request, to):
                self._transfer(request, to)
            case messages.TransferWarm(request, to):
                self._ask(request, to)
            case messages.SendDigits(request, digits):
                self._told(DigitsSent(digits))
                self.deliver(messages.Reply(request))
            case _:
                self.deliver(messages.Reply(command.request))

    def _transfer(self, request: int, to: str) -> None:
        if self._may_go(request, to):
            self.deliver(messages.Reply(request))
            self._end(Transferred(to), f"transferred to {to}")

    def _ask(self, request: int, to: str) -> None:
        """Put the caller on hold, and do as the human answers."""
        if not self._may_go(request, to):
            return
        outcome = self._humans.get(to, "accepted")
        self.deliver(messages.StreamStopped("on hold"))
        if outcome not in {"accepted", "caller_left"}:
            self.deliver(messages.StreamStarted("MZ" + "8" * 32, {}))
        self.deliver(messages.WarmTransferred(request, to, outcome))
        if outcome == "accepted":
            self._end(Transferred(to), f"transferred to {to}")
        elif outcome == "caller_left":
            self.deliver(messages.CallEnded("the caller hung up", _END_SECONDS))

    def _may_go(self, request: int, to: str) -> bool:
        if self._destinations is None or to in self._destinations:
            return True
        sentence = f"there is no destination {to!r}"
        self.deliver(messages.Failure(request, "destination", sentence))
        return False

    def _end(self, happening: Happening, reason: str) -> None:
        self._told(happening)
        self.deliver(messages.CallEnded(reason, _END_SECONDS))

    def _logged(self, level: str, event: str, fields: dict[str, object]) -> None:
        if event == "stage" and isinstance(stage := fields.get("stage"), str):
            self._told(Moved(stage))
        elif event == "handed over" and isinstance(agent := fields.get("agent"), str):
            self._told(HandedOver(agent))
        elif level in _TROUBLED:
            detail = str(fields.pop("traceback", ""))
            named = ", ".join(f"{name} {value}" for name, value in fields.items())
            self._told(Problem(f"{event} ({named})" if named else event, detail))

    # Playing -----------------------------------------------------------------------------------

    def _soon(self) -> None:
        if self._pump is None and not self.held:
            self._pump = self._loop.call_soon(self._play)

    def _play(self) -> None:
        """Play what there is, word by word, and echo the marks that are passed."""
        self._pump = None
        while self._unplayed and not self.held:
            unit, word = first_unit(self._unplayed)
            self._unplayed = self._unplayed[len(unit) :]
            self._clock.now += len(unit) / SAMPLE_RATE
            if word:
                self._said += word
                self._told(Word(word))
                self.held = bool(self._until) and self._until in _plain(self._said)
        while self._marks and self._marks[0][0] <= self._sent - len(self._unplayed):
            self.deliver(messages.MarkPlayed(self._marks.popleft()[1]))
        self.passed()


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
