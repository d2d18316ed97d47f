"""How the fake Ultravox speaks: audio ahead of time, words in time, both to a stop when cut."""

import asyncio
from collections.abc import Callable

from shared.audio import bytes_of_ms, ms_of_bytes
from tests.fakes.speech import timings
from tests.fakes.ultravox_lines import Line
from tests.fakes.voice_model import CHUNK_BYTES, Script


class Speaking:
    """One thing that is said, from its first audio on."""

    def __init__(self, text: str, ordinal: int, script: Script, *, protected: bool) -> None:
        self.text, self.ordinal, self.protected = text, ordinal, protected
        self._words = timings(text, script.letter_ms)
        self._audio = script.voice(text)
        self._loop = asyncio.get_running_loop()
        self._began_at = self._loop.time()
        self._sent = self._told = 0

    @property
    def at_ms(self) -> float:
        """How much of it has been played by now, if nothing is late."""
        return (self._loop.time() - self._began_at) * 1000

    @property
    def spoken(self) -> str:
        """The words that have begun by now: what counts as said when it is cut."""
        return " ".join(word.text for word in self._words if word.start_ms < self.at_ms)

    async def run(
        self, line: Line, tell: "Callable[[str, bool], object]", on_audio: Callable[[float], None]
    ) -> None:
        """Say it all; ``tell`` gets each word when its time comes. Cancel it to stop."""
        total_ms = ms_of_bytes(len(self._audio))
        while True:
            ahead = bytes_of_ms(self.at_ms + line.buffer_ms)
            while self._sent < min(ahead, len(self._audio)):
                chunk = self._audio[self._sent : self._sent + CHUNK_BYTES]
                await line.audio(chunk)
                self._sent += len(chunk)
                on_audio(ms_of_bytes(self._sent))
            while self._told < len(self._words) and self._words[self._told].start_ms <= self.at_ms:
                tell(self._words[self._told].text, self._told == 0)
                self._told += 1
            if self.at_ms >= total_ms:
                return
            await asyncio.sleep(max(0.001, (self._next_ms(line, total_ms) - self.at_ms) / 1000))

    def _next_ms(self, line: Line, total_ms: float) -> float:
        nexts = [total_ms]
        if self._told < len(self._words):
            nexts.append(self._words[self._told].start_ms)
        if self._sent < len(self._audio):
            nexts.append(ms_of_bytes(self._sent) - line.buffer_ms)
        return min(nexts)
