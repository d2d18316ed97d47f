"""One request for a chat completion, and its answer as it streams, whoever's server it is.

Whether a failed one is asked again is its users' business (`worker.llm.openai`,
`worker.llm.ultravox_model`).
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

from worker import openai_client
from worker.llm import Answer
from worker.llm.openai_stream import Stream
from worker.openai_client import OPENAI, Service, within

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI

_DRAIN_SECONDS = 0.1
"""For the end of an answer's body, after which its connection can be used again."""


class Chat:
    """Asks a server for completions.

    ``stall_s`` is how long one piece of an answer may come after another; ``cut`` is called when
    an answer was closed before its end, and its connection with it.
    """

    def __init__(
        self,
        client: "AsyncOpenAI",
        stall_s: float,
        cut: Callable[[], None] | None,
        service: Service = OPENAI,
    ) -> None:
        self._client, self._stall_s, self._cut = client, stall_s, cut
        self._service = service
        self._loop = asyncio.get_running_loop()

    async def ask(self, request: dict[str, Any], deadline: float) -> AsyncGenerator[Answer, None]:
        """Stream the answer; its first piece comes before ``deadline`` on the loop's clock.

        Raises `ProviderError`.
        """
        response: httpx2.Response | None = None
        stream = Stream(self._service)
        try:
            response = await within(
                deadline, openai_client.opened(self._client, "/chat/completions", request)
            )
            async with contextlib.aclosing(response.aiter_bytes()) as chunks:
                while not stream.done:
                    received = await within(deadline, anext(chunks, None))
                    answers = stream.feed(received) if received is not None else stream.rest()
                    if answers:
                        deadline = self._loop.time() + self._stall_s
                    for answer in answers:
                        yield answer
                await _drain(chunks)
        except (GeneratorExit, asyncio.CancelledError):
            raise
        except Exception as error:
            raise openai_client.fault(error, self._service) from error
        finally:
            if response is not None:
                await response.aclose()
                if not stream.done and self._cut is not None:
                    self._cut()


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    """Read to the end of the body; a server that does not end it loses the connection."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for _ in chunks:
                pass
