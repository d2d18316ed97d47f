"""The fake refuses what OpenAI refuses: asked by other clients than ours."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import openai
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.fakes.openai import KEY, Broken, OpenAIFake, Trouble
from tests.fakes.openai_chat import Wants
from tests.fakes.openai_refusal import Refusal
from tests.fakes.speech import speech

HELLO: dict[str, Any] = {
    "model": "gpt-4.1-mini",
    "stream": True,
    "messages": [{"role": "user", "content": "Hello"}],
}
CALL = {"id": "a", "type": "function", "function": {"name": "book", "arguments": "{}"}}
ASKED = {"role": "assistant", "content": None, "tool_calls": [CALL, {**CALL, "id": "b"}]}
RESULT = {"role": "tool", "tool_call_id": "a", "content": "done"}
TOOL = {"type": "function", "function": {"name": "book", "parameters": {"type": "object"}}}


@pytest.fixture
async def fake() -> AsyncIterator[OpenAIFake]:
    async with OpenAIFake() as server:
        yield server


async def post(fake: OpenAIFake, path: str, body: object, key: str = KEY) -> httpx2.Response:
    async with httpx2.AsyncClient(trust_env=False) as client:
        headers = {"Authorization": f"Bearer {key}"}
        return await client.post(f"{fake.url}{path}", json=body, headers=headers)


# Chat ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"model": None}, 400),
        ({"model": "gpt-0"}, 404),
        ({"messages": []}, 400),
        ({"messages": [{"role": "agent", "content": "Hi"}]}, 400),
        ({"messages": [{"role": "user", "content": None}]}, 400),
        ({"messages": [ASKED, RESULT]}, 400),
        ({"messages": [ASKED, RESULT, {"role": "user", "content": "Hi"}]}, 400),
        ({"messages": [RESULT]}, 400),
        ({"messages": [{"role": "assistant", "tool_calls": []}]}, 400),
        ({"tools": []}, 400),
        ({"tools": None}, 400),
        ({"tools": [{**TOOL, "type": "odd"}]}, 400),
        ({"tools": [{"type": "function", "function": {"name": "no spaces"}}]}, 400),
        ({"tool_choice": "auto"}, 400),
        ({"temperature": 3}, 400),
        ({"temperature": "hot"}, 400),
        ({"max_tokens": 0}, 400),
        ({"max_tokens": 5, "max_completion_tokens": 5}, 400),
        ({"min_p": 0.1}, 400),
        ({"stream": False, "stream_options": {"include_usage": True}}, 400),
    ],
)
async def test_a_wrong_chat_request_is_refused(
    fake: OpenAIFake, change: dict[str, Any], status: int
) -> None:
    answer = await post(fake, "/chat/completions", HELLO | change)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


async def test_all_results_of_a_call_are_accepted(fake: OpenAIFake) -> None:
    messages = [ASKED, RESULT, {**RESULT, "tool_call_id": "b"}]
    answer = await post(fake, "/chat/completions", HELLO | {"messages": messages, "tools": [TOOL]})
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/chat/completions", "/audio/speech"])
async def test_a_wrong_key_is_refused(fake: OpenAIFake, path: str) -> None:
    answer = await post(fake, path, HELLO, key="sk-wrong")
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"


async def test_a_body_that_is_no_json_is_refused(fake: OpenAIFake) -> None:
    async with httpx2.AsyncClient(trust_env=False) as client:
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        url = f"{fake.url}/chat/completions"
        assert (await client.post(url, content=b"{", headers=headers)).status_code == 400
        assert (await client.post(url, content=b"[]", headers=headers)).status_code == 400


async def test_the_sdk_understands_its_answers(fake: OpenAIFake) -> None:
    fake.replies = [["One moment.", Wants("book", {"people": 2})]]
    client = openai.AsyncOpenAI(api_key=KEY, base_url=fake.url, max_retries=0)
    async with client:
        async with client.chat.completions.stream(
            model="gpt-4.1-mini",
            messages=[{"role": "user", "content": "Hello"}],
            stream_options={"include_usage": True},
        ) as stream:
            whole = await stream.get_final_completion()
        models = await client.models.list()
        assert "gpt-4.1-mini" in {model.id for model in models.data}
    message = whole.choices[0].message
    assert message.content == "One moment."
    assert message.tool_calls is not None
    (call,) = message.tool_calls
    assert call.type == "function"
    assert (call.function.name, call.function.arguments) == ("book", '{"people": 2}')
    assert whole.usage is not None
    assert whole.usage.prompt_tokens == 1


async def test_faults_come_in_the_order_in_which_they_were_queued(fake: OpenAIFake) -> None:
    fake.fail("chat", Refusal(429, headers={"retry-after-ms": "5"}), Broken(Trouble.DROP, 2))
    refused = await post(fake, "/chat/completions", HELLO)
    assert (refused.status_code, refused.headers["retry-after-ms"]) == (429, "5")
    with pytest.raises(httpx2.RemoteProtocolError):
        await post(fake, "/chat/completions", HELLO)
    assert (await post(fake, "/chat/completions", HELLO)).text.endswith("data: [DONE]\n\n")
    assert [asked.whole for asked in fake.chats] == [False, False, True]


async def test_replies_can_be_a_function_of_the_conversation(fake: OpenAIFake) -> None:
    fake.replies = lambda messages: f"You said {messages[-1]['content']}."
    assert "Hello." in (await post(fake, "/chat/completions", HELLO)).text


# Speech --------------------------------------------------------------------------------------

SPEAK: dict[str, Any] = {
    "model": "gpt-4o-mini-tts", "input": "Hi", "voice": "marin", "response_format": "pcm",
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"input": ""}, 400),
        ({"input": "x" * 4097}, 400),
        ({"voice": "nobody"}, 400),
        ({"model": "tts-0"}, 404),
        ({"speed": 5}, 400),
        ({"response_format": "ulaw"}, 400),
        ({"model": "tts-1", "instructions": "Softly."}, 400),
        ({"sample_rate": 8000}, 400),
    ],
)
async def test_a_wrong_speech_request_is_refused(
    fake: OpenAIFake, change: dict[str, Any], status: int
) -> None:
    assert (await post(fake, "/audio/speech", SPEAK | change)).status_code == status


async def test_speech_lasts_as_long_as_its_text(fake: OpenAIFake) -> None:
    answer = await post(fake, "/audio/speech", SPEAK | {"speed": 0.5})
    assert len(answer.content) == 2 * 24 * fake.letter_ms * 2 / 0.5


# Realtime ------------------------------------------------------------------------------------


async def realtime(
    fake: OpenAIFake, query: str = "?intent=transcription", **headers: str
) -> ClientConnection:
    given = {"Authorization": f"Bearer {KEY}"} | headers
    url = f"ws{fake.url.removeprefix('http')}/realtime{query}"
    return await connect(url, additional_headers=given, proxy=None)


async def event(socket: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(30):
        found: dict[str, Any] = json.loads(await socket.recv())
    return found


async def send(socket: ClientConnection, kind: str, **fields: Any) -> dict[str, Any]:
    await socket.send(json.dumps({"type": kind, **fields}))
    return await event(socket)


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ("?intent=transcription", {"Authorization": "Bearer sk-wrong"}, 401),
        ("?intent=transcription", {"OpenAI-Beta": "realtime=v1"}, 400),
        ("", {}, 400),
        ("?intent=transcription&model=gpt-4o-mini-transcribe", {}, 400),
    ],
)
async def test_a_wrong_handshake_is_refused(
    fake: OpenAIFake, query: str, headers: dict[str, str], status: int
) -> None:
    with pytest.raises(InvalidStatus) as caught:
        await realtime(fake, query, **headers)
    assert caught.value.response.status_code == status


def update(**heard: Any) -> dict[str, Any]:
    return {"type": "transcription", "audio": {"input": heard}}


MINI = {"model": "gpt-4o-mini-transcribe"}


@pytest.mark.parametrize(
    ("session", "param"),
    [
        ({"audio": {}}, "session.type"),
        ({"type": "realtime"}, "session.type"),
        ({"type": "transcription", "input_audio_format": "g711_ulaw"}, "input_audio_format"),
        (update(format="g711_ulaw"), "format"),
        (update(format={"type": "audio/pcmu", "rate": 8000}), "format"),
        (update(format={"type": "audio/pcm", "rate": 8000}), "format"),
        (update(transcription={"model": "gpt-0"}), "model"),
        (update(transcription=MINI | {"delay": "low"}), "delay"),
        (update(transcription=MINI | {"keywords": ["x"]}), "keywords"),
        (update(transcription=MINI | {"language": "english"}), "language"),
        (update(transcription={"model": "gpt-live-transcribe"}), "turn_detection"),
        (update(turn_detection={"type": "odd"}), "turn_detection"),
        (update(turn_detection={"type": "semantic_vad", "threshold": 1}), "threshold"),
        (update(turn_detection={"type": "server_vad", "threshold": 2}), "threshold"),
        (update(noise_reduction={"type": "none"}), "noise_reduction"),
    ],
)
async def test_a_wrong_setting_is_an_error_and_the_session_goes_on(
    fake: OpenAIFake, session: dict[str, Any], param: str
) -> None:
    async with await realtime(fake) as socket:
        assert (await event(socket))["type"] == "session.created"
        error = await send(socket, "session.update", session=session, event_id="mine")
        assert error["type"] == "error"
        assert param in error["error"]["param"]
        assert error["error"]["event_id"] == "mine"
        right = update(transcription=MINI, turn_detection=None)
        assert (await send(socket, "session.update", session=right))["type"] == "session.updated"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({"type": "response.create"}, "invalid_value"),
        ({"type": "input_audio_buffer.append"}, "missing_required_parameter"),
        ({"type": "input_audio_buffer.append", "audio": "§"}, "invalid_audio"),
        ({"type": "input_audio_buffer.append", "audio": "", "rate": 8000}, "unknown_parameter"),
        ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty"),
    ],
)
async def test_a_wrong_event_is_an_error(fake: OpenAIFake, sent: dict[str, Any], code: str) -> None:
    async with await realtime(fake) as socket:
        await event(socket)
        error = await send(socket, sent.pop("type"), **sent)
        assert error["error"]["code"] == code


@pytest.mark.parametrize(
    ("audio", "words"), [(b"\xff" * 800, "two of us"), (speech("hello there", 20), "hello there")]
)
async def test_a_commit_makes_an_item_and_its_words(
    fake: OpenAIFake, audio: bytes, words: str
) -> None:
    async with await realtime(fake) as socket:
        await event(socket)
        settings = update(format={"type": "audio/pcmu"}, transcription=MINI, turn_detection=None)
        await send(socket, "session.update", session=settings)
        piece = base64.b64encode(audio).decode()
        await socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": piece}))
        committed = await send(socket, "input_audio_buffer.commit")
        assert committed["type"] == "input_audio_buffer.committed"
        kinds = [(await event(socket))["type"].rpartition(".")[2] for _ in words.split()]
        assert kinds == ["added", *["delta"] * (len(kinds) - 1)]
        assert (await event(socket))["type"].endswith("delta")
        assert (await event(socket))["transcript"] == words


async def test_a_session_ends_when_its_time_is_over() -> None:
    async with OpenAIFake(session_s=0.05) as fake, await realtime(fake) as socket:
        await event(socket)
        assert (await event(socket))["error"]["code"] == "session_expired"
        with pytest.raises(ConnectionClosed) as caught:
            await event(socket)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1001
