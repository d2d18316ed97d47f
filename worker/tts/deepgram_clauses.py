"""Which text Aura is given when, and whose audio comes back. Pure; the clock is given.

Aura speaks what it was given when it is told to flush, and confirms when all of that audio was
sent. So text goes in *portions*, one at a time:

    posted   |One moment.|I look it up.|There is a table|at eight.|
    portions [ One moment. ] [ I look it up. There is a table ] [ at eight. ]
             at once          when that has come and little      all the rest, when the
                              of it is left to be heard          utterance is whole

A flush for each clause would pass the limit of 20 a minute (docs: tts-ws-flush).
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from worker.message import Message
from worker.tts import Timing
from worker.tts.aborted import Aborted
from worker.tts.ledger import Ledger

LEAD_SECONDS = 2.0
"""The next portion is asked for when so much audio, or less, is left to be heard."""

MOST_CHARACTERS = 1500
"""Most text in a portion. Aura takes 2000 characters at a time (docs: errors, 413)."""


@dataclass(frozen=True, slots=True)
class Portion:
    """Clauses of one utterance that are spoken together."""

    uuid: UUID
    clauses: tuple[str, ...]

    @property
    def text(self) -> str:
        """All of them, as they were posted."""
        return "".join(self.clauses)


@dataclass(slots=True)
class _Utterance:
    waiting: deque[str] = field(default_factory=deque)
    is_whole: bool = False
    audible_at: float | None = None
    """When its first audio came, in s of the given clock."""


class Clauses:
    """The utterances of one session: what waits, what is being spoken, what is to be cleared."""

    def __init__(self) -> None:
        self._ledger = Ledger()
        self._utterances: dict[UUID, _Utterance] = {}
        self._aborted = Aborted()
        self._spoken: Portion | None = None
        """The portion whose audio comes now."""
        self._spoken_from_ms = 0.0
        self.must_clear = False
        """What is spoken was aborted, and the server has not been told."""
        self.is_clearing = False
        """It was told, and has not confirmed: audio that comes is of the aborted portion."""
        self._may_be_stale = False
        """The next ``Flushed`` may be the aborted portion's: nobody says if it comes at all."""

    def post(self, message: Message[str]) -> None:
        """Take a piece of text."""
        if self._aborted.drops(message):
            return
        self._ledger.posted(message)
        utterance = self._utterances.setdefault(message.uuid, _Utterance())
        utterance.waiting.extend(_split(message.data))
        utterance.is_whole = utterance.is_whole or message.done

    def abort(self, uuid: UUID) -> None:
        """Forget an utterance, text of it that is still to come included."""
        utterance = self._utterances.pop(uuid, None)
        if utterance is None:
            return
        self._ledger.close(uuid)
        if not utterance.is_whole:
            self._aborted.add(uuid)
        if self._spoken is not None and self._spoken.uuid == uuid:
            self._spoken, self.must_clear = None, True

    def cleared(self) -> None:
        """The server has confirmed."""
        self.is_clearing, self._may_be_stale = False, True

    @property
    def is_awaiting(self) -> bool:
        """The server owes an answer."""
        return self._spoken is not None or self.is_clearing

    def next(self, now: float) -> Portion | None:
        """Return the portion to speak now; it counts as being spoken from then on."""
        uuid = next(iter(self._utterances), None)
        if uuid is None or self.is_awaiting or self.must_clear or self.due_in(now) != 0:
            return None
        waiting = self._utterances[uuid].waiting
        while waiting:
            portion = Portion(uuid, _taken(waiting))
            if any(letter.isalnum() for letter in portion.text):
                self._spoken, self._spoken_from_ms = portion, self._ledger.received_ms(uuid)
                return portion
        return None

    def due_in(self, now: float) -> float | None:
        """Return in how many s the next portion is due, ``None`` while there is none."""
        uuid = next(iter(self._utterances), None)
        if uuid is None or not self._utterances[uuid].waiting:
            return None
        utterance = self._utterances[uuid]
        if utterance.is_whole or utterance.audible_at is None:
            return 0.0
        left = self._ledger.received_ms(uuid) / 1000 - (now - utterance.audible_at)
        return max(0.0, left - LEAD_SECONDS)

    def finished(self) -> UUID | None:
        """Return an utterance of which there is nothing left to say, and forget it."""
        uuid = next(iter(self._utterances), None)
        if uuid is None or (self._spoken is not None and self._spoken.uuid == uuid):
            return None
        utterance = self._utterances[uuid]
        if not utterance.is_whole or utterance.waiting:
            return None
        del self._utterances[uuid]
        self._ledger.close(uuid)
        return uuid

    def audio(self, size: int, now: float) -> UUID | None:
        """Audio came: return whose it is, ``None`` when it is to be dropped."""
        if self._spoken is None:
            return None
        uuid = self._spoken.uuid
        utterance = self._utterances[uuid]
        if utterance.audible_at is None:
            utterance.audible_at = now
        self._ledger.received(uuid, size)
        return uuid

    def flushed(self) -> tuple[UUID, list[Timing]] | None:
        """All audio of what is spoken has come: return whose it was, and where its clauses are."""
        if self._spoken is None:
            return None
        came_ms = self._ledger.received_ms(self._spoken.uuid) - self._spoken_from_ms
        is_stale, self._may_be_stale = self._may_be_stale and not came_ms, False
        if is_stale:
            return None
        portion, self._spoken = self._spoken, None
        return portion.uuid, self._timed(portion.uuid, portion.clauses)

    def _timed(self, uuid: UUID, clauses: Iterable[str]) -> list[Timing]:
        """Spread clauses over the audio since the portion began, by their length."""
        spoken = [clause for clause in clauses if clause.strip()]
        start, came_ms = self._spoken_from_ms, self._ledger.received_ms(uuid)
        letter_ms = (came_ms - start) / max(1, sum(map(len, spoken)))
        timings = []
        for clause in spoken:
            end = min(came_ms, start + letter_ms * len(clause))
            timings.append(Timing(clause.strip(), start, end))
            start = end
        self._ledger.timed(uuid, timings)
        return timings

    def lost(self) -> list[tuple[UUID, list[Timing]]]:
        """The connection is gone: what was not said waits again; return what was, timed."""
        portion, self._spoken = self._spoken, None
        self.must_clear = self.is_clearing = self._may_be_stale = False
        said: list[tuple[UUID, list[Timing]]] = []
        for uuid, utterance in self._utterances.items():
            if portion is None or portion.uuid != uuid:
                continue
            rest = self._ledger.unsaid(uuid).text
            text = portion.text + "".join(utterance.waiting)
            before = text[: len(text) - len(rest)]
            if before.strip():
                said.append((uuid, self._timed(uuid, [before])))
            utterance.waiting = deque(_split(rest))
            utterance.audible_at = None
        return said


def _taken(waiting: deque[str]) -> tuple[str, ...]:
    """Take as many clauses as make a portion."""
    clauses, size = [], 0
    while waiting and size + len(waiting[0]) <= MOST_CHARACTERS:
        clauses.append(waiting.popleft())
        size += len(clauses[-1])
    return tuple(clauses)


def _split(text: str) -> list[str]:
    """Cut text that is too long for one portion, between words where there are any."""
    pieces = []
    while len(text) > MOST_CHARACTERS:
        at = text.rfind(" ", 1, MOST_CHARACTERS) + 1 or MOST_CHARACTERS
        pieces.append(text[:at])
        text = text[at:]
    return [*pieces, text] if text else pieces
