"""One call's talk with a voice model: server events in, `worker.speech` events and messages out.
Sans-I/O: no socket, no task; the clock is given.

                 caller                                      agent
    quiet ──speech_started──> speaks            nothing ──response.created──> responds
      ^                          │                 ^                             │ deltas
      │   answered by the server │                 └──────── response.done ──────┤
      └──── committed <── speech_stopped                tools wanted, if it is   │
                                                        completed and not cut <──┘

Speech of the caller's cuts the response that runs, unless that one may not be interrupted: the
server cancels it, too. A connection that replaces another is told the whole conversation first
(`worker.speech.openai_realtime_memory`), then what was left open is asked for again.
"""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from worker.errors import ProviderLostError
from worker.llm import Brief, Call, Said
from worker.openai_client import NAME
from worker.openai_socket import SESSION_EXPIRED, Fault
from worker.speech import Opening, SpeechListener, ToolsWanted
from worker.speech import openai_realtime_events as wire
from worker.speech.openai_realtime_answers import Answers
from worker.speech.openai_realtime_caller import Caller
from worker.speech.openai_realtime_memory import Memory
from worker.speech.openai_realtime_playing import Playing
from worker.speech.openai_realtime_tape import Tape
from worker.speech.openai_realtime_voice import Voice

if TYPE_CHECKING:
    from worker.speech.openai_realtime import OpenAIRealtime

NOT_RUN = "Not run: the caller interrupted."

_MOST_OUTBOX = 1024
"""A connection that takes nothing for so long is lost anyway."""


