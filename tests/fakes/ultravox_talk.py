"""A conversation at the fake Ultravox: who speaks when, on whatever line.

    turns, texts, forced messages, reminders ──> jobs, one after the other
                  caller speaks into speech, an urgent text ──> the job is dropped

While a tool runs the conversation is frozen: what the caller says is answered afterwards.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine
from functools import partial
from itertools import count
from typing import Any

from aiohttp import ClientSession

from tests.fakes.openai_chat import Wants
from tests.fakes.ultravox_calls import FakeCall
from tests.fakes.ultravox_checks import seconds
from tests.fakes.ultravox_faults import Falls, Manners, Mute
from tests.fakes.ultravox_lines import BadMessageError, Heard, Line, PcmLine
from tests.fakes.ultravox_messages import fault_of
from tests.fakes.ultravox_toolroom import Corpora, ToolRoom
from tests.fakes.ultravox_voice import Speaking
from tests.fakes.voice_model import Began, Ears, Script, calls_of, words_of

Job = Callable[[], Coroutine[Any, Any, None]]


class OverError(Exception):
    """The call is over."""


class Talk:
    """One joined call; ``run`` it until it is over."""

    def __init__(
        self, call: FakeCall, line: Line, script: Script, manners: Manners, http: ClientSession,
        corpora: Corpora,
    ) -> None:  # fmt: skip
        self.call, self._line, self._script, self._manners = call, line, script, manners
        self._tools = ToolRoom(call, http, corpora, self._invoke)
        self._loop = asyncio.get_running_loop()
        vad = call.body.get("vadSettings", {})
        given = vad.get("turnEndpointDelay")
        self.ears = Ears(int(seconds(given) * 1000) if given else manners.endpoint_ms)
        self._jobs: asyncio.Queue[Job] = asyncio.Queue()
        self._job: asyncio.Task[None] | None = None
        self._speaking: Speaking | None = None
        self._frozen = False
        self._state = ""
        self._ordinals = count(len(call.messages))
        self._quiet_since = self._loop.time()
        self._reminded = 0
        self._was_active = False
        self._fault = manners.faults.pop(0) if manners.faults else None
        self._wanted: list[Wants] = []
        """Tools that are to be called once what is said is said."""
        self._group = asyncio.TaskGroup()
        medium = call.medium
        self._enabled = medium.get("dataMessages", {}) if manners.tells_sounds else {}

    async def run(self) -> None:
        """Serve the line until the call is over."""
        try:
            async with self._group:
                for part in (self._work(), self._remind(), self._expire(), self._listen()):
                    self._group.create_task(part)
        except* OverError:
            pass

    async def end(self, reason: str, code: int | None = 1000) -> None:
        """End the call. Raises `OverError`."""
        self.call.end(reason)
        if code is None:
            self._line.drop()
        else:
            await self._line.close(code)
        raise OverError

    async def lose(self, code: int | None) -> None:
        """The line ends, by no one's will."""
        self.call.end("system_error")
        if code is None:
            self._line.drop()
        else:
            await self._line.close(code)

    # What comes in -----------------------------------------------------------------------------

    async def _listen(self) -> None:
        if isinstance(self._line, PcmLine):
            await self._begin()
        try:
            async for heard in self._line.heard():
                if not isinstance(self._fault, Mute):
                    await self._hear(heard)
        except TimeoutError:
            await self.end("connection_error", 1011)
        except BadMessageError:
            await self.end("system_error", 1003)
        self.call.end("hangup")
        raise OverError

    async def _begin(self) -> None:
        if isinstance(self._fault, Mute):
            return
        await self._falls("joined")
        await self._noise()
        await self._data("call_started", callId=self.call.id)
        await self._to("idle")
        first = self.call.first_speaker
        if "agent" in first:
            self._do(partial(self._open, first["agent"]))
            return
        await self._to("listening")
        fallback = first["user"].get("fallback")
        if fallback is not None:
            self._group.create_task(self._fall_back(fallback))

    async def _open(self, greeting: dict[str, Any]) -> None:
        """Speak first, as it is told to."""
        await asyncio.sleep(seconds(greeting.get("delay", "0s")))
        text = greeting.get("text")
        if text is None:
            text = self._manners.greeting
            if "prompt" in greeting:
                text = words_of(self._script.reply(greeting["prompt"]))
        await self._say(text, protected=greeting.get("uninterruptible", False))

    async def _fall_back(self, fallback: dict[str, Any]) -> None:
        """Speak first all the same, when the caller does not."""
        await asyncio.sleep(seconds(fallback["delay"]))
        if not self._was_active:
            greeting = {name: it for name, it in fallback.items() if name != "delay"}
            self._do(partial(self._open, greeting))

    async def _hear(self, heard: Heard) -> None:
        if isinstance(heard, dict):
            await self._told(heard)
            return
        for it in self.ears.feed(heard):
            self._active()
            if isinstance(it, Began):
                if self._enabled.get("userStartedSpeaking"):
                    await self._data("user_started_speaking")
                await self._falls("caller")
                await self._interrupt()
                continue
            if self._enabled.get("userStoppedSpeaking"):
                await self._data("user_stopped_speaking")
            if it.text:
                self._do(partial(self._turn, it.text))

    async def _told(self, message: dict[str, Any]) -> None:
        kind = message.get("type")
        if not str(kind).startswith("_"):
            self.call.received.append(message)
        wrong = fault_of(message)
        if wrong:
            self.call.refused.append(wrong)
            return
        match kind:
            case "_started":
                await self._begin()
            case "_digit":
                self._do(partial(self._answer, message["digit"]))
            case "ping":
                await self._data("pong", timestamp=message["timestamp"])
            case "user_text_message":
                await self._text(message)
            case "forced_agent_message":
                await self._force(message)
            case "hang_up":
                self._do(partial(self._farewell, message.get("message", "")))
            case "client_tool_result":
                wrong = self._tools.returned(message)
                if wrong:
                    self.call.refused.append(wrong)

    async def _force(self, message: dict[str, Any]) -> None:
        wrong = self._tools.forced_fault(message)
        if wrong:
            self.call.refused.append(wrong)
            return
        if message.get("urgency") == "immediate":
            await self._interrupt(by_text=True)
        self._do(partial(self._forced, message))

    async def inject(self, message: dict[str, Any]) -> None:
        """Take a data message that came by REST."""
        await self._told(message)

    async def _text(self, message: dict[str, Any]) -> None:
        self._active()
        text, urgency = message["text"], message.get("urgency", "soon")
        if urgency == "immediate":
            await self._interrupt(by_text=True)
        if text:
            await self._transcript("user", text, next(self._ordinals), medium="text")
            self.call.say("USER", text, medium="TEXT")
        if urgency != "later" and not message.get("deferResponse"):
            self._do(partial(self._answer, text))

    def _active(self) -> None:
        self._was_active = True
        self._quiet_since, self._reminded = self._loop.time(), 0

    # Jobs --------------------------------------------------------------------------------------

    def _do(self, job: Job) -> None:
        self._jobs.put_nowait(job)

    async def _work(self) -> None:
        while True:
            job = await self._jobs.get()
            self._job = self._group.create_task(job())
            await asyncio.wait([self._job])
            self._job = None
            self._quiet_since = self._loop.time()
            if self._jobs.empty():
                await self._to("listening")

    async def _turn(self, text: str) -> None:
        self._script.heard.append(text)
        self.call.say("USER", text)
        ordinal = next(self._ordinals)
        await self._to("thinking")
        if self._manners.transcript_delay_s:
            delay = self._manners.transcript_delay_s
            self._group.create_task(self._later(delay, text, ordinal))
        else:
            await self._transcript("user", text, ordinal)
        await self._answer(text)

    async def _later(self, delay: float, text: str, ordinal: int) -> None:
        await asyncio.sleep(delay)
        await self._transcript("user", text, ordinal)

    async def _answer(self, line: str) -> None:
        while True:
            await self._to("thinking")
            await self._falls("thinking")
            await asyncio.sleep(self._script.think_s)
            reply = self._script.reply(line)
            words, wanted = words_of(reply), calls_of(reply)
            self._wanted = wanted
            if words:
                await self._say(words)
            self._wanted = []
            if not wanted:
                return
            outcome = await self._all_tools(wanted)
            if outcome is None:
                return
            line = outcome

    async def _say(self, text: str, *, protected: bool = False) -> None:
        if not text.strip():
            return
        await self._noise()
        await self._to("speaking")
        ordinal = next(self._ordinals)
        speaking = self._speaking = Speaking(text, ordinal, self._script, protected=protected)
        fault = self._fault

        def fall(sent_ms: float) -> None:
            if isinstance(fault, Falls) and fault.phase == "speaking" and sent_ms > fault.after_ms:
                self._group.create_task(self._falls("speaking"))

        def tell(word: str, is_first: bool) -> None:
            so_far = word if is_first else f" {word}"
            self._group.create_task(self._words(speaking, so_far))

        await speaking.run(self._line, tell, fall)
        self._speaking = None
        await self._transcript("agent", text, ordinal)
        self.call.say("AGENT", text)

    async def _words(self, speaking: Speaking, delta: str) -> None:
        if self._speaking is not speaking:
            return
        if self._manners.transcripts == "delta":
            await self._transcript("agent", None, speaking.ordinal, delta=delta)
        else:
            await self._transcript("agent", speaking.spoken, speaking.ordinal, final=False)

    async def _farewell(self, text: str) -> None:
        await self._say(text)
        await self.end("agent_hangup")

    async def _interrupt(self, *, by_text: bool = False) -> None:
        """The caller speaks, or writes urgently: what is being said is not said to its end."""
        speaking, job = self._speaking, self._job
        if self._frozen or (speaking is not None and speaking.protected):
            return
        if speaking is None and not by_text:
            return
        if job is not None:
            job.cancel()
        if speaking is None:
            return
        self._speaking = None
        said = speaking.spoken
        await self._line.clear()
        if self._manners.late_audio_ms:
            await self._line.audio(
                self._script.voice("late")[: int(8 * self._manners.late_audio_ms)]
            )
        await self._transcript("agent", said, speaking.ordinal)
        self.call.say("AGENT", said)
        await self._to("listening")
        wanted, self._wanted = self._wanted, []
        if wanted and self._manners.late_tools:
            self._do(partial(self._tools_only, wanted))

    # Tools -------------------------------------------------------------------------------------

    async def _all_tools(self, wanted: list[Wants]) -> str | None:
        """Run tools; return what the model answers next, ``None`` if it does not."""
        self._frozen = True
        try:
            await self._to("thinking")
            await self._falls("tool")
            done = await self._tools.run_all(wanted)
        finally:
            self._frozen = False
        for wants, outcome in zip(wanted, done, strict=True):
            self._script.returned.append((wants.name, outcome.text))
            if outcome.response_type == "hang-up":
                await self.end("agent_hangup")
        return None if done[-1].reaction == "listens" else done[-1].text

    async def _forced(self, message: dict[str, Any]) -> None:
        """Say what is to be said, and call the tools, of which results may be known."""
        protected = bool(message.get("uninterruptible"))
        await self._say(message.get("content", ""), protected=protected)
        for call in message.get("toolCalls", ()):
            known = self._tools.known(call, message.get("knownToolResults", ()))
            wants = Wants(call["name"], call.get("arguments", {}))
            if known is None:
                await self._tools_only([wants])
                continue
            self._script.returned.append((wants.name, known.text))
            if known.reaction != "listens":
                await self._answer(known.text)

    async def _tools_only(self, wanted: list[Wants]) -> None:
        line = await self._all_tools(wanted)
        if line is not None:
            await self._answer(line)

    async def _invoke(self, invocation: str, wants: Wants) -> None:
        await self._data(
            "client_tool_invocation",
            toolName=wants.name,
            invocationId=invocation,
            parameters=json.loads(wants.text()),
        )

    # Time --------------------------------------------------------------------------------------

    async def _remind(self) -> None:
        reminders = self.call.body.get("inactivityMessages", [])
        while reminders:
            is_idle = self._job is None and self._jobs.empty() and self._state == "listening"
            if self._reminded >= len(reminders) or not is_idle:
                await asyncio.sleep(0.02)
                continue
            reminder = reminders[self._reminded]
            left_s = self._quiet_since + seconds(reminder["duration"]) - self._loop.time()
            if left_s > 0:
                await asyncio.sleep(left_s)
                continue
            self._reminded += 1
            self._do(partial(self._reminder, reminder))

    async def _reminder(self, reminder: dict[str, Any]) -> None:
        ending = reminder.get("endBehavior", "")
        try:
            await self._say(reminder["message"])
        except asyncio.CancelledError:
            if ending.endswith("STRICT"):
                self._do(partial(self.end, "agent_hangup"))
            raise
        if "HANG_UP" in ending:
            await self.end("agent_hangup")

    async def _expire(self) -> None:
        await asyncio.sleep(seconds(self.call.body.get("maxDuration", "3600s")))
        text = self.call.body.get("timeExceededMessage", "")
        if self._job is not None:
            self._job.cancel()
        if text:
            await self._say(text, protected=True)
        await self.end("timeout")

    async def _falls(self, phase: str) -> None:
        fault = self._fault
        if isinstance(fault, Falls) and fault.phase == phase:
            self._fault = None
            await self.end(fault.reason, fault.code)

    # What goes out -----------------------------------------------------------------------------

    async def _data(self, kind: str, **more: Any) -> None:
        await self._line.data(json.dumps({"type": kind, **more}))

    async def _to(self, state: str) -> None:
        if state != self._state:
            self._state = state
            await self._data("state", state=state)

    async def _transcript(
        self, role: str, text: str | None, ordinal: int, *, final: bool = True,
        delta: str | None = None, medium: str = "voice",
    ) -> None:  # fmt: skip
        await self._data(
            "transcript", role=role, medium=medium, text=text, delta=delta,
            final=final and delta is None, ordinal=ordinal,
        )  # fmt: skip

    async def _noise(self) -> None:
        for text in self._manners.noise:
            await self._line.data(text)
