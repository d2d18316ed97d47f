"""What a command is told when the gateway does not answer it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.client import GatewayError, ask
from gateway.operator_socket import socket_path


@asynccontextmanager
async def gateway(data_dir: Path, *, leaves: bool) -> AsyncIterator[None]:
    """Take requests, and answer none: leave, or keep silent."""
    over = asyncio.Event()

    async def taken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if not leaves:
            await reader.read()
        writer.close()
        await writer.wait_closed()
        over.set()

    path = socket_path(data_dir)
    path.parent.mkdir(parents=True, exist_ok=True)
    async with await asyncio.start_unix_server(taken, path):
        yield
        await over.wait()


async def problem(data_dir: Path) -> str:
    """Return how a request fails."""
    with pytest.raises(GatewayError) as raised:
        await asyncio.to_thread(ask, data_dir, "POST", "/api/releases", None, 0.3)
    return str(raised.value)


async def test_a_gateway_that_is_late_or_goes_away_is_there_all_the_same(tmp_path: Path) -> None:
    """Whoever is told to start one would start a second, or order the same once more."""
    async with gateway(tmp_path, leaves=False):
        assert "has not answered within 0.3 s; whether it was done" in await problem(tmp_path)
    async with gateway(tmp_path, leaves=True):
        assert "went away before it answered" in await problem(tmp_path)
