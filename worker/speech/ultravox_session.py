"""One phone call's conversation at Ultravox, over a server WebSocket that this process joins.

    call created ──joinUrl──> socket ──audio, data messages──> `Talk` ──events──> listener
          ^                     │ dropped, or ended by an error
          └──── the next one ───┘ ended by the agent, or by a limit: `LeftByModel`

A call that lost its socket cannot be joined again; another goes on with it. What the wire means is
in `worker.speech.ultravox_talk`, when audio is sent in `worker.speech.pcm_line`.
"""

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from shared.log import get_logger
from worker.errors import ProviderError, ProviderLostError, ProviderRefusedError
from worker.link import Link
from worker.sockets import socket_fault, websocket
from worker.speech import Brief, Event, LeftByModel, Opening, SpeechListener
from worker.speech import ultravox_wire as wire
from worker.speech.pcm_line import Downlink, Uplink
from worker.speech.ultravox_call import instruction, stage_of
from worker.speech.ultravox_calls import Calls
from worker.speech.ultravox_invocations import Invocations
from worker.speech.ultravox_talk import Talk
from worker.speech.ultravox_wire import PROVIDER

if TYPE_CHECKING:
    from worker.speech.ultravox import Ultravox

KEY = "ULTRAVOX_API_KEY"

BATCH_MS = 40

MOST_CREATIONS = 2
"""How often a call is created until one could be joined: a caller hears nothing meanwhile."""

_LEFT = {"agent_hangup", "timeout", "hangup"}
"""Ends of a call that are meant (Ultravox, ``endReason``)."""

_MOST_WAITING = 64

_log = get_logger(__name__)


