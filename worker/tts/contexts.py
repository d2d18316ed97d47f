"""Utterances on a provider's contexts: which text goes into which, and whose audio comes. Pure.

    post ──> held ──> a context of its own ──audio, words──> listener ──ended──> done
               ^           │ ended in a pause, by us or by the provider: goes on in a fresh one
               ├───────────┤ the socket was lost: the rest, to the next socket
               └──waiting──┘ the provider had no room: the rest, a moment later

Utterances do not wait for each other; each message says whose it is. A word's timing is given out
when its audio is there, so a lost socket leaves no timing of what nobody will hear, and times go
on from the audio that came before. Nothing here knows a socket or a clock: ``now`` is in seconds,
messages to send are left in ``outbox``. What it raises is a `ProviderError`: the socket is to be
left, and whether another is tried is the error's kind.
"""

import random
from collections import deque
from collections.abc import Iterable
from uuid import UUID

from worker.errors import ProviderError, ProviderLostError, ProviderRefusedError
from worker.message import Message
from worker.tts import TTSListener
from worker.tts.aborted import Aborted
from worker.tts.ledger import WHOLE_MS
from worker.tts.utterance import Context, Habits, Utterance
from worker.tts.wire import Audio, Ended, Heard, Said, Trouble, Wire, Words

MOST_TRIES = 4
"""How often the same words are tried again, while nothing of them is heard."""

MOST_SILENCES = 1
"""How often a provider that owes speech and says nothing is left for a new socket."""

FIRST_DELAY_S = 0.2
"""Wait before the same words are tried again on the same socket; doubles with each try."""

_GIVEN_UP_S = 3600.0
"""As a Retry-After: longer than any caller waits, so the link gives up at once."""

_ALWAYS_FINAL = frozenset({401, 402, 403})


