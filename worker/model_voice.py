"""The utterances of a speech-to-speech model: begun by their first sign, heard, cut, corrected.

They go to the same playout as whatever else is said, so that order, pauses, marks and what was
heard are one thing, whoever speaks. It knows keys, and nothing of a service.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from shared.audio import ms_of_bytes
from shared.turn_stages import Stage
from worker.minutes import Line, Minutes
from worker.playout import Playout
from worker.speech import Timing
from worker.turn_times import TurnTimes
from worker.utterance import Utterance

MOST_CUT = 50
"""Cut utterances that are remembered, the latest: late audio of them is dropped."""


class ModelVoice:
    """What the model says on one call.

    ``cut`` is told how much of an utterance was heard, in ms, when it will not be heard to its end;
    ``over`` whenever one has ended.
    """

    def __init__(
        self,
        playout: Playout,
        minutes: Minutes,
        times: TurnTimes,
        cut: Callable[[str, float], None],
        over: Callable[[], None],
    ) -> None:
        self._playout, self._minutes, self._times = playout, minutes, times
        self._tell_cut, self._over = cut, over
        self._open: dict[str, tuple[Utterance, Line]] = {}
        self._cut: dict[str, Line] = {}
        """Those that are over."""
        self._timed: dict[str, list[Timing]] = {}
        """Timings that have come before their words."""
        self._corrections: dict[str, str] = {}
        """Corrections that have come before it was seen that their utterance is over."""
        self._asked: deque[tuple[bool, asyncio.Future[Utterance]]] = deque()
        """What the model was asked to say: whether it may be interrupted, who waits for it."""
        self._lost: dict[Utterance, Line] = {}
        """Utterances of a session that is gone, not heard to their end yet."""
        self.protects_next = False
        """What begins next cannot be interrupted."""
        self.corrects = False
        """The service tells what of a cut utterance it counts as spoken."""

    @property
    def open(self) -> bool:
        """Whether an utterance was begun and not heard to its end."""
        return bool(self._open or self._lost)

    @property
    def latest(self) -> Utterance | None:
        """The utterance that began last, if it was not heard to its end."""
        return next((utterance for utterance, _ in reversed(self._open.values())), None)

    @property
    def breaks_off(self) -> bool:
        """Whether the caller hears something of which more was to come."""
        return any(
            utterance.first_audio_at is not None and not utterance.speech.whole
            for utterance, _ in self._open.values()
        )

    @property
    def is_asked(self) -> bool:
        """Whether what begins next is what the model was asked to say."""
        return any(not waiting.done() for _, waiting in self._asked)

    def expect(self, interruptible: bool) -> "asyncio.Future[Utterance]":
        """Return the utterance to come, which the model was asked for."""
        begun: asyncio.Future[Utterance] = asyncio.get_running_loop().create_future()
        self._asked.append((interruptible, begun))
        return begun

    def knows(self, key: str) -> bool:
        """Whether the utterance was begun, or is over."""
        return key in self._open or key in self._cut

    # What comes of one -------------------------------------------------------------------------

    def audio(self, key: str, audio: bytes) -> None:
        """Audio; of one that is over it is dropped."""
        utterance = self._utterance(key)
        if utterance is not None:
            self._times.reached(Stage.FIRST_TOKEN)
            self._times.reached(Stage.FIRST_AUDIO)
            utterance.speech.audio += audio
            self._playout.pump()

    def words(self, key: str, text: str, final: bool) -> None:
        """All its text so far."""
        utterance = self._utterance(key)
        if utterance is not None:
            utterance.speech.words(text)
            utterance.speech.text_complete = final
            utterance.speech.time(self._timed.pop(key, ()))

    def timed(self, key: str, timings: Sequence[Timing]) -> None:
        """Further timings."""
        utterance = self._utterance(key)
        if utterance is None:
            return
        if utterance.speech.text:
            utterance.speech.time(timings)
        else:
            self._timed.setdefault(key, []).extend(timings)

    def done(self, key: str) -> None:
        """All of its audio has come."""
        if key in self._open:
            speech = self._open[key][0].speech
            speech.text_complete = speech.whole = True
            self._playout.pump()

    def corrected(self, key: str, text: str) -> None:
        """What the service counts as spoken of one that was cut."""
        if key in self._cut:
            self._minutes.corrected(self._cut[key], text)
        elif key in self._open:
            self._corrections[key] = text

    def was_cut(self) -> None:
        """The service has cut what it was saying: what cannot be interrupted ends where it is."""
        for utterance, _ in self._open.values():
            if not utterance.speech.interruptible:
                utterance.speech.cut_short()

    def write_down(self) -> None:
        """What is being said is history as if it was heard; it is set right when it is over."""
        for utterance, line in (*self._open.values(), *self._lost.items()):
            if not utterance.ended.done():
                self._minutes.history.heard(line.key, utterance.speech.text.strip())

    def lost(self) -> None:
        """No more will come of what was begun; what comes next has keys of its own.

        What the caller hears of it goes on; half a sentence that waits is not begun any more.
        """
        begun, self._open = self._open, {}
        self._cut.clear()
        self._timed.clear()
        self._corrections.clear()
        self._lost |= dict(begun.values())
        for utterance, _ in begun.values():
            if utterance.first_audio_at is None and not utterance.speech.whole:
                self._playout.end(utterance)
            utterance.speech.cut_short()
        self._playout.pump()
        self.close()

    def close(self) -> None:
        """Nobody waits for an utterance any more."""
        while self._asked:
            self._asked.popleft()[1].cancel()

    # From begin to end -------------------------------------------------------------------------

    def _utterance(self, key: str) -> Utterance | None:
        if key in self._cut:
            return None
        utterance = self._open[key][0] if key in self._open else self._begin(key)
        return None if utterance.ended.done() else utterance

    def _begin(self, key: str) -> Utterance:
        protected, self.protects_next = self.protects_next, False
        interruptible, waiting = not protected, None
        while self._asked and (waiting is None or waiting.done()):
            interruptible, waiting = self._asked.popleft()
        utterance = Utterance(_elsewhere, interruptible=interruptible, held=False, reply=True)
        self._open[key] = utterance, self._minutes.agent(utterance, corrected=self.corrects)
        utterance.ended.add_done_callback(lambda _: self._ended(key, utterance))
        if waiting is not None and not waiting.done():
            waiting.set_result(utterance)
        self._playout.add(utterance)
        return utterance

    def _ended(self, key: str, utterance: Utterance) -> None:
        if utterance in self._lost:
            del self._lost[utterance]
        else:
            _, self._cut[key] = self._open.pop(key)
            self._timed.pop(key, None)
            correction = self._corrections.pop(key, None)
            if correction is not None:
                self._minutes.corrected(self._cut[key], correction)
            while len(self._cut) > MOST_CUT:
                del self._cut[next(iter(self._cut))]
            if not utterance.ended.result():
                self._tell_cut(key, ms_of_bytes(utterance.speech.heard))
        self._over()


def _elsewhere(utterance: Utterance, clause: str, done: bool) -> None:
    """The model makes its own audio."""
