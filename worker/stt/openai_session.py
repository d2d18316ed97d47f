"""A call's ears at OpenAI: one realtime transcription session after the other, through a call.

    opening ──session.created──> update ──session.updated──> audio, in batches of 100 ms
                                    └ refused: the call is told what is wrong

With turn detection the server hears everything and finds speech in it; without,
`shared.speech.endpointing` finds it here, only speech is sent, and we commit. What was not
answered when a connection is lost is sent again (`worker.stt.openai_tape`); a session is replaced
before OpenAI's 60 minutes are over, in a quiet moment. The SDK's realtime client is not used: it
parses every event by pydantic, ends clean closes in silence, and costs its import.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING

from websockets.asyncio.client import ClientConnection

from shared.audio import FRAME_MS, Framer, Resampler, level_dbfs, ulaw_to_pcm16
from shared.speech.endpointing import Endpointing, SpeechEnded, SpeechStarted
from worker import openai_client, openai_socket
from worker.errors import ProviderLostError, ProviderRefusedError
from worker.link import Link
from worker.openai_client import NAME
from worker.openai_socket import Fault
from worker.sockets import websocket
from worker.stt import Hearing, STTListener
from worker.stt import openai_events as wire
from worker.stt.openai_tape import BATCH_MS, Commit, Tape
from worker.stt.openai_turns import Turn, Turns

if TYPE_CHECKING:
    from worker.stt.openai_transcription import OpenAITranscription

END_SECONDS = 4.0
"""How long words may take after `Ears.end_turn`; then the turn ends with those that are there."""

_KEPT_BYTES = 15 * 8000
_LEAD_BYTES = 8000  # kept of a silent line: speech that nobody has noticed yet
_PRE_ROLL_MS = 300
_RENEW_GRACE_SECONDS = 180.0
_MOST_FAILURES = 3


class Ears:
    """A session of `OpenAITranscription`; ``open`` it first."""

    def __init__(self, settings: "OpenAITranscription", listener: STTListener) -> None:
        self._settings, self._listener = settings, listener
        self._loop = asyncio.get_running_loop()
        self._account = openai_client.account(settings.base_url)
        self._tape, self._turns = Tape(_KEPT_BYTES), Turns()
        self._gate = _Gate(settings) if settings.is_detected_here else None
        self._wake = asyncio.Event()
        self._renew_at = 0.0
        self._ends: dict[str, float] = {}
        """Where the speech of an item ended, ms of the connection's audio."""
        self._failures = 0
        self._is_closed = False
        self._link = Link(
            NAME,
            self._opening,
            self._serve,
            openai_socket.fault,
            listener.failed,
            lambda _: self._lost(),
        )

    @property
    def batch_ms(self) -> int:
        """How much goes out at a time; where speech is found here, a frame tells of it."""
        return FRAME_MS if self._gate is not None else BATCH_MS

    async def open(self) -> None:
        """Connect and set the session up. Raises `ProviderError`."""
        await self._link.start()

    def post(self, audio: bytes) -> None:
        """Take audio of any size; it is sent in batches."""
        if self._is_closed:
            return
        if self._gate is None:
            self._tape.add(audio)
        else:
            for event in self._gate.feed(audio, self._tape):
                self._noticed(event)
        if self._tape.is_ready or self._loop.time() >= self._renew_at:
            self._wake.set()

    def _noticed(self, event: SpeechStarted | SpeechEnded) -> None:
        """Our own endpointing found something."""
        if isinstance(event, SpeechStarted):
            self._hear(self._turns.started())
            return
        stopped = self._turns.stopped(event.at_ms)
        self._turns.asked()
        self._hear(stopped)

    def end_turn(self) -> None:
        """Commit what was posted; end the turn with its words, or without them in `END_SECONDS`."""
        if self._is_closed:
            return
        asks = self._tape.end > 0 if self._gate is None else self._gate.is_speaking
        if asks:
            self._tape.mark()
            self._wake.set()
        turn = self._turns.seal(asks)
        self._loop.call_later(END_SECONDS, self._give_up, turn)
        self._hear(self._turns.over())

    def _give_up(self, turn: Turn) -> None:
        if not self._is_closed:
            self._hear(self._turns.give_up(turn))

    def _hear(self, events: Iterable[Hearing]) -> None:
        for event in events:
            self._listener.heard(event)

    # The connection --------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _opening(self) -> AsyncIterator[ClientConnection]:
        url = f"{self._account.websocket_url}/realtime?intent=transcription"
        async with websocket(url, openai_socket.headers(self._account)) as socket:
            await socket.send(self._settings.update(), text=True)
            while (event := wire.read(await socket.recv())) is None or event.type != wire.UPDATED:
                if event is not None and event.type == wire.ERROR:
                    raise openai_socket.setup_fault(event.error or Fault())
            yield socket

    async def _serve(self, socket: ClientConnection) -> None:
        self._tape.rewind()
        self._ends.clear()
        self._renew_at = self._loop.time() + self._settings.renew_s
        self._wake.set()
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(self._write(socket))
            async for message in socket:
                event = wire.read(message)
                if event is not None:
                    self._read(event)
            writing.cancel()

    async def _write(self, socket: ClientConnection) -> None:
        is_pcm = self._settings.audio_format == "audio/pcm"
        resampler = Resampler(8000, 24_000)
        while not self._is_to_be_renewed():
            await self._wake.wait()
            self._wake.clear()
            while (piece := self._tape.next()) is not None:
                if isinstance(piece, Commit):
                    await socket.send(wire.COMMIT)
                    continue
                audio = resampler.feed(ulaw_to_pcm16(piece)) if is_pcm else piece
                await socket.send(openai_socket.append(audio), text=True)
        await socket.close()

    def _is_to_be_renewed(self) -> bool:
        late_s = self._loop.time() - self._renew_at
        return late_s >= (_RENEW_GRACE_SECONDS if self._turns.is_busy else 0.0)

    def _lost(self) -> None:
        """Prepare for the next connection."""
        if not self._turns.is_busy:
            self._tape.forget(self._tape.sent - _LEAD_BYTES)
        self._turns.lost(forgets_speech=self._gate is None)

    # What the server says --------------------------------------------------------------------

    def _read(self, event: wire.Event) -> None:
        """Take an event. Raises `ProviderError` when the session is of no more use."""
        item = event.item_id
        match event.type:
            case wire.STARTED:
                self._hear(self._turns.started(item))
            case wire.STOPPED:
                self._hear(self._turns.stopped(self._stop_ms(item, event.audio_end_ms)))
            case wire.COMMITTED:
                by_us = self._turns.committed(item)
                self._tape.committed(item, by_us, self._ends.pop(item, None))
            case wire.DELTA:
                self._hear(self._turns.delta(item, event.delta))
            case wire.COMPLETED:
                self._failures = 0
                self._answered(item, event.transcript)
            case wire.FAILED:
                self._answered(item, "")
                self._failed(event.error or Fault())
            case wire.ERROR:
                self._error(event.error or Fault())

    def _stop_ms(self, item: str, audio_end_ms: float | None) -> float | None:
        """Return where speech ended in what was posted; the quiet that told it is not speech."""
        if audio_end_ms is None:
            return None
        self._ends[item] = audio_end_ms
        if self._settings.turn_detection != "server_vad":
            return None
        at_ms = self._tape.base / 8 + audio_end_ms - self._settings.silence_duration_ms
        return max(0.0, at_ms)

    def _answered(self, item: str, text: str) -> None:
        self._tape.answered(item)
        self._hear(self._turns.answered(item, text))

    def _failed(self, fault: Fault) -> None:
        """An item could not be transcribed: its words are lost, the session is not, at first."""
        self._failures += 1
        error = openai_client.stream_fault(fault.code, fault.type)
        if isinstance(error, ProviderRefusedError):
            raise error
        if self._failures >= _MOST_FAILURES:
            what = fault.code or fault.type or "an error"
            raise ProviderRefusedError(NAME, f"transcribes nothing any more: {what}")

    def _error(self, fault: Fault) -> None:
        """Most errors are recoverable, and the session stays open."""
        if fault.code == wire.COMMIT_EMPTY:
            self._tape.refused()
            self._hear(self._turns.refused())
        elif fault.code == openai_socket.SESSION_EXPIRED:
            raise ProviderLostError(NAME, "the session was too long: session_expired")
        else:
            error = openai_client.stream_fault(fault.code, fault.type)
            if isinstance(error, ProviderRefusedError):
                raise error

    async def aclose(self) -> None:
        """Close the connection, in bounded time; words on their way are lost."""
        self._is_closed = True
        await self._link.aclose()


class _Gate:
    """Lets speech through to a tape, and marks its end: for servers that do not find it."""

    def __init__(self, settings: "OpenAITranscription") -> None:
        endpoints = settings.endpoints
        self._endpointing = Endpointing(endpoints)
        start_frames = -(-endpoints.start_speech_ms // FRAME_MS)
        self._recent: deque[bytes] = deque(maxlen=_PRE_ROLL_MS // FRAME_MS + 2 * start_frames)
        self._framer = Framer()

    @property
    def is_speaking(self) -> bool:
        """There is speech that no mark has ended."""
        return self._endpointing.is_speaking

    def feed(self, audio: bytes, tape: Tape) -> list[SpeechStarted | SpeechEnded]:
        """Take audio of any size; return where speech began and ended in it."""
        events = []
        for frame in self._framer.frames(audio):
            was_speaking = self._endpointing.is_speaking
            event = self._endpointing.frame(level_dbfs(frame))
            if was_speaking:
                tape.add(frame)
            else:
                self._recent.append(frame)
            if isinstance(event, SpeechStarted):
                tape.add(b"".join(self._recent))
                self._recent.clear()
            elif isinstance(event, SpeechEnded):
                tape.mark()
            if event is not None:
                events.append(event)
        return events
