"""Which of the caller's turns a model that hears is sent as sound, and how. Pure.

    system   You are the host ...              as it is
    user     (spoken, 1.2 s)                   older: what was written down of it
    agent    For how many?
    user     (spoken, 0.9 s)   ┐               said since the agent's last words: together they
    user     (spoken, 2.0 s)   ┘ ──> sound     are one turn, and one piece of audio

A server takes a limited number of sounds in a request, often one. Sources: vLLM, multimodal inputs
(``input_audio``); Ultravox, ``infer_api``: text before the audio; the audio's placeholder is put in
by the server.
"""

import base64
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from typing import Any

from shared.audio import bytes_of_ms, silence
from worker.llm import Item, Said, Sound
from worker.llm.wav import wav_of

PAUSE_MS = 200
"""Silence between two turns that are sent as one."""


def with_sounds(items: tuple[Item, ...], turns: int, longest_ms: int) -> tuple[Item, ...]:
    """Return the conversation with the sounds that are to be sent, of the caller's last ``turns``.

    Each has ``longest_ms`` of sound at most: its last.
    """
    lines: list[Item] = []
    for run in reversed(list(_runs(items))):
        if turns > 0 and any(line.sound is not None for line in run if isinstance(line, Said)):
            turns -= 1
            lines.append(_together([line for line in run if isinstance(line, Said)], longest_ms))
        else:
            lines += [_silenced(line) for line in reversed(run)]
    return tuple(reversed(lines))


def content(said: Said) -> str | list[dict[str, Any]]:
    """Return what a line consists of on the wire: its text, or its sound and what else it says."""
    if said.sound is None:
        return said.text
    audio = base64.b64encode(wav_of(said.sound.audio)).decode("ascii")
    parts: list[dict[str, Any]] = [
        {"type": "input_audio", "input_audio": {"data": audio, "format": "wav"}}
    ]
    beyond = _beyond(said)
    return [{"type": "text", "text": beyond}, *parts] if beyond else parts


def _runs(items: tuple[Item, ...]) -> Iterator[list[Item]]:
    """Yield what the caller said at a stretch, and everything else, in order."""
    for _, run in groupby(items, lambda it: isinstance(it, Said) and it.role == "user"):
        yield list(run)


def _together(lines: list[Said], longest_ms: int) -> Said:
    """Make one line of a run: all that was written besides sounds, and all sounds."""
    sounds = [line.sound.audio for line in lines if line.sound is not None]
    audio = silence(PAUSE_MS).join(sounds)[-bytes_of_ms(longest_ms) :]
    text = "\n".join(filter(None, map(_beyond, lines)))
    return Said("user", text or "(spoken)", sound=Sound(audio, "" if text else "(spoken)"))


def _beyond(line: Said) -> str:
    """Return what a line says besides what its sound says."""
    noted = line.sound.noted if line.sound is not None else ""
    return line.text.replace(noted, "", 1).strip() if noted else line.text


def _silenced(item: Item) -> Item:
    return replace(item, sound=None) if isinstance(item, Said) and item.sound else item
