"""The fake ElevenLabs refuses what ElevenLabs refuses."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.fakes.elevenlabs import KEY, ElevenLabsFake
from tests.fakes.speech import words_in
from tests.fakes.voice_faults import Dies, Errs, Silent

PATH = "/v1/text-to-speech/v/multi-stream-input"
QUERY = "model_id=eleven_flash_v2_5&output_format=ulaw_8000&sync_alignment=true"
AUTO = f"{QUERY}&auto_mode=true"


@pytest.fixture
async def fake() -> AsyncIterator[ElevenLabsFake]:
    async with ElevenLabsFake() as server:
        yield server


def url(fake: ElevenLabsFake, query: str = AUTO, path: str = PATH) -> str:
    return f"ws{fake.url.removeprefix('http')}{path}?{query}"


@asynccontextmanager
async def talk(fake: ElevenLabsFake, query: str = AUTO) -> AsyncIterator[ClientConnection]:
    async with connect(url(fake, query), additional_headers={"xi-api-key": KEY}) as socket:
        yield socket


async def send(socket: ClientConnection, **fields: Any) -> None:
    await socket.send(json.dumps(fields))


async def hear(socket: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(30):
        message: dict[str, Any] = json.loads(await socket.recv())
    return message


async def drain(socket: ClientConnection, messages: list[dict[str, Any]]) -> None:
    """Hear until the socket is closed."""
    while True:
        messages.append(await hear(socket))


async def until_final(socket: ClientConnection, name: str) -> list[dict[str, Any]]:
    messages = [await hear(socket)]
    while not (messages[-1].get("isFinal") and messages[-1]["contextId"] == name):
        messages.append(await hear(socket))
    return messages


def audio_of(messages: list[dict[str, Any]]) -> bytes:
    return b"".join(base64.b64decode(it["audio"]) for it in messages if it.get("audio"))


async def failure(socket: ClientConnection) -> str:
    """The error that comes before a close by 1008."""
    message = await hear(socket)
    while "error" not in message:
        message = await hear(socket)
    assert message["code"] == 1008
    with pytest.raises(ConnectionClosed) as caught:
        await hear(socket)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1008
    return str(message["error"])


async def test_a_context_is_audio_with_the_times_of_its_letters(fake: ElevenLabsFake) -> None:
    async with talk(fake) as socket:
        await send(socket, text=" ", context_id="c", voice_settings={"stability": 0.5})
        await send(socket, text="Hello you. ", context_id="c", flush=True)
        await send(socket, context_id="c", close_context=True)
        messages = await until_final(socket, "c")
    assert words_in(audio_of(messages)) == ["Hello", "you."]
    letters = [char for it in messages[:-1] for char in it["alignment"]["chars"]]
    assert "".join(letters) == " Hello you. "
    assert all(
        0 <= start <= len(base64.b64decode(it["audio"])) / 8
        for it in messages[:-1]
        for start in it["alignment"]["charStartTimesMs"]
    )


async def test_without_auto_mode_a_short_text_waits_for_its_flush(fake: ElevenLabsFake) -> None:
    async with talk(fake, QUERY) as socket:
        await send(socket, text="Hello. ", context_id="c")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.recv(), 0.05)
        await send(socket, context_id="c", flush=True)
        assert (await hear(socket))["audio"]


async def test_what_was_not_flushed_is_lost_when_its_context_closes(fake: ElevenLabsFake) -> None:
    async with talk(fake, QUERY) as socket:
        await send(socket, text="Hello. ", context_id="c")
        await send(socket, context_id="c", close_context=True)
        assert audio_of(await until_final(socket, "c")) == b""


async def test_what_was_flushed_is_spoken_after_its_context_is_closed(fake: ElevenLabsFake) -> None:
    fake.pace_s = 0.005
    async with talk(fake) as socket:
        await send(socket, text="Hello you. ", context_id="c", flush=True)
        await send(socket, context_id="c", close_context=True)
        assert words_in(audio_of(await until_final(socket, "c"))) == ["Hello", "you."]


async def test_a_sixth_context_closes_the_socket(fake: ElevenLabsFake) -> None:
    async with talk(fake) as socket:
        for name in "abcdef":
            await send(socket, text=" ", context_id=name)
        assert await failure(socket) == "max_active_conversations"


async def test_a_context_takes_room_until_it_is_final(fake: ElevenLabsFake) -> None:
    fake.final_delay_s = 0.2
    async with talk(fake) as socket:
        for name in "abcde":
            await send(socket, text=" ", context_id=name)
        await send(socket, context_id="a", close_context=True)
        await send(socket, text=" ", context_id="f")
        assert await failure(socket) == "max_active_conversations"
    fake.final_delay_s = 0
    async with talk(fake) as socket:
        for name in "abcdefgh":
            await send(socket, text=" ", context_id=name)
            await send(socket, context_id=name, close_context=True)
            await until_final(socket, name)


async def test_nothing_said_for_too_long_closes_the_socket(fake: ElevenLabsFake) -> None:
    async with talk(fake, f"{AUTO}&inactivity_timeout=0.8") as socket:
        for _ in range(3):
            await asyncio.sleep(0.3)
            await send(socket, text="")
        assert await failure(socket) == "input_timeout_exceeded"


@pytest.mark.parametrize(
    "messages",
    [
        [
            {"text": " ", "context_id": "c"},
            {"text": "a", "context_id": "c", "voice_settings": {"speed": 1}},
        ],
        [
            {"text": "", "context_id": "c"},
            {"text": " ", "context_id": "c", "voice_settings": {"speed": 1}},
        ],
        [{"text": "Hello"}],
        [{"text": "a", "context_id": "c", "volume": 1}],
        [{"text": 1, "context_id": "c"}],
        [{"text": "a", "context_id": "c", "voice_settings": {"speed": 7}}],
        ["text"],
        [
            {"text": "Hello. ", "context_id": "c"},
            {"context_id": "c", "close_context": True},
            {"text": "Hello. ", "context_id": "c"},
        ],
    ],
)
async def test_a_wrong_message_closes_the_socket(
    fake: ElevenLabsFake, messages: list[object]
) -> None:
    fake.pace_s = 0.02
    async with talk(fake) as socket:
        for message in messages:
            await socket.send(json.dumps(message))
        assert await failure(socket) == "invalid_message"


async def test_a_socket_is_closed_on_demand(fake: ElevenLabsFake) -> None:
    async with talk(fake) as socket:
        await send(socket, close_socket=True)
        with pytest.raises(ConnectionClosed) as caught:
            await hear(socket)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1000


@pytest.mark.parametrize(
    ("path", "query", "key", "status"),
    [
        (PATH, AUTO, "wrong", 401),
        ("/v1/text-to-speech/v/stream-input", AUTO, KEY, 404),
        (PATH.replace("/v/", "/nobody/"), AUTO, KEY, 400),
        (PATH.replace("/v/", "/dear/"), AUTO, KEY, 402),
        (PATH, AUTO.replace("ulaw_8000", "mp3"), KEY, 422),
        (PATH, f"{AUTO}&inactivity_timeout=181", KEY, 422),
        (PATH, f"{AUTO}&volume=1", KEY, 422),
        (PATH, AUTO.replace("auto_mode=true", "auto_mode=True"), KEY, 422),
    ],
)
async def test_an_upgrade_needs_path_key_voice_and_query(
    fake: ElevenLabsFake, path: str, query: str, key: str, status: int
) -> None:
    fake.voices, fake.unpaid_voices = frozenset({"v"}), frozenset({"dear"})
    with pytest.raises(InvalidStatus) as caught:
        await connect(url(fake, query, path), additional_headers={"xi-api-key": key})
    assert caught.value.response.status_code == status
    assert json.loads(bytes(caught.value.response.body or b""))["detail"]


async def test_more_sockets_than_the_plan_has_are_refused(fake: ElevenLabsFake) -> None:
    fake.most_sockets = 1
    async with talk(fake):
        with pytest.raises(InvalidStatus, match="429"):
            async with talk(fake):
                pass


async def test_what_was_programmed_befalls_one_context_each(fake: ElevenLabsFake) -> None:
    fake.next_contexts.extend([Silent(), Dies(150, None), Errs(1008, "quota_exceeded")])
    async with talk(fake) as socket:
        await send(socket, text="Hello. ", context_id="a", flush=True)
        await send(socket, text="Hello. ", context_id="b", flush=True)
        messages: list[dict[str, Any]] = []
        with pytest.raises(ConnectionClosed):
            await drain(socket, messages)
    assert len(audio_of(messages)) == 150 * 8
    async with talk(fake) as socket:
        await send(socket, text="Hello. ", context_id="c", flush=True)
        assert await failure(socket) == "quota_exceeded"
