"""What an ElevenLabs agent says, as messages: chunks of audio, aligned in one of the spellings."""

import base64
from collections.abc import Iterator
from typing import Any, Literal

from shared.audio import Resampler, ulaw_to_pcm16
from tests.fakes.elevenlabs_chunks import Chunk, chunks
from tests.fakes.voice_model import CHUNK_BYTES

Spelling = Literal["snake", "snakes", "camel", "camels"]

_NAMES = {
    "snake": ("char_start_times_ms", "char_durations_ms"),
    "snakes": ("chars_start_times_ms", "chars_durations_ms"),
    "camel": ("charStartTimesMs", "charDurationsMs"),
    "camels": ("charsStartTimesMs", "charsDurationsMs"),
}


class Voice:
    """Speaks in the agent's output format."""

    def __init__(self, audio_format: str, letter_ms: float, spelling: Spelling | None) -> None:
        self._rate = int(audio_format.removeprefix("pcm_")) if audio_format[:4] == "pcm_" else None
        self._letter_ms, self._spelling = letter_ms, spelling

    def chunks(self, text: str) -> Iterator[tuple[dict[str, Any], int]]:
        """Yield the fields of each audio event, but for its number, and its size in μ-law bytes."""
        resampler = Resampler(8000, self._rate) if self._rate is not None else None
        for chunk in chunks(text, self._letter_ms, CHUNK_BYTES, None):
            audio = chunk.audio
            if resampler is not None:
                audio = resampler.feed(ulaw_to_pcm16(audio))
            event: dict[str, Any] = {"audio_base_64": base64.b64encode(audio).decode()}
            if self._spelling is not None:
                event["alignment"] = self._alignment(chunk)
            yield event, len(chunk.audio)

    def _alignment(self, chunk: Chunk) -> dict[str, Any]:
        assert self._spelling is not None
        starts, lasts = _NAMES[self._spelling]
        return {
            "chars": [it.char for it in chunk.letters],
            starts: [round(it.start_ms) for it in chunk.letters],
            lasts: [round(it.last_ms) for it in chunk.letters],
        }
