"""Several voices, declared in order: when one fails, the next one goes on in mid-sentence.

    posted    |The table is booked for four people.|
    first     ~~~~~~~~~~~~~~~~~~~~~~~X                      lost in "four"; what still comes of it
    second                           ~~~~~~~~~~~~~~~~~      is dropped. "four people."
    listener  ~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~      one utterance, times and all

A voice fails when it says so, when it does not open, or when it owes speech and keeps silent.
Timings are passed on once their audio is there, so none of the lost voice contradicts the next.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from worker import succession
from worker.errors import ProviderError, ProviderLostError
from worker.message import Message
from worker.succession import Succession, Troubled
from worker.tts import TTS, Timing, TTSListener, TTSSession
from worker.tts.aborted import Aborted
from worker.tts.ledger import Ledger

PATIENCE_SECONDS = 3.0
"""How long a voice may keep silent while it owes speech and another one is left."""


@dataclass(frozen=True, slots=True)
class FallbackTTS:
    """Speaks with the first of ``providers`` that can be had; ``on_trouble`` hears of losses."""

    providers: Sequence[TTS]
    on_trouble: Troubled | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        succession.checked(self.providers)

    def prepare(self) -> None:
        """Prepare all; those that refuse are left out. Raises `ProviderError` if none is left."""
        succession.prepare(self.providers)

    async def connect(self, listener: TTSListener) -> TTSSession:
        """Open a session with the first that can be had. Raises `ProviderError`."""
        speaking = _Speaking(Succession(self.providers, self.on_trouble), listener)
        await speaking.start()
        return speaking

    def stand_in(self) -> TTS:
        """Return what stands in for the first."""
        return self.providers[0].stand_in()


class _Voice:
    """One provider's session, and what it says, told apart from what others do."""

    session: TTSSession
    place: int

    def __init__(self, owner: "_Speaking") -> None:
        self._owner = owner
        self._error: Exception | None = None

    async def open(self, provider: TTS) -> "_Voice":
        """Connect; return itself. Raises what the provider raises."""
        self.session = await provider.connect(self)
        if self._error is not None:
            await succession.close(self.session)
            raise self._error
        return self

    def audio(self, message: Message[bytes]) -> None:
        """Pass audio on, while this is the voice."""
        if self._owner.voice is self:
            self._owner.audio(message)

    def timed(self, uuid: UUID, timings: Sequence[Timing]) -> None:
        """Pass timings on, while this is the voice."""
        if self._owner.voice is self:
            self._owner.timed(uuid, timings)

    def failed(self, error: Exception) -> None:
        """Have the next one go on."""
        self._error = error
        if self._owner.voice is self:
            self._owner.lose(error)


@dataclass(slots=True)
class _Utterance:
    offset_ms: float = 0.0
    """Audio of it that came from voices before this one."""
    waiting: deque[Timing] = field(default_factory=deque)
    """Timings whose audio has not come."""
    is_whole: bool = False
    is_told: bool = False
    """The voice that speaks now knows words of it."""
    is_silent: bool = False
    """It has said nothing of them."""


