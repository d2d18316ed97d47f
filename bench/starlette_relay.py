"""The same relay written with Starlette: a WebSocketRoute with a coroutine each way.

The yardstick of ``bench relay``: what Starlette and asyncio offer, under uvicorn's fastest settings
and with typed msgspec for the JSON, so that neither pays for a slow codec.
"""

import asyncio
from base64 import b64encode
from multiprocessing.connection import Connection

import msgpack
import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from shared.pipe import socket_of


class _Payload(msgspec.Struct):
    payload: bytes


class _Message(msgspec.Struct, rename="camel"):
    event: str
    stream_sid: str
    media: _Payload | None = None


_message = msgspec.json.Decoder(_Message)


async def _relay(socket: WebSocket, connection: Connection) -> None:
    """Relay over asyncio streams."""
    reader, writer = await asyncio.open_connection(sock=socket_of(connection))
    start = _message.decode(await socket.receive_text())

    async def back() -> None:
        while True:
            size = int.from_bytes(await reader.readexactly(4), "big")
            kind, audio = msgpack.unpackb(await reader.readexactly(size))
            if kind == 1:
                media = {"payload": b64encode(audio).decode()}
                message = {"event": "media", "streamSid": start.stream_sid, "media": media}
                await socket.send_text(msgspec.json.encode(message).decode())

    returning = asyncio.create_task(back())
    try:
        async for text in socket.iter_text():
            message = _message.decode(text)
            if message.media is not None:
                frame = msgpack.packb([1, message.media.payload])
                writer.write(len(frame).to_bytes(4, "big") + frame)
                await writer.drain()
    finally:
        returning.cancel()
        writer.close()


def config(pipes: list[Connection], ws: str) -> uvicorn.Config:
    """Return the server with uvicorn's WebSocket protocol ``ws``; call N has ``pipes[N]``."""

    async def endpoint(socket: WebSocket) -> None:
        await socket.accept()
        await _relay(socket, pipes[int(socket.path_params["index"])])

    app = Starlette(routes=[WebSocketRoute("/media/{index}", endpoint)])
    return uvicorn.Config(
        app,
        http="httptools",
        loop="uvloop",
        ws=ws,
        ws_per_message_deflate=False,
        access_log=False,
        lifespan="off",
        log_level="warning",
    )