class Talk:
    """``outbox`` holds what is to be sent on the present connection, in order; ``tape`` the
    caller's audio for it. Methods raise `ProviderError` when the connection is of no more use."""

    def __init__(
        self,
        settings: "OpenAIRealtime",
        opening: Opening,
        listener: SpeechListener,
        now: Callable[[], float],
    ) -> None:
        self._settings, self._listener, self._now = settings, listener, now
        self._brief = self._told = opening.brief
        self._connection = 0
        self._is_up = False
        self.outbox: deque[bytes] = deque(maxlen=_MOST_OUTBOX)
        self.tape = Tape()
        self._memory, self._playing = Memory(opening.items), Playing()
        self._caller = Caller(self.tape, self._memory, listener)
        self._voice = Voice(self._memory, self._playing, listener, now)
        self._answers = Answers(
            settings, self.outbox, self._caller, self._voice, self._playing, listener, now
        )
        self._answers.system = opening.brief.system
        self._readers = self._table()
        self._begin(opening)

    def _begin(self, opening: Opening) -> None:
        orders = self._answers.orders
        if opening.items:
            if self._memory.is_unanswered:
                orders.answer()
        elif opening.greeting:
            # A caller who is quicker than the greeting is answered instead.
            can_be_cut = opening.greeting_interruptible
            orders.say(opening.greeting, interruptible=can_be_cut, keeps=not can_be_cut)
        elif self._settings.speaks_first:
            orders.answer()

    # The connection --------------------------------------------------------------------------

    @property
    def is_quiet(self) -> bool:
        """Nobody speaks, and nothing is on its way: a good moment for another connection."""
        is_busy = self._caller.is_speaking or self._memory.is_waiting
        return self._answers.is_idle and not is_busy

    def setup(self) -> bytes:
        """Return what sets a new connection up, before anything else is said on it."""
        self._told = self._brief
        return wire.update(self._settings.session(self._brief))

    def opened(self) -> None:
        """A connection is set up, and is the one from here on."""
        self.lost()
        self._connection += 1
        self._is_up = True
        self._voice.connection = self._connection
        self._caller.opened(self._connection)
        self._answers.opened()
        if self._told is not self._brief:
            self._tell_brief()
        for item in self._memory.hand_over():
            self.outbox.append(wire.create(item))
        self._answers.release()

    def lost(self) -> None:
        """The connection is gone; what it left open is asked for again on the next."""
        if not self._is_up:
            return
        self._is_up = False
        self.outbox.clear()
        was_owed = self._caller.is_owed
        self._caller.lost()
        self._answers.lost(was_owed=was_owed)

    def line_is_open(self) -> None:
        """The caller hears what was said so far, from now on."""
        self._playing.line_is_open(self._now())

    def tick(self) -> None:
        """See whether something is due: asked often while there is a connection."""
        self._answers.tick()

    # What the call wants ---------------------------------------------------------------------

    def cut(self, utterance: str, heard_ms: float) -> None:
        """Of an utterance so much was heard: the rest is to be forgotten."""
        line = self._voice.cut(utterance, heard_ms)
        if line is None or not self._is_up:
            return
        if line.connection != self._connection:
            self._replace(utterance)
            return
        running, heard = self._voice.running, line.heard or 0
        if running is not None and running.id == line.response_id:
            self._answers.cancel()
        if line.received and (heard < line.received or not line.is_whole):
            self.outbox.append(wire.truncate(line.item_id, heard // 8))

    def _replace(self, utterance: str) -> None:
        """A line of an earlier connection was cut: it stands here in words."""
        placed = self._memory.replaced(utterance)
        if placed is not None:
            item_id, item, before = placed
            self.outbox.append(wire.delete(item_id))
            if item is not None:
                self.outbox.append(wire.create(item, before))

    def say(self, text: str, *, interruptible: bool) -> None:
        """Have it said, behind what is being said."""
        self._answers.orders.say(text, interruptible=interruptible)
        self._answers.release()

    def tell(self, text: str) -> None:
        """Have it answered, as if the caller had said it."""
        self._memory.add(Said("user", text))
        if self._is_up:
            self.outbox.append(wire.create(wire.message("user", text)))
        self._answers.orders.answer()
        self._answers.release()

    def answered(self, call_id: str, text: str, brief: Brief | None) -> None:
        """A tool has come to something; when all of a step have, the model is asked to go on."""
        if brief is not None:
            self.brief(brief)
        step = self._memory.answer(call_id, text)
        if step is None:
            return
        if self._is_up:
            self.outbox.append(wire.create(wire.function_output(call_id, text)))
        if step.is_answered:
            self._answers.orders.answer()
            self._answers.release()

    def brief(self, brief: Brief) -> None:
        """This holds from here on; the voice is the session's, and stays."""
        self._brief = brief
        self._answers.system = brief.system
        if self._is_up:
            self._tell_brief()

    def _tell_brief(self) -> None:
        tools = wire.tools_of(self._brief.tools)
        self.outbox.append(wire.update({"instructions": self._brief.system, "tools": tools}))

    # What the server says --------------------------------------------------------------------

    def read(self, event: wire.Event) -> None:
        """Take an event."""
        reader = self._readers.get(event.type)
        if reader is not None:
            reader(event)

    def _table(self) -> dict[str, Callable[[wire.Event], None]]:
        caller, voice = self._caller, self._voice
        return {
            wire.AUDIO: self._audio,
            wire.AUDIO_DONE: voice.audio_done,
            wire.WORDS: voice.words,
            wire.WORDS_DONE: voice.words_done,
            wire.STARTED: self._interrupted,
            wire.STOPPED: lambda event: caller.stopped(event, self._now()),
            wire.COMMITTED: caller.committed,
            wire.SAID: caller.said,
            wire.NOT_UNDERSTOOD: caller.not_understood,
            wire.RESPONSE: lambda event: self._answers.began(event.response or wire.Response()),
            wire.DONE: lambda event: self._done(event.response or wire.Response()),
            wire.ERROR: lambda event: self._error(event.error or Fault()),
        }

    def _audio(self, event: wire.Event) -> None:
        self._answers.alive_at = self._now()
        self._voice.audio(event)

    def _interrupted(self, event: wire.Event) -> None:
        self._caller.started(event)
        self._answers.interrupted()

    def _done(self, response: wire.Response) -> None:
        calls, is_cut = self._answers.ended(response)
        self._wanted(calls, is_cut=is_cut)
        self._answers.release()

    def _wanted(self, calls: tuple[Call, ...], *, is_cut: bool) -> None:
        """The model wants tools called; what the caller has interrupted is not run."""
        new = self._memory.step(calls)
        if new and not is_cut:
            self._listener.happened(ToolsWanted(new))
        for call in new if is_cut else ():
            self._memory.answer(call.id, NOT_RUN)
            self.outbox.append(wire.create(wire.function_output(call.id, NOT_RUN)))

    def _error(self, fault: Fault) -> None:
        if fault.code == SESSION_EXPIRED:
            raise ProviderLostError(NAME, "the session was too long: session_expired")
        self._answers.refused(fault)
