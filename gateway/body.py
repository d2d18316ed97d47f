"""Reads a request's body into memory: at most so many bytes, and for so long.

What a request says of its own length is not believed: bytes are counted as they come.
"""

import asyncio

from starlette.requests import ClientDisconnect, Request


class BodyError(Exception):
    """A body that is not taken. ``status`` is the answer's, ``sentence`` says why."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(status, sentence)
        self.status, self.sentence = status, sentence

    def __str__(self) -> str:
        return self.sentence


async def whole_body(request: Request, most: int, seconds: float, limit: str = "") -> bytes:
    """Return the body. ``limit`` is the setting that says how many bytes are the ``most``.

    Raises `BodyError`: 413 over ``most`` bytes, 408 after ``seconds``, 400 when the client is gone.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    named = f" ({limit})" if limit else ""
                    raise BodyError(413, f"The body is over {most} bytes{named}.")
    except TimeoutError:
        raise BodyError(408, "The body took too long.") from None
    except ClientDisconnect:  # nobody hears it; without it every broken body is a traceback
        raise BodyError(400, "The body is incomplete.") from None
    return bytes(body)
