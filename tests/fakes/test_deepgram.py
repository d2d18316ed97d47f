"""The fake refuses what Deepgram refuses: seen with a plain socket, not with our client."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.fakes.deepgram import KEY, DeepgramFake
from tests.fakes.deepgram_speak import SpeakLimits, spoken
from tests.fakes.speech import heard_in, speech, words_in

NOVA = "/v1/listen?model=nova-3&encoding=mulaw&sample_rate=8000"
FLUX = "/v2/listen?model=flux-general-en&encoding=mulaw&sample_rate=8000"
AURA = "/v1/speak?model=aura-2-thalia-en&encoding=mulaw&sample_rate=8000"
TONE = bytes([0x20, 0xA0]) * 80
HUSH = b"\xff" * 160


@pytest.fixture
async def fake() -> AsyncIterator[DeepgramFake]:
    limits = SpeakLimits(flushes=2, characters=2500, idle_s=0.1)
    async with DeepgramFake(idle_s=0.1, flux_idle_s=0.1, speak=limits) as server:
        yield server


def dial(fake: DeepgramFake, target: str, authorization: str = f"Token {KEY}") -> connect:
    headers = {"Authorization": authorization}
    return connect("ws" + fake.url.removeprefix("http") + target, additional_headers=headers)


async def message(socket: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(20):
        received = json.loads(await socket.recv())
    assert isinstance(received, dict)
    return received


async def ending(socket: ClientConnection) -> tuple[int, str]:
    """The code and reason with which the server closes, whatever it says before."""
    try:
        async with asyncio.timeout(20):
            while True:
                await socket.recv()
    except ConnectionClosed as closed:
        received = closed.rcvd
        return (received.code, received.reason) if received is not None else (1006, "")


async def say(socket: ClientConnection, message: Mapping[str, object]) -> None:
    await socket.send(json.dumps(message))


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/v1/nothing", 404),
        ("/v1/listen?model=flux-general-en", 400),
        ("/v1/listen?encoding=mulaw&sample_rate=8000", 400),
        (NOVA + "&nonsense=1", 400),
        (NOVA + "&smart_format=True", 400),
        (NOVA + "&utterance_end_ms=1000", 400),
        (NOVA + "&interim_results=true&utterance_end_ms=500", 400),
        (NOVA.replace("nova-3", "nova-2") + "&keyterm=x", 400),
        (NOVA + "&model=nova-2", 400),
        ("/v1/listen?model=nova-3&encoding=mulaw", 400),
        (FLUX.replace("flux-general-en", "nova-3"), 400),
        (FLUX + "&eot_threshold=0.4", 400),
        (FLUX + "&eager_eot_threshold=0.95", 400),
        (FLUX + "&interim_results=true", 400),
        (FLUX + "&language_hint=de", 400),
        (AURA.replace("aura", "nova"), 400),
        (AURA.replace("mulaw", "mp3"), 400),
    ],
)
async def test_wrong_parameters_are_refused_with_a_reason(
    fake: DeepgramFake, target: str, status: int
) -> None:
    with pytest.raises(InvalidStatus) as caught:
        await dial(fake, target)
    response = caught.value.response
    assert response.status_code == status
    assert response.headers["dg-error"]
    assert response.headers["dg-request-id"]
    assert json.loads(response.body or b"")["err_code"]


@pytest.mark.parametrize("authorization", ["", "Token wrong", f"Bearer {KEY}", KEY])
async def test_a_wrong_key_is_refused(fake: DeepgramFake, authorization: str) -> None:
    for target in (NOVA, FLUX, AURA):
        with pytest.raises(InvalidStatus) as caught:
            await dial(fake, target, authorization)
        assert caught.value.response.status_code == 401


async def test_a_client_that_says_nothing_is_closed_as_deepgram_does(fake: DeepgramFake) -> None:
    async with dial(fake, NOVA) as socket:
        code, reason = await ending(socket)
        assert code == 1011
        assert "net0001" in reason
    async with dial(fake, FLUX) as socket:
        assert (await ending(socket))[0] == 1011


async def test_keep_alives_hold_nova_and_pings_hold_flux(fake: DeepgramFake) -> None:
    fake.idle_s = fake.flux_idle_s = 1.0
    async with dial(fake, NOVA) as nova, dial(fake, FLUX) as flux:
        for _ in range(8):
            await asyncio.sleep(0.15)
            await say(nova, {"type": "KeepAlive"})
            await flux.ping()
        await say(nova, {"type": "CloseStream"})
        await say(flux, {"type": "CloseStream"})
        assert (await ending(nova))[0] == 1000
        assert (await ending(flux))[0] == 1005


async def test_an_empty_frame_and_json_sent_as_audio_end_the_stream(fake: DeepgramFake) -> None:
    async with dial(fake, NOVA) as socket:
        await socket.send(b"")
        assert (await ending(socket))[0] == 1000
    async with dial(fake, NOVA) as socket:
        await socket.send(b'{"type":"KeepAlive"}')
        assert (await ending(socket))[0] == 1008


async def test_text_that_is_no_message_is_an_error(fake: DeepgramFake) -> None:
    async with dial(fake, NOVA) as socket:
        for wrong in ("", "{}", "[]", '{"type": "Nonsense"}'):
            await socket.send(wrong)
            assert (await message(socket))["variant"] == "SchemaError"
    async with dial(fake, FLUX) as socket:
        assert (await message(socket))["type"] == "Connected"
        await say(socket, {"type": "KeepAlive"})
        assert (await message(socket))["type"] == "Error"
        await ending(socket)


async def test_finalize_with_little_audio_goes_without_an_answer(fake: DeepgramFake) -> None:
    async with dial(fake, NOVA) as socket:
        await socket.send(HUSH)
        await say(socket, {"type": "Finalize"})
        await say(socket, {"type": "Nonsense"})
        assert (await message(socket))["type"] == "Error"
        await socket.send(HUSH * 10)
        await say(socket, {"type": "Finalize"})
        assert (await message(socket))["from_finalize"]


async def test_nova_says_only_what_was_asked_for(fake: DeepgramFake) -> None:
    fake.hears("hello")
    async with dial(fake, NOVA) as socket:
        await socket.send(TONE * 25 + HUSH * 70)
        first = await message(socket)
        assert (first["type"], first["speech_final"]) == ("Results", True)
        await say(socket, {"type": "CloseStream"})
        kinds = [(await message(socket))["type"] for _ in range(2)]
        assert kinds == ["Results", "Metadata"]
        assert (await ending(socket))[0] == 1000


async def test_without_a_script_it_hears_what_the_audio_itself_says(fake: DeepgramFake) -> None:
    async with dial(fake, NOVA + "&endpointing=100") as nova:
        for sound in (speech("two of us", 20), TONE * 10):
            await nova.send(sound + HUSH * 8)
        said = [(await message(nova))["channel"]["alternatives"][0] for _ in range(2)]
    assert [words["transcript"] for words in said] == ["two of us", ""]


async def test_flux_numbers_its_messages_and_its_turns(fake: DeepgramFake) -> None:
    fake.hears("hello", "you")
    async with dial(fake, FLUX) as socket:
        await socket.send((TONE * 20 + HUSH * 25) * 2)
        seen: list[int] = []
        turns: list[tuple[int, str, str]] = []
        while len(turns) < 2:
            received = await message(socket)
            seen.append(received["sequence_id"])
            if received.get("event") == "EndOfTurn":
                turns.append((received["turn_index"], received["transcript"], received["trigger"]))
        assert seen == list(range(len(seen)))
        assert turns == [(0, "hello", "model"), (1, "you", "model")]


async def test_words_are_where_the_audio_says_them() -> None:
    said = speech("two of us", 40)
    async with DeepgramFake() as fake, dial(fake, f"{NOVA}&endpointing=100") as socket:
        await socket.send(HUSH * 25 + said + HUSH * 50)
        while not (received := await message(socket)).get("speech_final"):
            pass
    words = received["channel"]["alternatives"][0]["words"]
    placed = [(word["word"], word["start"], word["end"]) for word in words]
    expected = [
        (it.text, 0.5 + it.start_ms / 1000, 0.5 + it.end_ms / 1000) for it in heard_in(said)
    ]
    assert [word for word, _, _ in placed] == ["two", "of", "us"]
    for found, wanted in zip(placed, expected, strict=True):
        assert found[1:] == pytest.approx(wanted[1:], abs=0.021)


async def test_aura_can_say_its_words() -> None:
    limits = SpeakLimits(ms_per_letter=20)
    async with DeepgramFake(speak=limits) as fake, dial(fake, AURA) as socket:
        await message(socket)
        await say(socket, {"type": "Speak", "text": "Good evening."})
        await say(socket, {"type": "Flush"})
        audio = b""
        while isinstance(part := await socket.recv(), bytes):
            audio += part
        assert words_in(audio) == ["Good", "evening."]


async def test_aura_speaks_only_when_flushed_and_not_too_often(fake: DeepgramFake) -> None:
    async with dial(fake, AURA) as socket:
        assert (await message(socket))["type"] == "Metadata"
        await say(socket, {"type": "Speak", "text": "Hi."})
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.recv(), 0.03)
        await say(socket, {"type": "Flush"})
        audio = b""
        while isinstance(part := await socket.recv(), bytes):
            audio += part
        assert audio == spoken("Hi.")
        assert json.loads(part)["type"] == "Flushed"
        await say(socket, {"type": "Flush"})
        assert (await message(socket))["type"] == "Flushed"
        await say(socket, {"type": "Flush"})
        assert await message(socket) == {"type": "Warning", "code": "EXCESSIVE_FLUSH"}


async def test_aura_clears_what_it_speaks_and_what_waits(fake: DeepgramFake) -> None:
    fake.speak = SpeakLimits(chunk_s=0.02)
    async with dial(fake, AURA) as socket:
        await message(socket)
        await say(socket, {"type": "Speak", "text": "A long sentence. " * 9})
        await say(socket, {"type": "Flush"})
        assert isinstance(await socket.recv(), bytes)
        await say(socket, {"type": "Clear"})
        while isinstance(part := await socket.recv(), bytes):
            pass
        assert json.loads(part)["type"] == "Cleared"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.recv(), 0.05)


@pytest.mark.parametrize(
    ("wrong", "ends"),
    [
        (b"audio", (1003, "MESSAGE-0000")),
        ('{"type": "Speak"}', (1008, "DATA-0000")),
        ('{"type": "Speak", "text": "x", "extra": 1}', (1008, "DATA-0000")),
        ('{"type": "Nonsense"}', (1008, "DATA-0000")),
        ("no json", (1008, "DATA-0000")),
        (json.dumps({"type": "Speak", "text": "x" * 2001}), (1009, "BIG-0001")),
    ],
)
async def test_aura_closes_on_what_it_does_not_take(
    fake: DeepgramFake, wrong: str | bytes, ends: tuple[int, str]
) -> None:
    async with dial(fake, AURA) as socket:
        await message(socket)
        await socket.send(wrong)
        assert await ending(socket) == ends


async def test_aura_limits_the_characters_of_a_minute(fake: DeepgramFake) -> None:
    async with dial(fake, AURA) as socket:
        await message(socket)
        for _ in range(2):
            await say(socket, {"type": "Speak", "text": "x" * 1500})
        assert await ending(socket) == (1008, "DATA-0001")


async def test_refusals_come_as_queued(fake: DeepgramFake) -> None:
    fake.refuse(429, "TOO_MANY_REQUESTS", "slow down", retry_after="2")
    with pytest.raises(InvalidStatus) as caught:
        await dial(fake, NOVA)
    assert caught.value.response.status_code == 429
    assert caught.value.response.headers["Retry-After"] == "2"
    async with dial(fake, NOVA):
        pass
    assert fake.refused == 1