class _Speaking:
    """A call's voice, whoever it is at the moment."""

    def __init__(self, order: Succession[TTS], listener: TTSListener) -> None:
        self._order, self._listener = order, listener
        self._loop = asyncio.get_running_loop()
        self._ledger = Ledger()
        self._utterances: dict[UUID, _Utterance] = {}
        self._aborted = Aborted()
        self.voice: _Voice | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._alarm: asyncio.TimerHandle | None = None
        self._active_at = 0.0
        """When the voice last did something, or began to owe something."""
        self._is_closed = False

    async def start(self) -> None:
        """Open the first session that can be had. Raises `ProviderError`."""
        await self._take_over()

    async def _take_over(self) -> None:
        """Open the next voice, and have it say what is unsaid."""
        place, voice = await self._order.take(lambda provider: _Voice(self).open(provider))
        voice.place, self.voice = place, voice
        self._active_at = self._loop.time()
        for uuid in self._ledger:
            if uuid in self._ledger:  # the listener may abort one when another is done
                self._say_again(uuid, voice.session)
        self._watch()

    def _say_again(self, uuid: UUID, session: TTSSession) -> None:
        rest = self._ledger.unsaid(uuid)
        utterance = self._utterances[uuid]
        utterance.offset_ms = rest.offset_ms
        utterance.is_told = utterance.is_silent = bool(rest.text)
        utterance.waiting.clear()
        if rest.text:
            session.post(Message(uuid, rest.text, rest.whole))
        elif rest.whole:
            self._forget(uuid)
            self._listener.audio(Message(uuid, b""))

    def post(self, message: Message[str]) -> None:
        """Take a clause of text; while there is no voice it waits for the next one."""
        if self._is_closed or self._aborted.drops(message):
            return
        if not self._owes():
            self._active_at = self._loop.time()
        self._ledger.posted(message)
        utterance = self._utterances.setdefault(message.uuid, _Utterance())
        utterance.is_whole = message.done
        if message.data.strip() and not utterance.is_told:
            utterance.is_told = utterance.is_silent = True
        if self.voice is not None:
            self.voice.session.post(message)
            self._watch()

    def abort(self, uuid: UUID) -> None:
        """Forget the utterance, text of it that is still to come included."""
        utterance = self._forget(uuid)
        if utterance is None:
            return
        if not utterance.is_whole:
            self._aborted.add(uuid)
        if self.voice is not None:
            self.voice.session.abort(uuid)

    def _forget(self, uuid: UUID) -> _Utterance | None:
        self._ledger.close(uuid)
        return self._utterances.pop(uuid, None)

    # What the voice says -------------------------------------------------------------------

    def audio(self, message: Message[bytes]) -> None:
        """Audio of the voice that speaks now."""
        uuid = message.uuid
        utterance = self._utterances.get(uuid)
        if utterance is None:
            return
        self._active_at = self._loop.time()
        if message.data:
            utterance.is_silent = False
            self._ledger.received(uuid, len(message.data))
        if utterance.waiting:
            self._tell(uuid, utterance, everything=message.done)
        if uuid not in self._utterances:  # the listener has aborted it just now
            return
        if message.done:
            self._forget(uuid)
        self._listener.audio(message)

    def timed(self, uuid: UUID, timings: Sequence[Timing]) -> None:
        """Timings of the voice that speaks now; they begin where it began."""
        utterance = self._utterances.get(uuid)
        if utterance is None:
            return
        self._active_at = self._loop.time()
        offset = utterance.offset_ms
        shifted = [Timing(it.text, it.start_ms + offset, it.end_ms + offset) for it in timings]
        self._ledger.timed(uuid, shifted)
        utterance.waiting.extend(shifted)
        self._tell(uuid, utterance)

    def _tell(self, uuid: UUID, utterance: _Utterance, *, everything: bool = False) -> None:
        """Pass on the timings whose audio is there."""
        came_ms, ready = self._ledger.received_ms(uuid), list[Timing]()
        while utterance.waiting and (everything or utterance.waiting[0].end_ms <= came_ms):
            ready.append(utterance.waiting.popleft())
        if ready:
            self._listener.timed(uuid, ready)

    # When it fails -------------------------------------------------------------------------

    def lose(self, error: Exception) -> None:
        """The voice that speaks now is lost: find another one."""
        voice, self.voice = self.voice, None
        if voice is None or self._is_closed:
            return
        self._order.lost(voice.place, error)
        task = self._loop.create_task(self._replace(voice))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _replace(self, voice: _Voice) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(succession.close(voice.session))
            try:
                await self._take_over()
            except ProviderError as error:
                self._listener.failed(error)

    def _owes(self) -> bool:
        """Tell whether the voice is to say something now."""
        oldest = next(iter(self._utterances.values()), None)
        return oldest is not None and (oldest.is_silent or oldest.is_whole)

    def _watch(self) -> None:
        """See to it that the voice says what it owes."""
        if self._alarm is None and self._utterances and not self._is_closed:
            self._alarm = self._loop.call_later(PATIENCE_SECONDS, self._look)

    def _look(self) -> None:
        self._alarm = None
        if self.voice is None:
            return
        silent_s = self._loop.time() - self._active_at
        if self._owes() and silent_s >= PATIENCE_SECONDS:
            if self._order.has_heir(self.voice.place):
                sentence = f"has said nothing for {PATIENCE_SECONDS:g} s"
                self.lose(ProviderLostError("tts", sentence))
                return
            silent_s = 0.0
        if self._utterances:
            wait_s = PATIENCE_SECONDS - silent_s if self._owes() else PATIENCE_SECONDS
            self._alarm = self._loop.call_later(wait_s, self._look)

    async def aclose(self) -> None:
        """Stop speaking and close whatever is open; what waits is dropped."""
        self._is_closed = True
        if self._alarm is not None:
            self._alarm.cancel()
        self._utterances.clear()
        self._aborted.clear()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=succession.CLOSE_SECONDS)
        voice, self.voice = self.voice, None
        if voice is not None:
            await succession.close(voice.session)
