"""A call's voice at OpenAI: each clause is a request of its own, heard in their order.

There is no input stream and no μ-law: PCM is converted as it comes. The next clause is asked for
while one streams, and waits for its turn.

    post    |The table is booked.|For four people.|done
    asked   ├──────────── streams ──────────┤
                   ├──── streams, waits ────────┤
    audio           ~~~~~~~~~~~~~~~~~~~~~~~~~|~~~~~~~~~~~~~~~~|done
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING
from uuid import UUID

from shared.audio import ms_of_bytes
from shared.speech.narrowband import Narrowband
from worker import openai_client
from worker.errors import ProviderError, ProviderLostError
from worker.message import Message
from worker.openai_client import NAME, within
from worker.tts import Timing, TTSListener
from worker.tts.aborted import Aborted
from worker.tts.ledger import Ledger

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI

    from worker.tts.openai_speech import OpenAISpeech

PCM_RATE = 24_000
"""Of ``response_format`` pcm, Hz; 16 bit, little endian, mono (OpenAI's guide of speech)."""

MOST_CHARACTERS = 4096
"""That a request may speak."""

_ABREAST = 2
"""Requests at the same time: the clause that is heard, and the next."""


class _Telephone:
    """Makes μ-law 8 kHz of PCM16 24 kHz that is cut anywhere, within samples too."""

    def __init__(self) -> None:
        self._narrowband = Narrowband(PCM_RATE)
        self._odd = b""

    def feed(self, received: bytes) -> bytes:
        pcm = self._odd + received
        whole = len(pcm) // 2 * 2
        self._odd = pcm[whole:]
        return self._narrowband.feed(pcm[:whole])


@dataclass(slots=True, eq=False)
class _Clause:
    """A piece of an utterance on its way; ``audio`` came and waits for its turn."""

    uuid: UUID
    text: str
    ends: bool
    """The utterance ends with it."""
    audio: bytearray = field(default_factory=bytearray)
    whole: bool = False
    """No more audio of it will come."""
    task: asyncio.Task[None] | None = None


@dataclass(slots=True)
class _Utterance:
    """How many bytes of audio were given out, and how many of them belong to whole clauses."""

    given: int = 0
    timed: int = 0


class Voice:
    """A session of `OpenAISpeech`. Clauses are heard in the order in which they were posted."""

    def __init__(
        self, settings: "OpenAISpeech", client: "AsyncOpenAI", listener: TTSListener
    ) -> None:
        self._settings, self._client, self._listener = settings, client, listener
        self._warmth = openai_client.Warmth(client, settings.warm_s)
        self._loop = asyncio.get_running_loop()
        self._line: deque[_Clause] = deque()
        self._open: dict[UUID, _Utterance] = {}
        self._aborted = Aborted()
        self._is_closed = False

    def post(self, message: Message[str]) -> None:
        """Take a clause; its audio comes later."""
        if self._is_closed or self._aborted.drops(message):
            return
        pieces = list(_pieces(message.data))
        for at, text in enumerate(pieces):
            ends = message.done and at == len(pieces) - 1
            self._line.append(_Clause(message.uuid, text, ends, whole=not text.strip()))
        self._open.setdefault(message.uuid, _Utterance())
        self._loop.call_soon(self._go)

    def abort(self, uuid: UUID) -> None:
        """Forget the utterance: its requests are closed, text still to come is dropped."""
        mine = [clause for clause in self._line if clause.uuid == uuid]
        if self._open.pop(uuid, None) is None:
            return
        if not mine or not mine[-1].ends:
            self._aborted.add(uuid)
        self._line = deque(clause for clause in self._line if clause.uuid != uuid)
        for clause in mine:
            if clause.task is not None:
                clause.task.cancel()
                if not clause.whole and self._settings.warm:
                    self._warmth.renew()
        self._loop.call_soon(self._go)

    # The line --------------------------------------------------------------------------------

    def _go(self) -> None:
        """Give out what may be heard, and ask for what comes next."""
        while self._line and (self._line[0].audio or self._line[0].whole):
            self._give(self._line[0])
        for clause in islice(self._line, _ABREAST):
            if clause.task is None and not clause.whole and not self._is_closed:
                clause.task = self._loop.create_task(self._speak(clause))

    def _give(self, clause: _Clause) -> None:
        """Give out the audio of the first clause, or its end. The listener may abort it."""
        uuid, utterance = clause.uuid, self._open[clause.uuid]
        if clause.audio:
            audio = bytes(clause.audio)
            clause.audio.clear()
            utterance.given += len(audio)
            self._listener.audio(Message(uuid, audio, done=False))
            return
        self._line.popleft()
        start, utterance.timed = utterance.timed, utterance.given
        if utterance.given > start:
            end_ms = ms_of_bytes(utterance.given)
            self._listener.timed(uuid, [Timing(clause.text.strip(), ms_of_bytes(start), end_ms)])
        if clause.ends and self._open.pop(uuid, None) is not None:
            self._listener.audio(Message(uuid, b""))

    # The requests ----------------------------------------------------------------------------

    async def _speak(self, clause: _Clause) -> None:
        """Fetch a clause; what did not come of it is asked for once more."""
        ledger = Ledger()
        ledger.posted(Message(clause.uuid, clause.text))
        try:
            await self._fetch(clause, ledger)
        except ProviderError as error:
            pause = openai_client.pause_before_retry(error)
            if pause is None:
                self._fail(error)
                return
            await asyncio.sleep(pause)
            try:
                await self._fetch(clause, ledger)
            except ProviderError as again:
                self._fail(again)
                return
        clause.whole = True
        self._go()

    async def _fetch(self, clause: _Clause, ledger: Ledger) -> None:
        """Stream what is unsaid of a clause. Raises `ProviderError`."""
        response: httpx2.Response | None = None
        request = self._settings.request(ledger.unsaid(clause.uuid).text)
        telephone = _Telephone()
        is_silent = True
        deadline = self._loop.time() + self._settings.first_audio_s
        try:
            opening = openai_client.opened(self._client, "/audio/speech", request)
            response = await within(deadline, opening)
            _check_kind(response.headers.get("content-type", ""))
            async with contextlib.aclosing(response.aiter_bytes()) as chunks:
                while (received := await within(deadline, anext(chunks, None))) is not None:
                    deadline = self._loop.time() + self._settings.stall_s
                    if audio := telephone.feed(received):
                        is_silent = False
                        ledger.received(clause.uuid, len(audio))
                        clause.audio += audio
                        self._go()
            if is_silent:
                raise ProviderLostError(NAME, "sent no audio")
        except Exception as error:
            raise openai_client.fault(error) from error
        finally:
            if response is not None:
                await response.aclose()

    def _fail(self, error: ProviderError) -> None:
        if not self._is_closed:
            self._stop()
            self._listener.failed(error)

    def _stop(self) -> list[asyncio.Task[None]]:
        """Forget everything; return the tasks that are being cancelled, but the caller's own."""
        self._is_closed = True
        tasks = [clause.task for clause in self._line if clause.task is not None]
        others = [task for task in tasks if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        self._line.clear()
        self._open.clear()
        self._aborted.clear()
        return others

    async def aclose(self) -> None:
        """Stop speaking and close all connections, in bounded time."""
        tasks = self._stop()
        if tasks:
            await asyncio.wait(tasks, timeout=openai_client.CLOSE_SECONDS)
        await self._warmth.aclose()


def _pieces(text: str) -> Iterator[str]:
    """Cut a text that is too long for one request between words."""
    while len(text) > MOST_CHARACTERS:
        cut = text.rfind(" ", 1, MOST_CHARACTERS) + 1 or MOST_CHARACTERS
        yield text[:cut]
        text = text[cut:]
    yield text


def _check_kind(content_type: str) -> None:
    if content_type.startswith(("text/", "application/json", "audio/mpeg")):
        raise ProviderLostError(NAME, f"sent {content_type} instead of PCM")
