"""Turns out of Nova's results: what the caller has said so far, and when that was all. Pure.

A final result covers the audio since the final before it and says that its words will not change;
``speech_final`` says that the caller has paused. Only all finals together are a turn.

    interim  "two"                    Partial "two"
    final    "two of us"              Partial "two of us"
    interim  "at"                     Partial "two of us at"
    final    "at eight" speech_final  EndOfTurn "two of us at eight"

`Turns` reads no clock: times of results are ms of a connection, and come with where in the
posted audio that connection began.
"""

from typing import Annotated

import msgspec

from worker.stt import EndOfTurn, Hearing, Partial, SpeechStarted

Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e6)]


class Word(msgspec.Struct, frozen=True):
    """A word with its place in the connection's audio."""

    word: str
    start: Seconds
    end: Seconds
    punctuated_word: str | None = None


class Alternative(msgspec.Struct, frozen=True):
    """A reading; only the first is asked for."""

    transcript: str
    words: list[Word] | None = None


class Channel(msgspec.Struct, frozen=True):
    """The channel of a result; a call has one."""

    alternatives: list[Alternative]


class Results(msgspec.Struct, frozen=True):
    """``Results``, as far as it is read."""

    channel: Channel
    start: Seconds
    duration: Seconds
    is_final: bool | None = None
    speech_final: bool | None = None
    from_finalize: bool | None = None


class Turns:
    """One call's turns, over all its connections."""

    def __init__(self) -> None:
        self._finals: list[str] = []
        self._interim = ""
        self._shown = ""
        self._end_ms: float | None = None
        """Where the last known word of the turn ends."""
        self._cut_ms = -1.0
        """Where the turn before ended: earlier words are of that one, whenever they come."""
        self.is_open = False
        """Something of a turn was heard."""

    @property
    def has_words(self) -> bool:
        """There are words without an end."""
        return bool(self._said())

    def speech_started(self) -> list[Hearing]:
        """There is a sound."""
        self.is_open = True
        return [SpeechStarted()]

    def results(self, results: Results, origin_ms: float, *, ends: bool) -> list[Hearing]:
        """A result came; ``ends`` when the turn is to end with it if it is final."""
        text = self._text(results, origin_ms)
        if results.is_final:
            self._interim = ""
            if text:
                self._finals.append(text)
            if results.speech_final or ends:
                return self.finish() if ends or self.is_open or self._finals else []
        else:
            self._interim = text
        said = self._said()
        if not said or said == self._shown:
            return []
        self._shown, self.is_open = said, True
        return [Partial(said)]

    def utterance_end(self) -> list[Hearing]:
        """No word for a while, in spite of noise. After ``speech_final`` it says nothing new."""
        return self.finish() if self._said() else []

    def finish(self) -> list[Hearing]:
        """End the turn with all its words so far."""
        text = self._said()
        at_ms = self._end_ms if text else None
        if at_ms is not None:
            self._cut_ms = at_ms
        self._finals.clear()
        self._interim, self._shown, self._end_ms, self.is_open = "", "", None, False
        return [EndOfTurn(text, at_ms)]

    def reopened(self) -> None:
        """A new connection hears again what may still change: let that be said again, too."""
        self._shown = ""

    def _said(self) -> str:
        parts = [*self._finals, self._interim] if self._interim else self._finals
        return " ".join(parts)

    def _text(self, results: Results, origin_ms: float) -> str:
        """Return the words of the result that belong to this turn."""
        if not results.channel.alternatives:
            return ""
        best = results.channel.alternatives[0]
        text = best.transcript.strip()
        if not best.words:
            end_ms = origin_ms + 1000 * (results.start + results.duration)
            return text if end_ms > self._cut_ms else ""
        new = [word for word in best.words if self._is_new(word, origin_ms)]
        if not new or not text:
            return ""
        self._end_ms = origin_ms + 1000 * new[-1].end
        if len(new) == len(best.words):
            return text
        return " ".join(word.punctuated_word or word.word for word in new)

    def _is_new(self, word: Word, origin_ms: float) -> bool:
        # By its middle: the ends of a word differ a little from one result to the next.
        return origin_ms + 500 * (word.start + word.end) > self._cut_ms
