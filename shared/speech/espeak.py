"""The espeak-ng engine: text in, telephone audio out, about 300 times faster than speech.

The library is one global state machine, so there is one engine a process, used from one thread;
it may be loaded before a fork. It runs in its synchronous mode (espeak-ng, speak_lib.h,
``AUDIO_OUTPUT_SYNCHRONOUS``): the call that synthesises returns when it is done, and no thread
is ever made. ``AUDIO_OUTPUT_RETRIEVAL`` would leave one behind. Its voice trembles a little, on
purpose: a text spoken twice differs by some milliseconds.

While it speaks, the engine marks where its words begin (speak_lib.h, ``espeakEVENT_WORD``); of
them `shared.speech.words` makes the times of the text's words.

Text is data: it is never read as SSML or as phonemes, and control characters, espeak's embedded
commands, are taken out (`shared.speech.clauses.speakable`).
"""

import ctypes
import functools
import math
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import espeakng_loader

from shared.audio import SAMPLE_RATE, level_dbfs, ms_of_bytes
from shared.speech.clauses import clauses
from shared.speech.narrowband import Narrowband
from shared.speech.words import Mark, Word, words_of

_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_CHARS_UTF8 = 1
_END_PAUSE = 0x1000
_RATE, _PITCH = 1, 3  # espeak_PARAMETER
_LIST_TERMINATED, _WORD = 0, 1  # espeak_EVENT_TYPE
_BUFFER_MS = 200
_SLICE_SECONDS = 0.5
_LEVEL_DBFS = -22.0
"""What a voice's speech is brought to: as loud as people on the phone, peaks below clipping."""

_CALIBRATION = "The quick brown fox jumps over the lazy dog."


class VoiceError(ValueError):
    """espeak-ng has no voice of this name."""

    def __init__(self, voice: str) -> None:
        self.voice = voice
        super().__init__(voice)

    def __str__(self) -> str:
        return (
            f"espeak-ng has no voice {self.voice!r}: "
            "use a language such as en-us, en or de, or one with a variant such as en-us+f3"
        )


