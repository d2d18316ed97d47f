"""The call's ears: which session hears, and when what it hears was said."""

from collections import deque
from collections.abc import Callable

from shared.audio import FRAME_MS
from worker.stt import (
    STT,
    Batched,
    EndOfTurn,
    Hearing,
    SpeechStarted,
    SpeechStopped,
    STTListener,
    STTSession,
)
from worker.turn_times import AudioClock

EARLY_BYTES = 40_000
"""What a caller says before anybody hears, and is heard all the same: the last 5 s of it."""


class Ears:
    """Hands the caller's audio to the session that hears now, and on what that one hears."""

    def __init__(self, listener: STTListener, clock: Callable[[], float]) -> None:
        self._listener, self._now = listener, clock
        self._session: STTSession | None = None
        self._ear: _Ear | None = None
        self._times = AudioClock()
        self._early: deque[bytes] | None = None
        """Audio that waits for the first ears, while they are being connected."""
        self._early_size = 0

    async def connect(self, stt: STT) -> None:
        """Hear by ``stt``, in place of whoever heard before. Raises `ProviderError`."""
        ear = _Ear(self._listener)
        if self._session is None and self._early is None:
            self._early = deque()
        session = await stt.connect(ear)
        old, self._session = self._session, session
        if self._ear is not None:
            self._ear.retire()
        self._ear = ear
        self._times.restart()
        early, self._early = self._early or (), None
        for audio in early:
            self.post(audio)
        if old is not None:
            await old.aclose()

    @property
    def batch_ms(self) -> int:
        """How much audio those who hear now like at a time, in ms."""
        return self._session.batch_ms if isinstance(self._session, Batched) else FRAME_MS

    def post(self, audio: bytes) -> None:
        """Take the caller's audio."""
        if self._session is not None:
            self._times.posted(len(audio), self._now())
            self._session.post(audio)
        elif self._early is not None:
            self._early.append(audio)
            self._early_size += len(audio)
            while self._early_size > EARLY_BYTES:
                self._early_size -= len(self._early.popleft())

    def end_turn(self) -> None:
        """Ask for the end of the turn."""
        if self._session is not None:
            self._session.end_turn()

    def time_of(self, at_ms: float | None) -> float | None:
        """Return when a place in the audio was heard, on the call's clock, if it is known."""
        return None if at_ms is None else self._times.time_of(at_ms)

    async def aclose(self) -> None:
        """Stop hearing."""
        session, self._session = self._session, None
        if session is not None:
            await session.aclose()


class _Ear:
    """Listens to one session, for as long as that is the one that hears."""

    def __init__(self, listener: STTListener) -> None:
        self.listener: STTListener | None = listener
        self._is_sounding = False
        """The listener waits for the end of a sound."""

    def heard(self, event: Hearing) -> None:
        """Pass on what was heard."""
        if isinstance(event, SpeechStarted):
            self._is_sounding = event.lasting
        elif isinstance(event, SpeechStopped | EndOfTurn):
            self._is_sounding = False
        if self.listener is not None:
            self.listener.heard(event)

    def retire(self) -> None:
        """Others hear from now on, and will not tell of the end of a sound that began here."""
        listener, self.listener = self.listener, None
        if self._is_sounding and listener is not None:
            listener.heard(SpeechStopped())

    def failed(self, error: Exception) -> None:
        """Pass a loss on."""
        if self.listener is not None:
            self.listener.failed(error)
