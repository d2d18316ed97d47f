"""A call's conversation with OpenAI: one realtime session after the other, through a call.

    opening ──session.created──> update ──session.updated──> audio in batches, both ways
                                    └ refused: the call is told what is wrong
    at ``session_s``: the next one opens beside it, is told the conversation in a quiet moment,
    and takes over; the old one closes

What is said on them is decided in `worker.speech.openai_realtime_talk`. The SDK's realtime client
is not used: it parses every event by pydantic, ends clean closes in silence, and costs its import.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection

from shared.log import get_logger
from worker import openai_client, openai_socket
from worker.link import Link
from worker.llm import Brief
from worker.openai_client import NAME
from worker.sockets import websocket
from worker.speech import Opening, SpeechListener
from worker.speech import openai_realtime_events as wire
from worker.speech.openai_realtime_talk import Talk
from worker.speech.openai_realtime_tape import BATCH_MS

if TYPE_CHECKING:
    from worker.speech.openai_realtime import OpenAIRealtime

GRACE_SECONDS = 180.0
"""How long a session that is due to be replaced waits for a quiet moment."""

_LOOK_SECONDS = 0.25
_TICK_SECONDS = 1.0
_AGAIN_SECONDS = 20.0

_log = get_logger(__name__)


class Session:
    """A session of `OpenAIRealtime`; ``open`` it first."""

    minds_silence = False
    corrects = False
    stands_still = False
    batch_ms = BATCH_MS

    def __init__(
        self, settings: "OpenAIRealtime", opening: Opening, listener: SpeechListener
    ) -> None:
        self._settings, self._listener = settings, listener
        self._loop = asyncio.get_running_loop()
        self._account = openai_client.account(settings.base_url)
        self._talk = Talk(settings, opening, listener, self._loop.time)
        self._wake = asyncio.Event()
        self._is_closed = False
        self._link = Link(
            NAME,
            self._opening,
            self._serve,
            openai_socket.fault,
            listener.failed,
            lambda _: self._talk.lost(),
            settings.retry,
        )

    async def open(self) -> None:
        """Connect and set the session up. Raises `ProviderError`."""
        await self._link.start()

    # What the call wants ---------------------------------------------------------------------

    def post(self, audio: bytes) -> None:
        """Take audio of any size; it is sent in batches."""
        if self._is_closed:
            return
        self._talk.line_is_open()
        self._talk.tape.add(audio)
        if self._talk.tape.is_ready:
            self._wake.set()

    def cut(self, utterance: str, heard_ms: float) -> None:
        """Have the model forget what was not heard, and say no more of it."""
        self._talk.cut(utterance, heard_ms)
        self._wake.set()

    def say(self, text: str, *, interruptible: bool = True) -> None:
        """Have it said, behind what is being said."""
        self._talk.say(text, interruptible=interruptible)
        self._wake.set()

    def tell(self, text: str) -> None:
        """Have it answered, as if the caller had said it."""
        self._talk.tell(text)
        self._wake.set()

    def answered(self, call_id: str, text: str, *, failed: bool, brief: Brief | None) -> None:
        """Tell the model what a tool came to; that it failed, ``text`` says."""
        del failed
        self._talk.answered(call_id, text, brief)
        self._wake.set()

    def brief(self, brief: Brief) -> None:
        """Tell the model what holds from here on."""
        self._talk.brief(brief)
        self._wake.set()

    async def aclose(self) -> None:
        """Close the connection, in bounded time: that ends the conversation."""
        self._is_closed = True
        await self._link.aclose()

    # The connection --------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _opening(self) -> AsyncIterator[ClientConnection]:
        """Open a socket, and set a session up on it."""
        model = quote(self._settings.model, safe="")
        url = f"{self._account.websocket_url}/realtime?model={model}"
        async with websocket(url, openai_socket.headers(self._account)) as socket:
            is_told = False
            while (event := wire.read(await socket.recv())) is None or event.type != wire.UPDATED:
                if event is not None and event.type == wire.ERROR:
                    raise openai_socket.setup_fault(event.error or openai_socket.Fault())
                if not is_told and event is not None and event.type == wire.CREATED:
                    is_told = True
                    await socket.send(self._talk.setup(), text=True)
                    if event.session is not None and event.session.id:
                        self._listener.known_as(event.session.id)
            yield socket

    async def _serve(self, socket: ClientConnection) -> None:
        """Converse on a socket, and on those that follow it, until one is lost."""
        async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as closing:
            following: ClientConnection | None = socket
            while following is not None:
                socket = following
                following = await self._converse(socket, stack)
                if following is not None:
                    closing.create_task(socket.close())

    async def _converse(
        self, socket: ClientConnection, stack: contextlib.AsyncExitStack
    ) -> ClientConnection | None:
        """Converse on a socket until it ends; return the one that follows, if there is one."""
        self._talk.opened()
        self._wake.set()
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(self._read(socket))
            writing = group.create_task(self._write(socket))
            renewing = group.create_task(self._successor(stack))
            tasks = (reading, writing, renewing)
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
        return None if renewing.cancelled() else renewing.result()

    async def _read(self, socket: ClientConnection) -> None:
        async for message in socket:
            event = wire.read(message)
            if event is not None:
                self._talk.read(event)
                if self._talk.outbox:
                    self._wake.set()

    async def _write(self, socket: ClientConnection) -> None:
        talk = self._talk
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK_SECONDS):
                    await self._wake.wait()
            self._wake.clear()
            talk.tick()
            while talk.outbox:
                await socket.send(talk.outbox.popleft(), text=True)
            while audio := talk.tape.next():
                await socket.send(openai_socket.append(audio), text=True)

    async def _successor(self, stack: contextlib.AsyncExitStack) -> ClientConnection:
        """Return the socket of the next session when it is time; ``stack`` closes it."""
        due = self._loop.time() + self._settings.session_s
        await asyncio.sleep(self._settings.session_s)
        while True:
            await self._quiet(due)
            try:
                async with contextlib.AsyncExitStack() as opened:
                    async with asyncio.timeout(self._settings.retry.open_s):
                        socket = await opened.enter_async_context(self._opening())
                    await self._quiet(due)
                    stack.push_async_exit(opened.pop_all())
                    return socket
            except Exception as error:  # the present session goes on
                fault = openai_socket.fault(error)
                _log.warning("session_not_replaced", provider=NAME, why=fault.sentence)
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _quiet(self, due: float) -> None:
        """Return in a quiet moment, `GRACE_SECONDS` after it was ``due`` in any moment."""
        while True:
            if self._talk.is_quiet or self._loop.time() >= due + GRACE_SECONDS:
                return
            await asyncio.sleep(_LOOK_SECONDS)