@dataclass(frozen=True, slots=True)
class Slice:
    """A piece of audio, μ-law 8 kHz; the first one of a clause brings the words of the clause.

    Their times count from the beginning of the text's audio. The silence after a word is not part
    of it (of some variants, which have an echo, it is).
    """

    audio: bytes
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class EspeakVoice:
    """A voice: espeak-ng's name of it, ``rate`` in words a minute (80-450), ``pitch`` 0-99."""

    voice: str = "en-us"
    rate: int = 165
    pitch: int = 50

    def __post_init__(self) -> None:
        if not 80 <= self.rate <= 450:
            raise ValueError(f"rate is {self.rate} words a minute: use 80 to 450")
        if not 0 <= self.pitch <= 99:
            raise ValueError(f"pitch is {self.pitch}: use 0 to 99")

    def load(self) -> None:
        """Load the engine and this voice. Raises `VoiceError`; leaves no thread behind."""
        _engine().gain(self)

    def speak(self, text: str) -> bytes:
        """Return ``text`` spoken, as μ-law 8 kHz mono; nothing for a text without words."""
        return b"".join(self.stream(text))

    def stream(self, text: str) -> Generator[bytes, None, None]:
        """Yield the same in slices of at most 0.5 s, each as soon as it is made.

        A slice takes a few milliseconds of work. Stopping early costs nothing; other voices may
        speak between two slices.
        """
        for piece in self.slices(text):
            yield piece.audio

    def slices(self, text: str) -> Generator[Slice, None, None]:
        """Yield what `stream` does, with the times of the words."""
        engine = _engine()
        band = Narrowband(engine.rate, engine.gain(self))
        step = 2 * int(engine.rate * _SLICE_SECONDS)
        before = 0
        for clause in clauses(text):
            pcm, marks = engine.synthesise(self, clause)
            words = _placed(words_of(clause, marks, pcm, engine.rate), before, len(pcm) // 2)
            for start in range(0, len(pcm), step):
                audio = band.feed(pcm[start : start + step])
                before += len(audio)
                yield Slice(audio, words)
                words = ()


def _placed(words: tuple[Word, ...], before: int, samples: int) -> tuple[Word, ...]:
    """Shift words by ``before`` bytes of audio, and keep them within the audio of their clause.

    It is shorter by up to a sample than what the engine made: resampling rounds.
    """
    shift, most = ms_of_bytes(before), ms_of_bytes(samples * SAMPLE_RATE // _engine().rate - 1)
    return tuple(
        Word(word.text, shift + min(word.start_ms, most), shift + min(word.end_ms, most))
        for word in words
    )


class _Identity(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    """``espeak_EVENT`` of speak_lib.h; ``text_position`` counts characters from 1."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Identity),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Event))
"""``int (short *wav, int numsamples, espeak_EVENT *events)``: 0 to go on."""


class _Engine:
    """The library, its current voice, and the loudness of each voice used so far."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._data = Path(espeakng_loader.get_data_path())
        self.rate: int = self._library.espeak_Initialize(
            _SYNCHRONOUS, _BUFFER_MS, str(self._data).encode(), _DONT_EXIT
        )
        if self.rate <= 0:
            raise RuntimeError(f"espeak-ng cannot read {self._data}: reinstall espeakng-loader")
        self._pcm = bytearray()
        self._marks: list[Mark] = []
        self._callback = _Callback(self._take)  # the library keeps only a pointer to it
        self._library.espeak_SetSynthCallback(self._callback)
        self._current: EspeakVoice | None = None
        self._gains: dict[EspeakVoice, float] = {}

    def _take(self, wave: int | None, samples: int, events: "ctypes._Pointer[_Event]") -> int:
        if wave and samples > 0:
            self._pcm += ctypes.string_at(wave, 2 * samples)
        index = 0
        while (event := events[index]).type != _LIST_TERMINATED:
            if event.type == _WORD:
                self._marks.append(Mark(event.text_position - 1, event.sample))
            index += 1
        return 0

    def gain(self, voice: EspeakVoice) -> float:
        """Return the linear gain that brings ``voice`` to the level of a telephone."""
        if voice not in self._gains:
            speech = Narrowband(self.rate).feed(self.synthesise(voice, _CALIBRATION)[0])
            self._gains[voice] = math.pow(10, (_LEVEL_DBFS - level_dbfs(speech)) / 20)
        return self._gains[voice]

    def synthesise(self, voice: EspeakVoice, clause: str) -> tuple[bytes, list[Mark]]:
        """Return ``clause`` as PCM16 of the engine's rate, closing pause and all, and the marks."""
        self._select(voice)
        text = clause.encode() + b"\0"
        self._pcm.clear()
        self._marks = []
        self._library.espeak_Synth(
            text, ctypes.c_size_t(len(text)), 0, 0, 0, _CHARS_UTF8 | _END_PAUSE, None, None
        )
        return bytes(self._pcm), self._marks

    def _select(self, voice: EspeakVoice) -> None:
        if voice == self._current:
            return
        self._current = None
        if not self._has(voice.voice) or self._library.espeak_SetVoiceByName(voice.voice.encode()):
            raise VoiceError(voice.voice)
        self._library.espeak_SetParameter(_RATE, voice.rate, 0)
        self._library.espeak_SetParameter(_PITCH, voice.pitch, 0)
        self._current = voice

    def _has(self, name: str) -> bool:
        """Tell whether the variant after "+" exists: the library takes any name for one."""
        language, _, variant = name.partition("+")
        is_plain = bool(language) and "/" not in name and "\0" not in name
        return is_plain and (not variant or (self._data / "voices" / "!v" / variant).is_file())


@functools.cache
def _engine() -> _Engine:
    return _Engine()
