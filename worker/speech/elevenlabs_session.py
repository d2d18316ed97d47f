"""A call's socket to an ElevenLabs agent: opened once, read, written, ended.

    signed URL ──> socket ──initiation──> metadata ──> talks ──1000──> the agent has left
        └───── tried again (`worker.link`) ─────┘        └─any other─> failed

A conversation cannot be taken up on another socket, so nothing is tried again once it has begun:
another provider may take over. What the caller says goes out in pieces as ElevenLabs likes them,
and silence where there is nothing: its voice detection counts audio, not time, and a minute
without any ends the conversation.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from typing import TYPE_CHECKING

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from shared.audio import SILENCE, bytes_of_ms
from worker.credentials import Credentials
from worker.errors import ProviderError, ProviderLostError
from worker.link import Link
from worker.sockets import socket_fault, websocket
from worker.speech import AgentCut, Brief, LeftByModel, Opening, SpeechListener
from worker.speech import elevenlabs_wire as wire
from worker.speech.elevenlabs_audio import ULAW, Down, Up
from worker.speech.elevenlabs_conversation import Audio, Conversation, Heard, Reply
from worker.speech.elevenlabs_entry import KEY, address, begun
from worker.speech.elevenlabs_opening import handed_over, initiation
from worker.speech.elevenlabs_wire import LONGEST_CHUNK_MS, PROVIDER

if TYPE_CHECKING:
    from worker.speech.elevenlabs_agent import ElevenLabsAgent

BATCH_MS = 60

_KEPT_BYTES = bytes_of_ms(5000)
_BATCH_BYTES, _CHUNK_BYTES = bytes_of_ms(BATCH_MS), bytes_of_ms(LONGEST_CHUNK_MS)
_MOST_WAITING = 256
"""How many messages may wait for a socket that takes none; then the oldest are dropped."""

_GAP_S = 0.4
"""Without audio for so long, silence takes its place."""

_FILL_S = 0.2


class Session:
    """A session of `ElevenLabsAgent`; ``open`` it first."""

    minds_silence = False
    corrects = True
    stands_still = True
    batch_ms = BATCH_MS

    def __init__(
        self,
        settings: "ElevenLabsAgent",
        account: Credentials,
        agent_id: str,
        opening: Opening,
        listener: SpeechListener,
    ) -> None:
        self._settings, self._account, self._agent_id = settings, account, agent_id
        self._opening, self._listener = opening, listener
        self._loop = asyncio.get_running_loop()
        self._conversation: Conversation | None = None
        self._up = Up(ULAW)
        self._said: deque[bytes] = deque(maxlen=_MOST_WAITING)
        self._audio = bytearray()
        self._wake = asyncio.Event()
        self._audio_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._filler: asyncio.TimerHandle | None = None
        self._is_over = False
        self._link = Link(
            PROVIDER, self._open, self._serve, _fault, self._fail, retry=settings.retry
        )

    async def open(self) -> None:
        """Begin the conversation. Raises `ProviderError`."""
        await self._link.start()

    # What the call says ----------------------------------------------------------------------

    def post(self, audio: bytes) -> None:
        """Take the caller's audio, of any size."""
        if self._is_over:
            return
        self._audio_at = self._loop.time()
        self._audio += audio
        if len(self._audio) > _KEPT_BYTES:
            del self._audio[: len(self._audio) - _KEPT_BYTES]
        if len(self._audio) >= _BATCH_BYTES:
            self._wake.set()

    def cut(self, utterance: str, heard_ms: float) -> None:
        """Listen to no more of an utterance; tell the model so, if it does not know."""
        if self._conversation is not None:
            self._send(self._conversation.cut(utterance, heard_ms))

    def say(self, text: str, *, interruptible: bool = True) -> None:
        """Ask the model to say ``text``; it cannot be made to. The caller may interrupt it."""
        if self._conversation is not None:
            self._send(self._conversation.say(text))

    def tell(self, text: str) -> None:
        """Have ``text`` answered as if the caller had said it."""
        if self._conversation is not None:
            self._send(self._conversation.tell(text))

    def answered(self, call_id: str, text: str, *, failed: bool, brief: Brief | None) -> None:
        """Answer a tool: the agent waits for each, and goes on when it has all."""
        if self._conversation is not None:
            self._send(self._conversation.answered(call_id, text, failed, brief))

    def brief(self, brief: Brief) -> None:
        """Give the model other instructions; its tools and its voice stay."""
        if self._conversation is not None:
            self._send(self._conversation.brief(brief))

    def _send(self, messages: Iterable[bytes]) -> None:
        if not self._is_over:
            self._said.extend(messages)
            self._wake.set()

    # The socket ------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _open(self) -> AsyncGenerator[ClientConnection, None]:
        url = await address(self._settings, self._account, self._agent_id)
        async with websocket(url, {}) as socket:
            metadata = await begun(socket, initiation(self._settings, self._opening))
            output = metadata.agent_output_audio_format
            self._up = Up(metadata.user_input_audio_format or output)
            self._conversation = Conversation(Down(output))
            if metadata.conversation_id:
                self._listener.known_as(metadata.conversation_id)
            try:
                yield socket
            finally:
                await socket.close()  # as one who leaves; what is torn down counts as trouble

    async def _serve(self, socket: ClientConnection) -> None:
        assert self._conversation is not None
        try:
            self._send(self._conversation.take_over(*handed_over(self._settings, self._opening)))
            self._audio_at = self._loop.time()
            self._fill()
            async with asyncio.TaskGroup() as group:
                writing = group.create_task(self._write(socket))
                await self._listen(socket, self._conversation)
                writing.cancel()
            code, reason = socket.close_code, socket.close_reason or ""
            error = self._conversation.fault(None if code == 1006 else code, reason)
            has_left = code == 1000
        except Exception as problem:  # ours: it must not begin another conversation
            error, reason, has_left = _broken(problem), "", False
        self._end(error, reason, has_left)
        await self._loop.create_future()  # until `aclose`: there is nothing to be opened again

    async def _listen(self, socket: ClientConnection, conversation: Conversation) -> None:
        """Read until the socket is closed."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                message = await socket.recv(decode=False)
                for event in conversation.read(message, self._loop.time()):
                    self._hear(event)
                    if isinstance(event, AgentCut):  # before its correction, the call takes note
                        await asyncio.sleep(0)
                self._schedule()

    async def _write(self, socket: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._said or len(self._audio) >= _BATCH_BYTES:
                    while self._said:
                        await socket.send(self._said.popleft(), text=True)
                    if len(self._audio) >= _BATCH_BYTES:
                        piece = bytes(self._audio[:_CHUNK_BYTES])
                        del self._audio[:_CHUNK_BYTES]
                        await socket.send(wire.chunk(self._up.feed(piece)), text=True)

    def _fill(self) -> None:
        """Put silence where no audio comes, in real time."""
        if self._is_over:
            return
        last_at = self._audio_at
        if self._loop.time() - last_at >= _GAP_S:
            self.post(SILENCE * bytes_of_ms(_FILL_S * 1000))
            self._audio_at = last_at  # of the caller's own
        self._filler = self._loop.call_later(_FILL_S, self._fill)

    # What the call hears ---------------------------------------------------------------------

    def _hear(self, event: Heard | Reply) -> None:
        if self._is_over:
            return
        if isinstance(event, Audio):
            self._listener.audio(event.utterance, event.audio)
        elif isinstance(event, Reply):
            self._send([event.message])
        else:
            self._listener.happened(event)

    def _schedule(self) -> None:
        """Look again when an utterance may be done, if nobody does so before."""
        due = self._conversation.due if self._conversation is not None else None
        if due is None or self._is_over:
            return
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._expire)

    def _expire(self) -> None:
        self._timer = None
        if self._conversation is not None:
            for event in self._conversation.expire(self._loop.time()):
                self._hear(event)
            self._schedule()

    # The end ---------------------------------------------------------------------------------

    def _end(self, error: ProviderError, reason: str, has_left: bool) -> None:
        """The socket is closed: by the agent, which has left, or by what went wrong."""
        if self._is_over:
            return
        for event in self._conversation.close() if self._conversation is not None else ():
            self._hear(event)
        self._stop()
        if has_left:
            self._listener.happened(LeftByModel(reason))
        else:
            self._listener.failed(error)

    def _fail(self, error: ProviderError) -> None:
        if not self._is_over:
            self._stop()
            self._listener.failed(error)

    def _stop(self) -> None:
        self._is_over = True
        for timer in (self._timer, self._filler):
            if timer is not None:
                timer.cancel()
        self._said.clear()
        self._audio.clear()

    async def aclose(self) -> None:
        """End the conversation and close the socket, in bounded time. May be called twice."""
        self._stop()
        await self._link.aclose()


def _broken(problem: Exception) -> ProviderError:
    while isinstance(problem, ExceptionGroup):
        problem = problem.exceptions[0]
    error = ProviderLostError(PROVIDER, f"failed here: {type(problem).__name__}")
    error.__cause__ = problem
    return error


def _fault(error: BaseException) -> ProviderError:
    return socket_fault(PROVIDER, KEY, error)
