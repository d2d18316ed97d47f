"""Speech-to-text with no network: pocketsphinx and the sentences that the agent expects.

Here is only what a call needs around the engine: frames out of whatever sizes of audio come, the
start and end of each utterance, and decoding in small bites beside everything else the call does.
An utterance is decoded while it is spoken, so its text is there some milliseconds after its end.
Words are told at the end only: half a sentence of a grammar is a guess.

    audio ──> frames ──> endpointing ──SpeechStarted, SpeechStopped──> listener
                 └─ from 0.3 s before speech ──> decoder ──end──> EndOfTurn (empty: unclear)
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from shared.audio import FRAME_MS, Framer, level_dbfs
from shared.speech import endpointing
from shared.speech.endpointing import Endpointing, Endpoints, SpeechEnded
from shared.speech.sphinx import Channel, Recogniser
from worker.errors import ProviderError
from worker.stt import EndOfTurn, SpeechStarted, SpeechStopped, STTListener, STTSession

_PRE_ROLL_MS = 300
"""Audio from before the first loud frame: quiet consonants, and some room tone."""

_BITE_FRAMES = 5
"""Frames decoded before the loop gets its turn: about 5 ms of work."""

_MOST_FRAMES_WAITING = 1500
"""30 s of speech that was not decoded yet; beyond it frames are left out."""

_idle: list[Recogniser] = []
"""Loaded recognisers that no session uses. A template leaves one here for each call it forks."""


@dataclass(frozen=True, slots=True)
class PocketSphinx:
    """Hears the sentences of a JSGF grammar, in English.

    ``grammar`` is the path of a ``.jsgf`` file in the release, or the grammar itself (a text that
    begins with ``#JSGF``). ``pronunciations`` teaches words that the dictionary lacks, in
    ARPAbet: ``{"vespa": "V EH S P AH"}``. ``endpoints`` says when an utterance begins and ends.

    What was said but fits no sentence ends a turn with an empty text.
    """

    grammar: str
    pronunciations: Mapping[str, str] = field(default_factory=dict)
    endpoints: Endpoints = field(default_factory=Endpoints)

    def prepare(self) -> None:
        """Load the model and the grammar. Raises `ProviderError` naming what is wrong in it."""
        recogniser, _ = self._borrow()
        _idle.append(recogniser)

    async def connect(self, listener: STTListener) -> STTSession:
        """Open a session. Raises `ProviderError` as `prepare` does."""
        recogniser, handle = self._borrow()
        return _Hearing(recogniser, handle, listener, self.endpoints)

    def stand_in(self) -> "PocketSphinx":
        """Return itself: it needs no network."""
        return self

    def _borrow(self) -> tuple[Recogniser, str]:
        """Take a recogniser out of the idle ones and have it know the grammar."""
        recogniser = _idle.pop() if _idle else Recogniser()
        try:
            return recogniser, recogniser.load(self._text(), self.pronunciations)
        except (OSError, ValueError) as error:
            _idle.append(recogniser)
            raise ProviderError("pocketsphinx", f"{self._source()}{error}") from error

    def _is_text(self) -> bool:
        return self.grammar.lstrip().startswith("#JSGF")

    def _text(self) -> str:
        return self.grammar if self._is_text() else Path(self.grammar).read_text("utf-8")

    def _source(self) -> str:
        return "grammar: " if self._is_text() else f"{self.grammar}: "


@dataclass(frozen=True, slots=True)
class _Begin:
    level_dbfs: float


@dataclass(frozen=True, slots=True)
class _End:
    at_ms: int


class _Hearing:
    """A call's ears."""

    def __init__(
        self, recogniser: Recogniser, handle: str, listener: STTListener, endpoints: Endpoints
    ) -> None:
        self._recogniser: Recogniser | None = recogniser
        self._handle = handle
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._endpointing = Endpointing(endpoints)
        self._framer = Framer()
        start_frames = -(-endpoints.start_speech_ms // FRAME_MS)
        self._recent: deque[bytes] = deque(maxlen=_PRE_ROLL_MS // FRAME_MS + 2 * start_frames)
        self._work: deque[_Begin | bytes | _End] = deque()
        self._channel: Channel | None = None
        self._is_decoding = False

    def post(self, audio: bytes) -> None:
        """Take audio of any size; cues come before this returns, text later."""
        if self._recogniser is None:
            return
        for frame in self._framer.frames(audio):
            self._frame(frame)

    def _frame(self, frame: bytes) -> None:
        was_speaking = self._endpointing.is_speaking
        event = self._endpointing.frame(level_dbfs(frame))
        if was_speaking:
            self._put(frame)
        else:
            self._recent.append(frame)
        if isinstance(event, endpointing.SpeechStarted):
            self._put(_Begin(event.level_dbfs), *self._recent)
            self._recent.clear()
            self._listener.heard(SpeechStarted(lasting=True))
        elif isinstance(event, SpeechEnded):
            self._ended(event)

    def end_turn(self) -> None:
        """End the utterance being spoken; with none there is nothing to end."""
        event = self._endpointing.end()
        if event is not None and self._recogniser is not None:
            self._ended(event)

    def _ended(self, event: SpeechEnded) -> None:
        self._put(_End(event.at_ms))
        self._listener.heard(SpeechStopped(event.at_ms))

    def _put(self, *work: _Begin | bytes | _End) -> None:
        if len(self._work) > _MOST_FRAMES_WAITING and isinstance(work[0], bytes):
            return
        self._work.extend(work)
        if not self._is_decoding:
            self._is_decoding = True
            self._loop.call_soon(self._decode)

    def _decode(self) -> None:
        """Do some of what waits, and come back for the rest."""
        try:
            self._bite()
        except RuntimeError as error:
            self._work.clear()
            self._recogniser = None  # whatever is wrong with it, nobody else shall have it
            self._listener.failed(ProviderError("pocketsphinx", str(error)))
        self._is_decoding = bool(self._work)
        if self._is_decoding:
            self._loop.call_soon(self._decode)

    def _bite(self) -> None:
        for _ in range(_BITE_FRAMES):
            if not self._work or self._recogniser is None:
                return
            match self._work.popleft():
                case bytes(frame):
                    self._recogniser.feed(frame)
                case _Begin(level):
                    self._recogniser.begin(self._handle, self._channel, level)
                case _End(at_ms):
                    text, self._channel = self._recogniser.finish()
                    self._listener.heard(EndOfTurn(text, at_ms))

    async def aclose(self) -> None:
        """Stop hearing; an utterance in progress is lost."""
        if self._recogniser is None:
            return
        self._work.clear()
        self._recogniser.abandon()
        _idle.append(self._recogniser)
        self._recogniser = None
