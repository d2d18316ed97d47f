"""One utterance of the agent: its text, its audio, and where they belong together. Pure.

    text     Bella Vista, good evening. | How can I help you?      clauses, as posted
    timings  ├─────┤├────┤├───┤├──────┤   ├─┤├─┤├┤├──┤├──┤         words (or whole clauses)
    audio    ~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~                 all of it is kept
    sent     ~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~                       to the carrier
    heard    ~~~~~~~~~~~~│                                         by the caller

From the place that was heard follow the words that the agent may remember, and the word at which
it goes on after a pause. Positions are bytes of μ-law from the utterance's beginning.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from shared.audio import bytes_of_ms, ms_of_bytes
from worker.alignment import Alignment
from worker.tts import Timing
from worker.tts.ledger import LETTER_MS

UNKNOWN_MS = 60_000.0
"""What is left of an utterance whose text is not whole: more than anything counts as little."""


@dataclass(slots=True)
class _Piece:
    """A timed piece of the text: it ends at ``text_end`` of the text."""

    text_start: int
    text_end: int
    start: int
    end: int


class Speech:
    """An utterance from its first clause to its last frame."""

    def __init__(self, interruptible: bool = True) -> None:
        self.uuid: UUID = uuid4()
        self.interruptible = interruptible
        self.text = ""
        self.text_complete = False
        """No more text will be posted."""
        self.audio = bytearray()
        self.whole = False
        """No more audio will come."""
        self.cut = False
        """Text of it was never made."""
        self.sent = 0
        """How much of the audio is with the carrier; a pause takes some of it back."""
        self._pieces: list[_Piece] = []
        self._alignment = Alignment()
        self._clauses: list[int] = []
        """Where in the text each clause ends."""
        self._marked = 0
        self._stream_start = 0
        self._audio_start = 0
        self._heard = 0

    # What is spoken ------------------------------------------------------------------------

    def post(self, clause: str) -> None:
        """A clause was posted."""
        self.text += clause
        if clause.strip():
            self._clauses.append(len(self.text.rstrip()))

    def words(self, text: str) -> None:
        """All text so far is ``text``: told by a service that speaks by itself."""
        if text.startswith(self.text):
            self.post(text[len(self.text) :])
        else:
            self.text, self._clauses = "", []
            self.post(text)

    def time(self, timings: Sequence[Timing]) -> None:
        """Timings have come, in the order of the text."""
        for timing in timings:
            start, end = self._alignment.place(self.text, timing.text)
            begin, until = bytes_of_ms(timing.start_ms), bytes_of_ms(timing.end_ms)
            before = self._pieces[-1] if self._pieces else None
            if before is not None:
                begin = max(begin, before.start)
                until = max(until, before.end)
                if before.text_start == before.text_end < start:
                    before.text_end = len(self.text[:start].rstrip())  # that was a number
            self._pieces.append(_Piece(start, end, begin, until))

    def cut_short(self) -> None:
        """No more of it will be made: what is not made yet was never said."""
        if not self.whole:
            self.text = self.heard_text(len(self.audio))
            self.text_complete = self.whole = self.cut = True

    def clause_passed(self) -> bool:
        """Tell whether the audio sent so far goes beyond the end of a clause not told yet."""
        if self._marked >= len(self._clauses):
            return False
        said = len(self._with_marks(self._said(self.sent)))
        passed = sum(end <= said for end in self._clauses)
        fresh = passed > self._marked
        self._marked = max(self._marked, passed)
        return fresh

    # Where it is ---------------------------------------------------------------------------

    def unsent(self) -> bytes:
        """Return the audio that has come and is not with the carrier."""
        with memoryview(self.audio) as audio:
            return bytes(audio[self.sent :])

    def place(self, stream_position: int) -> None:
        """What is sent from now on begins at ``stream_position`` of the stream."""
        self._stream_start, self._audio_start = stream_position, self.sent

    @property
    def next_on_stream(self) -> int:
        """Where on the stream its next audio belongs, if nothing comes between."""
        return self._stream_start + self.sent - self._audio_start

    def hear(self, stream_heard: int) -> int:
        """The caller has heard the stream up to ``stream_heard``; return how much is of this."""
        reached = self._audio_start + stream_heard - self._stream_start
        if reached >= self._audio_start:
            self._heard = max(self._heard, min(reached, self.sent))
        return self._heard

    @property
    def heard(self) -> int:
        """How much was heard when `hear` was called last."""
        return self._heard

    @property
    def all_sent(self) -> bool:
        """Whether the carrier has all there will be."""
        return self.whole and self.sent >= len(self.audio)

    @property
    def left_ms(self) -> float:
        """How much of it is unheard, made or not, in ms."""
        left = ms_of_bytes(len(self.audio) - self._heard)
        if not self.text_complete:
            return left + UNKNOWN_MS
        if self.whole:
            return left
        return left + max(0.0, LETTER_MS * len(self.text) - ms_of_bytes(len(self.audio)))

    def take_back(self, stream_played: int) -> None:
        """The line was cleared at ``stream_played``: go back to the word that was cut."""
        reached = self._audio_start + stream_played - self._stream_start
        played = min(self.sent, max(self._audio_start, reached))
        self.sent = self._word_at(played)
        self.place(stream_played)

    def _word_at(self, position: int) -> int:
        """Return where the word that is cut at ``position`` begins; it may lie between words."""
        if not self._pieces:
            return self._estimated(_Piece(0, len(self.text), 0, self._size()), position)
        for piece in reversed(self._pieces):
            if piece.start <= position:
                return self._estimated(piece, position) if position < piece.end else position
        return position

    def _estimated(self, piece: _Piece, position: int) -> int:
        """Return where the word at ``position`` of a piece begins, by its letters if need be."""
        text = self.text[piece.text_start : piece.text_end]
        if " " not in text:
            return piece.start
        letter_bytes = (piece.end - piece.start) / len(text)
        letters = int((position - piece.start) / letter_bytes) if letter_bytes else 0
        word = text.rfind(" ", 0, letters + 1) + 1
        return min(position, piece.start + int(word * letter_bytes))

    # What is remembered ----------------------------------------------------------------------

    def heard_text(self, position: int | None = None) -> str:
        """Return the words heard whole up to ``position`` (by default: all that was heard).

        Timed by clauses, a clause counts once all of it was heard. Not timed at all, the audio is
        taken to be spread evenly over the letters.
        """
        position = self._heard if position is None else position
        if self.whole and position >= len(self.audio):
            return self.text.strip()
        if not self._pieces:
            return _share(self.text, position, self._size())
        return self._with_marks(self._said(position)).strip()

    def _size(self) -> int:
        """Return how much audio there will be, where it is not timed."""
        size = len(self.audio)
        return size if self.whole else max(size + 1, bytes_of_ms(LETTER_MS * len(self.text)))

    def _said(self, position: int) -> int:
        """Return how many letters of the text the pieces have that end by ``position``."""
        for piece in reversed(self._pieces):
            if piece.end <= position:
                return piece.text_end
        return 0

    def _with_marks(self, end: int) -> str:
        """Return the text up to ``end``, with the marks that follow; half a compound is no word."""
        until = end
        while until and until < len(self.text) and not self.text[until].isspace():
            if self.text[until].isalnum():
                is_word = until == end and not self.text[until].isascii()
                return self.text[:end] if is_word else self.text[: _word_start(self.text, end)]
            until += 1
        return self.text[:until]


def _word_start(text: str, position: int) -> int:
    """Return where the run of letters and marks begins that ``position`` is in."""
    while position and not text[position - 1].isspace():
        position -= 1
    return position


def _share(text: str, heard: int, whole: int) -> str:
    """Return the words of ``text`` that fit into the part of its audio that was heard."""
    if whole <= 0 or heard <= 0:
        return ""
    size = min(len(text), int(heard / whole * len(text)))
    if size < len(text) and not text[size].isspace():
        size = _word_start(text, size)
    return text[:size].strip()
