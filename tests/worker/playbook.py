"""A call as a script: what happens on the line, and what the agent's side does about it.

    await (
        Playbook(Greeter)
        >> StreamStarted("MZ1", {})
        << Audio(800)
        << Mark
        >> Echoes()
        << Said
    )

``>>`` lets something happen, ``<<`` expects the next thing that goes to the gateway: an equal
message, or one of a type. Everything happens in virtual time; `After` lets some of it pass.
"""

import asyncio
import re
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from shared import messages
from tests.virtual_time import settled
from worker.agent import Agent
from worker.call_info import CallInfo
from worker.message import Message
from worker.session import Session
from worker.stt import STT, EndOfTurn, Hearing, SpeechStarted, STTListener
from worker.tts import TTS, Timing, TTSListener
from worker.voip import VoIP

SID = "CA" + "1" * 32
STREAM = messages.StreamStarted("MZ1", {})
OVER = messages.CallEnded("the caller hung up", 5.0)
BYTES_A_LETTER = 80


@dataclass(frozen=True)
class Audio:
    """So many bytes of audio to the caller, in one or more frames that follow each other."""

    size: int


@dataclass(frozen=True)
class After:
    """Time passes."""

    seconds: float


@dataclass(frozen=True)
class Caller:
    """The caller's audio arrives."""

    audio: bytes


@dataclass(frozen=True)
class Begins:
    """The ears hear that the caller begins to speak."""


@dataclass(frozen=True)
class Says:
    """The ears have understood a whole utterance."""

    text: str


@dataclass(frozen=True)
class Hears:
    """The ears tell of something."""

    event: Hearing


@dataclass(frozen=True)
class Echoes:
    """The carrier has played everything, and echoes the marks that are pending."""


@dataclass(frozen=True)
class Does:
    """The test itself does something."""

    what: Callable[[], object]


class Wire:
    """The gateway's end: what the call's side sent, in order; consecutive audio is one item.

    With a ``clock`` it also plays, as the carrier does: `played` is what came out of its buffer.
    """

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self.items: list[messages.Command | Audio] = []
        self.audio = bytearray()
        self.pieces: list[int] = []
        self.marks: list[str] = []
        self._clock = clock or (lambda: 0.0)
        self._played, self._buffered, self._playing_since = bytearray(), bytearray(), 0.0

    @property
    def played(self) -> bytes:
        """What the carrier has played to the caller by now."""
        self._play()
        return bytes(self._played)

    def _play(self) -> None:
        now = self._clock()
        size = min(len(self._buffered), int((now - self._playing_since) * 8000 + 1e-6))
        self._played += self._buffered[:size]
        del self._buffered[:size]
        self._playing_since = self._playing_since + size / 8000 if self._buffered else now

    def drop(self) -> None:
        """The carrier's buffer is gone: cleared, or lost with the stream."""
        self._play()
        self._buffered.clear()
        self.marks.clear()

    def send(self, frame: bytes, droppable: bool = False) -> None:
        """Take a frame."""
        audio = messages.audio_of(frame)
        if audio is None:
            command = messages.decode_command(frame)
            if isinstance(command, messages.Mark):
                self.marks.append(command.name)
            if isinstance(command, messages.Clear):
                self.drop()
            self.items.append(command)
            return
        self._play()
        self._buffered += audio
        self.audio += audio
        self.pieces.append(len(audio))
        last = self.items[-1] if self.items else None
        if isinstance(last, Audio):
            self.items[-1] = Audio(last.size + len(audio))
        else:
            self.items.append(Audio(len(audio)))

    def kinds(self) -> list[type]:
        """Return the type of everything sent so far."""
        return [type(item) for item in self.items]


class Ears:
    """Speech-to-text whose test decides what it understands. One object serves one call."""

    def __init__(self, error: Exception | None = None, delay: float = 0.0) -> None:
        self.error, self.delay = error, delay
        self.heard = bytearray()
        self.closed = self.asked = 0
        self.listener: STTListener

    def prepare(self) -> None:
        """Nothing is to be prepared."""

    async def connect(self, listener: STTListener) -> "Ears":
        """Listen, after ``delay``; raise ``error`` instead when there is one."""
        await asyncio.sleep(self.delay)
        if self.error is not None:
            raise self.error
        self.listener = listener
        return self

    def stand_in(self) -> STT:
        """Return itself."""
        return self

    def post(self, audio: bytes) -> None:
        """Keep what is heard."""
        self.heard += audio

    def end_turn(self) -> None:
        """Count how often the end of a turn was asked for."""
        self.asked += 1

    async def aclose(self) -> None:
        """Count how often this was closed."""
        self.closed += 1


@dataclass
class Voice:
    """Text-to-speech: `BYTES_A_LETTER` of audio a letter, at once, or when `release` is called."""

    held: bool = False
    error: Exception | None = None
    delay: float = 0.0
    posted: list[Message[str]] = field(default_factory=list)
    aborted: list[UUID] = field(default_factory=list)
    closed: int = 0
    listener: TTSListener | None = None

    def prepare(self) -> None:
        """Nothing is to be prepared."""

    async def connect(self, listener: TTSListener) -> "Voice":
        """Speak to ``listener``, after ``delay``; raise ``error`` when there is one."""
        await asyncio.sleep(self.delay)
        if self.error is not None:
            raise self.error
        self.listener = listener
        return self

    def stand_in(self) -> TTS:
        """Return itself."""
        return self

    def post(self, message: Message[str]) -> None:
        """Speak, unless held."""
        self.posted.append(message)
        if not self.held:
            asyncio.get_running_loop().call_soon(self.release, message, message.done)

    def release(self, message: Message[str] | None = None, done: bool = True) -> None:
        """Give the audio of ``message``, or of what was posted last."""
        message = message or self.posted[-1]
        assert self.listener is not None
        if message.uuid not in self.aborted:
            sound = b"\x55" * (len(message.data) * BYTES_A_LETTER)
            self.listener.audio(Message(message.uuid, sound, done))

    def abort(self, uuid: UUID) -> None:
        """Forget an utterance."""
        self.aborted.append(uuid)

    async def aclose(self) -> None:
        """Count how often this was closed."""
        self.closed += 1


