"""Deepgram, OpenAI, Cartesia, and three speech models, in one process, answering without delay.

    async with providers() as they:      # they.environment: for the gateway
        ...
        they.log()                        # what they did, and when

They hear by marks (`bench.marker`) and speak the wire of `tests.fakes`, without its refusals. What
a call waits for comes at once: the final words, the model's first clause, the voice's first audio.
The rest comes at a provider's pace, so that a call is woken as often as it would be. Every moment
is on the machine's monotonic clock.
"""

import asyncio
import multiprocessing
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import NamedTuple, cast

import uvloop

from bench import model_elevenlabs, model_openai, model_ultravox
from bench.provider_door import Door, Side
from bench.provider_ear import Ear, Note
from bench.provider_mind import Mind, Pace
from bench.provider_voice import Voice

KEY = "zero-delay-key"


class Moment(NamedTuple):
    """``what`` happened in a call's turn at ``at`` seconds.

    ``sound``, ``words`` and ``final`` are sent by the ears; ``asked`` came to the mind and its
    first ``clause`` is sent; ``text`` came to the voice and its first ``audio`` is sent. A speech
    model sends the first ``audio`` of its answer, or ``cut`` what was being heard. What is sent is
    noted before it is written: the call may have answered before this process goes on.
    """

    what: str
    call: int
    turn: int
    at: float


@dataclass(frozen=True, slots=True)
class Providers:
    """The near end of the providers' process."""

    pid: int
    port: int
    connection: Connection

    @property
    def environment(self) -> dict[str, str]:
        """What leads the SDKs here."""
        url = f"http://127.0.0.1:{self.port}"
        names = ("DEEPGRAM", "OPENAI", "CARTESIA", "ULTRAVOX", "ELEVENLABS")
        keys = {f"{name}_API_KEY": KEY for name in names}
        urls = {f"{name}_BASE_URL": url for name in names}
        more = {"OPENAI_BASE_URL": f"{url}/v1", "ELEVENLABS_AGENT_ID": model_elevenlabs.AGENT_ID}
        return keys | urls | more

    async def log(self) -> list[Moment]:
        """Return what has happened since this was last asked."""
        self.connection.send("log")
        return cast("list[Moment]", await asyncio.to_thread(self.connection.recv))


@asynccontextmanager
async def providers(pace: Pace | None = None) -> AsyncIterator[Providers]:
    """Run them in a process of their own until the block ends."""
    ours, theirs = multiprocessing.Pipe()
    port = socket.create_server(("127.0.0.1", 0), backlog=512)
    process = multiprocessing.get_context("spawn").Process(
        target=_run, args=(theirs, port, pace or Pace()), daemon=True
    )
    process.start()
    theirs.close()
    number = port.getsockname()[1]
    port.close()
    assert process.pid is not None
    try:
        await asyncio.to_thread(ours.recv)
        yield Providers(process.pid, number, ours)
    finally:
        process.kill()
        process.join()
        ours.close()


def _run(connection: Connection, port: socket.socket, pace: Pace) -> None:
    uvloop.run(_serve(connection, port, pace))


async def _serve(connection: Connection, port: socket.socket, pace: Pace) -> None:
    log: list[Moment] = []

    def note(what: str, call: int, turn: int) -> None:
        log.append(Moment(what, call, turn, time.monotonic()))

    number = port.getsockname()[1]

    def admit(door: Door, path: str, headers: Mapping[str, str]) -> Side | None:
        keys = (headers.get("authorization", "").split(" ")[-1], *map(headers.get, _KEY_HEADERS))
        if KEY not in keys and not path.startswith(_SIGNED):
            return None
        return _side(path, door, note, pace, number)

    def answer() -> None:
        try:
            connection.recv()
        except EOFError:
            loop.stop()
            return
        connection.send(log.copy())
        log.clear()

    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: Door(admit), sock=port)
    loop.add_reader(connection.fileno(), answer)
    connection.send("ready")
    await loop.create_future()


_KEY_HEADERS = ("x-api-key", "xi-api-key")
_SIGNED = ("/join/", "/v1/convai/conversation?")
"""Addresses that are themselves the key."""


def _side(path: str, door: Door, note: Note, pace: Pace, port: int) -> Side | None:
    sides: dict[str, Callable[[], Side]] = {
        "/v1/listen": lambda: Ear(door, note),
        "/tts/websocket": lambda: Voice(door, note, pace),
        "/v1/realtime": lambda: model_openai.Realtime(door, note, pace),
        "/v1/convai/conversation/get-signed-url": lambda: model_elevenlabs.signed_url(door, port),
        "/v1/convai/conversation?": lambda: model_elevenlabs.Agent(door, note, pace),
        "/api/calls": lambda: model_ultravox.call(door, port),
        "/join/": lambda: model_ultravox.Ultravox(door, note, pace),
        "/v1/": lambda: Mind(door, note, pace),
    }
    return next((make() for begin, make in sides.items() if path.startswith(begin)), None)
