"""The audio formats of an ElevenLabs agent: a property of the agent, announced as a call begins.

``ulaw_8000`` passes through; linear PCM is converted, each way by itself. Source: ElevenLabs,
Agents (``asr.user_input_audio_format``, ``tts.agent_output_audio_format``).
"""

from shared.audio import ulaw_to_pcm16
from worker.errors import ProviderRefusedError
from worker.speech.elevenlabs_wire import PROVIDER
from worker.speech.pcm_line import Downlink
from worker.speech.pcm_rates import Widened

ULAW = "ulaw_8000"

_RATES = {f"pcm_{rate}": rate for rate in (8000, 16_000, 22_050, 24_000, 44_100, 48_000)}


def rate_of(audio_format: str) -> int | None:
    """Return the rate of linear PCM, ``None`` for μ-law at 8 kHz.

    Raises `ProviderRefusedError` for anything else.
    """
    if audio_format == ULAW:
        return None
    rate = _RATES.get(audio_format)
    if rate is None:
        shown = "".join(filter(str.isprintable, audio_format))[:40] or "none"
        sentence = f"the agent's audio format is {shown}: set both of its formats to {ULAW}"
        raise ProviderRefusedError(PROVIDER, sentence)
    return rate


class Down:
    """Makes μ-law of what the agent says, given in any pieces."""

    def __init__(self, audio_format: str) -> None:
        rate = rate_of(audio_format)
        self._line = None if rate is None else Downlink(rate)

    def feed(self, audio: bytes) -> bytes:
        """Take a piece; return what is complete of it."""
        return audio if self._line is None else self._line.feed(audio)


class Up:
    """Makes of a caller's μ-law what the agent hears."""

    def __init__(self, audio_format: str) -> None:
        rate = rate_of(audio_format)
        self._rate = None if rate is None else Widened(rate)

    def feed(self, audio: bytes) -> bytes:
        """Take a piece of any size."""
        return audio if self._rate is None else self._rate.feed(ulaw_to_pcm16(audio))