@dataclass
class TimedVoice(Voice):
    """A voice that times its words, or its clauses, and whose audio tells the letter it is of."""

    by: Literal["word", "clause"] = "word"
    made: dict[UUID, int] = field(default_factory=dict)
    """Letters made so far, an utterance."""

    def release(self, message: Message[str] | None = None, done: bool = True) -> None:
        """Give the timings and the audio of ``message``, or of what was posted last."""
        message = message or self.posted[-1]
        assert self.listener is not None
        if message.uuid in self.aborted:
            return
        before = self.made.get(message.uuid, 0)
        self.made[message.uuid] = before + len(message.data)
        pattern = r"\S+" if self.by == "word" else r"\S.*\S|\S"
        timings = [
            Timing(it.group(), 10.0 * (before + it.start()), 10.0 * (before + it.end()))
            for it in re.finditer(pattern, message.data)
        ]
        if timings:
            self.listener.timed(message.uuid, timings)
        sound = b"".join(bytes([ord(letter)]) * BYTES_A_LETTER for letter in message.data)
        self.listener.audio(Message(message.uuid, sound, done))


class Playbook:
    """One agent on one call, and the script it is to follow."""

    def __init__(
        self,
        agent: type[Agent],
        quiet: tuple[type, ...] = (messages.Speaking, messages.TurnTimed),
        network_ms: float = 0.0,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.wire = Wire(loop.time)
        self.call = VoIP(self.wire, CallInfo(SID), loop.time, network_ms=network_ms)
        self.agent = agent()
        self.session = Session(self.agent, self.call, loop.time)
        self.living = loop.create_task(self.session.run())
        self._quiet, self._read = quiet, 0
        self._steps: list[tuple[str, Any]] = []

    def __rshift__(self, step: object) -> "Playbook":
        self._steps.append((">>", step))
        return self

    def __lshift__(self, expected: object) -> "Playbook":
        self._steps.append(("<<", expected))
        return self

    def __await__(self) -> Generator[Any, None, "Playbook"]:
        return self._play().__await__()

    async def _play(self) -> "Playbook":
        steps, self._steps = self._steps, []
        await settled()
        for number, (arrow, step) in enumerate(steps):
            if arrow == ">>":
                await self._happen(step)
                await settled()
            else:
                self._expect(step, f"step {number}")
        return self

    async def _happen(self, step: object) -> None:
        match step:
            case After(seconds):
                await asyncio.sleep(seconds)
            case Caller(audio):
                self.session.call_audio(audio)
            case Begins():
                self.session.conversation.heard(SpeechStarted())
            case Says(text):
                self.session.conversation.heard(EndOfTurn(text))
            case Hears(event):
                self.session.conversation.heard(event)
            case Echoes():
                await asyncio.sleep(self.call.speaking_ms / 1000)
                marks, self.wire.marks = self.wire.marks, []
                for name in marks:
                    self.event(messages.MarkPlayed(name))
            case Does(what):
                what()
            case _:
                self.event(step)  # type: ignore[arg-type]

    def event(self, event: messages.Event) -> None:
        """Deliver an event as the pipe would."""
        if isinstance(event, messages.StreamStopped):
            self.wire.drop()
        self.call.deliver(event)
        self.session.call_event(event)

    def _expect(self, expected: object, where: str) -> None:
        got = 0
        while self._read < len(self.wire.items):
            item = self.wire.items[self._read]
            self._read += 1
            if isinstance(item, self._quiet):
                continue
            if isinstance(expected, Audio):
                # Marks of the first frame and of each clause stand between.
                if isinstance(item, Audio):
                    got += item.size
                    item = Audio(got)
                if got < expected.size and isinstance(item, Audio | messages.Mark):
                    continue
            fits = isinstance(item, expected) if isinstance(expected, type) else item == expected
            assert fits, f"{where}: {item} where {expected} belongs"
            return
        raise AssertionError(f"{where}: nothing where {expected} belongs")

    @property
    def rest(self) -> list[object]:
        """What was sent and not expected yet."""
        left = self.wire.items[self._read :]
        return [item for item in left if not isinstance(item, self._quiet)]

    def said(self, role: str) -> list[str]:
        """Return what the transcript holds of one side."""
        return [
            it.text for it in self.wire.items if isinstance(it, messages.Said) and it.role == role
        ]

    @property
    def played(self) -> str:
        """What the caller has heard of `TimedVoice`s: each letter that was played whole."""
        letters, audio = "", self.wire.played
        while len(audio) >= BYTES_A_LETTER:
            size = BYTES_A_LETTER if audio[:BYTES_A_LETTER] == audio[:1] * BYTES_A_LETTER else 1
            letters += chr(audio[0]) if size > 1 else ""
            audio = audio[size:]
        return letters

    async def ended(self) -> None:
        """End the call if it has not ended, and wait for the session. Raises what it raises."""
        if not self.living.done():
            self.event(OVER)
        await self.living
