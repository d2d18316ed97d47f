"""The call as the agent sees it: events in, audio and controls out.

A `VoIP` knows the pipe's messages and nothing of sockets or of Twilio. It owns the playback clock
of the stream, so it is the one place that knows what the caller has heard.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, Protocol

import msgspec

from shared import messages
from shared.audio import SAMPLE_RATE
from shared.playback import PlaybackClock
from worker.call_info import CallInfo
from worker.errors import RequestError
from worker.first_message import FirstMessage
from worker.requests import JOINED_SECONDS, REQUEST_SECONDS, Requests

PLAY_BYTES = SAMPLE_RATE
"""Longer audio goes out in pieces of this size (1 s), each a message of the carrier's."""

Kept = Literal["own", "carrier", "transcription"]
"""Our own recording, the carrier's, and the carrier's transcription."""

WARM_SECONDS = 400.0
"""How long a warm transfer may take: the longest ring, all questions, and the way back."""

LAST_WORDS_SECONDS = 3.0
"""How long beyond its own length the last speech may take before a hang-up stops waiting."""


class Line(Protocol):
    """Where frames to the gateway go: the pipe, or a rehearsal's stand-in."""

    def send(self, frame: bytes, droppable: bool = False) -> None:
        """Send one frame, never blocking."""


class VoIPListener(Protocol):
    """Who follows the call; called on the call's event loop, in the order things happened."""

    def call_audio(self, audio: bytes) -> None:
        """The caller's audio, μ-law 8 kHz mono: 20 ms, or a batch that was asked for."""

    def call_event(self, event: messages.Event) -> None:
        """Anything else: see `shared.messages`."""


