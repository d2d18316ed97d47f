"""What an author can put on an agent's ``stt``, ``llm`` and ``tts``.

    from worker.providers import Cartesia, Deepgram, OpenAI

A provider is imported when it is named, so an agent pays for those that it uses.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.hosted import hosted
    from worker.llm.openai import OpenAI
    from worker.stt.deepgram import Deepgram
    from worker.stt.deepgram_flux import DeepgramFlux
    from worker.stt.openai_transcription import OpenAITranscription
    from worker.stt.pocketsphinx import PocketSphinx
    from worker.tts.cartesia import Cartesia
    from worker.tts.deepgram_aura import DeepgramAura
    from worker.tts.elevenlabs import ElevenLabs
    from worker.tts.espeak import Espeak
    from worker.tts.openai_speech import OpenAISpeech

__all__ = [
    "Cartesia",
    "Deepgram",
    "DeepgramAura",
    "DeepgramFlux",
    "ElevenLabs",
    "Espeak",
    "OpenAI",
    "OpenAISpeech",
    "OpenAITranscription",
    "PocketSphinx",
    "hosted",
]

_PLACES = {
    "Cartesia": "worker.tts.cartesia",
    "Deepgram": "worker.stt.deepgram",
    "DeepgramAura": "worker.tts.deepgram_aura",
    "DeepgramFlux": "worker.stt.deepgram_flux",
    "ElevenLabs": "worker.tts.elevenlabs",
    "Espeak": "worker.tts.espeak",
    "OpenAI": "worker.llm.openai",
    "OpenAISpeech": "worker.tts.openai_speech",
    "OpenAITranscription": "worker.stt.openai_transcription",
    "PocketSphinx": "worker.stt.pocketsphinx",
    "hosted": "worker.hosted",
}


def __getattr__(name: str) -> object:
    """Import a provider when it is named."""
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(place), name)
