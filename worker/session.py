"""One call's life, from ringing to the end.

    ringing ──> (ears, mind and voice connect; the greeting is made) ──> stream ──> turns ──> ended

The session owns the tasks. An event of the line comes in on the loop's thread and is handed on at
once; what an agent does about it runs in tasks of one group, so that a hook's failure ends the call
and nothing is orphaned. Who hears, thinks and speaks is `worker.conversation`'s business.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgpack

from shared import messages
from worker import voicemail
from worker.agent import Agent
from worker.conversation import Conversation
from worker.errors import CallError, CallOverError, raised
from worker.voip import VoIP

TURNS_SECONDS = 2.0
"""What turns that were under way when the caller hung up have to finish."""

MOST_STATE = 500_000
"""Bytes of an agent's state, packed, that are handed to the gateway."""

ENDED_SECONDS = 5.0
"""What `Agent.on_ended` has; the gateway's own limit is above it."""


class Session:
    """Runs one agent on one call. A `VoIPListener`.

    ``conversation`` is the class of its participants: `worker.testing` has one of its own.
    """

    def __init__(
        self,
        agent: Agent,
        call: VoIP,
        clock: Callable[[], float],
        conversation: type[Conversation] = Conversation,
    ) -> None:
        self._call = call
        self._streaming = asyncio.Event()
        self._ended = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None
        self._early: list[Coroutine[Any, Any, None]] | None = []
        self._kept: bytes | None = None
        self.conversation = conversation(agent, call, clock, self._spawn)

    @property
    def _agent(self) -> Agent:
        return self.conversation.agent

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
            await self.conversation.aclose()
        # A tool that was to finish may have done so after the last hook.
        self._checkpoint(changed=True)

    async def _converse(self) -> None:
        await self.conversation.get_ready()
        await self._streaming.wait()
        self.conversation.begin()
        self._spawn(self._agent.on_start())
        await self.conversation.agenda.work(self._checkpoint)

    async def _finish_turns(self, conversation: asyncio.Task[None]) -> None:
        """Let the agent act on what was said before the caller hung up: "yes, book it", click."""
        if self._streaming.is_set():
            until = asyncio.get_running_loop().time() + TURNS_SECONDS
            await self.conversation.duplex.finish(TURNS_SECONDS)
            self.conversation.agenda.close()
            left = max(0.0, until - asyncio.get_running_loop().time())
            await asyncio.wait([conversation], timeout=left)
        conversation.cancel()

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

    def _checkpoint(self, *, changed: bool = False) -> None:
        """Hand the agent's state to the gateway, or only if it has ``changed`` since."""
        try:
            state = msgpack.packb(self._agent.state, default=str)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            if not changed:
                why = f"{type(error).__name__}: {error}"
                self._call.log("state not saved: it must be plain values", "warning", why=why)
            return
        if changed and state == self._kept:
            return
        self._kept = state
        if len(state) > MOST_STATE:
            self._call.log("state not saved: it is over 500 kB", "warning", bytes=len(state))
            return
        self._call.tell(messages.Checkpoint(state))

    # What the line says ----------------------------------------------------------------------

    def call_audio(self, audio: bytes) -> None:
        """Hand the caller's audio to whoever listens."""
        try:
            self.conversation.audio(audio)
        except Exception as error:
            self._spawn(raised(error))

    def call_event(self, event: messages.Event) -> None:
        """Act on what happened on the line."""
        match event:
            case messages.StreamStarted():
                if self._streaming.is_set():
                    self.conversation.line_back()
                    self._spawn(self._agent.on_start())
                else:
                    self.conversation.line_open()
                self._streaming.set()
            case messages.StreamStopped():
                self.conversation.line_lost()
            case messages.Dtmf(digit):
                self.conversation.key(digit)
            case messages.CallStatus(status):
                self._spawn(self._agent.on_status(status))
            case messages.AnsweredBy(verdict):
                self._spawn(self._agent.on_answered_by(verdict))
                self._spawn(voicemail.answered_by(self.conversation, verdict))
            case messages.TranscriptReceived(track, text, final):
                self._spawn(self._agent.on_carrier_transcript(track, text, final))
            case messages.RecordingChanged(sid, status, url):
                self._spawn(self._agent.on_carrier_recording(sid, status, url))
            case messages.WarmTransferred(0, to, outcome):
                self._spawn(self._agent.on_warm_transfer(to, outcome))
            case messages.OperatorSays(text, interruptible):
                self._spawn(self._say(text, interruptible))
            case messages.CallEnded():
                self.conversation.close()
                self._ended.set()

    async def _say(self, text: str, interruptible: bool) -> None:
        """Say what somebody outside wants said; that it cannot be is no failure of the agent."""
        await self._streaming.wait()
        try:
            await self._agent.say(text, interruptible=interruptible)
        except (CallError, RuntimeError) as error:
            self._call.log("what the operator wants said is not said", "warning", why=str(error))


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
