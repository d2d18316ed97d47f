"""One media stream as Twilio runs it, without its socket: messages and beats in, messages out.

Every 20 ms `tick` plays a frame to the caller, echoes the marks that are due and sends the
caller's frame. What the server sends goes through `receive`, strictly: a binary message (31950)
or an invalid one (31951) is dropped and warned of once a stream. It does no I/O; the handset
outlives it, for a call can have several streams.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from phone.ear import Ear, Span, voiced_until
from phone.events import (
    AgentBegan,
    AgentSpoke,
    CallerBegan,
    CallerSpoke,
    Cleared,
    FirstAgentAudio,
    KeyPressed,
    MarkEchoed,
    MarkReceived,
    Noticed,
    StreamStarted,
)
from phone.journal import Journal
from phone.line import Line
from phone.messages import CONNECTED, Clear, InvalidMessageError, Mark, Media, Writer, decode
from phone.microphone import Microphone, Phrase
from phone.playout import Playout
from phone.problem import Problem
from phone.recording import Recording
from phone.settings import PhoneSettings
from phone.verbs import Stream
from shared.audio import FRAME_MS, SILENT_FRAME, ms_of_bytes

_TURN_PAUSE_MS = 200
"""Silence of the agent at the end of a caller's phrase that makes what follows a new reply."""

_MISSED_MS = 100
"""A beat that comes so late was missed, and what the server has sent meanwhile is not read yet."""

AudioListener = Callable[[bytes], None]


@dataclass(slots=True)
class Handset:
    """What the caller holds for the whole call, and the counts over all its streams."""

    microphone: Microphone
    ear: Ear
    recording: Recording
    line: Line | None
    on_agent_audio: AudioListener | None = None
    streams: int = 0
    media_sent: int = 0
    media_received: int = 0
    messages_dropped: int = 0
    phrase_from_ms: float = 0.0
    spoke_until_ms: float = 0.0
    pressed_ms: float = 0.0
    silent_ms: float = 0.0
    """How long the agent has not been heard, as far as the phone was there to hear it."""


