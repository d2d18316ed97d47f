"""The stand-in's ears: Deepgram's ``/v1/listen``, which hears by marks in the audio.

The messages are those of `tests.fakes.deepgram_nova`.
"""

from collections.abc import Callable

import msgspec

from bench.marker import Sign, marks_in
from bench.provider_door import Door
from tests.fakes.deepgram_nova import results

Note = Callable[[str, int, int], None]
"""Writes down that something happened in a turn of a call."""

_encode = msgspec.json.Encoder().encode


class Ear:
    """Deepgram's ``/v1/listen``: a sound, words half way, and the end of the turn at the mark.

    Without speech a result comes every second all the same, every third of them final.
    """

    def __init__(self, door: Door, note: Note) -> None:
        self._door, self._note = door, note
        self._heard = self._told = self._final = 0
        self._began: int | None = None

    def asked(self, path: str, body: bytes) -> None:
        """Nothing is asked here."""

    def heard(self, audio: bytes) -> None:
        """Answer to marks, and every second."""
        self._heard += len(audio)
        for sign, call, turn in marks_in(audio):
            self._sign(sign, call, turn)
        if self._heard - self._told >= 8000:
            self._result([], final=self._heard - self._final >= 24000 and self._began is None)

    def _sign(self, sign: Sign, call: int, turn: int) -> None:
        said = f"Call {call} turn {turn}, a table please"
        if sign is Sign.BEGIN:
            self._began = self._heard
            stamp = self._heard / 8000
            started = _encode({"type": "SpeechStarted", "channel": [0, 1], "timestamp": stamp})
            self._note("sound", call, turn)
            self._door.tell(started)
        elif sign is Sign.WORDS:
            self._note("words", call, turn)
            self._result(said.split()[:2], final=False)
        else:
            self._note("final", call, turn)
            self._result(said.split(), final=True, speech_final=True)
            self._began = None

    def _result(self, words: list[str], *, final: bool, speech_final: bool = False) -> None:
        begin = self._began if words and self._began is not None else self._final
        step = (self._heard - begin) / 8000 / max(1, len(words))
        timed = [
            (word, begin / 8000 + step * at, begin / 8000 + step * (at + 1))
            for at, word in enumerate(words)
        ]
        start, self._told = self._final, self._heard
        if final:
            self._final = self._heard
        message = results(
            timed,
            start=start / 8000,
            duration=(self._heard - start) / 8000,
            final=final,
            speech_final=speech_final,
        )
        self._door.tell(_encode(message))

    def told(self, text: bytes) -> None:
        """Let go when the stream is over; keep-alives need no answer."""
        if b"CloseStream" in text:
            self._door.close()

    def lost(self) -> None:
        """Nobody speaks any more."""
