"""A speaker with a voice, on a line whose carrier plays and echoes marks when it is told to."""

import asyncio
from collections.abc import Callable
from typing import Any

from shared import messages
from shared.turn_stages import Stage
from tests.virtual_time import settled
from tests.worker.playbook import BYTES_A_LETTER, SID, STREAM, Voice, Wire
from worker.call_info import CallInfo
from worker.speaker import Speaker
from worker.utterance import Spoken
from worker.voip import VoIP

LETTER_SECONDS = BYTES_A_LETTER / 8000
"""Ten milliseconds."""


class Studio:
    """Everything around one `Speaker`. A `worker.playout.Stopwatch`."""

    def __init__(
        self, voice: Voice | None = None, network_ms: float = 0.0, **settings: Any
    ) -> None:
        loop = asyncio.get_running_loop()
        self.wire = Wire(loop.time)
        self.call = VoIP(self.wire, CallInfo(SID), loop.time, network_ms=network_ms)
        self.voice = voice or Voice(**settings)
        self.stages: list[Stage] = []
        self.changes = 0
        self.on_change: Callable[[], None] = lambda: None
        self.speaker = Speaker(self.call, loop.time, self, self._changed)

    def _changed(self) -> None:
        self.changes += 1
        self.on_change()

    def reached(self, stage: Stage) -> bool:
        """Note a stage."""
        first = stage not in self.stages
        self.stages.append(stage)
        return first

    async def ready(self, streaming: bool = True) -> "Studio":
        """Connect the voice and open the line."""
        await self.speaker.connect(self.voice)
        if streaming:
            self.stream()
        return self

    def stream(self) -> None:
        """Open a line."""
        self.call.deliver(STREAM)
        self.speaker.stream_opened()

    def lose_stream(self) -> None:
        """Lose it."""
        self.wire.drop()
        self.call.deliver(messages.StreamStopped("lost"))
        self.speaker.stream_closed()

    def say(
        self, text: str, interruptible: bool = True, reply: bool = False
    ) -> asyncio.Task[Spoken]:
        """Speak, beside the test."""
        return asyncio.ensure_future(self.speaker.say(text, interruptible, reply=reply))

    async def letters(self, count: float) -> None:
        """Wait for so many letters to be played."""
        await settled()
        await asyncio.sleep(count * LETTER_SECONDS)

    def echo(self) -> None:
        """Echo the marks that are pending."""
        marks, self.wire.marks = self.wire.marks, []
        for name in marks:
            self.call.deliver(messages.MarkPlayed(name))

    async def play_out(self) -> None:
        """Play everything, and echo the marks."""
        await settled()
        await asyncio.sleep(self.call.speaking_ms / 1000)
        self.echo()
        await settled()

    def is_protected(self) -> bool:
        """Tell whether what is heard must not be interrupted."""
        return self.speaker.protected

    def spoken_letters(self) -> int:
        """Return how many letters were sent."""
        return len(self.wire.audio) // BYTES_A_LETTER