class VoIP:
    """One call's line to the caller.

    ``rehearsal`` is true while a release is tried out before any call: hooks that reach the
    world outside should then leave it alone.
    """

    def __init__(
        self,
        line: Line,
        info: CallInfo,
        clock: Callable[[], float],
        *,
        rehearsal: bool = False,
        network_ms: float = 0.0,
    ) -> None:
        self.info = info
        self.rehearsal = rehearsal
        self.streaming = False
        self.leaving = False
        """The call was hung up or transferred: the line is about to go, nothing more is heard."""
        self.first_message = FirstMessage(info.first_message_s)
        """What the operator's own service would have the agent say first."""
        self.is_direct = False
        """The caller is joined straight to a service, or is going to be: no audio comes here."""
        self.recorded: set[Kept] = set()
        """What of the call is being kept, paused or not, as it was asked for."""
        self._is_listened_to = False
        self._line, self._now = line, clock
        self._network_ms = network_ms
        self._playback = PlaybackClock(network_ms)
        self._marks: dict[str, asyncio.Future[bool]] = {}
        self._requests = Requests(line.send)
        self.farewell: Callable[[], Awaitable[None]] | None = None
        """Lets what is still to be said be said, before the line is left."""

    # Speech ------------------------------------------------------------------------------

    def play(self, audio: bytes) -> None:
        """Play μ-law 8 kHz mono of any length, behind what was played before.

        Nothing is played, and nothing is raised, while the call has no stream.
        """
        if not self.streaming:
            return
        for start in range(0, len(audio), PLAY_BYTES):
            piece = audio[start : start + PLAY_BYTES]
            self._line.send(messages.audio_frame(piece))
            self._playback.send(len(piece), self._now())

    def mark(self) -> asyncio.Future[bool]:
        """Return a future of whether everything played so far was played to its end.

        It is false when it was cleared before, or when the stream ended.
        """
        future = asyncio.get_running_loop().create_future()
        if not self.streaming:
            future.set_result(False)
            return future
        name = self._playback.mark()
        self._marks[name] = future
        self._line.send(messages.encode(messages.Mark(name)))
        return future

    def clear(self) -> float:
        """Drop what is buffered and not played yet, at once; return how much that was, in ms."""
        if not self.streaming:
            return 0.0
        self._line.send(messages.encode(messages.Clear()))
        dropped = self._playback.clear(self._now())
        self._forget_marks()
        return dropped * 1000 / SAMPLE_RATE

    @property
    def over(self) -> bool:
        """Whether the caller is gone for good."""
        return self._requests.over is not None

    @property
    def sent(self) -> int:
        """Bytes played so far, cleared ones not counted."""
        return self._playback.sent

    @property
    def heard(self) -> int:
        """Bytes of `sent` that the caller has heard by now."""
        return self._playback.heard(self._now())

    @property
    def speaking_ms(self) -> float:
        """How long what was played still lasts, in ms; 0 when the line is silent."""
        return self._playback.remaining_ms(self._now())

    async def last_words(self) -> None:
        """Return when everything said so far was heard, cut, or is overdue."""
        if self.farewell is not None and self.streaming:
            await self.farewell()
        if self.streaming and self.speaking_ms:
            limit = self.speaking_ms / 1000 + LAST_WORDS_SECONDS
            await asyncio.wait([self.mark()], timeout=limit)

    # Controls ------------------------------------------------------------------------------

    async def hangup(self) -> None:
        """End the call once the last words were heard. Raises `RequestError`."""
        await self.last_words()
        await self._requests.ask(messages.HangUp)
        self.leaving = True

    async def transfer(self, to: str) -> None:
        """Connect the caller with ``to`` once the last words were heard.

        ``to`` is a named destination of ``TRANSFER_NUMBERS``, or a number in E.164 where that
        is allowed. Raises `RequestError` when it is neither.
        """
        await self.last_words()
        await self._requests.ask(messages.Transfer, to)
        self.leaving = True

    async def transfer_warm(
        self, to: str, summary: str, *, ring_s: int = 0, language: str = "en-US"
    ) -> messages.WarmOutcome:
        """Have ``to`` called, told ``summary`` and asked; return whether they take the call.

        The caller hears music meanwhile, once the last words were heard. ``accepted``: they are
        connected and the call is over for the agent. ``caller_left``: it is over, too. Otherwise
        (``declined``, ``no_answer``, ``busy``, ``machine``, ``failed``) the caller is back on the
        line, on a new stream. ``to`` is as for `transfer`; ``ring_s`` is how long the phone rings
        (5-120 s; 0: as the operator has set). ``language`` is the summary's, a BCP 47 tag.
        Raises `RequestError` when it cannot be tried; the caller has noticed nothing then.
        """
        await self.last_words()
        answer = await self._requests.ask(
            messages.TransferWarm, to, summary, ring_s, language, limit_s=WARM_SECONDS
        )
        outcome: messages.WarmOutcome = msgspec.convert(answer, messages.WarmOutcome)
        self.leaving = outcome == "accepted"
        return outcome

    async def send_digits(self, digits: str) -> None:
        """Press keys (``0-9 A-D * #``, ``w`` waits 0.5 s, ``W`` 1 s). Raises `RequestError`."""
        await self.last_words()
        await self._requests.ask(messages.SendDigits, digits)

    async def record(self, on: bool = True) -> None:
        """Record the call ourselves from now on, or pause (card numbers, say) with ``on`` false.

        What is said in a pause is silence in the recording, and so is speech that was sent before
        the first of these. Raises `RequestError`.
        """
        ahead_ms, self._is_listened_to = 0.0 if self._is_listened_to else self.speaking_ms, True
        await self._requests.ask(messages.Record, on, ahead_ms)
        if on:
            self.recorded.add("own")

    async def start_recording(self) -> None:
        """Start the carrier's recording, a channel a side. Raises `RequestError`."""
        await self._ask_carrier(messages.StartRecording)
        self.recorded.add("carrier")

    async def stop_recording(self) -> None:
        """Stop the carrier's recording when one runs. Raises `RequestError`."""
        await self._requests.ask(messages.StopRecording)
        self.recorded.discard("carrier")

    async def delete_recording(self) -> None:
        """Delete the last recording at the carrier. Raises `RequestError`."""
        await self._requests.ask(messages.DeleteRecording)

    async def start_transcription(self) -> None:
        """Start the carrier's own transcription of both sides. Raises `RequestError`."""
        await self._ask_carrier(messages.StartTranscription)
        self.recorded.add("transcription")

    async def stop_transcription(self) -> None:
        """Stop the carrier's transcription. Raises `RequestError`."""
        await self._requests.ask(messages.StopTranscription)
        self.recorded.discard("transcription")

    async def _ask_carrier(self, kind: type[messages.Request]) -> None:
        limit = JOINED_SECONDS if self.is_direct else REQUEST_SECONDS
        await self._requests.ask(kind, limit_s=limit)

    async def emit(self, event: str, data: Mapping[str, Any] | None = None) -> None:
        """Tell the operator's webhooks of an ``event`` (one word) with JSON-like ``data``.

        It is durable when this returns: it will be told, whatever happens. Works until the process
        ends, in `Agent.on_ended` as well. Raises `RequestError` for what cannot be told.
        """
        try:
            body = msgspec.json.encode(dict(data or {}), enc_hook=str)
        except (TypeError, ValueError, RecursionError) as error:
            raise RequestError("event", f"the event's data is no JSON: {error}") from error
        await self._requests.ask(messages.Emit, event, body, late=True)

    def log(self, event: str, level: str = "info", **fields: Any) -> None:
        """Write a line to the gateway's log. ``fields`` are JSON-like values."""
        self._line.send(messages.encode(messages.Log(level, event, fields)))

    def metric(self, name: str, value: float) -> None:
        """Report a measurement."""
        self._line.send(messages.encode(messages.Metric(name, value)))

    def tell(self, command: messages.Command) -> None:
        """Send a command that has no answer."""
        self._line.send(messages.encode(command))

    # What the gateway says -----------------------------------------------------------------

    def deliver(self, event: messages.Event) -> None:
        """Take what concerns the line itself out of an event, before the listener sees it."""
        match event:
            case messages.StreamStarted():
                self.streaming, self.leaving = True, False
                self._forget_marks()
                self._playback = PlaybackClock(self._network_ms)
            case messages.StreamStopped():
                self.streaming = False
                self._playback.clear(self._now())
                self._forget_marks()
            case messages.MarkPlayed(name):
                self._mark_played(name)
            case messages.Reply(request):
                self._requests.answered(request)
            case messages.WarmTransferred(request, _, outcome):
                self._requests.answered(request, outcome)
            case messages.Failure(request, code, sentence):
                self._requests.refused(request, RequestError(code, sentence))
            case messages.FirstMessage(text):
                self.first_message.arrived(text)
            case messages.CallEnded(reason):
                self._end(reason)

    def _mark_played(self, name: str) -> None:
        played = self._playback.echo(name, self._now())
        future = self._marks.pop(name, None)
        if future is not None and not future.done():
            future.set_result(played)

    def _forget_marks(self) -> None:
        marks, self._marks = self._marks, {}
        for future in marks.values():
            if not future.done():
                future.set_result(False)

    def _end(self, reason: str) -> None:
        self.streaming = False
        self._forget_marks()
        self._requests.end(reason)
