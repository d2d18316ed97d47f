"""What an ElevenLabs agent says, and what of it was heard when it is interrupted."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

from shared.audio import ms_of_bytes
from tests.fakes.elevenlabs_agents_manners import Phase
from tests.fakes.elevenlabs_agents_voice import Voice

if TYPE_CHECKING:
    from tests.fakes.elevenlabs_agents import ElevenLabsAgentsFake

Send = Callable[[str, str, dict[str, Any]], Awaitable[None]]


class Mouth:
    """Speaks in one conversation.

    ``said`` holds what was spoken, ``cut`` what of it counts as spoken when it was interrupted.
    """

    def __init__(
        self,
        fake: "ElevenLabsAgentsFake",
        ids: Iterator[int],
        send: Send,
        breaks: Callable[[Phase], Awaitable[None]],
    ) -> None:
        self._manners, self._ids, self._send, self._break = fake.manners, ids, send, breaks
        self._voice = Voice(fake.setup.output_format, fake.script.letter_ms, fake.manners.spelling)
        self._loop = asyncio.get_running_loop()
        self._speaking: list[tuple[str, float, float]] = []
        """Text, beginning and end of what is being heard, if it was played as it was sent."""
        self.said: list[str] = []
        self.cut: list[str] = []
        self.interruptions = 0

    @property
    def is_heard(self) -> bool:
        """Something is still being heard."""
        return bool(self._speaking) and self._speaking[-1][2] > self._loop.time()

    async def say(self, text: str, phase: Phase) -> None:
        """Say ``text``: its audio, and its text about with the first of it."""
        manners = self._manners
        number = next(self._ids)
        self.said.append(text)
        chunks = list(self._voice.chunks(text))
        response = {"agent_response": text, "event_id": number}
        for at, (event, size) in enumerate(chunks):
            if at == 0 and manners.text_first:
                await self._send("agent_response", "agent_response_event", response)
            self._play(text, size, is_first=at == 0)
            audio_id = number if manners.numbers == "response" else next(self._ids)
            await self._send("audio", "audio_event", {**event, "event_id": audio_id})
            if at == 0 and not manners.text_first:
                await self._send("agent_response", "agent_response_event", response)
            if at == len(chunks) // 2:
                await self._break(phase)
            if manners.pace_s:
                await asyncio.sleep(manners.pace_s)

    def _play(self, text: str, size: int, *, is_first: bool) -> None:
        begins = max(self._loop.time(), self._speaking[-1][2] if self._speaking else 0.0)
        ends = begins + ms_of_bytes(size) / 1000
        if not is_first and self._speaking:
            begins = self._speaking.pop()[1]
        self._speaking.append((text, begins, ends))

    async def interrupt(self) -> None:
        """Stop; what is being heard was interrupted."""
        now, number = self._loop.time(), next(self._ids)
        heard = [it for it in self._speaking if it[2] > now]
        self._speaking.clear()
        self.interruptions += 1
        corrections = [self._correction(*it, now) for it in heard]
        if self._manners.corrects_first:
            await self._correct(corrections)
        await self._send("interruption", "interruption_event", {"event_id": number})
        if self._manners.stale_audio:
            event, _ = next(self._voice.chunks("stale"))
            for stale in (number - 1, number):
                await self._send("audio", "audio_event", {**event, "event_id": stale})
        if not self._manners.corrects_first:
            await self._correct(corrections)

    def _correction(self, text: str, begin: float, end_at: float, now: float) -> dict[str, Any]:
        share = max(0.0, min(1.0, (now - begin) / (end_at - begin)))
        words = text.split()
        spoken = " ".join(words[: int(share * len(words))])
        self.cut.append(spoken)
        return {
            "original_agent_response": text,
            "corrected_agent_response": f"{spoken}..." if spoken else "...",
            "event_id": next(self._ids),
        }

    async def _correct(self, corrections: list[dict[str, Any]]) -> None:
        for fields in corrections:
            kind = "agent_response_correction"
            await self._send(kind, f"{kind}_event", fields)
