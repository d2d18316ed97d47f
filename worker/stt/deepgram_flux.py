"""Deepgram's Flux models (``/v2/listen``), through its SDK: recognition that knows turns.

    post ──> tape ──80 ms──> socket ──> TurnInfo ──> `FluxTurns` ──> listener
                     0.5 s without audio: silence, for turns end only as audio goes by
    end_turn: ForceEndTurn ──> EndOfTurn, or the connection is taken for frozen after 1 s

Here is one call's connection and what it means to lose it; the turns are in
`worker.stt.deepgram_flux_turns`. There are no keep-alives here: pings hold the socket open.
"""

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shared.audio import bytes_of_ms, ms_of_bytes, silence
from worker import deepgram_sdk as sdk
from worker.errors import ProviderError, ProviderLostError
from worker.link import Link
from worker.stt import STT, EndOfTurn, STTListener, STTSession
from worker.stt.deepgram_endings import Endings
from worker.stt.deepgram_feed import Feed
from worker.stt.deepgram_flux_turns import FluxTurns, TurnInfo
from worker.stt.deepgram_tape import KEPT_MS, Tape

if TYPE_CHECKING:
    from deepgram import AsyncDeepgramClient
    from deepgram.listen.v2.client import AsyncV2Client
    from deepgram.listen.v2.socket_client import AsyncV2SocketClient

BATCH_MS = 80
"""What Deepgram strongly recommends (docs: flux/quickstart)."""

GAP_SECONDS = 0.5
"""Time without audio after which silence takes its place."""

STALL_MS = 3000
"""Audio without a word from the server in the middle of a turn: updates come every 250 ms of it.

It was seen to freeze there (pipecat issue 5735).
"""

FORCED_SECONDS = 1.0
"""How long ForceEndTurn may take."""

QUIET_AGAIN_MS = 500
"""How much is sent again after a loss between turns: a word may have begun."""

_NOT_HEARD_SECONDS = 2.0

_SAMPLE = {
    "type": "TurnInfo",
    "sequence_id": 0,
    "event": "Update",
    "turn_index": 0,
    "audio_window_end": 1.0,
    "transcript": "hello",
    "words": [{"word": "hello", "confidence": 1.0, "start": 0.0, "end": 1.0}],
}


@dataclass(frozen=True, slots=True)
class DeepgramFlux:
    """Hears with Flux. Needs ``DEEPGRAM_API_KEY``; the audio is μ-law 8 kHz."""

    model: str = "flux-general-en"
    """``flux-general-en`` or ``flux-general-multi``."""

    eot_threshold: float = 0.7
    """How sure it must be that the turn has ended, 0.5 to 1.0; 1.0 leaves it to silence."""

    eager_eot_threshold: float | None = 0.5
    """How sure for a first guess (`EagerEnd`), 0.3 to 0.9; ``None`` for no guesses."""

    eot_timeout_ms: int = 5000
    """Silence that ends the turn in any case, in ms, 500 to 60000."""

    keyterms: tuple[str, ...] = ()
    """Words and phrases to listen for."""

    language_hints: tuple[str, ...] = ()
    """Languages to expect (flux-general-multi)."""

    options: Mapping[str, object] = field(default_factory=dict)
    """More query parameters of ``/v2/listen``: ``{"numerals": True}``."""

    def __post_init__(self) -> None:
        if not self.model.startswith("flux"):
            raise ValueError(f"{self.model} is no Flux model: use Deepgram")
        if not 0.5 <= self.eot_threshold <= 1.0:
            raise ValueError("eot_threshold must be between 0.5 and 1.0")
        if self.eager_eot_threshold is not None and not 0.3 <= self.eager_eot_threshold <= 0.9:
            raise ValueError("eager_eot_threshold must be between 0.3 and 0.9, or None")
        if not 500 <= self.eot_timeout_ms <= 60_000:
            raise ValueError("eot_timeout_ms must be between 500 and 60000")

    def prepare(self) -> None:
        """Import the SDK and ask it how to connect. Raises `ProviderRefusedError` without a key."""
        sdk.plan(self)
        sdk.rehearse(
            "deepgram.listen.v2.socket_client", "V2SocketClientResponse", _SAMPLE, TurnInfo
        )

    async def connect(self, listener: STTListener) -> STTSession:
        """Open a session. Raises `ProviderError`."""
        hearing = _Hearing(self, listener)
        await hearing.start()
        return hearing

    def stand_in(self) -> STT:
        """Return one that needs no network."""
        from worker.stand_ins import EnergySTT

        return EnergySTT()

    def connecting(
        self, client: "AsyncDeepgramClient"
    ) -> "AbstractAsyncContextManager[AsyncV2SocketClient]":
        """Return what opens a socket with these settings."""
        listen: AsyncV2Client = client.listen.v2
        return listen.connect(
            model=self.model,
            encoding="mulaw",
            sample_rate=8000,
            eot_threshold=self.eot_threshold,
            eager_eot_threshold=self.eager_eot_threshold,
            eot_timeout_ms=self.eot_timeout_ms,
            keyterm=list(self.keyterms) or None,
            language_hint=list(self.language_hints) or None,
            request_options=sdk.options(self.options),
        )


