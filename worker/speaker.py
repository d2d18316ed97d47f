"""The agent's voice: has utterances made clause by clause, and heard, paused or given up.

    begin ──> feed, feed, finish ──> clauses ──> TTS ──> audio ──> playout ──> line
                                                  └──── commit: aborted

Text is posted as it comes. An utterance that begins before there is a stream (the greeting) or
before it is certain to be wanted (``held``) is made all the same, and kept until then.
"""

import asyncio
from collections.abc import AsyncIterable, Callable, Sequence
from uuid import UUID

from shared.turn_stages import Stage
from worker.errors import ProviderError
from worker.message import Message
from worker.playout import Playout, Stopwatch
from worker.tts import TTS, Timing, TTSSession
from worker.utterance import Spoken, Utterance
from worker.voip import VoIP


class Speaker:
    """Speaks on one call, with one voice at a time.

    ``changed`` is called whenever the answer of `audible` or `protected` may have changed.
    """

    def __init__(
        self,
        call: VoIP,
        clock: Callable[[], float],
        stopwatch: Stopwatch,
        changed: Callable[[], None],
    ) -> None:
        self._call, self._stopwatch, self._changed = call, stopwatch, changed
        self.playout = Playout(call, clock, stopwatch, changed, self._over)
        """What is to be heard; what others make of speech goes there, too."""
        self._session: TTSSession | None = None
        self._voice = _Voice(self)
        self._open: dict[UUID, Utterance] = {}
        """Utterances whose audio is not whole."""
        self._lost: ProviderError | None = None

    # The voice -----------------------------------------------------------------------------

    async def connect(self, tts: TTS) -> None:
        """Open the voice. Raises what the provider raises."""
        self._session, self._voice = await self._open_voice(tts)
        self._lost = None

    async def _open_voice(self, tts: TTS) -> "tuple[TTSSession, _Voice]":
        voice = _Voice(self)
        return await tts.connect(voice), voice

    async def swap(self, tts: TTS | None) -> None:
        """Speak with another voice, or none, from the next utterance on; what is made is cut short.

        Raises what the provider raises; the voice before then stays.
        """
        opened = await self._open_voice(tts) if tts is not None else (None, _Voice(self))
        old, self._voice.speaker = self._session, None
        (self._session, self._voice), self._lost = opened, None
        for utterance in list(self._open.values()):
            if old is not None:
                old.abort(utterance.speech.uuid)
            utterance.speech.cut_short()
            self._made(utterance)
        if old is not None:
            await old.aclose()

    async def aclose(self) -> None:
        """Close the voice; nobody waits for an utterance after that."""
        self.give_up()
        if self._session is not None:
            session, self._session = self._session, None
            await session.aclose()

    # Speaking ------------------------------------------------------------------------------

    def begin(
        self, *, interruptible: bool = True, held: bool = False, reply: bool = False
    ) -> Utterance:
        """Begin an utterance, behind those that are to be heard; ``reply`` if it is a turn's."""
        utterance = Utterance(self._post, interruptible=interruptible, held=held, reply=reply)
        if not held:
            self.playout.add(utterance)
        return utterance

    async def say(
        self,
        text: str | AsyncIterable[str],
        interruptible: bool,
        *,
        reply: bool = False,
        begun: Callable[[Utterance], None] | None = None,
    ) -> Spoken:
        """Speak after what is being spoken; return when it was heard or cut.

        ``begun`` gets the utterance first. Raises `ProviderError`, and what a stream raises.
        """
        if self._call.over or (isinstance(text, str) and not text.strip()):
            return Spoken("", interrupted=False)
        utterance = self.begin(interruptible=interruptible, reply=reply)
        if begun is not None:
            begun(utterance)
        try:
            if isinstance(text, str):
                utterance.feed(text)
            else:
                await utterance.follow(text)
            utterance.finish()
            return await utterance.heard()
        finally:
            self.drop(utterance)

    def release(self, utterance: Utterance, before: Utterance | None = None) -> None:
        """Let a held utterance be heard, behind the others, or ``before`` one that waits."""
        if utterance.held and not utterance.ended.done():
            utterance.held = False
            self.playout.add(utterance, before)

    def drop(self, utterance: Utterance) -> None:
        """Forget an utterance; what of it was heard stays heard."""
        if utterance.ended.done():
            return
        if utterance.first_audio_at is not None:
            self.playout.cut_out(utterance)
        else:
            self.playout.end(utterance)

    def _post(self, utterance: Utterance, clause: str, done: bool) -> None:
        if utterance.ended.done() or utterance.speech.cut:
            return
        if self._session is None:
            raise RuntimeError("this agent has no voice: set tts on its class")
        if self._lost is not None:
            self._fail(utterance, self._lost)
            return
        speech = utterance.speech
        if utterance.is_reply and clause.strip():
            self._stopwatch.reached(Stage.FIRST_CLAUSE)
        speech.post(clause)
        speech.text_complete = done
        if done and not speech.text.strip():
            self._made(utterance)
            return
        self._open[speech.uuid] = utterance
        self._session.post(Message(speech.uuid, clause, done))

    # Who is heard --------------------------------------------------------------------------

    @property
    def audible(self) -> bool:
        """Whether something said is on the line and not heard to its end."""
        return self.playout.audible

    @property
    def protected(self) -> bool:
        """Whether what is on the line must not be interrupted."""
        return self.playout.protected

    @property
    def left_ms(self) -> float | None:
        """How much of what is said is unheard, made or not, in ms; ``None`` when nothing is."""
        return self.playout.left_ms if self.audible else None

    @property
    def paused(self) -> bool:
        """Whether speech is held back, since the caller makes a sound."""
        return self.playout.paused

    def protect(self) -> None:
        """What is to be heard now is heard to its end."""
        for utterance in self.playout:
            utterance.speech.interruptible = False
        self.resume()
        self._changed()

    async def silent(self, but: Utterance | None = None) -> None:
        """Return when everything to be heard, ``but`` for one, was heard or cut."""
        while waiting := [it.ended for it in self.playout if it is not but]:
            await asyncio.wait(waiting)

    # Barge-in ------------------------------------------------------------------------------

    def pause(self) -> None:
        """Take back what is not heard yet, and keep it; nothing that may not be interrupted."""
        if self.paused or not self.audible or self.protected:
            return
        self._stopwatch.reached(Stage.PAUSED)
        self.playout.paused = True
        self.playout.take_back()
        self._stopwatch.reached(Stage.CLEARED)

    def resume(self) -> None:
        """Go on at the word where it was cut."""
        if self.paused:
            self._stopwatch.reached(Stage.RESUMED)
            self.playout.paused = False
            self.playout.pump()

    def commit(self) -> None:
        """Give up everything that may be: it ends with what was heard. The rest is said."""
        given_up = [it for it in self.playout if it.speech.interruptible]
        if given_up:
            self._stopwatch.reached(Stage.COMMITTED)
        if not self.paused and any(it.first_audio_at is not None for it in given_up):
            self._stopwatch.reached(Stage.PAUSED)
            self.playout.take_back()
            self._stopwatch.reached(Stage.CLEARED)
        self.playout.hear()
        self.playout.paused = False
        for utterance in given_up:
            self.playout.end(utterance)
        self.playout.pump()

    # The line ------------------------------------------------------------------------------

    def stream_opened(self) -> None:
        """There is a line to the caller, empty: say what waits, or go on."""
        self.playout.pump()

    def stream_closed(self) -> None:
        """The line is gone; another may come."""
        self.playout.stream_closed()

    def give_up(self) -> None:
        """Nothing can be heard any more."""
        self.playout.hear()
        for utterance in [*self.playout, *self._open.values()]:
            self.playout.end(utterance)

    # What the TTS session says ---------------------------------------------------------------

    def audio(self, message: Message[bytes]) -> None:
        """Audio of an open utterance; late audio of another is dropped."""
        utterance = self._open.get(message.uuid)
        if utterance is None:
            return
        if message.data:
            if utterance.is_reply:
                self._stopwatch.reached(Stage.FIRST_AUDIO)
            utterance.speech.audio += message.data
        if message.done:
            self._made(utterance)
        else:
            self.playout.pump()

    def timed(self, uuid: UUID, timings: Sequence[Timing]) -> None:
        """Timings of an open utterance."""
        utterance = self._open.get(uuid)
        if utterance is not None:
            utterance.speech.time(timings)

    def failed(self, error: Exception) -> None:
        """The voice is lost: what it was to say fails, and whatever comes next."""
        self._lost = error if isinstance(error, ProviderError) else ProviderError("tts", str(error))
        for utterance in list(self._open.values()):
            self._fail(utterance, self._lost)

    def _fail(self, utterance: Utterance, error: ProviderError) -> None:
        self._open.pop(utterance.speech.uuid, None)
        utterance.fail(error)
        self.playout.end(utterance)

    def _made(self, utterance: Utterance) -> None:
        """All of its audio is there."""
        self._open.pop(utterance.speech.uuid, None)
        utterance.speech.whole = True
        self.playout.pump()

    def _over(self, utterance: Utterance) -> None:
        """It ended: what is not made yet is not wanted."""
        uuid = utterance.speech.uuid
        if self._open.pop(uuid, None) is not None and self._session is not None:
            self._session.abort(uuid)


class _Voice:
    """Listens to one TTS session, for as long as that is the call's voice."""

    def __init__(self, speaker: Speaker) -> None:
        self.speaker: Speaker | None = speaker

    def audio(self, message: Message[bytes]) -> None:
        """Pass audio on."""
        if self.speaker is not None:
            self.speaker.audio(message)

    def timed(self, uuid: UUID, timings: Sequence[Timing]) -> None:
        """Pass timings on."""
        if self.speaker is not None:
            self.speaker.timed(uuid, timings)

    def failed(self, error: Exception) -> None:
        """Pass a loss on."""
        if self.speaker is not None:
            self.speaker.failed(error)
