"""One call's participants, wired: line, ears, agent, voice.

The session decides who acts on what; it holds no audio and knows no provider. Events of the line
come in on the loop's thread and are handed on at once; what an agent does about them runs in
tasks of one group, so that a hook's failure ends the call and nothing is orphaned.

    ringing ──> (ears and voice connect, greeting is made) ──> stream ──> turns ──> ended
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgpack

from shared import messages
from shared.audio import ms_of_bytes
from worker.agent import Agent
from worker.errors import CallOverError
from worker.message import Message
from worker.speaker import Speaker, Spoken
from worker.stt import STT, STTSession
from worker.voip import VoIP

TURNS_SECONDS = 2.0
"""What turns that were under way when the caller hung up have to finish."""

MOST_STATE = 500_000
"""Bytes of an agent's state, packed, that are handed to the gateway."""

ENDED_SECONDS = 5.0
"""What `Agent.on_ended` has; the gateway's own limit is above it."""


class Session:
    """Runs one agent on one call. A `VoIPListener`, an ``STTListener`` and the agent's `Voice`."""

    def __init__(self, agent: Agent, call: VoIP, clock: Callable[[], float]) -> None:
        self._agent, self._call, self._now = agent, call, clock
        self._speaker = Speaker(call, clock)
        self._ears: STTSession | None = None
        self._wants_audio = type(agent).on_audio is not Agent.on_audio
        self._utterances: asyncio.Queue[Message[str] | None] = asyncio.Queue()
        self._streaming = asyncio.Event()
        self._ended = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None
        self._early: list[Coroutine[Any, Any, None]] | None = []
        self._heard_bytes = 0
        self._turn_at: float | None = None
        agent.attach(call, self)

    async def run(self) -> None:
        """Live the call from ringing to its end. Raises what a hook raises."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                self._begin_early()
                conversation = _start(tasks, self._converse())
                await self._ended.wait()
                if conversation is not None:
                    await self._finish_turns(conversation)
                async with asyncio.timeout(ENDED_SECONDS):
                    await _until_over(self._agent.on_ended())
                self._checkpoint()
                raise _OverError
        except* _OverError:
            pass
        finally:
            self._tasks = None
            await self._close()

    async def _converse(self) -> None:
        greeting = await self._get_ready()
        await self._streaming.wait()
        self._spawn(self._greet(greeting))
        self._spawn(self._agent.on_start())
        while (message := await self._utterances.get()) is not None:
            await self._agent.inference(message)
            self._checkpoint()

    async def _finish_turns(self, conversation: asyncio.Task[None]) -> None:
        """Let the agent act on what was said before the caller hung up: "yes, book it", click."""
        if self._streaming.is_set():
            self._utterances.put_nowait(None)
            await asyncio.wait([conversation], timeout=TURNS_SECONDS)
        conversation.cancel()

    async def _get_ready(self) -> list[bytes]:
        """Connect ears and voice at once, and make the greeting while the phone rings."""
        agent = self._agent
        async with asyncio.TaskGroup() as group:
            if agent.stt is not None:
                group.create_task(self._listen(agent.stt))
            if agent.tts is not None:
                group.create_task(self._speaker.connect(agent.tts))
            group.create_task(agent.on_ringing())
        if agent.tts is None or agent.greeting is None:
            return []
        return await self._speaker.prepare(agent.greeting)

    async def _listen(self, stt: STT) -> None:
        self._ears = await stt.connect(self)

    async def _greet(self, audio: list[bytes]) -> None:
        greeting = self._agent.greeting
        if greeting is not None and audio:
            self._record(await self._speaker.play_prepared(greeting, audio, interruptible=True))

    async def _close(self) -> None:
        await self._speaker.aclose()
        if self._ears is not None:
            await self._ears.aclose()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        if self._tasks is None and self._early is not None:
            self._early.append(work)
            return
        if self._tasks is None:
            work.close()
        else:
            _start(self._tasks, work)

    def _begin_early(self) -> None:
        """What happened on the line before the session ran is acted on now."""
        early, self._early = self._early or [], None
        for work in early:
            self._spawn(work)

    # The agent's voice -----------------------------------------------------------------------

    async def say(self, text: str, interruptible: bool) -> str:
        """Speak; what was heard goes into the transcript and is returned."""
        turn_at, self._turn_at = self._turn_at, None
        spoken = await self._speaker.say(text, interruptible)
        self._record(spoken, turn_at)
        return spoken.text

    def _record(self, spoken: Spoken, turn_at: float | None = None) -> None:
        if not spoken.text and not spoken.interrupted:
            return
        reply_ms = None
        if turn_at is not None and spoken.first_audio_at is not None:
            reply_ms = (spoken.first_audio_at - turn_at) * 1000
        self._call.tell(
            messages.Said("agent", spoken.text, self._at_ms(), reply_ms, spoken.interrupted)
        )

    def _checkpoint(self) -> None:
        state = msgpack.packb(self._agent.state, default=str)
        if len(state) > MOST_STATE:
            self._call.log("state not saved: it is over 500 kB", "warning", bytes=len(state))
            return
        self._call.tell(messages.Checkpoint(state))

    def _at_ms(self) -> float:
        return ms_of_bytes(self._heard_bytes)

    # What the line says ----------------------------------------------------------------------

    def call_audio(self, audio: bytes) -> None:
        """Hand the caller's audio to whoever listens."""
        self._heard_bytes += len(audio)
        try:
            if self._ears is not None:
                self._ears.post(audio)
            if self._wants_audio:
                self._agent.on_audio(audio)
        except Exception as error:
            self._spawn(_raise(error))

    def call_event(self, event: messages.Event) -> None:
        """Act on what happened on the line."""
        match event:
            case messages.StreamStarted():
                if self._streaming.is_set():
                    self._spawn(self._agent.on_start())
                self._streaming.set()
            case messages.Dtmf(digit):
                self._spawn(self._agent.on_dtmf(digit))
            case messages.CallStatus(status):
                self._spawn(self._agent.on_status(status))
            case messages.AnsweredBy(verdict):
                self._spawn(self._agent.on_answered_by(verdict))
            case messages.TranscriptReceived(track, text, final):
                self._spawn(self._agent.on_carrier_transcript(track, text, final))
            case messages.RecordingChanged(sid, status, url):
                self._spawn(self._agent.on_carrier_recording(sid, status, url))
            case messages.CallEnded():
                self._ended.set()

    # What the ears say -----------------------------------------------------------------------

    def speech_started(self) -> None:
        """The caller speaks: the agent stops, at once."""
        self._speaker.interrupt()

    def transcript(self, message: Message[str]) -> None:
        """A finished utterance is the agent's next turn."""
        if not message.done:
            return
        self._turn_at = self._now()
        if message.data:
            self._call.tell(messages.Said("caller", message.data, self._at_ms()))
        self._utterances.put_nowait(message)

    def failed(self, error: Exception) -> None:
        """The ears are lost: the call cannot go on."""
        self._spawn(_raise(error))


class _OverError(Exception):
    """The call has ended as calls do."""


def _start(tasks: asyncio.TaskGroup, work: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
    """Run ``work`` in the group; ``None`` when a failure has closed the group to more."""
    hook = _until_over(work)
    try:
        task = tasks.create_task(hook)
    except RuntimeError:
        hook.close()
        work.close()
        return None
    # One that is cancelled before its first step has never begun what it was to run.
    task.add_done_callback(lambda _: work.close())
    return task


async def _until_over(hook: Coroutine[Any, Any, None]) -> None:
    """Run a hook. That it waits for the line when the call ends is no failure of the agent."""
    try:
        await hook
    except* CallOverError:
        pass


async def _raise(error: Exception) -> None:
    raise error
