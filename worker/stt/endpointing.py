"""Ears that know no words: they hear, by its energy, when somebody speaks and when that is over.

For a model that hears the caller itself (`worker.llm.ultravox_model`): a turn is cut here, its
sound is kept by the call and goes to the model. No network, no key, and no text: of a turn only its
length is written down.

    audio ──> frames ──> endpointing ──SpeechStarted──> listener
                                     └─EndOfTurn("", sound_ms)   nothing, if it was too short
"""

import asyncio
from dataclasses import dataclass

from shared.audio import Framer, level_dbfs
from shared.speech import endpointing
from shared.speech.endpointing import Endpointing, Endpoints
from worker.stt import EndOfTurn, SpeechStarted, STTListener, STTSession

BATCH_MS = 40
"""Audio is wanted in such pieces: speech is noticed 20 ms later at worst, with half the wakes."""


@dataclass(frozen=True, slots=True)
class LocalEndpointing:
    """Cuts turns by their sound. Raises ``ValueError`` for settings out of range."""

    end_silence_ms: int = 600
    """Quiet that ends a turn: above the pauses inside one, and part of every reply time."""

    start_speech_ms: int = 100
    """Loudness needed before it is speech: above a click, below the shortest word."""

    shortest_ms: int = 180
    """Speech shorter than this is none, whoever has the floor."""

    longest_ms: int = 28_000
    """When a turn ends although there is no quiet. Models hear 30 s at most."""

    margin_db: float = 10.0
    """How far above the noise of the line speech is."""

    def __post_init__(self) -> None:
        _ = self.endpoints
        if not 0 <= self.shortest_ms < self.longest_ms:
            raise ValueError("shortest_ms is 0 at least and below longest_ms")

    @property
    def endpoints(self) -> Endpoints:
        """The same for the endpointing. Raises ``ValueError`` for what makes no sense."""
        return Endpoints(
            start_speech_ms=self.start_speech_ms,
            end_silence_ms=self.end_silence_ms,
            longest_ms=self.longest_ms,
            margin_db=self.margin_db,
        )

    def prepare(self) -> None:
        """Nothing is to be prepared."""

    async def connect(self, listener: STTListener) -> STTSession:
        """Open a session."""
        return _Hearing(self, listener)

    def stand_in(self) -> "LocalEndpointing":
        """Return itself: it needs no network."""
        return self


class _Hearing:
    """A call's ears."""

    batch_ms = BATCH_MS

    def __init__(self, settings: LocalEndpointing, listener: STTListener) -> None:
        self._shortest_ms, self._listener = settings.shortest_ms, listener
        self._endpointing = Endpointing(settings.endpoints)
        self._loop = asyncio.get_running_loop()
        self._framer = Framer()
        self._began_ms = 0
        self._is_closed = False

    def post(self, audio: bytes) -> None:
        """Take audio of any size; what is heard in it is told before this returns."""
        if self._is_closed:
            return
        for frame in self._framer.frames(audio):
            self._frame(frame)

    def _frame(self, frame: bytes) -> None:
        match self._endpointing.frame(level_dbfs(frame)):
            case endpointing.SpeechStarted(at_ms):
                self._began_ms = at_ms
                self._listener.heard(SpeechStarted(lasting=True))
            case endpointing.SpeechEnded(at_ms):
                self._listener.heard(self._ended(at_ms))

    def end_turn(self) -> None:
        """End the turn, a moment later; without speech there is nothing to end."""
        event = self._endpointing.end()
        if event is not None:
            self._loop.call_soon(self._tell, self._ended(event.at_ms))

    def _tell(self, event: EndOfTurn) -> None:
        if not self._is_closed:
            self._listener.heard(event)

    def _ended(self, at_ms: int) -> EndOfTurn:
        sound_ms = at_ms - self._began_ms
        return EndOfTurn("", at_ms, sound_ms if sound_ms >= self._shortest_ms else 0)

    async def aclose(self) -> None:
        """Stop hearing."""
        self._is_closed = True
