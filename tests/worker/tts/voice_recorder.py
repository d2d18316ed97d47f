"""A listener that keeps what a voice says, checks the contract as it goes, and can wait for it."""

import asyncio
from collections.abc import Callable, Sequence
from uuid import UUID

from shared.audio import ms_of_bytes
from tests.fakes.speech import words_in
from worker.message import Message
from worker.tts import Timing

PATIENCE_S = 30.0


class Recorder:
    """Audio, timings and endings of each utterance.

    ``on_audio`` and ``on_timed`` are called with each, to react from within the listener.
    """

    def __init__(self) -> None:
        self.spoken: dict[UUID, bytes] = {}
        self.timings: dict[UUID, list[Timing]] = {}
        self.finished: list[UUID] = []
        self.errors: list[Exception] = []
        self.on_audio: Callable[[Message[bytes]], None] | None = None
        self.on_timed: Callable[[UUID], None] | None = None
        self._changed = asyncio.Event()

    def audio(self, message: Message[bytes]) -> None:
        assert message.uuid not in self.finished, "audio after the terminal message"
        assert not self.errors, "audio after the failure"
        self.spoken[message.uuid] = self.spoken.get(message.uuid, b"") + message.data
        if message.done:
            self.finished.append(message.uuid)
        self._changed.set()
        if self.on_audio is not None:
            self.on_audio(message)

    def timed(self, uuid: UUID, timings: Sequence[Timing]) -> None:
        assert uuid not in self.finished, "timings after the terminal message"
        assert timings
        self.timings.setdefault(uuid, []).extend(timings)
        assert self.timings[uuid][-1].end_ms <= ms_of_bytes(len(self.spoken.get(uuid, b"")))
        self._changed.set()
        if self.on_timed is not None:
            self.on_timed(uuid)

    def failed(self, error: Exception) -> None:
        assert not self.errors, "failure said twice"
        self.errors.append(error)
        self._changed.set()

    def words(self, uuid: UUID) -> list[str]:
        """Return what a caller would hear, cut words left out."""
        return words_in(self.spoken.get(uuid, b""))

    def timed_words(self, uuid: UUID) -> list[str]:
        """Return the words that were timed."""
        return [timing.text for timing in self.timings.get(uuid, [])]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until it is so."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def end_of(self, uuid: UUID) -> None:
        """Wait for the end of an utterance, or for the failure."""
        await self.until(lambda: uuid in self.finished or bool(self.errors))
        if self.errors:
            raise self.errors[0]

    async def failure(self) -> Exception:
        """Wait for the failure."""
        await self.until(lambda: bool(self.errors))
        return self.errors[0]


def timings_fit(recorder: Recorder, uuid: UUID) -> None:
    """Assert that each timing is where the audio says its word."""
    for timing in recorder.timings[uuid]:
        start, end = int(timing.start_ms * 8), int(timing.end_ms * 8 + 0.5)
        heard = words_in(recorder.spoken[uuid][start:end])
        assert heard == timing.text.split(), (timing, heard)
