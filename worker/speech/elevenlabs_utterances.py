"""What an ElevenLabs agent says, cut into utterances. Pure; the clock is given, in seconds.

    audio 4  audio 5  agent_response  audio 6 …(quiet)        audio 9  agent_response …
    └────────────── utterance ────────────┘ done             └── the next one

The wire knows no utterances: it has audio, numbered by all events together, and the text of a
response, which comes about with its first audio. So one begins with whichever comes first. It is
done when its last letter was aligned, when the next one begins, or when no more audio came though
what there was must have been heard: audio runs ahead of speech, so no pause is heard before that.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count

from shared.audio import ms_of_bytes
from worker.speech import AgentCorrected, AgentCut, AgentDone, AgentTimed, AgentWords, Event
from worker.tts import Timing

QUIET_S = 0.5
"""No audio for so long, and none left to be heard: the utterance is done."""

LAST_LETTER_S = 0.25
"""The same after its last letter was aligned: silence may follow it."""

SILENT_S = 10.0
"""How long a response may be without any audio."""

_REMEMBERED = 8
"""How many utterances can still be cut and corrected."""

Letters = Iterable[tuple[str, float, float]]


@dataclass(frozen=True, slots=True)
class Audio:
    """A piece of an utterance, μ-law."""

    utterance: str
    audio: bytes


Heard = Audio | Event


@dataclass(slots=True)
class _Utterance:
    key: str
    began_at: float
    text: str | None = None
    """``None`` until its response has come."""
    response_id: int | None = None
    audio_ms: float = 0.0
    last_at: float = 0.0
    heard_at: float = 0.0
    """When all of its audio so far was heard, if it was played as it came."""
    is_muted: bool = False
    """It was cut here: the rest of it is not listened to."""
    is_cut: bool = False
    """It was cut by the service."""
    words: list[Timing] = field(default_factory=list)
    spelt: str = ""
    word: str = ""
    word_ms: tuple[float, float] = (0.0, 0.0)

    def hear(self, audio: bytes, letters: Letters, now: float) -> list[Timing]:
        """Take a chunk; return the words that are complete with it."""
        known = len(self.words)
        for char, start_ms, end_ms in letters:
            if char.isspace():
                self._close_word()
                continue
            start = self.word_ms[0] if self.word else self.audio_ms + start_ms
            self.word += char
            self.word_ms = start, self.audio_ms + end_ms
            self.spelt += char
        ms = ms_of_bytes(len(audio))
        self.audio_ms += ms
        self.last_at, self.heard_at = now, max(self.heard_at, now) + ms / 1000
        if self.is_spelt:
            self._close_word()
        return self.words[known:]

    def _close_word(self) -> None:
        if self.word:
            self.words.append(Timing(self.word, *self.word_ms))
        self.word = ""

    def last_word(self) -> list[Timing]:
        """Return the word that was being spelled, if any: no more letters come."""
        known = len(self.words)
        self._close_word()
        return self.words[known:]

    @property
    def is_spelt(self) -> bool:
        """All letters of its text were aligned."""
        return bool(self.spelt) and self.spelt == "".join((self.text or "").split())

    @property
    def done_at(self) -> float:
        if not self.audio_ms:
            return self.began_at + SILENT_S
        if self.is_spelt:
            return self.last_at + LAST_LETTER_S
        return max(self.last_at, self.heard_at) + QUIET_S


class Utterances:
    """The utterances of one conversation; each method returns what the call is to hear of it."""

    def __init__(self) -> None:
        self._keys = (f"agent-{number}" for number in count(1))
        self._open: _Utterance | None = None
        self._past: deque[_Utterance] = deque(maxlen=_REMEMBERED)
        self._cut_id: int | None = None
        """What is numbered so, or lower, was interrupted."""
        self._last_id = 0

    # What the service says -------------------------------------------------------------------

    def audio(
        self, event_id: int | None, audio: bytes, letters: Letters, now: float
    ) -> list[Heard]:
        """Take a chunk of audio; stale audio of what was interrupted is dropped."""
        if not audio or (
            event_id is not None and self._cut_id is not None and event_id <= self._cut_id
        ):
            return []
        heard = self.expire(now)
        self._last_id = max(self._last_id, event_id or 0)
        utterance = self._open or self._begin(now)
        words = utterance.hear(audio, letters, now)
        if utterance.is_muted:
            return heard
        heard.append(Audio(utterance.key, audio))
        if words:
            heard.append(AgentTimed(utterance.key, words))
        return heard

    def response(self, event_id: int | None, text: str, now: float) -> list[Heard]:
        """Take the text of a response: of the utterance that has none yet, or of a new one."""
        heard = self.expire(now)
        if not text.strip():
            return heard
        if self._is_stale(event_id):
            self._past[-1].text = text
            return heard
        utterance = self._open
        if utterance is not None and utterance.text is not None:
            is_same = event_id is not None and event_id == utterance.response_id
            if not (is_same and text.startswith(utterance.text)):
                heard += self.close()
                utterance = None
        utterance = utterance or self._begin(now)
        utterance.text, utterance.response_id = text, event_id
        if not utterance.is_muted:
            heard.append(AgentWords(utterance.key, text, final=True))
        return heard

    def _is_stale(self, event_id: int | None) -> bool:
        """Tell whether this is the text of what was interrupted before its text came."""
        if event_id is None or self._cut_id is None or event_id > self._cut_id or not self._past:
            return False
        return self._past[-1].is_cut and self._past[-1].text is None

    def interrupted(self, event_id: int | None) -> list[Heard]:
        """The caller has interrupted. What was being said is done, should the call not cut it.

        One that was told before, or came after a later one, is not about what was said since.
        """
        before = self._cut_id
        if event_id is not None and before is not None and event_id <= before < self._last_id:
            return []
        cut_id = self._last_id if event_id is None else event_id
        self._cut_id = max(cut_id, self._cut_id or 0)
        utterance = self._retire()
        for past in self._past:  # of these the call knows whether they were heard
            past.is_cut = True
        if utterance is None or utterance.is_muted:
            return [AgentCut()]
        return [AgentCut(), AgentDone(utterance.key)]

    def corrected(self, original: str, text: str) -> list[Heard]:
        """The service counts ``text`` as spoken of what it had meant to say. It cuts that, too."""
        known = [*self._past, self._open] if self._open is not None else list(self._past)
        same = [it for it in known if it.text is not None and it.text == original]
        found = next(reversed(same or [it for it in known if it.is_cut] or known), None)
        if found is None:
            return []
        heard = [] if found.is_cut else self.interrupted(None)
        return [*heard, AgentCorrected(found.key, _without_dots(original, text))]

    def caller_took_turn(self, now: float) -> list[Heard]:
        """What comes next answers somebody: what is quiet now is done."""
        utterance = self._open
        if utterance is None or not utterance.audio_ms or now - utterance.last_at < QUIET_S:
            return []
        return self.close()

    # What the call says ----------------------------------------------------------------------

    def cut(self, key: str, heard_ms: float) -> str | None:
        """The call hears no more of an utterance than ``heard_ms``.

        Return which of its words were heard, as far as is known, if the service does not know;
        ``None`` if it does.
        """
        known = [*self._past, self._open] if self._open is not None else list(self._past)
        found = next((it for it in known if it.key == key), None)
        if found is None or found.is_cut or found.is_muted:
            return None
        found.is_muted = True
        return " ".join(word.text for word in found.words if word.start_ms < heard_ms)

    # Time ------------------------------------------------------------------------------------

    @property
    def due(self) -> float | None:
        """When `expire` is to be called at the latest."""
        return self._open.done_at if self._open is not None else None

    def expire(self, now: float) -> list[Heard]:
        """Say what is done by now."""
        return self.close() if self._open is not None and now >= self._open.done_at else []

    def close(self) -> list[Heard]:
        """End what is being said."""
        utterance = self._retire()
        if utterance is None or utterance.is_muted:
            return []
        words: Sequence[Timing] = utterance.last_word()
        timed = [AgentTimed(utterance.key, words)] if words else []
        return [*timed, AgentDone(utterance.key)]

    def _begin(self, now: float) -> _Utterance:
        self._open = _Utterance(next(self._keys), began_at=now)
        return self._open

    def _retire(self) -> _Utterance | None:
        utterance, self._open = self._open, None
        if utterance is not None:
            self._past.append(utterance)
        return utterance


def _without_dots(original: str, text: str) -> str:
    """Leave out the dots that tell where a text was cut."""
    bare = text.rstrip(".… ")
    return bare if original.startswith(bare) and not original.startswith(text) else text
