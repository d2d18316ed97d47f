"""The synthetic caller's voice: text in, μ-law 8 kHz out, by the embedded espeak-ng."""

import asyncio
import threading
from collections.abc import Iterable
from typing import Protocol

_ENGINE = threading.Lock()
"""espeak-ng is one state machine a process: one thread at a time."""


class SilentTextError(ValueError):
    """A phrase that nobody would hear."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"the voice makes no sound of {self.text!r}: give it words"


class Voice(Protocol):
    """Something that speaks."""

    def speak(self, text: str) -> bytes:
        """Return ``text`` spoken, as μ-law 8 kHz mono. May take its time: it runs in a thread."""
        ...


def default_voice() -> Voice:
    """Return the embedded voice; its engine loads with the first sentence."""
    from shared.speech.espeak import EspeakVoice

    voice: Voice = EspeakVoice()
    return voice


async def speak_all(texts: Iterable[str], voice: Voice | None = None) -> dict[str, bytes]:
    """Return the audio of each text, made off the event loop, each text once.

    Raises `SilentTextError` when the voice makes no sound of one.
    """
    wanted = dict.fromkeys(texts)
    if not wanted:
        return {}

    def synthesise() -> dict[str, bytes]:
        with _ENGINE:
            speaker = voice or default_voice()
            return {text: speaker.speak(text) for text in wanted}

    spoken = await asyncio.to_thread(synthesise)
    for text, audio in spoken.items():
        if not audio:
            raise SilentTextError(text)
    return spoken
