"""What is to be heard, in order: sent ahead of real time, taken back, sent again, given up.

    add ──> waits for those before ──> audio to the line, as it is made ──> mark played: heard
                                          │
                pause: line cleared, audio kept <──┤
                resume: sent again from the word that was cut
                end: gone; what was heard of it is what is remembered

It knows utterances with their audio and the line, and no voice: where audio comes from is the
speaker's business.
"""

import asyncio
import math
from collections.abc import Callable, Iterator
from typing import Protocol

from shared import messages
from shared.audio import FRAME_BYTES
from shared.turn_stages import Stage
from worker.utterance import Utterance
from worker.uttered import Speech
from worker.voip import VoIP

ECHO_SECONDS = 10.0
"""How long after its end an utterance waits for the echo of its mark; then it counts as heard."""


class Stopwatch(Protocol):
    """Who keeps the times of the turn."""

    def reached(self, stage: Stage) -> bool:
        """The turn has come so far, now; tell whether it is the first time. Only that counts."""


class Playout:
    """The utterances on one line.

    ``changed`` is called whenever `audible` or `protected` may have changed, ``ended`` when an
    utterance is over.
    """

    def __init__(
        self,
        call: VoIP,
        clock: Callable[[], float],
        stopwatch: Stopwatch,
        changed: Callable[[], None],
        ended: Callable[[Utterance], None],
    ) -> None:
        self._call, self._now = call, clock
        self._stopwatch, self._changed, self._ended = stopwatch, changed, ended
        self._queue: list[Utterance] = []
        self.paused = False
        """Speech is held back, since the caller makes a sound."""

    def __iter__(self) -> Iterator[Utterance]:
        return iter(list(self._queue))

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def audible(self) -> bool:
        """Whether something was begun on the line and not heard to its end."""
        return any(utterance.first_audio_at is not None for utterance in self._queue)

    @property
    def protected(self) -> bool:
        """Whether what is being heard must not be interrupted; what waits behind it may be."""
        for utterance in self._queue:
            if utterance.first_audio_at is not None:
                return not utterance.speech.interruptible
        return False

    @property
    def left_ms(self) -> float:
        """How much is unheard, made or not, in ms; without end while an answer has no word yet."""
        self.hear()
        awaited = any(not (it.speech.text or it.speech.text_complete) for it in self._queue)
        return math.inf if awaited else sum(it.speech.left_ms for it in self._queue)

    # Utterances ------------------------------------------------------------------------------

    def add(self, utterance: Utterance, before: Utterance | None = None) -> None:
        """Let it be heard, behind the others; or ``before`` one of which nothing was heard yet."""
        place = len(self._queue)
        if before is not None and before in self._queue and before.first_audio_at is None:
            place = self._queue.index(before)
        self._queue.insert(place, utterance)
        self.pump()

    def end(self, utterance: Utterance, *, complete: bool = False) -> None:
        """It is over: heard ``complete``, or as far as it was."""
        if utterance in self._queue:
            self._queue.remove(utterance)
            self.paused = self.paused and bool(self._queue)
        utterance.unmark()
        self._ended(utterance)
        if not utterance.ended.done():
            utterance.ended.set_result(complete)
        self._changed()

    def cut_out(self, utterance: Utterance) -> None:
        """End one that may be on the line before or behind others, which go on."""
        self.take_back()
        self.end(utterance)
        self.pump()

    # Taking back -----------------------------------------------------------------------------

    def take_back(self) -> None:
        """Clear the line; what was not heard is sent again when `pump` is called."""
        self.hear()
        if self._call.speaking_ms:
            self._call.clear()
        self._taken_back()

    def _taken_back(self) -> None:
        for utterance in self._queue:
            utterance.unmark()
            utterance.speech.take_back(self._call.sent)

    def stream_closed(self) -> None:
        """The line is gone; another may come."""
        self.hear()
        self._taken_back()

    def hear(self) -> None:
        """Note how far each was heard."""
        heard = self._call.heard
        for utterance in self._queue:
            utterance.speech.hear(heard)

    # To the line -----------------------------------------------------------------------------

    def pump(self) -> None:
        """Send what may be sent: each once all of those before are with the carrier."""
        if self.paused or not self._call.streaming:
            return
        has_begun = False
        for utterance in list(self._queue):
            has_begun = self._send(utterance) or has_begun
            if not utterance.speech.all_sent:
                break
            self._mark_end(utterance)
        if has_begun:
            self._changed()

    def _send(self, utterance: Utterance) -> bool:
        """Send what has come of it; tell whether it has begun with that."""
        speech = utterance.speech
        audio = speech.unsent()
        if not audio:
            return False
        begins = utterance.first_audio_at is None
        if begins:
            self._begin(utterance, audio)
        else:
            self._place(speech)
            self._call.play(audio)
        speech.sent += len(audio)
        if speech.clause_passed():
            self._call.mark()
        return begins

    def _place(self, speech: Speech) -> None:
        """Where other audio has come between, it goes on at another place of the stream."""
        if speech.next_on_stream != self._call.sent:
            speech.hear(self._call.heard)
            speech.place(self._call.sent)

    def _begin(self, utterance: Utterance, audio: bytes) -> None:
        """A reply's first frame has a mark of its own: its echo says when the caller hears it."""
        utterance.first_audio_at = self._now()
        utterance.speech.place(self._call.sent)
        self._call.tell(messages.Speaking(utterance.speech.text.strip()))
        if utterance.is_reply and self._stopwatch.reached(Stage.FIRST_SENT):
            self._call.play(audio[:FRAME_BYTES])
            self._call.mark().add_done_callback(self._first_heard)
            audio = audio[FRAME_BYTES:]
        self._call.play(audio)

    def _first_heard(self, mark: asyncio.Future[bool]) -> None:
        if not mark.cancelled() and mark.result():
            self._stopwatch.reached(Stage.FIRST_HEARD)

    def _mark_end(self, utterance: Utterance) -> None:
        if utterance.mark is not None:
            return
        if not utterance.speech.audio:
            self.end(utterance, complete=True)
            return
        utterance.mark = self._call.mark()
        utterance.mark.add_done_callback(lambda mark: self._played(utterance, mark))
        limit = self._call.speaking_ms / 1000 + ECHO_SECONDS
        loop = asyncio.get_running_loop()
        utterance.overdue = loop.call_later(limit, self._not_echoed, utterance)

    def _played(self, utterance: Utterance, mark: asyncio.Future[bool]) -> None:
        """The echo has come; or none will, since somebody else has cleared the line."""
        if utterance.mark is not mark or mark.cancelled():
            return  # it was taken back, and is sent again
        if not mark.result():
            self.hear()
        self.end(utterance, complete=mark.result())

    def _not_echoed(self, utterance: Utterance) -> None:
        self.end(utterance, complete=True)
