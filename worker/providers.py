"""What an author can put on an agent's ``stt``, ``llm`` and ``tts``, or on its ``speech``.

    from worker.providers import Cartesia, Deepgram, OpenAI

A provider is imported when it is named, so an agent pays for those that it uses.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.hosted import hosted
    from worker.llm.openai import OpenAI
    from worker.llm.ultravox_model import UltravoxModel
    from worker.speech.elevenlabs_agent import ElevenLabsAgent
    from worker.speech.openai_realtime import OpenAIRealtime, SemanticVad, ServerVad
    from worker.speech.ultravox import Ultravox
    from worker.stt.deepgram import Deepgram
    from worker.stt.deepgram_flux import DeepgramFlux
    from worker.stt.endpointing import LocalEndpointing
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
    "ElevenLabsAgent",
    "Espeak",
    "LocalEndpointing",
    "OpenAI",
    "OpenAIRealtime",
    "OpenAISpeech",
    "OpenAITranscription",
    "PocketSphinx",
    "SemanticVad",
    "ServerVad",
    "Ultravox",
    "UltravoxModel",
    "hosted",
]

_PLACES = {
    "Cartesia": "worker.tts.cartesia",
    "Deepgram": "worker.stt.deepgram",
    "DeepgramAura": "worker.tts.deepgram_aura",
    "DeepgramFlux": "worker.stt.deepgram_flux",
    "ElevenLabs": "worker.tts.elevenlabs",
    "ElevenLabsAgent": "worker.speech.elevenlabs_agent",
    "Espeak": "worker.tts.espeak",
    "LocalEndpointing": "worker.stt.endpointing",
    "OpenAI": "worker.llm.openai",
    "OpenAIRealtime": "worker.speech.openai_realtime",
    "OpenAISpeech": "worker.tts.openai_speech",
    "OpenAITranscription": "worker.stt.openai_transcription",
    "PocketSphinx": "worker.stt.pocketsphinx",
    "SemanticVad": "worker.speech.openai_realtime",
    "ServerVad": "worker.speech.openai_realtime",
    "Ultravox": "worker.speech.ultravox",
    "UltravoxModel": "worker.llm.ultravox_model",
    "hosted": "worker.hosted",
}


def __getattr__(name: str) -> object:
    """Import a provider when it is named."""
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(place), name)
