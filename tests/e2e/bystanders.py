"""Callers of an echo who notice everything: a lost frame, a doubled one, another caller's voice.

Each speaks noise that nobody else speaks and compares what comes back with it, sample by sample.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random

from phone import Call, PhoneSettings
from shared.audio import FRAME_BYTES, SILENT_FRAME
from tests.harness import RunningGateway, eventually

_PHRASE_FRAMES = 25


class Bystander:
    """One call that talks without a pause."""

    def __init__(self, call: Call, seed: int) -> None:
        self.call = call
        self._noise = Random(seed)
        self.said = bytearray()
        self.heard = bytearray()
        call.on_agent_audio = self._hear

    def _hear(self, audio: bytes) -> None:
        if audio != SILENT_FRAME:
            self.heard += audio

    async def talk(self) -> None:
        """Speak until cancelled."""
        while True:
            phrase = self._noise.randbytes(FRAME_BYTES * _PHRASE_FRAMES)
            self.said += phrase
            await self.call.say(phrase)

    async def intact(self) -> None:
        """Return when all that was said by now was heard. Fails if anything else was."""
        due = len(self.said)
        await eventually(lambda: len(self.heard) >= due, seconds=30)
        assert self.heard == self.said[: len(self.heard)], f"call {self.call.sid} was disturbed"


class Bystanders:
    """Several of them."""

    def __init__(self, callers: list[Bystander]) -> None:
        self.callers = callers

    async def intact(self) -> None:
        """Return when each has heard all that it said, and nothing else."""
        await asyncio.gather(*(caller.intact() for caller in self.callers))


@asynccontextmanager
async def bystanders(gateway: RunningGateway, number: int) -> AsyncIterator[Bystanders]:
    """Keep ``number`` calls talking until the block ends, then check them a last time."""
    phone = gateway.phone(PhoneSettings(record=False))
    async with AsyncExitStack() as stack:
        calls = [await stack.enter_async_context(phone.dial()) for _ in range(number)]
        await asyncio.gather(*(call.connected(timeout=30) for call in calls))
        callers = [Bystander(call, seed) for seed, call in enumerate(calls)]
        talking = [asyncio.create_task(caller.talk()) for caller in callers]
        try:
            yield Bystanders(callers)
            await Bystanders(callers).intact()
        finally:
            for task in talking:
                task.cancel()
            await asyncio.gather(*talking, return_exceptions=True)
