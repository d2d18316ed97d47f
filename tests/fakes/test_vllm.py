"""The fake refuses what vLLM refuses: asked by other clients than ours."""

import asyncio
import base64
import io
import wave
from typing import Any

import httpx2
import openai
import pytest

from shared.audio import Resampler, ulaw_to_pcm16
from tests.fakes.openai import Broken, Trouble
from tests.fakes.speech import speech
from tests.fakes.vllm import MODEL, VLLMFake


def wav(pcm: bytes, rate: int = 16_000, channels: int = 1, width: int = 2) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writing:
        writing.setnchannels(channels)
        writing.setsampwidth(width)
        writing.setframerate(rate)
        writing.writeframes(pcm)
    return file.getvalue()


def said(text: str, rate: int = 16_000) -> bytes:
    return wav(Resampler(8000, rate).feed(ulaw_to_pcm16(speech(text, 20))), rate)


def part(file: bytes) -> dict[str, Any]:
    data = base64.b64encode(file).decode()
    return {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}


def asking(*parts: object, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": list(parts)}]
    return {"model": MODEL, "stream": True, "messages": messages, **more}


async def post(fake: VLLMFake, body: object) -> httpx2.Response:
    async with httpx2.AsyncClient(trust_env=False) as client:
        return await client.post(f"{fake.url}/chat/completions", json=body)


@pytest.mark.parametrize("rate", [8000, 16_000])
async def test_it_understands_what_is_said_whatever_client_asks(rate: int) -> None:
    async with VLLMFake() as fake:
        fake.replies = lambda messages: f"You said: {messages[-1]['content']}."
        async with openai.AsyncOpenAI(api_key="none", base_url=fake.url) as client:
            stream: Any = await client.chat.completions.create(
                **asking({"type": "text", "text": "She says:"}, part(said("two of us", rate)))
            )
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        assert text == "You said: She says: two of us."
        assert fake.heard == ["She says: two of us"]


@pytest.mark.parametrize(
    ("file", "says"),
    [
        (b"RIFF", "Format not recognised"),
        (b"OggS" + bytes(400), "Format not recognised"),
        (wav(b""), "incomplete"),
        (wav(bytes(1000), channels=2), "2 channels"),
        (wav(bytes(1000), width=1), "8 bits"),
        (said("hi")[:-100], "incomplete"),
        (wav(bytes(2 * 16_000 * 31)), "longer"),
    ],
)
async def test_audio_that_is_none_is_refused(file: bytes, says: str) -> None:
    async with VLLMFake() as fake:
        answer = await post(fake, asking(part(file)))
    assert answer.status_code == 400
    assert says in answer.json()["error"]["message"]


async def test_a_header_that_lies_about_the_rate_makes_a_jumble() -> None:
    async with VLLMFake() as fake:
        pcm = Resampler(8000, 16_000).feed(ulaw_to_pcm16(speech("two of us", 20)))
        await post(fake, asking(part(wav(pcm, 8000))))
    assert fake.heard == [""]


@pytest.mark.parametrize(
    "body",
    [
        asking(part(said("one")), part(said("two"))),
        asking({"type": "image"}),
        asking(),
        asking({"type": "input_audio", "input_audio": {"data": "!", "format": "wav"}}),
        asking({"type": "input_audio", "input_audio": {"data": "", "format": "mp3"}}),
        asking({"type": "text", "text": "<|audio|>"}, part(said("one"))),
        asking(part(said("one")), stream=False),
        asking(
            part(said("one")),
            tools=[
                {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
            ],
        ),
    ],
)
async def test_requests_that_the_server_does_not_take_are_refused(body: dict[str, Any]) -> None:
    async with VLLMFake() as fake:
        answer = await post(fake, body)
    assert answer.status_code == 400
    assert fake.heard == []


async def test_another_model_and_a_wrong_key_are_refused_in_either_shape() -> None:
    async with VLLMFake(key="k", flat_errors=True) as fake:
        assert (await post(fake, asking(part(said("hi"))))).json()["code"] == 401
        headers = {"Authorization": "Bearer k"}
        async with httpx2.AsyncClient(trust_env=False, headers=headers) as client:
            body = {**asking(part(said("hi"))), "model": "other"}
            answer = await client.post(f"{fake.url}/chat/completions", json=body)
            assert (answer.status_code, answer.json()["object"]) == (404, "error")
            assert (await client.get(f"{fake.url}/models")).json()["data"][0]["id"] == MODEL
            assert (await client.get(fake.url.replace("/v1", "/health"))).status_code == 200


async def test_a_cold_one_refuses_connections_then_loads_and_then_answers() -> None:
    async with VLLMFake(starts_s=0.1, loads_s=0.1) as fake:
        with pytest.raises(httpx2.ConnectError):
            await post(fake, asking(part(said("hi"))))
        await asyncio.sleep(0.15)
        assert (await post(fake, asking(part(said("hi"))))).status_code == 503
        await asyncio.sleep(0.15)
        assert (await post(fake, asking(part(said("hi"))))).status_code == 200
        fake.sleep()
        assert (await post(fake, asking(part(said("hi"))))).status_code == 503
    async with VLLMFake(loads_s=0.1, holds=True) as fake:
        assert (await post(fake, asking(part(said("hi"))))).status_code == 200
        assert fake.turned_away == 1


async def test_a_client_that_goes_away_is_noticed() -> None:
    async with VLLMFake() as fake:
        fake.fail("chat", Broken(Trouble.STALL, 2))
        async with (
            httpx2.AsyncClient(trust_env=False) as client,
            client.stream("POST", f"{fake.url}/chat/completions", json=asking(part(said("hi")))),
        ):
            await fake.until(lambda: len(fake.heard) == 1)
        await fake.until(lambda: fake.chats[0].cut_off)
