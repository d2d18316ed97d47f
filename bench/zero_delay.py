"""Deepgram, OpenAI and Cartesia in one process, answering without delay.

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
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import NamedTuple, cast

import uvloop

from bench.provider_door import Door, Side
from bench.provider_ear import Ear
from bench.provider_mind import Mind, Pace
from bench.provider_voice import Voice

KEY = "zero-delay-key"


class Moment(NamedTuple):
    """``what`` happened in a call's turn at ``at`` seconds.

    ``sound``, ``words`` and ``final`` were sent by the ears; ``asked`` came to the mind and its
    first ``clause`` was sent; ``text`` came to the voice and its first ``audio`` was sent.
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
        names = ("DEEPGRAM", "OPENAI", "CARTESIA")
        keys = {f"{name}_API_KEY": KEY for name in names}
        urls = {f"{name}_BASE_URL": url for name in names}
        return keys | urls | {"OPENAI_BASE_URL": f"{url}/v1"}

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

    def admit(door: Door, path: str, headers: Mapping[str, str]) -> Side | None:
        if KEY not in (headers.get("authorization", "").split(" ")[-1], headers.get("x-api-key")):
            return None
        if path.startswith("/v1/listen"):
            return Ear(door, note)
        if path.startswith("/tts/websocket"):
            return Voice(door, note, pace)
        return Mind(door, note, pace) if path.startswith("/v1/") else None

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
