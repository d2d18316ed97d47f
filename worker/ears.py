"""The call's ears: which session hears, and when what it hears was said."""

from collections.abc import Callable

from shared.audio import FRAME_MS
from worker.kept_audio import KeptAudio
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
from worker.tape import Tape
from worker.turn_times import AudioClock


class Ears:
    """Hands the caller's audio to the session that hears now, and on what that one hears."""

    def __init__(self, listener: STTListener, clock: Callable[[], float]) -> None:
        self._listener, self._now = listener, clock
        self._session: STTSession | None = None
        self._ear: _Ear | None = None
        self._times = AudioClock()
        self._early: KeptAudio | None = None
        """Audio that waits for the first ears, while they are being connected."""
        self._tape: Tape | None = None

    async def connect(self, stt: STT) -> None:
        """Hear by ``stt``, in place of whoever heard before. Raises `ProviderError`."""
        ear = _Ear(self._listener)
        if self._session is None and self._early is None:
            self._early = KeptAudio()
        session = await stt.connect(ear)
        old, self._session = self._session, session
        if self._ear is not None:
            self._ear.retire()
        self._ear = ear
        self._times.restart()
        if self._tape is not None:
            self._tape.restart()
        early, self._early = self._early, None
        for audio in early.take() if early is not None else ():
            self.post(audio)
        if old is not None:
            await old.aclose()

    async def rest(self) -> None:
        """Hear nothing until the next `connect`: somebody else does."""
        old, self._session = self._session, None
        if self._ear is not None:
            self._ear.retire()
        if old is not None:
            await old.aclose()

    @property
    def batch_ms(self) -> int:
        """How much audio those who hear now like at a time, in ms."""
        return self._session.batch_ms if isinstance(self._session, Batched) else FRAME_MS

    def post(self, audio: bytes) -> None:
        """Take the caller's audio."""
        if self._session is not None:
            now = self._now()
            self._times.posted(len(audio), now)
            if self._tape is not None:
                self._tape.posted(audio, now)
            self._session.post(audio)
        elif self._early is not None:
            self._early.add(audio)

    def end_turn(self) -> None:
        """Ask for the end of the turn."""
        if self._session is not None:
            self._session.end_turn()

    def time_of(self, at_ms: float | None) -> float | None:
        """Return when a place in the audio was heard, on the call's clock, if it is known."""
        return None if at_ms is None else self._times.time_of(at_ms)

    def keep(self, is_kept: bool) -> None:
        """Keep the audio of turns from now on, for a model that hears; or no longer."""
        if is_kept != (self._tape is not None):
            self._tape = Tape() if is_kept else None

    def audio_of(self, began: float, at_ms: float | None) -> bytes:
        """Return the audio of a turn that is over, once; nothing if it is not kept.

        ``began`` is when it was known to begin, on the call's clock, ``at_ms`` where it ended.
        """
        return b"" if self._tape is None else self._tape.turn(began, at_ms)

    def audio_since(self, began: float) -> bytes:
        """Return the audio of a turn that has probably ended, nothing if it is not kept."""
        return b"" if self._tape is None else self._tape.so_far(began)

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
