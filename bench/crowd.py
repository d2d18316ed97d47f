"""The callers' process: a load that costs the measuring process nothing and the gateway no turn.

`Crowd` is the near end; `bench.people` is what runs over there. One question at a time.
"""

import asyncio
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, cast

from bench.people import People, Pumped, Ring, Talk
from bench.talkers import Talks
from tests.harness import AUTH_TOKEN, RunningGateway


class Crowd:
    """Callers of one gateway, in a process of their own."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def ring(self, count: int) -> Ring:
        """Send ``count`` webhooks at once."""
        return cast("Ring", await self._ask("ring", count))

    async def connect(self) -> None:
        """Open the streams of all calls that rang."""
        await self._ask("connect")

    async def greetings(self) -> list[float]:
        """Open them one by one; return ms from each ``start`` to its first audio."""
        return cast("list[float]", await self._ask("greetings"))

    async def talk(self, seconds: float) -> Talks:
        """Open the streams of all calls that rang and hold conversations for ``seconds``."""
        return cast("Talks", await self._ask("talk", seconds))

    async def converse(self, seconds: float) -> Talk:
        """Have all speak for ``seconds``."""
        return cast("Talk", await self._ask("converse", seconds))

    def converse_on(self) -> None:
        """Have all speak until `stop`."""
        self._connection.send(("converse_on", ()))

    async def stop(self) -> Talk:
        """End what `converse_on` began; return all of it."""
        return cast("Talk", await self._ask("stop"))

    async def pump(self, frames: int, window: int) -> Pumped:
        """Have each send ``frames`` at speed, ``window`` under way."""
        return cast("Pumped", await self._ask("pump", frames, window))

    async def hang_up(self) -> None:
        """End all calls."""
        await self._ask("hang_up")

    async def _ask(self, name: str, *args: object) -> Any:
        self._connection.send((name, args))
        return await asyncio.to_thread(self._connection.recv)


@contextmanager
def crowd(gateway: RunningGateway) -> Iterator[Crowd]:
    """Run a process of callers for ``gateway`` until the block ends."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_answer, args=(theirs, gateway.url, AUTH_TOKEN), daemon=True
    )
    process.start()
    theirs.close()  # so that its end is noticed here
    try:
        yield Crowd(ours)
    finally:
        process.kill()
        process.join()
        ours.close()


def _answer(connection: Connection, url: str, auth_token: str) -> None:
    people = People(url, auth_token)
    while True:
        name, args = connection.recv()
        if name == "converse_on":
            talk = people.converse(1.0, lambda: not connection.poll())
            connection.recv()
            connection.send(talk)
        else:
            connection.send(getattr(people, name)(*args))
