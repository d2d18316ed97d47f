"""Hosted ears, mind and voice for an agent that does not mind which, by the keys that are set."""

import os

from shared.engines import choose_engines
from worker.llm import LLM
from worker.providers import (
    Cartesia,
    Deepgram,
    DeepgramAura,
    ElevenLabs,
    OpenAI,
    OpenAISpeech,
    OpenAITranscription,
)
from worker.stt import STT
from worker.tts import TTS

_CARTESIA_VOICE = "694f9389-aac1-45b6-b726-9d9369183238"


def hosted() -> tuple[STT, LLM, TTS] | None:
    """Return providers, or ``None`` when no keys are set for all three.

    Which ones, and why, is what ``callfarm doctor`` prints (`shared.engines`).
    """
    engines = choose_engines(os.environ)
    if not engines.hosted:
        return None
    stt: STT = Deepgram() if engines.stt == "deepgram" else OpenAITranscription()
    return stt, OpenAI(), _voice(engines.tts)


def _voice(engine: str) -> TTS:
    if engine == "cartesia":
        return Cartesia(voice=_CARTESIA_VOICE)
    if engine == "elevenlabs":
        return ElevenLabs()
    return DeepgramAura() if engine == "deepgram" else OpenAISpeech()
