"""Every house there is: a line each. A new provider is added here, with its fake, and is proven."""

from tests.conformance.cascades import cascade_services
from tests.conformance.house import Can, House, Reasons
from tests.conformance.speech_models import (
    elevenlabs_services,
    realtime_services,
    ultravox_services,
    vllm_services,
)

_EARS = "Deepgram(endpointing_ms=100)"
_VOICE = 'Cartesia(voice="v")'
_SPARE_EARS = 'OpenAITranscription(silence_duration_ms=200, base_url="{spare}")'
_SPARE_MIND = 'OpenAI(base_url="{spare}")'
_FILTERED = {Can.BE_READ: "the filter before telephone quality takes the fakes' code out of it"}
_FROZEN = "the service stands still while a tool runs"
_BEHIND = {"stt": _SPARE_EARS, "llm": _SPARE_MIND, "tts": _VOICE}
"""The cascade behind a model of speech."""

_BY_CLAUSES = 8
"""A voice that is timed by clauses remembers a clause once it was heard whole."""


def _cascade(
    name: str,
    *mortal: str,
    stt: str = _EARS,
    tts: str = _VOICE,
    cannot: Reasons | None = None,
    forgets: int = 1,
) -> House:
    return House(
        name,
        {"stt": stt, "llm": "OpenAI()", "tts": tts},
        cascade_services,
        mortal,
        spares={
            "stt": _SPARE_EARS,
            "llm": _SPARE_MIND,
            "tts": _VOICE if tts.startswith("ElevenLabs") else "ElevenLabs()",
        },
        cannot=cannot or {},
        forgets=forgets,
    )


HOUSES = (
    _cascade("deepgram-openai-cartesia", "deepgram", "openai", "cartesia"),
    _cascade("flux", "deepgram", stt="DeepgramFlux()"),
    _cascade("transcription", "openai", stt="OpenAITranscription(silence_duration_ms=200)"),
    _cascade("aura", "deepgram", tts="DeepgramAura()", forgets=_BY_CLAUSES),
    _cascade("openai-speech", "openai", tts="OpenAISpeech()", cannot=_FILTERED),
    _cascade("elevenlabs", "elevenlabs", tts="ElevenLabs()"),
    House(
        "ultravox",
        {"speech": "Ultravox()"},
        ultravox_services,
        ("ultravox",),
        _BEHIND,
        imagines=1,
    ),
    House(
        "elevenlabs-agent",
        {"speech": "ElevenLabsAgent()"},
        elevenlabs_services,
        ("elevenlabs",),
        _BEHIND,
        {
            Can.FILL: _FROZEN,
            Can.STAGE_TOOLS: "tools are set up at ElevenLabs, once for the agent",
            Can.KEEP_GREETING: "its first message can be interrupted",
            Can.GO_ON: "a conversation cannot be resumed",
            Can.KEEP_WORDS: "a conversation cannot be resumed",
        },
        imagines=1,
    ),
    House(
        "openai-realtime",
        {"speech": "OpenAIRealtime(turn_detection=ServerVad(silence_duration_ms=200))"},
        realtime_services,
        ("openai",),
        _BEHIND,
        {Can.RECALL: "of an item that was cut it keeps the sound, and not the words"},
        imagines=1,
        imports="from worker.speech.openai_realtime import ServerVad",
    ),
    House(
        "ultravox-self-hosted",
        {
            "stt": "LocalEndpointing(end_silence_ms=200)",
            "llm": "UltravoxModel()",
            "tts": _VOICE,
        },
        vllm_services,
        ("vllm",),
        {"llm": 'UltravoxModel(base_url="{spare}")'},
        {Can.WRITE_DOWN: "its ears know no words"},
    ),
)
