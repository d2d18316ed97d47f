"""One conversation at ElevenLabs' side: it hears, answers, is interrupted, waits for tools."""

import asyncio
import base64
import json
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from shared.audio import Resampler, ms_of_bytes, pcm16_to_ulaw
from tests.fakes.elevenlabs_agents_manners import Phase
from tests.fakes.elevenlabs_agents_mouth import Mouth
from tests.fakes.elevenlabs_agents_request import BadMessage, Beginning, beginning, check
from tests.fakes.openai_chat import Wants
from tests.fakes.voice_model import Began, Ears, calls_of, words_of
from tests.fakes.voice_server import EndedError, end

if TYPE_CHECKING:
    from tests.fakes.elevenlabs_agents import ElevenLabsAgentsFake

_VAD_MS = 100.0
_ORDER = re.compile(r'^Say .*"(.*)"$', re.DOTALL)
"""What a model that does as it is told makes of such a line: it says what is quoted."""


class Session:
    """One socket. ``received`` holds the client's messages but for audio, ``ears.audio`` that.

    ``mouth.said`` holds what was spoken.
    """

    def __init__(
        self,
        fake: "ElevenLabsAgentsFake",
        socket: ServerConnection,
        group: asyncio.TaskGroup,
        name: str,
    ) -> None:
        self._fake, self._socket, self._group, self.conversation_id = fake, socket, group, name
        self.initiation: dict[str, Any] = {}
        self.beginning: Beginning | None = None
        self.received: list[dict[str, Any]] = []
        self.chunks_ms: list[float] = []
        self.refused = ""
        """Why it was ended, if it was."""
        self.unanswered: set[int] = set()
        """Pings that no pong was for."""
        self.contexts: dict[str, str] = {}
        """What the model was told silently; a ``context_id`` takes the place of the one before."""
        self.close_code: int | None = None
        """How the client closed."""
        self.ears = Ears()
        self._loop = asyncio.get_running_loop()
        self._ids = count(1)
        self._turns: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue(1000)
        self._results: dict[str, asyncio.Future[tuple[str, bool]]] = {}
        self._answering: asyncio.Task[None] | None = None
        self._rate = 8000
        self._resampler: Resampler | None = None
        self.mouth = Mouth(fake, self._ids, self._send, self._break)
        self._audio_at = 0.0

    # Its life --------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve the socket until it ends."""
        setup, manners = self._fake.setup, self._fake.manners
        try:
            first = await self._socket.recv()
            self.initiation, self.beginning = beginning(first, setup)
            await self._break("begin")
            if manners.silent:
                await self._socket.wait_closed()
                return
            self._start()
            metadata = {
                "conversation_id": self.conversation_id,
                "agent_output_audio_format": setup.output_format,
                "user_input_audio_format": setup.input_format,
            }
            event = "conversation_initiation_metadata"
            await self._send(event, f"{event}_event", metadata)
            self._group.create_task(self._pinging())
            self._group.create_task(self._minding())
            self._group.create_task(self._thinking())
            if text := self.beginning.first_message:
                self._turns.put_nowait(lambda: self.mouth.say(text, "greeting"))
            while True:
                await self._take(check(await self._socket.recv()))
        except BadMessage as bad:
            await self._fail(bad)
        finally:
            self.close_code = self._socket.close_code

    def _start(self) -> None:
        setup = self._fake.setup
        if setup.input_format.startswith("pcm_"):
            self._rate = int(setup.input_format.removeprefix("pcm_"))
            self._resampler = Resampler(self._rate)
        self._audio_at = self._loop.time()

    async def _pinging(self) -> None:
        ping_ms = None
        while True:
            number = next(self._ids)
            self.unanswered.add(number)
            await self._send("ping", "ping_event", {"event_id": number, "ping_ms": ping_ms})
            ping_ms = 40
            await asyncio.sleep(self._fake.manners.ping_s)

    async def _minding(self) -> None:
        limit_s = left_s = self._fake.manners.transport_timeout_s
        while left_s > 0:
            await asyncio.sleep(left_s)
            left_s = self._audio_at + limit_s - self._loop.time()
        message = f"No user input for {limit_s:g} seconds"
        await self._fail(BadMessage("transport_receive_timeout", message, 1002))

    async def _break(self, phase: "Phase") -> None:
        breaks = self._fake.manners.breaks
        if breaks is None or breaks.phase != phase:
            return
        if breaks.kind:
            await self._fail(BadMessage(breaks.kind, "as programmed", breaks.code or 1011))
        await end(self._socket, breaks.code, breaks.reason)
        raise EndedError

    async def _fail(self, bad: BadMessage) -> None:
        self.refused = bad.kind
        error = {"code": bad.code, "message": bad.message, "error_type": bad.kind}
        await self._send("error", "error_event", error)
        await self._socket.close(bad.code, bad.message[:120])
        raise EndedError

    # What comes in ---------------------------------------------------------------------------

    async def _take(self, message: dict[str, Any]) -> None:
        if "user_audio_chunk" in message:
            await self._hear(message["user_audio_chunk"])
            return
        self.received.append(message)
        match message["type"]:
            case "pong":
                self.unanswered.discard(message["event_id"])
            case "client_tool_result":
                result = self._results.pop(message["tool_call_id"], None)
                if result is not None and not result.done():
                    result.set_result((message["result"], message.get("is_error", False)))
            case "user_message":
                self._audio_at = self._loop.time()
                await self._interrupt()
                self._answer(message["text"])
            case "contextual_update":
                name = message.get("context_id", f"context {len(self.contexts)}")
                self.contexts[name] = message["text"]

    async def _hear(self, encoded: object) -> None:
        try:
            audio = base64.b64decode(str(encoded), validate=True)
        except ValueError:
            raise BadMessage("invalid_message", "the audio is no base64") from None
        if self._resampler is not None:
            audio = pcm16_to_ulaw(self._resampler.feed(audio[: len(audio) // 2 * 2]))
        ms = ms_of_bytes(len(audio))
        self.chunks_ms.append(ms)
        if not 19 <= ms <= 251:
            raise BadMessage("invalid_message", f"{ms:g} ms of audio: 20 to 250 at a time")
        self._audio_at = self._loop.time()
        for heard in self.ears.feed(audio):
            if isinstance(heard, Began):
                await self._send("vad_score", "vad_score_event", {"vad_score": 0.93})
                await self._break("caller")
                if self._fake.manners.interrupts:
                    await self._interrupt()
                continue
            await self._send("vad_score", "vad_score_event", {"vad_score": 0.04})
            if heard.text:
                await self._heard(heard.text)

    async def _heard(self, text: str) -> None:
        self._fake.script.heard.append(text)
        late_s = self._fake.manners.late_transcript_s
        if late_s:
            self._group.create_task(self._transcript(text, late_s))
        else:
            await self._transcript(text, 0)
        self._answer(text)

    async def _transcript(self, text: str, late_s: float) -> None:
        await asyncio.sleep(late_s)
        fields = {"user_transcript": text, "event_id": next(self._ids)}
        kind, payload = "tentative_user_transcript", "tentative_user_transcription_event"
        await self._send(kind, payload, fields)
        await self._send("user_transcript", "user_transcription_event", fields)

    async def _interrupt(self) -> None:
        """Stop speaking, if there is anybody who still hears it."""
        if not self.mouth.is_heard:
            return
        if self._answering is not None and not self._results:
            self._answering.cancel()
        await self.mouth.interrupt()
        if tool := self._fake.manners.tool_after_cut:
            await self._want(Wants(tool), f"call_{next(self._ids)}")

    # What goes out ---------------------------------------------------------------------------

    def _answer(self, line: str) -> None:
        self._turns.put_nowait(lambda: self._reply(line))

    async def _thinking(self) -> None:
        """Answer one turn after the other; a tool keeps the next one waiting."""
        while True:
            turn = await self._turns.get()
            self._answering = self._group.create_task(self._run(turn))
            await asyncio.wait([self._answering])

    async def _run(self, turn: Callable[[], Awaitable[None]]) -> None:
        await turn()

    async def _reply(self, line: str) -> None:
        script = self._fake.script
        await asyncio.sleep(script.think_s)
        await self._break("thinking")
        order = _ORDER.match(line)
        reply = order[1] if order else script.reply(line)
        while True:
            if text := words_of(reply):
                await self.mouth.say(text, "speech")
            calls = calls_of(reply)
            if any(call.name == "end_call" for call in calls):
                await self._leave()
            if not calls:
                return
            results = [await self._call(call) for call in calls]
            reply = script.reply(results[-1])

    async def _leave(self) -> None:
        fields = {"tool_name": "end_call", "tool_call_id": f"call_{next(self._ids)}"}
        system = {**fields, "tool_type": "system"}
        await self._send("agent_tool_request", "agent_tool_request", system)
        told = {**system, "is_error": False, "is_called": True, "event_id": next(self._ids)}
        await self._send("agent_tool_response", "agent_tool_response", told)
        await self._socket.close(1000, self._fake.manners.ended_by)
        raise EndedError

    async def _call(self, wanted: Wants) -> str:
        """Have a tool called; the conversation stands still until it is answered."""
        limit_s = self._fake.setup.tools.get(wanted.name)
        if limit_s is None:
            return f"error: there is no tool {wanted.name}"
        call_id = f"call_{next(self._ids)}"
        self._results[call_id] = self._loop.create_future()
        result = self._results[call_id]
        await self._want(wanted, call_id)
        await self._break("tool")
        try:
            async with asyncio.timeout(limit_s):
                text, is_error = await result
        except TimeoutError:
            self._results.pop(call_id, None)
            text, is_error = "timed out", True
        text = f"error: {text}" if is_error else text
        self._fake.script.returned.append((wanted.name, text))
        return text

    async def _want(self, wanted: Wants, call_id: str) -> None:
        fields = {
            "tool_name": wanted.name,
            "tool_call_id": call_id,
            "parameters": wanted.arguments,
            "event_id": next(self._ids),
        }
        await self._send("client_tool_call", "client_tool_call", fields)

    async def _send(self, kind: str, payload: str, fields: dict[str, Any]) -> None:
        optional = self.beginning.events if self.beginning is not None else frozenset()
        with suppress(ConnectionClosed):
            if kind in optional or kind in _ALWAYS:
                await self._socket.send(json.dumps({"type": kind, payload: fields}))
            for noise in self._fake.manners.noise:
                await self._socket.send(noise)


_ALWAYS = {"conversation_initiation_metadata", "error", "ping", "client_tool_call"}