class Contexts:
    """The open utterances of one call's voice."""

    def __init__(self, provider: str, listener: TTSListener, habits: Habits) -> None:
        self._provider, self._listener, self._habits = provider, listener, habits
        self.outbox: deque[Said] = deque()
        self._utterances: dict[UUID, Utterance] = {}
        self._speaking: dict[str, Utterance] = {}
        """By the name of their context."""
        self._unended: set[str] = set()
        """Contexts that take room on the socket, cancelled ones included."""
        self._aborted = Aborted()
        self._wire: Wire | None = None
        self._said_at = 0.0

    # What the call wants --------------------------------------------------------------------

    def post(self, message: Message[str], now: float) -> None:
        """Take a piece of text. Calls no listener."""
        if self._aborted.drops(message):
            return
        utterance = self._utterances.setdefault(message.uuid, Utterance(message.uuid))
        if utterance.whole:
            return
        utterance.held += message.data
        utterance.whole = message.done
        if utterance.context is None and utterance.is_said:
            utterance.not_before = now
        else:
            self._advance(utterance, now)

    def abort(self, uuid: UUID, now: float) -> None:
        """Forget an utterance, text of it that is still to come included."""
        utterance = self._utterances.pop(uuid, None)
        if utterance is None:
            return
        if not utterance.whole:
            self._aborted.add(uuid)
        if utterance.context is not None:
            self._speaking.pop(utterance.context.name, None)
            if self._wire is not None:
                self._say(self._wire.cancel(utterance.context.name), now)

    def forget(self) -> None:
        """Forget all utterances; nothing more is said or heard."""
        self._utterances.clear()
        self.lost()

    # What the socket does -------------------------------------------------------------------

    def opened(self, wire: Wire, now: float) -> None:
        """Begin on a new socket, with the rest of all that is open."""
        self._wire, self._said_at = wire, now
        for utterance in list(self._utterances.values()):
            if utterance.tries > MOST_TRIES:
                sentence = f"lost the connection {utterance.tries} times over the same words"
                raise self._given_up(ProviderLostError(self._provider, sentence))
            utterance.not_before = None
            self._advance(utterance, now)

    def lost(self) -> None:
        """The socket is gone: keep what was not heard."""
        self._wire = None
        self.outbox.clear()
        self._speaking.clear()
        self._unended.clear()
        for utterance in list(self._utterances.values()):
            utterance.waits_since = None
            if utterance.context is not None:
                utterance.tries += utterance.context.heard_at is None
                self._take_back(utterance, utterance.context)

    def received(self, raw: bytes, now: float) -> None:
        """Take a message. Raises `ProviderError` when the socket is to be left."""
        if self._wire is not None:
            for heard in self._wire.read(raw):
                self._heard(heard, now)

    # Time -----------------------------------------------------------------------------------

    def wake_at(self) -> float | None:
        """Return when `tick` is next to be called; ``None``: only when something has happened."""
        if self._wire is None:
            return None
        dues = [it.due_at(self._habits) for it in self._utterances.values()]
        if self._habits.keep_alive_s is not None:
            dues.append(self._said_at + self._habits.keep_alive_s)
        return min((due for due in dues if due is not None), default=None)

    def tick(self, now: float) -> None:
        """Do what is due. Raises `ProviderError` when the socket is to be left."""
        if self._wire is None:
            return
        for utterance in list(self._utterances.values()):
            due_at = utterance.due_at(self._habits)
            if due_at is not None and now >= due_at:
                self._be_due(utterance, self._wire, now)
        keep_alive_s = self._habits.keep_alive_s
        if keep_alive_s is not None and now >= self._said_at + keep_alive_s:
            self._say(self._wire.keep_alive(), now)

    def _be_due(self, utterance: Utterance, wire: Wire, now: float) -> None:
        context = utterance.context
        if utterance.not_before is not None:
            utterance.not_before = None
            self._advance(utterance, now)
        elif context is None:
            if len(self._unended) > len(self._speaking):
                raise ProviderLostError(self._provider, "does not end contexts that were closed")
            utterance.waits_since = now
        elif context.owes:
            utterance.silences += 1
            sentence = f"owed speech and was silent for {self._habits.answer_s:g} s"
            error = ProviderLostError(self._provider, sentence)
            raise self._given_up(error) if utterance.silences > MOST_SILENCES else error
        else:
            context.ending, context.said_at = True, now
            self._say(wire.end(context.name), now)

    # Text -----------------------------------------------------------------------------------

    def _advance(self, utterance: Utterance, now: float) -> None:
        """Say what can be said of an utterance now."""
        wire, context = self._wire, utterance.context
        is_gone = self._utterances.get(utterance.uuid) is not utterance
        if wire is None or is_gone or utterance.not_before is not None:
            return
        if context is None:
            if utterance.is_said:
                del self._utterances[utterance.uuid]
                self._listener.audio(Message(utterance.uuid, b""))
                return
            context = self._open(utterance, now) if utterance.has_words else None
        if context is None or context.ending:  # a fresh one follows its end
            return
        if utterance.has_words:
            self._say(wire.say(context.name, utterance.held, last=utterance.whole), now)
        elif utterance.whole:
            self._say(wire.end(context.name), now)
        else:
            return
        utterance.told(context, now)

    def _open(self, utterance: Utterance, now: float) -> Context | None:
        """Begin a context if there is room for one."""
        most = self._habits.most_contexts
        if most is not None and len(self._unended) >= most:
            if utterance.waits_since is None:
                utterance.waits_since = now
            return None
        context = utterance.open(now)
        self._speaking[context.name] = utterance
        if most is not None:
            self._unended.add(context.name)
        return context

    def _say(self, messages: Iterable[Said], now: float) -> None:
        self.outbox.extend(messages)
        self._said_at = now

    # Speech ---------------------------------------------------------------------------------

    def _heard(self, heard: Heard, now: float) -> None:
        utterance = self._speaking.get(heard.context) if heard.context is not None else None
        context = utterance.context if utterance is not None else None
        if isinstance(heard, Ended):
            self._unended.discard(heard.context)
        if isinstance(heard, Trouble) and heard.context is None:
            self._complained(heard.error)
        elif utterance is not None and context is not None:
            self._of_context(heard, utterance, context, now)
        if isinstance(heard, Ended):
            for waiting in list(self._utterances.values()):
                if waiting.waits_since is not None:
                    self._advance(waiting, now)

    def _of_context(self, heard: Heard, utterance: Utterance, context: Context, now: float) -> None:
        match heard:
            case Audio(_, data):
                utterance.heard(context, len(data), now)
                self._listener.audio(Message(utterance.uuid, data, done=False))
                self._give_timings(utterance, context)
            case Words(_, timings):
                utterance.timed(context, timings, now)
                self._give_timings(utterance, context)
            case Ended():
                self._ended(utterance, context, now)
            case Trouble(_, error):
                self._troubled(utterance, context, error, now)

    def _give_timings(
        self, utterance: Utterance, context: Context, lacking_ms: float = 0.0
    ) -> None:
        if utterance.uuid not in self._utterances:  # aborted by the listener just now
            return
        ready = utterance.ready_timings(context, lacking_ms)
        if ready:
            self._listener.timed(utterance.uuid, ready)

    def _take_back(self, utterance: Utterance, context: Context) -> None:
        """Leave a context, and hold again what it has not spoken."""
        self._speaking.pop(context.name, None)
        self._give_timings(utterance, context, WHOLE_MS)
        utterance.take_back()

    def _ended(self, utterance: Utterance, context: Context, now: float) -> None:
        is_dumb = not utterance.came_ms and any(map(str.isalnum, context.text))
        if is_dumb or (not context.ending and context.owes):
            error = ProviderLostError(self._provider, "ended a text that it had not spoken")
            self._try_again(utterance, context, error, now)
            return
        last = utterance.last_timings(context)
        del self._speaking[context.name]
        utterance.leave()
        if last:
            self._listener.timed(utterance.uuid, last)
        self._advance(utterance, now)

    # Complaints -----------------------------------------------------------------------------

    def _complained(self, error: ProviderError) -> None:
        """Leave the socket, unless it is a refusal that concerns nothing that is open."""
        is_refusal = isinstance(error, ProviderRefusedError)
        if not is_refusal or self._speaking or error.status in _ALWAYS_FINAL:
            raise error

    def _troubled(
        self, utterance: Utterance, context: Context, error: ProviderError, now: float
    ) -> None:
        # What has spoken cannot have a wrong parameter: its context was dropped, for one.
        is_over = context.heard_at is not None and error.status not in _ALWAYS_FINAL
        if isinstance(error, ProviderRefusedError) and not is_over:
            raise error
        self._unended.discard(context.name)
        self._try_again(utterance, context, error, now)

    def _try_again(
        self, utterance: Utterance, context: Context, error: ProviderError, now: float
    ) -> None:
        """Say the rest in a fresh context, soon."""
        self._take_back(utterance, context)
        utterance.tries += 1
        if utterance.tries > MOST_TRIES:
            raise self._given_up(error)
        delay = FIRST_DELAY_S * 2 ** (utterance.tries - 1)
        utterance.not_before = now + delay * random.uniform(0.8, 1.2)  # noqa: S311 - spreads calls

    def _given_up(self, error: ProviderError) -> ProviderLostError:
        """Return ``error`` as one after which no other socket is tried."""
        return ProviderLostError(
            self._provider, f"{error.sentence}; given up", error.status, _GIVEN_UP_S
        )
