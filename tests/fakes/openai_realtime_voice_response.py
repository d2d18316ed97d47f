"""A response of a realtime voice session: from ``response.created`` to ``response.done``."""

import asyncio
import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tests.fakes.openai_chat import Wants
from tests.fakes.openai_realtime_voice_faults import Phase
from tests.fakes.openai_realtime_voice_items import Item, new_id
from tests.fakes.openai_refusal import Refusal
from tests.fakes.voice_model import calls_of, chunks, words_of

if TYPE_CHECKING:
    from tests.fakes.openai_realtime_voice import VoiceSession

INCOMPLETE = ("max_output_tokens", "content_filter")


class Responding:
    """One response. ``cancel`` ends it."""

    def __init__(self, session: "VoiceSession", asked: dict[str, Any]) -> None:
        self._session, self._asked = session, asked
        self.id = new_id("resp")
        self._output: list[Item] = []
        self._cancelled = asyncio.Event()
        self.reason = ""
        """Why it was cancelled."""

    def cancel(self, reason: str) -> None:
        """End it; what is on its way comes all the same."""
        if not self.reason:
            self.reason = reason
            self._cancelled.set()

    async def run(self) -> None:
        """Say it all."""
        session, voicing = self._session, self._session.voicing
        await session.send("response.created", response=self._wire("in_progress"))
        if voicing.mute > 0:
            voicing.mute -= 1
            await self._cancelled.wait()
        await session.dies(Phase.THINKING)
        reply = session.think(self._asked)
        if voicing.script.think_s:
            await self._pause(voicing.script.think_s)
        if voicing.failing and not self.reason:
            await self._fail(voicing.failing.popleft())
            return
        if words := words_of(reply):
            await self._say(words)
        calls = calls_of(reply)
        for wants in calls:  # they are told of even if the response was cancelled
            await self._call(wants)
        if self.reason:
            details = {"type": "cancelled", "reason": self.reason}
            await self._done("cancelled", status_details=details)
            return
        await self._done("completed")
        if calls:
            await session.dies(Phase.TOOL)

    async def _fail(self, refusal: Refusal) -> None:
        if refusal.code in INCOMPLETE:
            details: dict[str, Any] = {"type": "incomplete", "reason": refusal.code}
            await self._done("incomplete", status_details=details)
        else:
            error = {"type": refusal.error()["type"], "code": refusal.code}
            await self._done("failed", status_details={"type": "failed", "error": error})

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._cancelled.wait()
        except TimeoutError:
            return

    # An utterance ----------------------------------------------------------------------------

    async def _say(self, text: str) -> None:
        session, voicing = self._session, self._session.voicing
        item = Item(new_id("item"), "message", "assistant", audio_ms=0.0, status="in_progress")
        place = await self._add(item)
        place["content_index"] = 0
        part = {"type": "audio", "transcript": ""}
        await session.send("response.content_part.added", **place, part=part)
        pieces = list(chunks(voicing.script.voice(text)))
        words, late = text.split(), voicing.late_pieces
        for number, piece in enumerate(pieces):
            if self.reason and late <= 0:
                break
            late -= bool(self.reason)
            await session.dies(Phase.SPEAKING, number)
            await self._words(item, place, words[: -(-len(words) * (number + 1) // len(pieces))])
            await self._piece(item, place, piece)
            # Even the fastest model lets its reader breathe.
            await self._pause(voicing.pace_s) if voicing.pace_s else await asyncio.sleep(0)
        await session.dies(Phase.SPEAKING, len(pieces))
        item.status = "incomplete" if self.reason else "completed"
        await session.send("response.output_audio.done", **place)
        kind = "response.output_audio_transcript.done"
        await session.send(kind, **place, transcript=item.text)
        await session.send("response.content_part.done", **place, part=part)
        await self._finish(item, place)

    async def _words(self, item: Item, place: dict[str, Any], words: Sequence[str]) -> None:
        said = " ".join(words)
        if len(said) > len(item.text):
            delta, item.text = said[len(item.text) :], said
            await self._session.send("response.output_audio_transcript.delta", **place, delta=delta)

    async def _piece(self, item: Item, place: dict[str, Any], piece: bytes) -> None:
        item.audio_ms = (item.audio_ms or 0.0) + len(piece) / 8
        self._session.has_spoken = True
        audio = base64.b64encode(piece).decode()
        await self._session.send("response.output_audio.delta", **place, delta=audio)

    # A call ----------------------------------------------------------------------------------

    async def _call(self, wants: Wants) -> None:
        call_id = new_id("call")
        item = Item(new_id("item"), "function_call", call_id=call_id, name=wants.name)
        place = await self._add(item)
        item.text = wants.text()
        item.status = "incomplete" if self.reason else "completed"
        called = {**place, "call_id": call_id}
        kind = "response.function_call_arguments"
        await self._session.send(f"{kind}.delta", **called, delta=item.text)
        await self._session.send(f"{kind}.done", **called, name=item.name, arguments=item.text)
        await self._finish(item, place)

    # Items -----------------------------------------------------------------------------------

    async def _add(self, item: Item) -> dict[str, Any]:
        previous = self._session.items.last_id
        self._session.items.add(item)
        self._output.append(item)
        place = {"response_id": self.id, "output_index": len(self._output) - 1}
        await self._session.send("response.output_item.added", **place, item=item.wire())
        await self._session.send(
            "conversation.item.added", item=item.wire(), previous_item_id=previous
        )
        return {**place, "item_id": item.id}

    async def _finish(self, item: Item, place: dict[str, Any]) -> None:
        index = {"response_id": self.id, "output_index": place["output_index"]}
        await self._session.send("response.output_item.done", **index, item=item.wire())
        await self._session.send("conversation.item.done", item=item.wire())

    def _wire(self, status: str, **fields: Any) -> dict[str, Any]:
        metadata = self._asked.get("metadata") if self._session.voicing.echoes_metadata else None
        return {
            "id": self.id,
            "object": "realtime.response",
            "status": status,
            "status_details": None,
            "output": [item.wire() for item in self._output],
            "metadata": metadata,
            **fields,
        }

    async def _done(self, status: str, **fields: Any) -> None:
        usage = {"total_tokens": 10, "input_tokens": 5, "output_tokens": 5}
        response = self._wire(status, usage=usage, **fields)
        self._session.responded(self, sum(item.audio_ms or 0.0 for item in self._output))
        await self._session.send("response.done", response=response)
        self._session.go_on()
        limits = [{"name": "tokens", "limit": 1000, "remaining": 900, "reset_seconds": 1.0}]
        await self._session.send("rate_limits.updated", rate_limits=limits)
