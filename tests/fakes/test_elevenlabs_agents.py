"""The fake of ElevenLabs Agents refuses what the server refuses, and interrupts as it does."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from shared.audio import silence
from tests.fakes.elevenlabs_agents import KEY, ElevenLabsAgentsFake
from tests.fakes.elevenlabs_agents_manners import Breaks, Manners
from tests.fakes.elevenlabs_agents_request import ALL_EVENTS, ALL_OVERRIDES, Setup
from tests.fakes.openai_chat import Wants
from tests.fakes.speech import speech, words_in
from tests.fakes.voice_model import Script

BEGIN = {"type": "conversation_initiation_client_data"}
PATH = "/v1/convai/conversation"


async def signed(fake: ElevenLabsAgentsFake, key: str = KEY, **query: str) -> httpx2.Response:
    async with httpx2.AsyncClient() as client:
        url = f"{fake.url}{PATH}/get-signed-url"
        return await client.get(url, params=query, headers={"xi-api-key": key})


async def address(fake: ElevenLabsAgentsFake) -> str:
    url: str = (await signed(fake, agent_id="agent_1")).json()["signed_url"]
    return url


@asynccontextmanager
async def begun(fake: ElevenLabsAgentsFake, **initiation: Any) -> AsyncIterator[ClientConnection]:
    async with connect(await address(fake)) as socket:
        await socket.send(json.dumps({**BEGIN, **initiation}))
        yield socket


async def until(socket: ClientConnection, kind: str) -> dict[str, Any]:
    """Return the next event of a kind."""
    async with asyncio.timeout(30):
        while (event := json.loads(await socket.recv()))["type"] != kind:
            pass
    found: dict[str, Any] = event
    return found


async def closed(socket: ClientConnection) -> int:
    """Return the code of the close, when it has come."""
    with suppress(ConnectionClosed):
        while True:
            await socket.recv()
    return socket.close_code or 0


async def ended(socket: ClientConnection) -> tuple[str, int]:
    """Return the type of the error that is told, and the code of the close."""
    error = await until(socket, "error")
    await closed(socket)
    return error["error_event"]["error_type"], socket.close_code or 0


def chunk(audio: bytes) -> str:
    return json.dumps({"user_audio_chunk": base64.b64encode(audio).decode()})


async def speak(socket: ClientConnection, text: str) -> None:
    audio = speech(text, 30) + silence(400)
    for start in range(0, len(audio) - 160, 800):
        await socket.send(chunk(audio[start : start + 800].ljust(160, b"\xff")))


# The address -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "query", "status"),
    [
        ("wrong", {"agent_id": "agent_1"}, 401),
        (KEY, {}, 422),
        (KEY, {"agent_id": "agent_1", "invented": "1"}, 422),
        (KEY, {"agent_id": "agent_2"}, 404),
    ],
)
async def test_an_address_is_signed_for_whom_it_is_due(
    key: str, query: dict[str, str], status: int
) -> None:
    async with ElevenLabsAgentsFake() as fake:
        assert (await signed(fake, key, **query)).status_code == status


async def test_an_address_serves_once() -> None:
    async with ElevenLabsAgentsFake() as fake:
        url = await address(fake)
        async with connect(url):
            pass
        with pytest.raises(InvalidStatus):
            async with connect(url):
                pass


@pytest.mark.parametrize("query", ["agent_id=agent_1", "agent_id=agent_2", ""])
async def test_a_socket_without_signature_is_for_public_agents(query: str) -> None:
    async with ElevenLabsAgentsFake() as fake:
        url = f"ws{fake.url.removeprefix('http')}{PATH}?{query}"
        async with connect(url) as socket:
            assert await closed(socket) == 3000
        fake.setup.public = True
        if query == "agent_id=agent_1":
            async with connect(url) as socket:
                await socket.send(json.dumps(BEGIN))
                await until(socket, "conversation_initiation_metadata")


# The beginning ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("initiation", "kind"),
    [
        ({"type": "user_activity"}, "invalid_message"),
        ({"invented": 1}, "invalid_message"),
        ({"dynamic_variables": {"system__x": "1"}}, "value_error"),
        ({"dynamic_variables": {"x": ["1"]}}, "value_error"),
        ({"conversation_config_override": {"tts": {"speed": 3}}}, "value_error"),
        ({"conversation_config_override": {"tts": {"output": "x"}}}, "value_error"),
        ({"conversation_config_override": {"agent": {"language": "de"}}}, "override_error"),
        (
            {"conversation_config_override": {"agent": {"first_message": "Hi {{name}}"}}},
            "missing_dynamic_variable",
        ),
    ],
)
async def test_a_wrong_beginning_ends_it(initiation: dict[str, Any], kind: str) -> None:
    setup = Setup(overrides=ALL_OVERRIDES - {"agent.language"})
    async with ElevenLabsAgentsFake(setup=setup) as fake, begun(fake, **initiation) as socket:
        assert await ended(socket) == (kind, 1008)


async def test_audio_before_the_beginning_ends_it() -> None:
    async with ElevenLabsAgentsFake() as fake, connect(await address(fake)) as socket:
        await socket.send(chunk(silence(100)))
        assert await ended(socket) == ("invalid_message", 1008)


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ("no JSON", "invalid_message"),
        ('{"type": "ping"}', "invalid_message"),
        ('{"type": "user_audio_chunk", "user_audio_chunk": "AAAA"}', "invalid_message"),
        ('{"type": "pong"}', "missing_fields"),
        ('{"type": "client_tool_result", "tool_call_id": "1", "result": {}}', "invalid_message"),
        (chunk(silence(10)), "invalid_message"),
        (chunk(silence(300)), "invalid_message"),
        ('{"user_audio_chunk": "-"}', "invalid_message"),
    ],
)
async def test_a_wrong_message_ends_it(wrong: str, kind: str) -> None:
    async with ElevenLabsAgentsFake() as fake, begun(fake) as socket:
        await socket.send(wrong)
        assert await ended(socket) == (kind, 1008)


# The conversation ---------------------------------------------------------------------------------


async def test_metadata_comes_first_then_pings_which_are_to_be_answered() -> None:
    async with ElevenLabsAgentsFake(manners=Manners(ping_s=0.02)) as fake, begun(fake) as socket:
        first = json.loads(await socket.recv())
        assert first["type"] == "conversation_initiation_metadata"
        ping = (await until(socket, "ping"))["ping_event"]
        assert ping["ping_ms"] is None
        await until(socket, "ping")
        await socket.send(json.dumps({"type": "pong", "event_id": ping["event_id"]}))
        await until(socket, "ping")
        unanswered = fake.sessions[0].unanswered
        assert ping["event_id"] not in unanswered
        assert len(unanswered) >= 1


async def test_without_audio_it_ends() -> None:
    manners = Manners(transport_timeout_s=0.05)
    async with ElevenLabsAgentsFake(manners=manners) as fake, begun(fake) as socket:
        assert await ended(socket) == ("transport_receive_timeout", 1002)


async def test_it_answers_with_numbered_audio_and_text() -> None:
    script = Script({"hello": "Good evening."}, letter_ms=10)
    async with ElevenLabsAgentsFake(script=script) as fake, begun(fake) as socket:
        await speak(socket, "hello")
        said = await until(socket, "user_transcript")
        assert said["user_transcription_event"]["user_transcript"] == "hello"
        audio = (await until(socket, "audio"))["audio_event"]
        text = (await until(socket, "agent_response"))["agent_response_event"]
        assert text["agent_response"] == "Good evening."
        heard = base64.b64decode(audio["audio_base_64"])
        heard += base64.b64decode((await until(socket, "audio"))["audio_event"]["audio_base_64"])
        assert words_in(heard) == ["Good", "evening."]


async def test_speech_into_its_speech_interrupts_and_corrects_it() -> None:
    setup = Setup(first_message="A very long story of many words indeed.")
    manners = Manners(stale_audio=True)
    async with ElevenLabsAgentsFake(setup=setup, manners=manners) as fake, begun(fake) as socket:
        await until(socket, "agent_response")
        await speak(socket, "stop")
        cut = (await until(socket, "interruption"))["interruption_event"]["event_id"]
        assert (await until(socket, "audio"))["audio_event"]["event_id"] <= cut
        correction = await until(socket, "agent_response_correction")
        words = correction["agent_response_correction_event"]
        assert words["original_agent_response"] == setup.first_message
        assert len(words["corrected_agent_response"]) < len(setup.first_message)


async def test_a_tool_freezes_it_until_its_result_or_its_time_is_over() -> None:
    setup = Setup(tools={"book": 0.1})
    script = Script({"book": [Wants("book", {"people": 2}), Wants("unknown")]}, letter_ms=10)
    async with ElevenLabsAgentsFake(setup=setup, script=script) as fake, begun(fake) as socket:
        await speak(socket, "book")
        call = (await until(socket, "client_tool_call"))["client_tool_call"]
        assert call["parameters"] == {"people": 2}
        await until(socket, "agent_response")
        assert script.returned == [("book", "error: timed out")]


async def test_it_leaves_by_itself() -> None:
    script = Script({"bye": ["Bye.", Wants("end_call")]}, letter_ms=10)
    async with ElevenLabsAgentsFake(script=script) as fake, begun(fake) as socket:
        await speak(socket, "bye")
        left = (await until(socket, "agent_tool_response"))["agent_tool_response"]
        assert left["tool_name"] == "end_call"
        assert await closed(socket) == 1000


async def test_events_that_are_not_asked_for_do_not_come() -> None:
    setup = Setup(events=ALL_EVENTS - {"vad_score"})
    async with ElevenLabsAgentsFake(setup=setup) as fake, begun(fake) as socket:
        await speak(socket, "hello")
        while (event := json.loads(await socket.recv()))["type"] != "audio":
            assert event["type"] != "vad_score"


@pytest.mark.parametrize("code", [1002, 1008, 1011, None])
async def test_it_breaks_where_it_is_told_to(code: int | None) -> None:
    manners = Manners(breaks=Breaks("begin", code, "as_told" if code else ""))
    async with ElevenLabsAgentsFake(manners=manners) as fake, begun(fake) as socket:
        if code is not None:
            assert await ended(socket) == ("as_told", code)
        else:
            assert await closed(socket) == 1006
