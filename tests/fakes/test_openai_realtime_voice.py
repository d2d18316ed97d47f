"""What the fake of OpenAI's realtime voice refuses, and how it behaves, without our client."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from shared.audio import silence
from tests.fakes.openai import KEY, OpenAIFake
from tests.fakes.openai_chat import Wants
from tests.fakes.openai_refusal import Refusal
from tests.fakes.speech import speech, words_in

MODEL = "?model=gpt-realtime-2.1"


@pytest.fixture
async def fake() -> AsyncIterator[OpenAIFake]:
    async with OpenAIFake() as server:
        yield server


async def opened(fake: OpenAIFake, query: str = MODEL, **headers: str) -> ClientConnection:
    given = {"Authorization": f"Bearer {KEY}"} | headers
    url = f"ws{fake.url.removeprefix('http')}/realtime{query}"
    return await connect(url, additional_headers=given, proxy=None, close_timeout=0.5)


async def event(socket: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(30):
        found: dict[str, Any] = json.loads(await socket.recv())
    return found


async def until(socket: ClientConnection, kind: str) -> list[dict[str, Any]]:
    """Return all events up to the first of a kind, that one last."""
    found = [await event(socket)]
    while found[-1]["type"] != kind:
        found.append(await event(socket))
    return found


async def send(socket: ClientConnection, kind: str, **fields: Any) -> None:
    await socket.send(json.dumps({"type": kind, **fields}))


async def asked(socket: ClientConnection, kind: str, **fields: Any) -> dict[str, Any]:
    await send(socket, kind, **fields)
    return await event(socket)


PCMU = {"type": "audio/pcmu"}
VAD = {"type": "server_vad", "silence_duration_ms": 200}


def phone(**session: Any) -> dict[str, Any]:
    heard = {"format": PCMU, "turn_detection": VAD, "transcription": {"model": "whisper-1"}}
    return {"type": "realtime", "audio": {"input": heard, "output": {"format": PCMU}}, **session}


async def set_up(socket: ClientConnection, **session: Any) -> None:
    assert (await event(socket))["type"] == "session.created"
    told = await asked(socket, "session.update", session=phone(**session))
    assert told["type"] == "session.updated"


async def hear(socket: ClientConnection, text: str) -> None:
    """Have the caller say something."""
    audio = silence(200) + speech(text, 30) + silence(400)
    await send(socket, "input_audio_buffer.append", audio=base64.b64encode(audio).decode())


# Refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        (MODEL, {"Authorization": "Bearer sk-wrong"}, 401),
        (MODEL, {"OpenAI-Beta": "realtime=v1"}, 400),
        ("?model=gpt-0", {}, 404),
        ("?model=gpt-4.1-mini", {}, 404),
    ],
)
async def test_a_wrong_handshake_is_refused(
    fake: OpenAIFake, query: str, headers: dict[str, str], status: int
) -> None:
    with pytest.raises(InvalidStatus) as caught:
        await opened(fake, query, **headers)
    assert caught.value.response.status_code == status


def heard(**fields: Any) -> dict[str, Any]:
    return {"type": "realtime", "audio": {"input": fields}}


def said(**fields: Any) -> dict[str, Any]:
    return {"type": "realtime", "audio": {"output": fields}}


@pytest.mark.parametrize(
    ("session", "param"),
    [
        ({"audio": {}}, "session.type"),
        ({"type": "transcription"}, "session.type"),
        ({"type": "realtime", "voice": "marin"}, "session.voice"),
        ({"type": "realtime", "temperature": 0.8}, "session.temperature"),
        ({"type": "realtime", "model": "gpt-realtime"}, "session.model"),
        ({"type": "realtime", "output_modalities": ["audio", "text"]}, "output_modalities"),
        ({"type": "realtime", "max_output_tokens": 5000}, "max_output_tokens"),
        ({"type": "realtime", "tools": [{"type": "function", "name": "a b"}]}, "tools[0].name"),
        ({"type": "realtime", "tools": [{"function": {"name": "a"}}]}, "tools[0].function"),
        (heard(format="g711_ulaw"), "input.format"),
        (heard(format={"type": "audio/pcmu", "rate": 8000}), "input.format"),
        (heard(turn_detection={"type": "semantic_vad", "idle_timeout_ms": 1}), "idle_timeout_ms"),
        (said(format={"type": "audio/mp3"}), "output.format"),
        (said(voice="bella"), "output.voice"),
        (said(speed=2), "output.speed"),
    ],
)
async def test_a_wrong_setting_is_an_error_and_the_session_goes_on(
    fake: OpenAIFake, session: dict[str, Any], param: str
) -> None:
    async with await opened(fake) as socket:
        await event(socket)
        error = await asked(socket, "session.update", session=session, event_id="mine")
        assert error["type"] == "error"
        assert param in error["error"]["param"]
        assert error["error"]["event_id"] == "mine"
        assert (await asked(socket, "session.update", session=phone()))["type"] == "session.updated"


async def test_a_model_that_does_not_reason_has_no_settings_for_it(fake: OpenAIFake) -> None:
    async with await opened(fake, "?model=gpt-realtime") as socket:
        await event(socket)
        session = phone(reasoning={"effort": "low"})
        error = await asked(socket, "session.update", session=session)
        assert error["error"]["param"] == "session.reasoning"


def message(role: str, kind: str, text: str, **fields: Any) -> dict[str, Any]:
    content = [{"type": kind, "text": text}]
    return {"item": {"type": "message", "role": role, "content": content, **fields}}


OUTPUT = {"type": "function_call_output", "call_id": "nobody", "output": "x"}


@pytest.mark.parametrize(
    ("kind", "fields", "code"),
    [
        ("response.audio", {}, "invalid_value"),
        ("response.create", {"response": {"voice": "x"}}, "unknown_parameter"),
        ("response.create", {"response": {"metadata": {"a": 1}}}, "invalid_value"),
        ("response.cancel", {}, "response_cancel_not_active"),
        ("input_audio_buffer.append", {}, "missing_required_parameter"),
        ("input_audio_buffer.append", {"audio": "§"}, "invalid_audio"),
        ("conversation.item.create", {"item": {"type": "odd"}}, "invalid_value"),
        ("conversation.item.create", {"item": {"type": "message"}}, "missing_required_parameter"),
        ("conversation.item.create", {"item": OUTPUT}, "invalid_tool_call_id"),
        ("conversation.item.create", message("assistant", "input_text", "x"), "invalid_value"),
        ("conversation.item.create", message("user", "input_text", "x", id="i" * 33),
         "string_above_max_length"),
        ("conversation.item.create",
         {**message("user", "input_text", "x"), "previous_item_id": "nobody"},
         "item_create_invalid_previous_item_id"),
        ("conversation.item.truncate", {"item_id": "nobody", "content_index": 0, "audio_end_ms": 0},
         "item_truncate_invalid_item_id"),
        ("conversation.item.delete", {"item_id": "nobody"}, "item_delete_invalid_item_id"),
    ],
)  # fmt: skip
async def test_a_wrong_event_is_an_error(
    fake: OpenAIFake, kind: str, fields: dict[str, Any], code: str
) -> None:
    async with await opened(fake) as socket:
        await set_up(socket)
        error = await asked(socket, kind, **fields)
        assert (error["type"], error["error"]["code"]) == ("error", code)


async def test_text_that_is_no_event_is_an_error(fake: OpenAIFake) -> None:
    async with await opened(fake) as socket:
        await set_up(socket)
        await socket.send("{")
        assert (await event(socket))["error"]["code"] == "invalid_json"
        await socket.send(b"{}")
        assert (await event(socket))["error"]["code"] == "invalid_event"


# A conversation ------------------------------------------------------------------------------


async def test_a_turn_is_heard_written_down_and_answered(fake: OpenAIFake) -> None:
    fake.script.replies = {"a table": ["One moment.", Wants("book", {"people": 2})]}
    async with await opened(fake) as socket:
        await set_up(socket)
        await hear(socket, "a table")
        events = await until(socket, "response.done")
    kinds = [it["type"] for it in events]
    buffer = "input_audio_buffer"
    assert kinds[:3] == [
        f"{buffer}.speech_started",
        f"{buffer}.speech_stopped",
        f"{buffer}.committed",
    ]
    assert len({it["item_id"] for it in events[:3]}) == 1
    audio = b"".join(
        base64.b64decode(it["delta"])
        for it in events
        if it["type"] == "response.output_audio.delta"
    )
    assert words_in(audio) == ["One", "moment."]
    (transcript,) = [it for it in events if it["type"].endswith("transcription.completed")]
    assert transcript["transcript"] == "a table"
    done = events[-1]["response"]
    assert done["status"] == "completed"
    assert [item["type"] for item in done["output"]] == ["message", "function_call"]
    assert json.loads(done["output"][1]["arguments"]) == {"people": 2}


async def test_speech_cancels_the_response_and_its_tools_are_told_of_all_the_same(
    fake: OpenAIFake,
) -> None:
    fake.voice.pace_s, fake.voice.late_pieces = 0.01, 2
    fake.script.replies = {"a table": ["One moment please, I look.", Wants("book")]}
    async with await opened(fake) as socket:
        await set_up(socket)
        await hear(socket, "a table")
        await until(socket, "response.output_audio.delta")
        await hear(socket, "stop")
        events = await until(socket, "response.done")
    kinds = [it["type"] for it in events]
    started = kinds.index("input_audio_buffer.speech_started")
    assert "response.output_audio.delta" in kinds[started:]
    assert "response.function_call_arguments.done" in kinds
    assert events[-1]["response"]["status"] == "cancelled"
    assert events[-1]["response"]["status_details"]["reason"] == "turn_detected"


async def test_speech_cancels_nothing_where_it_may_not(fake: OpenAIFake) -> None:
    fake.voice.pace_s = 0.01
    async with await opened(fake) as socket:
        await set_up(socket)
        turns = {"audio": {"input": {"turn_detection": {**VAD, "interrupt_response": False}}}}
        await asked(socket, "session.update", session={"type": "realtime", **turns})
        await send(socket, "response.create", response={"instructions": "Hello."})
        await hear(socket, "stop")
        events = await until(socket, "response.done")
        assert events[-1]["response"]["status"] == "completed"


async def test_one_response_at_a_time(fake: OpenAIFake) -> None:
    fake.voice.pace_s = 0.01
    async with await opened(fake) as socket:
        await set_up(socket)
        await send(socket, "response.create")
        await send(socket, "response.create", event_id="second")
        error = (await until(socket, "error"))[-1]["error"]
        assert error["code"] == "conversation_already_has_active_response"
        assert error["event_id"] == "second"
        await send(socket, "response.cancel")
        done = (await until(socket, "response.done"))[-1]["response"]
        assert done["status_details"]["reason"] == "client_cancelled"


async def test_an_item_is_cut_short_by_no_more_than_it_has(fake: OpenAIFake) -> None:
    fake.script.otherwise = "Good evening."
    async with await opened(fake) as socket:
        await set_up(socket)
        await send(socket, "response.create")
        done = (await until(socket, "response.done"))[-1]["response"]
        (item,) = done["output"]
        await until(socket, "rate_limits.updated")
        place = {"item_id": item["id"], "content_index": 0}
        kind = "conversation.item.truncate"
        error = await asked(socket, kind, **place, audio_end_ms=60_000)
        assert "already shorter" in error["error"]["message"]
        told = await asked(socket, kind, **place, audio_end_ms=100)
        assert told["type"] == "conversation.item.truncated"
    (there,) = fake.sessions
    assert there.items.all[0].text == ""


async def test_the_voice_stays_once_it_was_heard(fake: OpenAIFake) -> None:
    async with await opened(fake) as socket:
        await set_up(socket)
        assert (await asked(socket, "session.update", session=said(voice="ash")))["type"] != "error"
        await send(socket, "response.create")
        await until(socket, "rate_limits.updated")
        error = await asked(socket, "session.update", session=said(voice="marin"))
        assert error["error"]["code"] == "cannot_update_voice"


async def test_silence_makes_the_model_speak_up(fake: OpenAIFake) -> None:
    async with await opened(fake) as socket:
        await set_up(socket)
        turns = {"turn_detection": {**VAD, "idle_timeout_ms": 20}}
        await asked(socket, "session.update", session=heard(**turns))
        await send(socket, "response.create")
        await until(socket, "response.done")
        events = await until(socket, "response.done")
    assert "input_audio_buffer.timeout_triggered" in [it["type"] for it in events]


async def test_a_response_may_fail(fake: OpenAIFake) -> None:
    fake.voice.failing.extend([Refusal(500, "server_error"), Refusal(400, "max_output_tokens")])
    async with await opened(fake) as socket:
        await set_up(socket)
        for status in ("failed", "incomplete"):
            await send(socket, "response.create")
            done = (await until(socket, "response.done"))[-1]["response"]
            assert done["status"] == status


async def test_a_session_ends_when_its_time_is_over(fake: OpenAIFake) -> None:
    fake.voice.session_s = 0.05
    async with await opened(fake) as socket:
        await event(socket)
        assert (await event(socket))["error"]["code"] == "session_expired"
        with pytest.raises(ConnectionClosed) as caught:
            await event(socket)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1001