class _Hearing:
    """A call's ears."""

    def __init__(self, settings: DeepgramFlux, listener: STTListener) -> None:
        self._settings = settings
        self._endings = Endings(listener, self._conclude)
        self._loop = asyncio.get_running_loop()
        self._tape = Tape(BATCH_MS)
        self._feed = Feed(self._tape, STALL_MS)
        self._turns = FluxTurns()
        self._hushed_ms = 0.0
        """How much silence was sent since the caller's last audio."""
        self._posted_at: float | None = None
        self._link: Link[AsyncV2SocketClient] = Link(
            sdk.PROVIDER, self._opening, self._serve, sdk.fault, self._endings.fail, self._lost
        )

    @property
    def batch_ms(self) -> int:
        """How much goes out at a time."""
        return BATCH_MS

    async def start(self) -> None:
        """Open the connection. Raises `ProviderError`."""
        await self._link.start()

    def post(self, audio: bytes) -> None:
        """Take audio of any size."""
        if not self._endings.is_closed:
            self._posted_at, self._hushed_ms = self._loop.time(), 0.0
            self._feed.post(audio)

    def end_turn(self) -> None:
        """End the turn on what was heard so far."""
        if self._endings.is_closed:
            return
        if self._link.socket is None:
            self._tape.forget()
            self._endings.hear(self._turns.finish())
        elif not self._turns.is_open:
            # There is none to be ended on the other side either.
            self._endings.hear([EndOfTurn("")])
        else:
            self._endings.ask(FORCED_SECONDS)
            self._feed.ask()

    def _opening(self) -> "AbstractAsyncContextManager[AsyncV2SocketClient]":
        return sdk.opened(self._settings)

    async def _serve(self, socket: "AsyncV2SocketClient") -> None:
        self._tape.reopened(KEPT_MS if self._turns.is_open else QUIET_AGAIN_MS)
        self._turns.reopened()
        if self._turns.has_words:
            # Its end may have been in what was lost; a new connection does not know of the turn.
            self._endings.expect(_NOT_HEARD_SECONDS)
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(
                self._feed.run(
                    socket, self._patience, lambda: self._hush(socket), socket.send_force_end_turn
                )
            )
            await self._read(socket)
            sending.cancel()

    def _patience(self) -> float | None:
        """Return how long to wait for audio, in s: the caller's silence is not for ever."""
        enough_ms = self._settings.eot_timeout_ms + 1000
        if self._posted_at is None or (self._hushed_ms > enough_ms and not self._turns.is_open):
            return None
        return BATCH_MS / 1000 if self._hushed_ms else GAP_SECONDS

    async def _hush(self, socket: "AsyncV2SocketClient") -> None:
        """Send silence for the time without audio, after what is left of the audio."""
        missing_ms = BATCH_MS if self._hushed_ms else 1000 * GAP_SECONDS
        if self._posted_at is not None and self._loop.time() - self._posted_at < GAP_SECONDS / 2:
            return  # audio is back, and no batch of it yet
        rest = self._tape.take_rest()
        while missing_ms > 0:
            hush = silence(BATCH_MS)[len(rest) :]
            await socket.send_media(rest + hush)
            self._tape.inserted(len(hush))
            self._hushed_ms += ms_of_bytes(len(hush))
            self._feed.sent(bytes_of_ms(BATCH_MS))
            rest, missing_ms = b"", missing_ms - BATCH_MS

    async def _read(self, socket: "AsyncV2SocketClient") -> None:
        async for message in socket:
            match sdk.type_of(message):
                case "TurnInfo":
                    self._info(sdk.shaped(message, TurnInfo))
                case "Error":
                    code = getattr(message, "code", None) or "no reason given"
                    raise ProviderLostError(sdk.PROVIDER, f"ended the stream: {str(code)[:80]}")

    def _info(self, info: TurnInfo | None) -> None:
        if info is None:
            return
        self._endings.hear(self._turns.info(info, self._tape.origin_ms))
        heard_s = self._turns.heard_s(info)
        if heard_s is not None:
            self._tape.answered(heard_s)
        self._feed.heard(is_due=self._turns.is_open)

    def _conclude(self) -> None:
        """End the turn without the server: it has not answered, or does not know of the turn."""
        if self._endings.is_asked:
            self._tape.forget()
            self._feed.fail(ProviderLostError(sdk.PROVIDER, "does not end the turn when told to"))
        self._endings.hear(self._turns.finish(is_deaf=self._endings.is_asked))

    def _lost(self, _: ProviderError) -> None:
        if self._endings.is_asked:  # the order went down with the connection
            self._tape.forget()
            self._endings.hear(self._turns.finish())

    async def aclose(self) -> None:
        """Close the connection."""
        self._endings.close()
        await self._link.aclose()
