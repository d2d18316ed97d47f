"""How ElevenLabs gives out speech: chunks with the times of their characters, spelled two ways."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from shared.audio import ms_of_bytes
from tests.fakes.speech import PAUSE_MS, letter_ms, speech

Spelling = Literal["camel", "snake", "mixed"]


@dataclass(frozen=True)
class Letter:
    """A character, in ms from the beginning of its chunk."""

    char: str
    start_ms: float
    last_ms: float


@dataclass(frozen=True)
class Chunk:
    """A piece of audio and the characters that begin in it."""

    audio: bytes
    letters: list[Letter]


def chunks(text: str, ms_per_letter: float, size: int, cut: int | None) -> Iterator[Chunk]:
    """Cut the speech of ``text`` into chunks of ``size`` bytes, with one cut more at ``cut``."""
    audio, letters = speech(text, ms_per_letter), list(_letters(text, ms_per_letter))
    borders = sorted({*range(0, len(audio), size), *([cut] if cut is not None else []), len(audio)})
    if cut == 0:
        yield Chunk(b"", [])
    for start, end in itertools.pairwise(borders):
        start_ms, end_ms = ms_of_bytes(start), ms_of_bytes(end)
        last = end == len(audio)
        mine = [it for it in letters if start_ms <= it.start_ms and (it.start_ms < end_ms or last)]
        shifted = [Letter(it.char, it.start_ms - start_ms, it.last_ms) for it in mine]
        yield Chunk(audio[start:end], shifted)


def _letters(text: str, ms_per_letter: float) -> Iterator[Letter]:
    at, in_word = 0.0, False
    for char in text:
        if char.isspace():
            last_ms = PAUSE_MS if in_word else 0.0
            in_word = False
        else:
            last_ms, in_word = letter_ms(ms_per_letter), True
        yield Letter(char, at, last_ms)
        at += last_ms


def chunk_message(
    name: str, audio: str, chunk: Chunk, spelling: Literal["camel", "snake"], aligned: bool
) -> dict[str, Any]:
    """Return the message of a chunk."""
    alignment: dict[str, Any] | None = None
    if aligned:
        starts, lasts = _ALIGNMENT[spelling]
        alignment = {
            "chars": [it.char for it in chunk.letters],
            starts: [it.start_ms for it in chunk.letters],
            lasts: [it.last_ms for it in chunk.letters],
        }
    return {
        "audio": audio,
        _NAMES[spelling][0]: name,
        _NAMES[spelling][1]: None,
        "alignment": alignment,
        "normalizedAlignment": alignment,
    }


def final_message(name: str, spelling: Literal["camel", "snake"]) -> dict[str, Any]:
    """Return the last message of a context."""
    return {"audio": None, _NAMES[spelling][0]: name, _NAMES[spelling][1]: True}


_NAMES = {"camel": ("contextId", "isFinal"), "snake": ("context_id", "is_final")}
_ALIGNMENT = {
    "camel": ("charStartTimesMs", "charDurationsMs"),
    "snake": ("charsStartTimesMs", "charsDurationsMs"),
}
