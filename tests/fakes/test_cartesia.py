"""The fake Cartesia refuses what Cartesia refuses."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.fakes.cartesia import KEY, CartesiaFake
from tests.fakes.speech import words_in
from tests.fakes.voice_faults import Dies, Errs, Refusal, Silent

HEADERS = {"Authorization": f"Bearer {KEY}", "Cartesia-Version": "2026-08-14"}
FORMAT = {"container": "raw", "encoding": "pcm_mulaw", "sample_rate": 8000}
REQUEST: dict[str, Any] = {
    "context_id": "c",
    "model_id": "sonic-3.5",
    "voice": "v",
    "output_format": FORMAT,
    "transcript": "Hello you.",
    "max_buffer_delay_ms": 0,
    "add_timestamps": True,
}


@asynccontextmanager
async def talk(fake: CartesiaFake) -> AsyncIterator[ClientConnection]:
    url = f"ws{fake.url.removeprefix('http')}/tts/websocket"
    async with connect(url, additional_headers=HEADERS) as socket:
        yield socket


@pytest.fixture
async def fake() -> AsyncIterator[CartesiaFake]:
    async with CartesiaFake() as server:
        yield server


async def send(socket: ClientConnection, **fields: Any) -> None:
    request = {name: value for name, value in {**REQUEST, **fields}.items() if value is not None}
    await socket.send(json.dumps(request, indent=2))


async def hear(socket: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(30):
        event: dict[str, Any] = json.loads(await socket.recv())
    return event


async def until(socket: ClientConnection, kind: str) -> list[dict[str, Any]]:
    events = [await hear(socket)]
    while events[-1]["type"] != kind:
        events.append(await hear(socket))
    return events


async def drain(socket: ClientConnection, events: list[dict[str, Any]]) -> None:
    """Hear until the socket is closed."""
    while True:
        events.append(await hear(socket))


async def refusal(socket: ClientConnection, **fields: Any) -> tuple[int, str]:
    await send(socket, **fields)
    event = (await until(socket, "error"))[-1]
    assert event["done"] is True
    return event["status_code"], event["error_code"]


def audio_of(events: list[dict[str, Any]]) -> bytes:
    return b"".join(base64.b64decode(it["data"]) for it in events if it["type"] == "chunk")


async def test_a_context_is_chunks_timestamps_and_done(fake: CartesiaFake) -> None:
    async with talk(fake) as socket:
        await send(socket, **{"continue": True})
        await send(socket, transcript=" And goodbye.")
        events = await until(socket, "done")
    assert words_in(audio_of(events)) == ["Hello", "you.", "And", "goodbye."]
    stamps = [it["word_timestamps"] for it in events if it["type"] == "timestamps"]
    assert [word for it in stamps for word in it["words"]] == ["Hello", "you.", "And", "goodbye."]
    assert {it["type"] for it in events} == {"chunk", "timestamps", "flush_done", "done"}


@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        ({"model_id": None}, (400, "invalid_request")),
        ({"voice": None}, (400, "invalid_request")),
        ({"output_format": None}, (400, "invalid_request")),
        ({"transcript": None}, (400, "invalid_request")),
        ({"context_id": None}, (400, "invalid_request")),
        ({"tempo": 3}, (400, "invalid_request")),
        ({"transcript": 3}, (400, "invalid_request")),
        ({"transcript": " ", "continue": True}, (400, "invalid_request")),
        ({"max_buffer_delay_ms": 5001}, (400, "invalid_request")),
        ({"output_format": {**FORMAT, "container": "wav"}}, (400, "invalid_request")),
        ({"output_format": {**FORMAT, "sample_rate": 8001}}, (400, "invalid_request")),
        ({"generation_config": {"speed": 3}}, (400, "invalid_request")),
        ({"generation_config": {"pitch": 1}}, (400, "invalid_request")),
        ({"model_id": "sonic-2"}, (404, "model_not_found")),
        ({"voice": {"id": "nobody"}}, (404, "voice_not_found")),
        ({"cancel": True}, (400, "invalid_request")),
    ],
)
async def test_a_wrong_request_is_an_error(
    fake: CartesiaFake, fields: dict[str, Any], answer: tuple[int, str]
) -> None:
    fake.voices = frozenset({"v"})
    async with talk(fake) as socket:
        assert await refusal(socket, **fields) == answer
        await send(socket, context_id="other")
        await until(socket, "done")


async def test_what_is_no_json_is_an_error_without_a_context(fake: CartesiaFake) -> None:
    async with talk(fake) as socket:
        await socket.send("{")
        assert "context_id" not in await hear(socket)


async def test_settings_stay_the_same_within_a_context(fake: CartesiaFake) -> None:
    async with talk(fake) as socket:
        await send(socket, **{"continue": True})
        assert await refusal(socket, language="de") == (400, "context_changed")


async def test_a_context_that_ended_or_expired_takes_no_text(fake: CartesiaFake) -> None:
    fake.expiry_s = 0.02
    async with talk(fake) as socket:
        await send(socket)
        assert await refusal(socket) == (400, "context_closed")
        await send(socket, context_id="d", **{"continue": True})
        await until(socket, "flush_done")
        await asyncio.sleep(0.05)
        assert await refusal(socket, context_id="d") == (400, "context_expired")


async def test_more_contexts_than_the_plan_has_are_refused(fake: CartesiaFake) -> None:
    fake.most_contexts = 1
    async with talk(fake) as socket:
        await send(socket, **{"continue": True})
        assert await refusal(socket, context_id="d") == (429, "concurrency_limited")
        await socket.send(json.dumps({"context_id": "c", "cancel": True}))
        await send(socket, context_id="e")
        await until(socket, "done")


async def test_a_cancel_stops_what_has_not_begun_and_not_what_has(fake: CartesiaFake) -> None:
    fake.pace_s = 0.01
    async with talk(fake) as socket:
        await send(socket, **{"continue": True})
        await send(socket, transcript="Never heard.", **{"continue": True})
        events = await until(socket, "chunk")
        await socket.send(json.dumps({"context_id": "c", "cancel": True}))
        events += await until(socket, "flush_done")
        await send(socket, context_id="d")
        events += await until(socket, "done")
    mine = [it for it in events if it["context_id"] == "c"]
    assert words_in(audio_of(mine)) == ["Hello", "you."]


async def test_an_idle_socket_is_closed_in_good_order(fake: CartesiaFake) -> None:
    fake.idle_s = 0.02
    async with talk(fake) as socket:
        with pytest.raises(ConnectionClosed) as caught:
            await hear(socket)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1000


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/tts/websocket", {}, 401),
        ("/tts/websocket", {"Authorization": "Bearer wrong"}, 401),
        ("/tts/websocket", {"Authorization": f"Bearer {KEY}"}, 400),
        ("/tts/other", HEADERS, 404),
    ],
)
async def test_an_upgrade_needs_path_key_and_version(
    fake: CartesiaFake, path: str, headers: dict[str, str], status: int
) -> None:
    with pytest.raises(InvalidStatus) as caught:
        await connect(f"ws{fake.url.removeprefix('http')}{path}", additional_headers=headers)
    assert caught.value.response.status_code == status
    assert json.loads(bytes(caught.value.response.body or b""))["error_code"]


async def test_key_and_version_may_be_in_the_query(fake: CartesiaFake) -> None:
    query = f"api_key={KEY}&cartesia_version=2026-03-01"
    async with connect(f"ws{fake.url.removeprefix('http')}/tts/websocket?{query}"):
        pass


async def test_what_was_programmed_befalls_one_context_each(fake: CartesiaFake) -> None:
    fake.next_upgrades.append(Refusal(429, "concurrency_limited", "2"))
    with pytest.raises(InvalidStatus) as caught:
        async with talk(fake):
            pass
    assert caught.value.response.headers["Retry-After"] == "2"
    fake.next_contexts.extend([Errs(500, "internal"), Silent(), Dies(150)])
    async with talk(fake) as socket:
        assert await refusal(socket, context_id="a") == (500, "internal")
        await send(socket, context_id="b")
        await send(socket, context_id="c")
        events: list[dict[str, Any]] = []
        with pytest.raises(ConnectionClosed) as closed:
            await drain(socket, events)
    assert {it["context_id"] for it in events} == {"c"}
    assert len(audio_of(events)) == 150 * 8
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1011
