"""The server's side of ``/v2/listen`` (Deepgram, "Flux": messages, states, closes)."""

from collections import deque
from dataclasses import dataclass, field

from tests.fakes.deepgram_socket import Socket
from tests.fakes.deepgram_voice import Voice

UPDATE_MS = 240
EAGER_MS = 200
END_MS = 400
"""Silence after which the model is sure enough, for a guess and for good."""


@dataclass
class Flux:
    """One connection. ``is_frozen``: a turn begins, and nothing is said of it any more."""

    socket: Socket
    script: deque[str]
    idle_s: float
    is_frozen: bool = False
    _sequence: int = 0
    _turn: int = 0
    _turn_start_ms: float = 0.0
    _said_at: float = 0.0
    _is_open: bool = False
    _is_eager: bool = False
    _voice: Voice = field(init=False)

    def __post_init__(self) -> None:
        self._voice = Voice(self.script)
        query = self.socket.query
        self._has_guesses = "eager_eot_threshold" in query
        self._is_sure = float(query.get("eot_threshold", ("0.7",))[0]) < 1.0
        self._timeout = float(query.get("eot_timeout_ms", ("5000",))[0])

    async def run(self) -> None:
        """Listen until either side closes."""
        await self._send("Connected", request_id="fake")
        while True:
            message = await self.socket.receive(self.idle_s, pings_count=True)
            if isinstance(message, str):
                await self._control(message)
            elif not message:
                await self.socket.close_without_code()
            else:
                for begins in self._voice.frames(message):
                    await self._moved(begins)

    async def _send(self, kind: str, **fields: object) -> None:
        await self.socket.send({"type": kind, "sequence_id": self._sequence, **fields})
        self._sequence += 1

    async def _control(self, message: str) -> None:
        parsed = self.socket.parse(message)
        match parsed and parsed["type"]:
            case "ForceEndTurn":
                if self._is_open:
                    await self._end("manual")
            case "CloseStream":
                if self._is_open:
                    await self._turn_info("Update")
                await self.socket.close_without_code()
            case _:
                await self._send("Error", code="INVALID_MESSAGE", description="unknown type")
                await self.socket.close(1008, "INVALID_MESSAGE")

    async def _moved(self, begins: bool) -> None:
        voice, spoken = self._voice, self._voice.spoken
        if not self._is_open:
            if spoken is not None and (spoken.known or (voice.silent_ms and spoken.words)):
                self._is_open = True
                await self._turn_info("StartOfTurn")
            elif spoken is not None and voice.silent_ms >= END_MS:
                voice.spoken = None  # noise
            elif voice.now_ms - self._said_at >= UPDATE_MS:
                await self._turn_info("Update")
        elif begins and self._is_eager:
            self._is_eager = False
            await self._turn_info("TurnResumed")
        elif self._has_guesses and not self._is_eager and voice.silent_ms == EAGER_MS:
            self._is_eager = True
            await self._turn_info("EagerEndOfTurn")
        elif self._is_sure and voice.silent_ms >= END_MS:
            await self._end("model")
        elif voice.silent_ms >= self._timeout:
            await self._end("timeout")
        elif voice.now_ms - self._said_at >= UPDATE_MS:
            await self._turn_info("Update")

    async def _end(self, trigger: str) -> None:
        await self._turn_info("EndOfTurn", trigger=trigger)
        self._turn += 1
        self._turn_start_ms = self._voice.now_ms
        self._is_open = self._is_eager = False
        self._voice.spoken = None

    async def _turn_info(self, event: str, **fields: object) -> None:
        voice, spoken = self._voice, self._voice.spoken
        self._said_at = voice.now_ms
        if self.is_frozen and event != "StartOfTurn":
            return
        words = []
        if spoken is not None and self._is_open:
            paused = voice.silent_ms >= EAGER_MS or event == "EndOfTurn"
            words = spoken.timed(0, len(spoken.words) if paused else max(1, spoken.known))
        await self._send(
            "TurnInfo",
            **turn_info(
                event,
                words,
                turn=self._turn,
                window=(self._turn_start_ms / 1000, voice.now_ms / 1000),
            ),
            **fields,
        )


def turn_info(
    event: str,
    words: list[tuple[str, float, float]],
    *,
    turn: int = 0,
    window: tuple[float, float] = (0.0, 1.0),
) -> dict[str, object]:
    """Return the fields of a ``TurnInfo`` message, but for type and sequence."""
    return {
        "request_id": "fake",
        "event": event,
        "turn_index": turn,
        "audio_window_start": window[0],
        "audio_window_end": window[1],
        "transcript": " ".join(word for word, _, _ in words),
        "words": [
            {"word": word, "confidence": 0.99, "start": start, "end": end}
            for word, start, end in words
        ],
        "end_of_turn_confidence": 0.9 if event == "EndOfTurn" else 0.3,
    }