class Conversation:
    """A session of `Ultravox`; ``open`` it first.

    It corrects: its transcripts keep to what was spoken, so the last of one that was cut says so.
    It would stand still while a tool runs, but the tool's answer can be put off: see `say`.
    """

    corrects = True
    stands_still = False
    batch_ms = BATCH_MS

    def __init__(
        self, settings: "Ultravox", opening: Opening, listener: SpeechListener, calls: Calls
    ) -> None:
        self._settings, self._opening = settings, opening
        self._listener, self._calls = listener, calls
        self._loop = asyncio.get_running_loop()
        self._brief, self._is_staged = opening.brief, False
        """What holds, and whether the service is still to be told of it as a stage."""
        self._known = opening.brief
        """What the service knows."""
        self._talk, self._invocations = Talk(), Invocations()
        self._up, self._down = Uplink(), Downlink(calls.rate)
        self._wake = asyncio.Event()
        self._waiting: deque[tuple[bytes, bool]] = deque(maxlen=_MOST_WAITING)
        """Messages for the socket, and whether they are for this one only."""
        self._was_joined = self._is_owed = self._has_left = self._is_closed = False
        self._is_answering = False
        """The service has answered a ping on this socket, so it may be expected to."""
        self._heard_at: float | None = None
        self._pinged_at = 0.0
        self._link = Link(
            PROVIDER, self._join, self._serve, self._fault, self._failed, self._lost, settings.retry
        )

    @property
    def minds_silence(self) -> bool:
        """Ultravox says the reminders itself; a stored agent has its own and is told of none."""
        return self._settings.agent_id is None

    async def open(self) -> None:
        """Create the call and join it. Raises `ProviderError`."""
        try:
            await self._link.start()
        except BaseException:
            await self._calls.aclose()
            raise

    async def aclose(self) -> None:
        """Hang up by closing the socket, in bounded time."""
        self._is_closed = True
        await self._link.aclose()
        await self._calls.aclose()

    # What the call says ------------------------------------------------------------------------

    def post(self, audio: bytes) -> None:
        """Take audio of any size; it is sent at once."""
        if not self._is_closed:
            self._up.add(audio)
            self._wake.set()

    def cut(self, utterance: str, heard_ms: float) -> None:
        """Let no more of it be heard, and hush the service if it has not cut it itself.

        The service reckons what it has said; it cannot be told ``heard_ms``.
        """
        del heard_ms
        if self._talk.cut(utterance):
            self._send(wire.hush(), for_this_one=True)

    def say(self, text: str, *, interruptible: bool = True) -> None:
        """Have it said word for word, after what is being said.

        While the model waits for a tool the service says nothing: it is told to wait no more.
        """
        for invocation in self._invocations.thaw(self._loop.time()):
            self._send(wire.tool_runs(invocation), for_this_one=True)
        self._talk.prompted()
        self._send(wire.forced(text, interruptible=interruptible))

    def tell(self, text: str) -> None:
        """Tell the model at once, which interrupts it."""
        self._talk.prompted()
        self._send(wire.told(text, "immediate"))

    def answered(self, call_id: str, text: str, *, failed: bool, brief: Brief | None) -> None:
        """Answer a tool; one that the model waits for no more is called again, by us.

        ``failed`` makes no difference on the wire: of what is sent as an error the model sees
        nothing, and it is to read what was wrong with its arguments.
        """
        del failed
        answered = self._invocations.close(call_id, self._loop.time())
        if brief is not None:
            self._brief, self._is_staged = brief, True
        if answered is None:
            return
        call = answered.call
        can_be_called = any(spec.name == call.name for spec in self._known.tools)
        if not answered.in_time and not can_be_called:
            self._talk.prompted()
            self._send(wire.told(instruction(f"{call.name} has returned: {text}"), "soon"))
            return
        stage = stage_of(self._settings, self._brief) if self._is_staged else None
        self._is_staged, self._known = False, self._brief
        if answered.in_time:
            self._send(wire.tool_result(call_id, text, stage), for_this_one=True)
        else:
            self._talk.prompted()
            self._send(wire.late_result(call, text, stage))

    def brief(self, brief: Brief) -> None:
        """Tell the new instructions as a line; tools and voice change with the next tool's answer.

        Nothing else can begin a stage.
        """
        self._brief, self._is_staged = brief, True
        self._send(wire.told(instruction(brief.system), "later"))

    def _send(self, message: bytes, *, for_this_one: bool = False) -> None:
        if not self._is_closed:
            self._waiting.append((message, for_this_one))
            self._wake.set()

    # The connection ----------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _join(self) -> AsyncIterator[ClientConnection]:
        brief = self._brief
        if self._talk.has_begun:
            join_url = await self._calls.go_on(brief, owed=self._is_owed)
            is_told = True
        else:
            join_url = await self._calls.begin(self._opening, brief)
            is_told = self._settings.agent_id is None  # a stored agent has its own instructions
        if is_told:
            self._known, self._is_staged = brief, brief is not self._brief
        self._listener.known_as(self._calls.id)
        async with websocket(join_url, {}) as socket:
            yield socket

    async def _serve(self, socket: ClientConnection) -> None:
        now = self._loop.time()
        self._down = Downlink(self._calls.rate)
        self._up.begin(now, self._calls.rate)
        self._was_joined, self._is_owed, self._is_answering = True, False, False
        self._heard_at, self._pinged_at = None, now
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(self._write(socket))
            with contextlib.suppress(ConnectionClosed):
                async for message in socket:
                    self._take(message)
            writing.cancel()
        await self._over(socket)

    async def _over(self, socket: ClientConnection) -> None:
        """The socket has ended. Raises `ProviderError` that says how."""
        close = socket.protocol.close_rcvd
        if close is None:
            raise ProviderLostError(PROVIDER, "the connection dropped", 1006)
        reason = await self._calls.end_reason()
        if reason in _LEFT:
            self._has_left = True
            self._talk.lost()
            self._tell((*self._talk.take(), LeftByModel(reason)))
            raise ProviderRefusedError(PROVIDER, f"the call is over: {reason}")
        what = reason or f"close {close.code}"
        raise ProviderLostError(PROVIDER, f"has ended the call: {what}", close.code)

    def _take(self, message: str | bytes) -> None:
        now = self._heard_at = self._loop.time()
        if isinstance(message, bytes):
            audio = self._down.feed(message)
            key = self._talk.audio(now) if audio else None
            self._tell(self._talk.take())
            if key is not None:
                self._listener.audio(key, audio)
            return
        said = wire.read(message)
        if said is None:
            return
        if said.type == wire.PONG:
            self._is_answering = True
        elif said.type == wire.TOOL:
            self._invocations.open(said.call, self._known, now)
        self._talk.read(said, now)
        self._up.saying(self._talk.caller_speaks)
        self._tell(self._talk.take())

    def _tell(self, events: Iterable[Event]) -> None:
        for event in events:
            self._listener.happened(event)

    async def _write(self, socket: ClientConnection) -> None:
        """Send what there is, and silence where there is none, until the socket ends."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                self._wake.clear()
                while self._waiting:
                    await socket.send(self._waiting.popleft()[0], text=True)
                now = self._loop.time()
                audio = self._up.next(now)
                if audio:
                    await socket.send(audio)
                self._talk.tick(now)
                self._tell(self._talk.take())
                if now - self._pinged_at >= self._settings.answer_s:
                    await self._ping(socket, now)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._up.wait_s(now)):
                        await self._wake.wait()

    async def _ping(self, socket: ClientConnection, now: float) -> None:
        """Ask for a sign. Raises `ProviderLostError` when none came since the last time."""
        heard_at = self._heard_at
        if heard_at is None or (self._is_answering and heard_at <= self._pinged_at):
            seconds = f"{self._settings.answer_s:g}"
            raise ProviderLostError(PROVIDER, f"has said nothing for {seconds} s")
        self._pinged_at = now
        await socket.send(wire.ping(now), text=True)

    # Losses ------------------------------------------------------------------------------------

    def _fault(self, error: BaseException) -> ProviderError:
        fault = socket_fault(PROVIDER, KEY, error)
        was_tried = not self._was_joined and self._calls.created >= MOST_CREATIONS
        if was_tried and isinstance(fault, ProviderLostError):
            # To be asked for longer than anybody waits gives it up; it is lost all the same.
            return ProviderLostError(PROVIDER, fault.sentence, fault.status, math.inf)
        return fault

    def _lost(self, error: ProviderError) -> None:
        """A call is lost, and another one takes its place."""
        _log.warning("conversation_lost", provider=PROVIDER, why=error.sentence)
        self._is_owed |= self._talk.is_owed
        self._talk.lost()
        self._invocations.thaw(math.inf)
        kept = [(message, only) for message, only in self._waiting if not only]
        self._waiting.clear()
        self._waiting.extend(kept)
        self._tell(self._talk.take())

    def _failed(self, error: ProviderError) -> None:
        if not self._has_left:
            self._listener.failed(error)
