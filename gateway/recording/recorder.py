"""One call's own recording, as the call sees it: begun, followed, muted, ended; never waited for.

    pause ──> listening ──record──> file opened ──> running ──finish, or trouble──> over
                                                      │ pause, record

What the carrier still has to play when the recording begins is part of it, if it was sent while
the recorder was listening: an agent's greeting is on its way before the caller has heard that the
call is recorded. While it listens or runs, the call's stream hands audio to it as well; a call that
is not recorded has nothing of it on its way, not even a question. Writing is the studio's business
(`gateway.recording.studio`).
"""

import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import structlog

from gateway.calls.record import KeptRecording, Record
from gateway.recording.reel import Reel
from gateway.recording.tape import Tape


class RecordingError(Exception):
    """There will be no recording of this call. ``sentence`` says why, and what to do."""

    def __init__(self, sentence: str) -> None:
        self.sentence = sentence
        super().__init__(sentence)

    def __str__(self) -> str:
        return self.sentence


class Recorded(Protocol):
    """A stream whose two sides can be listened to."""

    def record(self, recorder: "Recorder | None") -> None:
        """Let a recorder hear what is said, or nobody."""


class Workshop(Protocol):
    """Who has the files."""

    def listen(self, recorder: "Recorder") -> None:
        """Forget what a recorder hears, from now on, as long as it has no file."""

    async def begin(self, recorder: "Recorder") -> None:
        """Open a recorder's file and write what it has from now on. Raises `RecordingError`."""

    def hurry(self) -> None:
        """Something is to be written at once."""


class NoWorkshop:
    """Where nothing is recorded."""

    def listen(self, recorder: "Recorder") -> None:
        """Raise `RecordingError`."""
        raise RecordingError("recordings are not kept here")

    async def begin(self, recorder: "Recorder") -> None:
        """Raise `RecordingError`."""
        raise RecordingError("recordings are not kept here")

    def hurry(self) -> None:
        """There is nothing to be written."""


class Recorder:
    """Records one call. ``clock`` is monotonic. Without a ``workshop`` nothing is recorded."""

    def __init__(
        self,
        sid: str,
        workshop: Workshop | None = None,
        record: Record | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sid, self.clock = sid, clock
        self._workshop, self._record = workshop or NoWorkshop(), record or Record()
        self._log = structlog.get_logger(__name__).bind(call_sid=sid)
        self.tape: Tape | None = None
        """Set while it listens or runs."""
        self.reel: Reel | None = None
        """Its file, while it is open."""
        self.path: str | None = None
        """Where that is, below the data folder, once there is one."""
        self.over = self._begun = False
        self.why = ""
        """Why it has ended before its call, if it has."""
        self._stream: Recorded | None = None

    # What the call says ------------------------------------------------------------------------

    def record(self, on: bool = True, ahead_ms: float = 0.0) -> Coroutine[Any, Any, None]:
        """Begin, or go on after a pause; or pause, which is to listen.

        ``ahead_ms`` is what the carrier still has to play of what came before. Everything that
        comes from now on is heard, although the file may have to be awaited: what is returned
        raises `RecordingError`.
        """
        if self.over:
            return _refused(RecordingError("the call is over"))
        try:
            tape, now = self.tape or self._listen(ahead_ms), self.clock()
        except RecordingError as error:
            return _refused(error)
        if not on or self._begun:
            tape.mute(now, not on)
            return _done()
        tape.skip(now)
        self._begun = True
        return self._begin()

    def _listen(self, ahead_ms: float) -> Tape:
        if self.reel is not None:
            raise RecordingError("the file of the recording that ended is not closed yet")
        self._workshop.listen(self)
        tape = self.tape = Tape(self.clock())
        if self._stream is None:
            tape.closed(self.clock())
        else:
            tape.queued(self.clock(), ahead_ms)
            self._stream.record(self)
        return tape

    @property
    def is_beginning(self) -> bool:
        """Whether its file is being opened."""
        return self._begun and self.reel is None

    async def _begin(self) -> None:
        try:
            await self._workshop.begin(self)
        except RecordingError:
            self.drop()
            raise
        self.tell("in-progress")
        self._log.info("call is recorded")

    def opened(self, stream: Recorded) -> None:
        """The call has a stream."""
        self._stream = stream
        if self.tape is not None:
            self.tape.opened(self.clock())
            stream.record(self)

    def closed(self, stream: Recorded) -> None:
        """A stream is gone."""
        if self._stream is stream:
            self._stream = None
            if self.tape is not None:
                self.tape.closed(self.clock())

    def finish(self) -> None:
        """The agent's part of the call is over: what comes now is nobody's to record."""
        if self.over:
            return
        self.over = True
        if self._stream is not None:
            self._stream.record(None)
            self._stream = None
        if self.tape is not None:
            self.tape.closed(self.clock())
            self._workshop.hurry()

    # What the stream says ----------------------------------------------------------------------

    def caller(self, audio: bytes) -> None:
        """A frame of the caller's came."""
        if self.tape is not None:
            self.tape.caller(audio, self.clock())

    def agent(self, audio: bytes) -> None:
        """Audio was handed to the carrier."""
        if self.tape is not None:
            self.tape.agent(audio, self.clock())

    def mark(self, name: str) -> None:
        """A mark was handed to the carrier."""
        if self.tape is not None:
            self.tape.mark(name, self.clock())

    def clear(self) -> None:
        """The carrier was told to drop what it has not played."""
        if self.tape is not None:
            self.tape.clear(self.clock())

    def echo(self, name: str) -> None:
        """A mark came back."""
        if self.tape is not None:
            self.tape.echo(name, self.clock())

    # What the studio says ----------------------------------------------------------------------

    def tell(self, status: str) -> None:
        """Tell the call's record how the recording stands."""
        if self.reel is not None:
            frames = self.reel.frames
            path = self.path if frames or status == "in-progress" else None
            self._record.recording(KeptRecording(path, status if path else "absent", frames))

    def drop(self) -> None:
        """Record no more; what is not written is lost."""
        self.tape, self._begun = None, False
        if self._stream is not None:
            self._stream.record(None)

    def give_up(self, why: str) -> None:
        """It cannot be written; the call goes on."""
        self.why = why
        self.drop()

    def ended(self) -> None:
        """Its file is closed."""
        self.drop()
        why, self.why = self.why, ""
        if why:
            self._log.error("recording ended before its call", reason=why)
        self.tell("interrupted" if why else "completed")
        self.reel = None


async def _done() -> None:
    """Nothing is to be awaited."""


async def _refused(error: RecordingError) -> None:
    raise error