class MediaSession:
    """One stream of one call."""

    def __init__(
        self,
        stream_sid: str,
        writer: Writer,
        handset: Handset,
        journal: Journal,
        settings: PhoneSettings,
    ) -> None:
        self._stream_sid = stream_sid
        self._writer, self._handset, self._journal = writer, handset, journal
        self._settings = settings
        self._playout = Playout()
        self._warned: set[int] = set()
        self._heard_first = False
        self._frames = 0
        self._origin_ms: float | None = None

    @property
    def unplayed_ms(self) -> float:
        """Audio of the agent that waits to be played."""
        return ms_of_bytes(self._playout.buffered_bytes)

    def begin(self, stream: Stream, url: str) -> Sequence[str]:
        """Return the first two messages; the stream has begun."""
        self._handset.streams += 1
        messages = (CONNECTED, self._writer.start(stream.parameters))
        self._journal.note(
            StreamStarted(
                at_ms=self._journal.now_ms(),
                stream_sid=self._stream_sid,
                url=url,
                parameters=stream.parameters,
                number=self._handset.streams,
            )
        )
        return messages

    def receive(self, message: str | bytes) -> Sequence[str]:
        """Take a message of the server; return what to send for it."""
        if isinstance(message, bytes):
            self._drop(31950, "binary message; send JSON in text messages")
            return ()
        try:
            decoded = decode(message, self._stream_sid)
        except InvalidMessageError as error:
            self._drop(31951, str(error))
            return ()
        match decoded:
            case Media():
                self._play(decoded.media.payload)
                return ()
            case Mark():
                now = self._journal.now_ms()
                self._journal.note(MarkReceived(at_ms=now, name=decoded.mark.name))
                self._playout.mark(decoded.mark.name)
                return self._echo(self._playout.due(), cleared=False)
            case Clear():
                cleared = self._playout.clear()
                dropped_ms = ms_of_bytes(cleared.dropped_bytes)
                self._journal.note(Cleared(at_ms=self._journal.now_ms(), dropped_ms=dropped_ms))
                return self._echo(cleared.marks, cleared=True)

    def _play(self, audio: bytes) -> None:
        self._handset.media_received += 1
        if not self._heard_first:
            self._heard_first = True
            now = self._journal.now_ms()
            self._journal.note(FirstAgentAudio(at_ms=now, stream_sid=self._stream_sid))
        if self._handset.on_agent_audio is not None:
            self._handset.on_agent_audio(audio)
        if self._playout.play(audio):
            self._warn(31931, "more than 10 minutes of audio are queued: the rest is discarded")

    def _echo(self, names: Sequence[str], *, cleared: bool) -> list[str]:
        messages = []
        for name in names:
            self._journal.note(MarkEchoed(at_ms=self._journal.now_ms(), name=name, cleared=cleared))
            messages.append(self._writer.mark(name))
        return messages

    def _drop(self, code: int, text: str) -> None:
        self._handset.messages_dropped += 1
        self._warn(code, text)

    def _warn(self, code: int, text: str) -> None:
        """Note a warning, the first time in this stream."""
        if code not in self._warned:
            self._warned.add(code)
            problem = Problem(code, text, warning=True)
            self._journal.note(Noticed(at_ms=self._journal.now_ms(), problem=problem))

    def tick(self, *, congested: bool = False) -> list[str]:
        """Let 20 ms pass; return what to send.

        ``congested`` says that the server does not read: the caller's frame is discarded.
        """
        if self._origin_ms is None:
            self._origin_ms = self._journal.now_ms()
            self._handset.recording.resume(self._origin_ms)
        offset_ms = self._frames * FRAME_MS
        at_ms = self._origin_ms + offset_ms
        self._frames += 1
        heard = self._playout.frame()
        names = self._playout.due()
        messages = self._echo(names, cleared=False) if names else []
        spoken = self._speak(at_ms, messages)
        self._handset.recording.add(spoken or SILENT_FRAME, heard)
        self._hear(heard, at_ms)
        if spoken is None and self._settings.silence_frames:
            spoken = SILENT_FRAME
        if congested:
            self._warn(31930, "the server does not read fast enough: audio is discarded")
        else:
            self._send(spoken, offset_ms, messages)
        self._journal.check()
        return messages

    def _speak(self, at_ms: float, messages: list[str]) -> bytes | None:
        microphone = self._handset.microphone
        frame = microphone.frame()
        if microphone.key is not None:
            messages.append(self._writer.dtmf(microphone.key))
            self._handset.pressed_ms = at_ms
            self._journal.note(KeyPressed(at_ms=at_ms, key=microphone.key))
        if microphone.began is not None:
            self._handset.phrase_from_ms = at_ms
            self._journal.note(CallerBegan(at_ms=at_ms, label=microphone.began.label))
        if microphone.ended is not None:
            if isinstance(microphone.ended, Phrase):
                self._note_spoken(microphone.ended, at_ms)
            microphone.ended.finished()
        return frame

    def _note_spoken(self, phrase: Phrase, at_ms: float) -> None:
        ear = self._handset.ear
        if ear.voiced_ms is not None and at_ms - ear.voiced_ms >= _TURN_PAUSE_MS:
            self._note_agent_spoke(ear.finish(), at_ms)
        speech = voiced_until(phrase.audio, self._settings.speech_dbfs)
        until_ms = at_ms + FRAME_MS - ms_of_bytes(len(phrase.audio) - speech)
        self._handset.spoke_until_ms = until_ms
        self._journal.note(
            CallerSpoke(
                at_ms=at_ms,
                label=phrase.label,
                from_ms=self._handset.phrase_from_ms,
                until_ms=until_ms,
            )
        )

    def _hear(self, frame: bytes, at_ms: float) -> None:
        ear = self._handset.ear
        was_speaking = ear.began_ms is not None
        span = ear.hear(frame, at_ms)
        if ear.voiced_ms == at_ms + FRAME_MS:
            self._handset.silent_ms = 0.0
        elif self._journal.now_ms() - at_ms < _MISSED_MS:
            self._handset.silent_ms += FRAME_MS
        if span is not None:
            self._note_agent_spoke(span, at_ms)
        elif ear.began_ms is not None and not was_speaking:
            self._journal.note(AgentBegan(at_ms=at_ms))

    def _send(self, frame: bytes | None, offset_ms: int, messages: list[str]) -> None:
        line = self._handset.line
        if line is not None:
            messages += [self._media(held, at) for held, at in line.carry(frame, offset_ms)]
        elif frame is not None:
            messages.append(self._media(frame, offset_ms))

    def _media(self, frame: bytes, offset_ms: int) -> str:
        self._handset.media_sent += 1
        return self._writer.media(frame, offset_ms)

    def stop(self) -> list[str]:
        """Return the last messages: frames the line still holds, and ``stop``."""
        line = self._handset.line
        held = [self._media(frame, at) for frame, at in line.flush()] if line else []
        return [*held, self._writer.stop()]

    def end(self) -> None:
        """Note what the caller heard last."""
        if self._handset.line is not None:
            self._handset.line.flush()
        self._note_agent_spoke(self._handset.ear.finish(), self._journal.now_ms())

    def _note_agent_spoke(self, span: Span | None, at_ms: float) -> None:
        if span is not None:
            self._journal.note(
                AgentSpoke(at_ms=at_ms, from_ms=span.from_ms, until_ms=span.until_ms)
            )
