"""Deepgram's Nova models (``/v1/listen``), through its SDK.

    post ──> tape ──60 ms──> socket ──> Results ──> `Turns` ──> listener
                     4 s without audio: KeepAlive
    end_turn: Finalize ──> the turn ends with the result ``from_finalize``, or after 1 s

Here is one call's connection and what it means to lose it; how results become turns is in
`worker.stt.deepgram_results`.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shared.audio import silence
from worker import deepgram_sdk as sdk
from worker.errors import ProviderError
from worker.link import Link
from worker.stt import STT, STTListener, STTSession
from worker.stt.deepgram_endings import Endings
from worker.stt.deepgram_feed import Feed
from worker.stt.deepgram_results import Results, Turns
from worker.stt.deepgram_tape import KEPT_MS, Tape

if TYPE_CHECKING:
    from deepgram import AsyncDeepgramClient
    from deepgram.listen.v1.client import AsyncV1Client
    from deepgram.listen.v1.socket_client import AsyncV1SocketClient

BATCH_MS = 60
"""Any size will do (docs: 20-100 ms is usual); half of it delays the end of a turn."""

KEEP_ALIVE_SECONDS = 4.0
"""Deepgram closes after 10 s without a message (1011 NET-0001) and advises 3 to 5."""

FINALIZE_SECONDS = 1.0
"""How long a Finalize may take: the answer is not guaranteed (docs: finalize)."""

FAREWELL_SECONDS = 0.5
"""How long the last results may take after CloseStream; nobody reads them."""

QUIET_AGAIN_MS = 500
"""How much is sent again after a loss when nothing was heard in it: a word may have begun."""

STALL_MS = 5000
"""Audio without a result in the middle of a turn: they come about once a second."""

_NOT_HEARD_SECONDS = 1.0

_SAMPLE = {
    "type": "Results",
    "channel_index": [0, 1],
    "start": 0.0,
    "duration": 1.0,
    "is_final": True,
    "channel": {
        "alternatives": [
            {
                "transcript": "hello",
                "confidence": 1.0,
                "words": [{"word": "hello", "start": 0.0, "end": 1.0, "confidence": 1.0}],
            }
        ]
    },
}


@dataclass(frozen=True, slots=True)
class Deepgram:
    """Hears with Nova. Needs ``DEEPGRAM_API_KEY``; the audio is μ-law 8 kHz."""

    model: str = "nova-3"
    """A Nova model; Flux models are `DeepgramFlux`'s."""

    language: str = "en"
    """A language tag, or ``multi`` for several in one call (nova-3)."""

    keyterms: tuple[str, ...] = ()
    """Words and phrases to listen for (nova-3; 500 tokens in all)."""

    endpointing_ms: int = 300
    """Silence after which the turn ends, in ms."""

    utterance_end_ms: int = 1000
    """Time without a word after which it ends on a noisy line, in ms; 1000 at least."""

    smart_format: bool = True
    """Write numbers, dates and the like as people do."""

    options: Mapping[str, object] = field(default_factory=dict)
    """More query parameters of ``/v1/listen``: ``{"numerals": True}``."""

    def __post_init__(self) -> None:
        if self.model.startswith("flux"):
            raise ValueError(f"{self.model} is a Flux model: use DeepgramFlux")
        if self.utterance_end_ms < 1000:
            raise ValueError("utterance_end_ms must be 1000 or more: results come once a second")

    def prepare(self) -> None:
        """Import the SDK and ask it how to connect. Raises `ProviderRefusedError` without a key."""
        sdk.plan(self)
        sdk.rehearse("deepgram.listen.v1.socket_client", "V1SocketClientResponse", _SAMPLE, Results)

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
    ) -> "AbstractAsyncContextManager[AsyncV1SocketClient]":
        """Return what opens a socket with these settings."""
        listen: AsyncV1Client = client.listen.v1
        return listen.connect(
            model=self.model,
            language=self.language,
            encoding="mulaw",
            sample_rate=8000,
            channels=1,
            interim_results="true",
            vad_events="true",
            endpointing=self.endpointing_ms,
            utterance_end_ms=self.utterance_end_ms,
            smart_format="true" if self.smart_format else "false",
            keyterm=list(self.keyterms) or None,
            request_options=sdk.options(self.options),
        )


class _Hearing:
    """A call's ears."""

    def __init__(self, settings: Deepgram, listener: STTListener) -> None:
        self._settings = settings
        self._endings = Endings(listener, self._conclude)
        self._tape = Tape(BATCH_MS)
        self._feed = Feed(self._tape, STALL_MS)
        self._turns = Turns()
        self._link: Link[AsyncV1SocketClient] = Link(
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
            self._feed.post(audio)

    def end_turn(self) -> None:
        """Ask for what was heard so far, and end the turn with it."""
        if self._endings.is_closed:
            return
        if self._link.socket is None:
            self._tape.forget()
            self._endings.hear(self._turns.finish())
            return
        self._endings.ask(FINALIZE_SECONDS)
        self._feed.ask()

    def _opening(self) -> "AbstractAsyncContextManager[AsyncV1SocketClient]":
        return sdk.opened(self._settings)

    async def _serve(self, socket: "AsyncV1SocketClient") -> None:
        self._tape.reopened(KEPT_MS if self._turns.is_open else QUIET_AGAIN_MS)
        self._turns.reopened()
        if self._turns.has_words:
            # Its end may have been in what was lost; a new connection does not know of the turn.
            self._endings.expect(self._settings.utterance_end_ms / 1000 + _NOT_HEARD_SECONDS)
        try:
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(self._send(socket))
                await self._read(socket)
                sending.cancel()
        finally:
            if self._endings.is_closed:
                await _farewell(socket)

    async def _send(self, socket: "AsyncV1SocketClient") -> None:
        # A stream that never had audio may be closed in spite of keep-alives.
        if not self._tape.waiting:
            hush = silence(BATCH_MS)
            await socket.send_media(hush)
            self._tape.inserted(len(hush))
        await self._feed.run(
            socket,
            patience=lambda: KEEP_ALIVE_SECONDS,
            idle=socket.send_keep_alive,
            order=socket.send_finalize,
        )

    async def _read(self, socket: "AsyncV1SocketClient") -> None:
        async for message in socket:
            match sdk.type_of(message):
                case "Results":
                    self._results(sdk.shaped(message, Results))
                case "SpeechStarted":
                    self._endings.hear(self._turns.speech_started())
                case "UtteranceEnd":
                    self._endings.hear(self._turns.utterance_end())
            self._feed.heard(is_due=self._turns.is_open)

    def _results(self, results: Results | None) -> None:
        if results is None:
            return
        ends = self._endings.is_asked and bool(results.from_finalize)
        self._endings.hear(self._turns.results(results, self._tape.origin_ms, ends=ends))
        if results.is_final:
            self._tape.answered(results.start + results.duration)

    def _conclude(self) -> None:
        self._endings.hear(self._turns.finish())

    def _lost(self, _: ProviderError) -> None:
        if self._endings.is_asked:  # the question went down with the connection
            self._tape.forget()
            self._conclude()

    async def aclose(self) -> None:
        """Tell Deepgram that the stream is over, and let go."""
        self._endings.close()
        await self._link.aclose()


async def _farewell(socket: "AsyncV1SocketClient") -> None:
    """Let Deepgram finish, so that it bills and logs the stream as ended and not as broken."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(FAREWELL_SECONDS):
            await socket.send_close_stream()
            async for _ in socket:
                pass
