"""What the tests of both Deepgram recognisers have in common: a listener, audio, a fake."""

import asyncio
from collections.abc import Callable

from shared.audio import SILENT_FRAME, silence
from worker.stt import EndOfTurn, Hearing, Partial, STTSession

TONE = bytes([0x20, 0xA0]) * 80
"""20 ms of what counts as speech."""


class Ear:
    """Keeps what was heard."""

    def __init__(self) -> None:
        self.events: list[Hearing] = []
        self.failures: list[Exception] = []
        self._changed = asyncio.Event()

    def heard(self, event: Hearing) -> None:
        self.events.append(event)
        self._changed.set()

    def failed(self, error: Exception) -> None:
        self.failures.append(error)
        self._changed.set()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so of what was heard."""
        async with asyncio.timeout(30):
            while not is_so():
                self._changed.clear()
                await self._changed.wait()

    @property
    def turns(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, EndOfTurn)]

    @property
    def partials(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Partial)]

    async def turn(self, count: int = 1) -> str:
        """Wait for the end of a turn; return its words."""
        await self.until(lambda: len(self.turns) >= count)
        return self.turns[count - 1]


def speak(session: STTSession, ms: int = 600, pause_ms: int = 500) -> None:
    """Post speech and a pause, 20 ms at a time."""
    for _ in range(ms // 20):
        session.post(TONE)
    for _ in range(pause_ms // 20):
        session.post(SILENT_FRAME)


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for something that nobody announces."""
    async with asyncio.timeout(30):
        while not is_so():  # noqa: ASYNC110 - the other side is a server
            await asyncio.sleep(0.005)


__all__ = ["TONE", "Ear", "silence", "speak", "until"]
