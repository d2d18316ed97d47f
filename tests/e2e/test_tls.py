"""Calls over TLS: the gateway's own, and a proxy's in front of it, with a path prefix."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from phone import Phone, PhoneSettings
from tests.fakes.certificates import LOCALHOST
from tests.harness import AUTH_TOKEN, eventually, running_gateway

SPOKEN = bytes(range(160)) * 10


async def test_a_call_over_the_gateways_own_tls(tmp_path: Path) -> None:
    certificate, key = LOCALHOST.write(tmp_path)
    options = ("--tls-cert", str(certificate), "--tls-key", str(key))
    async with running_gateway(tmp_path, options=options) as gateway:
        assert gateway.url.startswith("https://")
        phone = gateway.phone(PhoneSettings(insecure=True))
        await _echoes(phone)


@pytest.mark.parametrize("strips", [False, True], ids=["left in place", "stripped"])
async def test_a_call_through_a_proxy_that_ends_tls_under_a_prefix(
    tmp_path: Path, strips: bool
) -> None:
    target: list[int] = []
    async with _proxy(tmp_path, lambda: target[0], strips) as port:
        public = f"https://localhost:{port}/ai"
        async with running_gateway(tmp_path, environment={"PUBLIC_URL": public}) as gateway:
            target.append(int(gateway.url.rpartition(":")[2]))
            await _echoes(
                Phone(
                    f"{public}/twilio/voice",
                    auth_token=AUTH_TOKEN,
                    status_url=f"{public}/twilio/status",
                    settings=PhoneSettings(insecure=True),
                )
            )
            assert "refused" not in gateway.log_text()


async def _echoes(phone: Phone) -> None:
    got = bytearray()
    async with phone.dial() as call:
        call.on_agent_audio = got.extend
        await call.connected(timeout=15)
        await call.say(SPOKEN)
        await eventually(lambda: SPOKEN in got)
        await call.hangup()
        report = await call.ended()
    assert report.status == "completed"
    assert not [problem for problem in report.problems if not problem.warning]


@asynccontextmanager
async def _proxy(folder: Path, port: Callable[[], int], strips: bool) -> AsyncIterator[int]:
    """End TLS and relay to the gateway's port, with the prefix taken off the path or left on."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*LOCALHOST.write(folder))

    async def relay(source: asyncio.StreamReader, sink: asyncio.StreamWriter, cut: bool) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65536):
                if cut and data.startswith((b"GET /ai/", b"POST /ai/")):
                    data = data.replace(b" /ai/", b" /", 1)
                sink.write(data)
                await sink.drain()
        sink.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port())
        async with asyncio.TaskGroup() as both:
            both.create_task(relay(reader, inner_writer, strips))
            both.create_task(relay(inner_reader, writer, False))

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
