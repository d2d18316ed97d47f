"""The server's side of ``/v1/listen`` (Deepgram, "Live audio": messages, results, closes)."""

from collections import deque
from dataclasses import dataclass, field

from shared.audio import FRAME_MS
from tests.fakes.deepgram_socket import Socket
from tests.fakes.deepgram_voice import Spoken, Voice

INTERIM_MS = 1000
FINAL_MS = 3000
LITTLE_MS = 100
"""With less audio than this since the last result a Finalize goes without an answer."""


@dataclass
class Nova:
    """One connection. ``is_noisy``: the line is never silent enough for ``speech_final``."""

    socket: Socket
    script: deque[str]
    idle_s: float
    is_noisy: bool = False
    _interim_at: float = 0.0
    _final_at: float = 0.0
    _words_end_ms: float | None = None
    _voice: Voice = field(init=False)

    def __post_init__(self) -> None:
        self._voice = Voice(self.script)
        query = self.socket.query
        endpointing = query.get("endpointing", ("10",))[0]
        self._endpointing = None if endpointing == "false" else int(endpointing)
        self._gap = float(query.get("utterance_end_ms", ("0",))[0])
        self._has_interims = query.get("interim_results", ("false",))[0] == "true"
        self._has_vad = query.get("vad_events", ("false",))[0] == "true"

    async def run(self) -> None:
        """Listen until either side closes."""
        while True:
            message = await self.socket.receive(self.idle_s)
            if isinstance(message, str):
                await self._control(message)
            elif not message:
                await self.socket.close(1000)
            elif message.startswith(b'{"type"'):
                await self.socket.close(1008, "DATA-0000: the payload cannot be decoded as audio")
            else:
                for begins in self._voice.frames(message):
                    await self._moved(begins)

    async def _control(self, message: str) -> None:
        parsed = self.socket.parse(message)
        match parsed and parsed["type"]:
            case "KeepAlive":
                pass
            case "Finalize":
                if self._voice.now_ms - self._final_at >= LITTLE_MS:
                    await self._result(final=True, finalize=True)
            case "CloseStream":
                await self._result(final=True)
                await self.socket.send(
                    {
                        "type": "Metadata",
                        "transaction_key": "deprecated",
                        "request_id": "fake",
                        "sha256": "0" * 64,
                        "created": "2026-01-01T00:00:00Z",
                        "duration": self._voice.now_ms / 1000,
                        "channels": 1,
                    }
                )
                await self.socket.close(1000)
            case _:
                await self.socket.send(
                    {
                        "type": "Error",
                        "variant": "SchemaError",
                        "description": "Could not deserialize the message",
                        "message": message,
                    }
                )

    async def _moved(self, begins: bool) -> None:
        voice = self._voice
        if begins and self._has_vad:
            await self.socket.send(
                {"type": "SpeechStarted", "channel": [0, 1], "timestamp": voice.now_ms / 1000}
            )
        silent = voice.silent_ms if voice.spoken else 0.0
        if silent and not self.is_noisy and silent == _whole(self._endpointing):
            await self._result(final=True, speech_final=True)
        elif silent and self.is_noisy and silent == 300:
            await self._result(final=True)
            voice.spoken = None
        elif voice.now_ms - self._final_at >= FINAL_MS:
            await self._result(final=True)
        elif voice.now_ms - self._interim_at >= INTERIM_MS and self._has_interims:
            await self._result(final=False)
        await self._utterance_end()

    async def _utterance_end(self) -> None:
        end = self._words_end_ms
        if self._gap and end is not None and self._voice.silent_ms >= self._gap:
            self._words_end_ms = None
            await self.socket.send(
                {"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": end / 1000}
            )

    async def _result(
        self, *, final: bool, speech_final: bool = False, finalize: bool = False
    ) -> None:
        voice, spoken = self._voice, self._voice.spoken
        start, self._interim_at = self._final_at, voice.now_ms
        words: list[tuple[str, float, float]] = []
        if spoken is not None:
            # Once the caller has paused all words are known.
            has_paused = speech_final or voice.silent_ms >= 200
            stop = len(spoken.words) if has_paused else spoken.known
            words = _timed(spoken, stop)
            if words:
                self._words_end_ms = 1000 * words[-1][2]
            if final:
                spoken.final = stop
                self._final_at = voice.now_ms
            if speech_final:
                voice.spoken = None
        elif final:
            self._final_at = voice.now_ms
        await self.socket.send(
            results(
                words,
                start=start / 1000,
                duration=(voice.now_ms - start) / 1000,
                final=final,
                speech_final=speech_final,
                finalize=finalize,
            )
        )


def results(
    words: list[tuple[str, float, float]],
    *,
    start: float = 0.0,
    duration: float = 1.0,
    final: bool = False,
    speech_final: bool = False,
    finalize: bool = False,
) -> dict[str, object]:
    """Return a ``Results`` message."""
    transcript = " ".join(word for word, _, _ in words)
    return {
        "type": "Results",
        "channel_index": [0, 1],
        "duration": duration,
        "start": start,
        "is_final": final,
        "speech_final": speech_final,
        "from_finalize": finalize,
        "channel": {
            "alternatives": [
                {
                    "transcript": transcript,
                    "confidence": 0.99 if transcript else 0.0,
                    "words": [
                        {
                            "word": word.lower(),
                            "start": begin,
                            "end": end,
                            "confidence": 0.99,
                            "punctuated_word": word,
                        }
                        for word, begin, end in words
                    ],
                }
            ]
        },
        "metadata": {
            "request_id": "fake",
            "model_uuid": "fake",
            "model_info": {"name": "general-nova-3", "version": "fake", "arch": "nova-3"},
        },
    }


def _timed(spoken: Spoken, stop: int) -> list[tuple[str, float, float]]:
    return spoken.timed(spoken.final, stop)


def _whole(ms: int | None) -> float | None:
    """Round up to frames."""
    return None if ms is None else -(-ms // FRAME_MS) * FRAME_MS
