"""A scripted call in the template, before any real one.

What an agent does for the first time in a call is slow: imports inside functions, lazy SDKs,
regular expressions, code paths that Python specialises. A rehearsal does all of it once, in the
template, where every fork inherits it. It also proves that the agent can take a call at all.

Nothing leaves the process: the line is `StudioLine`, providers are their stand-ins, and hooks see
``call.rehearsal``. The loop is the standard library's, since uvloop leaves threads behind.
"""

import asyncio
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain
from types import FrameType
from typing import Any

from shared import messages
from shared.audio import FRAME_BYTES, SILENT_FRAME
from worker.agent import Agent
from worker.call_info import CallInfo
from worker.conversation import Conversation
from worker.roles import with_colleagues
from worker.session import Session
from worker.speech import SpeechModel
from worker.voip import VoIP

SOUND = bytes(range(0x20, 0xC0)) * 50
"""A second of something loud, for the ears of an agent that does not greet."""

_AFTER_SPEECH_FRAMES = 75  # 1.5 s of silence: enough for any endpoint


class StudioLine:
    """The gateway's stand-in: echoes marks, answers requests, keeps what was played."""

    def __init__(self) -> None:
        self.played = bytearray()
        self.began = asyncio.Event()
        self.started = asyncio.Event()
        self.finished = asyncio.Event()
        self.spoke = asyncio.Event()
        self._call: VoIP | None = None
        self._session: Session | None = None

    def connect(self, call: VoIP, session: Session) -> None:
        """Send everything to this session from now on."""
        self._call, self._session = call, session

    def send(self, frame: bytes, droppable: bool = False) -> None:
        """Take a frame as the gateway would."""
        audio = messages.audio_of(frame)
        if audio is not None:
            self.played += audio
            return
        asyncio.get_running_loop().call_soon(self._answer, messages.decode_command(frame))

    def _answer(self, command: messages.Command) -> None:
        match command:
            case messages.Mark(name):
                self.event(messages.MarkPlayed(name))
            case messages.HangUp(request) | messages.Transfer(request):
                self.event(messages.Reply(request))
                self.finished.set()
            case messages.TransferWarm(request, to):
                self.event(messages.WarmTransferred(request, to, "accepted"))
                self.finished.set()
            case messages.Said("agent"):
                self.spoke.set()
            case _ if hasattr(command, "request"):
                self.event(messages.Reply(command.request))

    def event(self, event: messages.Event) -> None:
        """Deliver an event as the pipe would."""
        assert self._call is not None
        assert self._session is not None
        self._call.deliver(event)
        self._session.call_event(event)

    def audio(self, audio: bytes) -> None:
        """Deliver the caller's audio, a frame at a time."""
        assert self._session is not None
        for start in range(0, len(audio), FRAME_BYTES):
            self._session.call_audio(audio[start : start + FRAME_BYTES])


class StudioConversation(Conversation):
    """A conversation in which stand-ins serve, whoever is named, then or later in the call."""

    def served(self, provider: Any) -> Any:
        """Return what stands in for ``provider``."""
        return super().served(provider).stand_in()

    def served_models(self, models: Sequence[SpeechModel]) -> Sequence[SpeechModel]:
        """Return what stands in for the first of them."""
        return [models[0].stand_in()]


def _watched(agent: type[Agent], line: StudioLine) -> type[Agent]:
    """Return the class as one that tells ``line`` how far it has come."""

    async def on_start(self: Agent) -> None:
        line.began.set()
        await agent.on_start(self)
        line.started.set()

    changes: dict[str, Any] = {
        "__module__": agent.__module__,
        "__doc__": agent.__doc__,
        "on_start": on_start,
    }
    return type(agent.__name__, (agent,), changes)


async def _perform(agent_class: type[Agent], release: str) -> None:
    line = StudioLine()
    info = CallInfo("CA" + "0" * 32, release=release)
    call = VoIP(line, info, time.monotonic, rehearsal=True)
    agent = _watched(agent_class, line)()
    session = Session(agent, call, time.monotonic, StudioConversation)
    line.connect(call, session)
    async with asyncio.TaskGroup() as group:
        living = group.create_task(session.run())
        script = group.create_task(_script(line, session.conversation))
        await asyncio.wait([living, script], return_when=asyncio.FIRST_COMPLETED)
        if living.done():
            script.cancel()
            await living


async def _script(line: StudioLine, conversation: Conversation) -> None:
    """Ring, open the stream, let the agent greet, say something to it, press a key, end."""
    line.event(messages.StreamStarted("MZ" + "0" * 32, {}))
    line.audio(SILENT_FRAME)
    # An agent that never comes to its start would never answer: it has no limit but the template's.
    await line.began.wait()
    conversation.office.rehearse()
    await _give_time(line.started, line.finished)
    if conversation.manners.greeting is not None or conversation.duplex.voice.open:
        await _first(line.spoke, line.finished)
    # The agent's own greeting is the speech at hand: let its ears work on it.
    line.spoke.clear()
    line.audio((bytes(line.played) or SOUND) + SILENT_FRAME * _AFTER_SPEECH_FRAMES)
    if conversation.agent.stt is not None or conversation.duplex.active:
        # A turn is given time to pass; an agent that has nothing to say is no failure.
        await _give_time(line.spoke, line.finished)
    line.event(messages.Dtmf("1"))
    await asyncio.sleep(0)
    line.event(messages.CallEnded("rehearsal", 5.0))


async def _first(*events: asyncio.Event) -> None:
    """Return when one of the events has come."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


async def _give_time(*events: asyncio.Event) -> None:
    """Return when one of the events has come, or after a second."""
    with suppress(TimeoutError):
        async with asyncio.timeout(1.0):
            await _first(*events)


def print_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Write to standard error where each task of ``loop`` is, through all that it awaits."""
    for task in asyncio.all_tasks(loop):
        stack = traceback.StackSummary.extract((it, it.f_lineno) for it in _frames(task.get_coro()))
        sys.stderr.write(f"Stack for {task!r}\n{''.join(stack.format())}")


def _frames(awaited: Any) -> Iterator[FrameType]:
    """Walk from a coroutine along what it awaits; a task's own ``get_stack`` shows the first."""
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is not None:
            yield frame
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)


def rehearse(agents: list[type[Agent]], release: str) -> None:
    """Let each agent play one scripted call. Raises what its code raises.

    Leaves no event loop and no task behind; there is no time limit but the template's own.
    """
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        # A dump of the thread shows a loop that waits; what it waits for, only the tasks know.
        before = signal.signal(signal.SIGUSR1, lambda *_: print_tasks(runner.get_loop()))
        try:
            for agent in dict.fromkeys(chain.from_iterable(map(with_colleagues, agents))):
                runner.run(_perform(agent, release))
        finally:
            signal.signal(signal.SIGUSR1, before)
    asyncio.set_event_loop(None)
