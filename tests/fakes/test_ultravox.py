"""The fake Ultravox refuses what Ultravox refuses, and talks as it does."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from aiohttp import web
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from shared.audio import Resampler, pcm16_to_ulaw, ulaw_to_pcm16
from tests.fakes.openai_chat import Wants
from tests.fakes.speech import speech, words_in
from tests.fakes.ultravox import KEY, UltravoxFake
from tests.fakes.ultravox_faults import Falls, Mute, Refusal

RELAY = {"serverWebSocket": {"inputSampleRate": 8000, "clientBufferSizeMs": 30_000}}
USER_FIRST: dict[str, Any] = {"firstSpeakerSettings": {"user": {}}}
CLIENT_TOOL = {
    "temporaryTool": {"modelToolName": "look", "description": "Look.", "client": {}},
}
HELLO = speech("hello", 20) + b"\xff" * 4000


@pytest.fixture
async def fake() -> AsyncIterator[UltravoxFake]:
    async with UltravoxFake() as server:
        yield server


async def ask(
    fake: UltravoxFake, verb: str, path: str, body: Any = None, key: str = KEY
) -> httpx2.Response:
    async with httpx2.AsyncClient() as http:
        return await http.request(verb, fake.url + path, json=body, headers={"X-API-Key": key})


async def create(fake: UltravoxFake, path: str = "/api/calls", **body: Any) -> dict[str, Any]:
    answer = await ask(fake, "POST", path, {"medium": RELAY, **USER_FIRST, **body})
    assert answer.status_code == 201, answer.text
    call: dict[str, Any] = answer.json()
    return call


class Client:
    """Somebody on a joinUrl: reads all there is, and says what it is told to."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.said: list[dict[str, Any]] = []
        self.audio = bytearray()
        self.code: int | None = None

    async def read(self) -> None:
        """Read until the socket ends."""
        try:
            async for message in self.socket:
                if isinstance(message, bytes):
                    self.audio += message
                else:
                    self.said.append(json.loads(message))
        except ConnectionClosed:
            pass
        self.code = self.socket.close_code

    async def speak(self, audio: bytes = HELLO) -> None:
        """Say something at once."""
        await self.socket.send(ulaw_to_pcm16(audio))

    async def send(self, **message: Any) -> None:
        """Send JSON."""
        await self.socket.send(json.dumps(message))

    async def until(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Return the first message of a type with these fields, once there is one."""
        async with asyncio.timeout(30):
            while True:
                for it in self.said:
                    if kind in (it.get("type"), it.get("event")) and fields.items() <= it.items():
                        return it
                await asyncio.sleep(0.005)

    @property
    def words(self) -> list[str]:
        """What was heard, at 8 kHz."""
        return words_in(pcm16_to_ulaw(bytes(self.audio)))


@asynccontextmanager
async def joined(call: dict[str, Any]) -> AsyncIterator[Client]:
    async with connect(call["joinUrl"], compression=None) as socket:
        client = Client(socket)
        reading = asyncio.create_task(client.read())
        yield client
        await socket.close()
        await reading


# What it refuses ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"systemprompt": "x"}, "systemprompt"),
        ({"temperature": 2}, "temperature"),
        ({"maxDuration": 60}, "maxDuration"),
        ({"maxDuration": "60"}, "maxDuration"),
        ({"model": "fixie-ai/ultravox-70B"}, "model"),
        ({"medium": {}}, "medium"),
        ({"medium": {"serverWebSocket": {}}}, "medium.serverWebSocket.inputSampleRate"),
        ({"medium": {"twilio": {}, "webRtc": {}}}, "medium"),
        ({"firstSpeakerSettings": {"agent": {}, "user": {}}}, "firstSpeakerSettings"),
        ({"voice": "Mark", "externalVoice": {"cartesia": {}}}, "externalVoice"),
        ({"metadata": {"ultravox.x": "y"}}, "metadata.ultravox.x"),
        ({"metadata": {"x": 1}}, "metadata.x"),
        ({"vadSettings": {"turnEndpointDelay": "1"}}, "vadSettings.turnEndpointDelay"),
        ({"selectedTools": [{"toolName": "hangUp", "toolId": "x"}]}, "selectedTools[0]"),
        ({"selectedTools": [CLIENT_TOOL, CLIENT_TOOL]}, "selectedTools"),
        ({"inactivityMessages": [{"message": "x"}]}, "inactivityMessages[0].duration"),
        ({"initialMessages": [{"role": "user", "text": "x"}]}, "initialMessages[0].role"),
        (
            {
                "initialMessages": [
                    {"role": "MESSAGE_ROLE_TOOL_CALL", "toolName": "x", "invocationId": "1"}
                ]
            },
            "initialMessages",
        ),
    ],
)  # fmt: skip
async def test_a_body_that_is_wrong_is_refused(
    fake: UltravoxFake, body: dict[str, Any], where: str
) -> None:
    answer = await ask(fake, "POST", "/api/calls", body)
    assert answer.status_code == 400
    assert list(answer.json()) == [where]


@pytest.mark.parametrize(
    "tool",
    [
        {"modelToolName": "a b", "description": "", "client": {}},
        {"modelToolName": "a", "description": ""},
        {"modelToolName": "a", "description": "", "client": {}, "http": {}},
        {"modelToolName": "a", "description": "", "client": {}, "timeout": "41s"},
        {
            "modelToolName": "a",
            "description": "",
            "client": {},
            "dynamicParameters": [
                {"name": "x", "location": "PARAMETER_LOCATION_QUERY", "schema": {}}
            ],
        },
        {
            "modelToolName": "a",
            "description": "",
            "client": {},
            "dynamicParameters": [
                {
                    "name": "x",
                    "location": "PARAMETER_LOCATION_BODY",
                    "schema": {"$ref": "#/$defs/X"},
                }
            ],
        },
    ],
)
async def test_a_tool_that_nobody_could_call_is_refused(
    fake: UltravoxFake, tool: dict[str, Any]
) -> None:
    body = {"selectedTools": [{"temporaryTool": tool}]}
    assert (await ask(fake, "POST", "/api/calls", body)).status_code == 400


async def test_a_stored_agent_takes_no_prompt(fake: UltravoxFake) -> None:
    fake.agents["a1"] = {"systemPrompt": "Be brief."}
    answer = await ask(fake, "POST", "/api/agents/a1/calls", {"systemPrompt": "Be long."})
    assert answer.status_code == 400
    call = await create(fake, "/api/agents/a1/calls", templateContext={"name": "Ann"})
    assert call["agentId"] == "a1"
    assert fake.last.prompt == "Be brief."
    assert (await ask(fake, "POST", "/api/agents/a2/calls", {})).status_code == 404


async def test_the_key_the_plan_and_programmed_refusals_are_minded(fake: UltravoxFake) -> None:
    assert (await ask(fake, "POST", "/api/calls", {}, key="wrong")).status_code == 401
    fake.concurrency = 1
    await create(fake)
    answer = await ask(fake, "POST", "/api/calls", {})
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "5"
    fake.next_creations.append(Refusal(402))
    assert (await ask(fake, "POST", "/api/calls", {})).status_code == 402


async def test_a_rate_that_is_not_taken_is_a_wrong_parameter(fake: UltravoxFake) -> None:
    fake.rates = frozenset({16_000, 48_000})
    assert (await ask(fake, "POST", "/api/calls", {"medium": RELAY})).status_code == 400


async def test_a_call_is_joined_once_and_in_time(fake: UltravoxFake) -> None:
    call = await create(fake)
    async with joined(call):
        with pytest.raises(InvalidStatus):
            await connect(call["joinUrl"])
    late = await create(fake, joinTimeout="0.05s")
    await asyncio.sleep(0.1)
    with pytest.raises(InvalidStatus):
        await connect(late["joinUrl"])
    shown = (await ask(fake, "GET", f"/api/calls/{late['callId']}")).json()
    assert shown["endReason"] == "unjoined"
    with pytest.raises(InvalidStatus):
        await connect(f"ws{fake.url.removeprefix('http')}/join/nothing")


async def test_a_message_by_rest_needs_a_call_that_goes_on(fake: UltravoxFake) -> None:
    call = await create(fake)
    path = f"/api/calls/{call['callId']}/send_data_message"
    message = {"type": "forced_agent_message", "content": "Still there?"}
    assert (await ask(fake, "POST", path, message)).status_code == 422
    async with joined(call) as client:
        await client.until("state", state="listening")
        assert (await ask(fake, "POST", path, message)).status_code == 204
        await client.until("transcript", text="Still there?", final=True)
        assert (await ask(fake, "POST", path, {"type": "ping"})).status_code == 400
    assert (await ask(fake, "POST", path, message)).status_code == 422
    assert (await ask(fake, "POST", "/api/calls/x/send_data_message", message)).status_code == 404


async def test_data_messages_that_are_wrong_are_noted(fake: UltravoxFake) -> None:
    async with joined(await create(fake)) as client:
        await client.send(type="client_tool_result", invocation_id="1")
        await client.send(type="sing")
        await client.send(type="ping", timestamp=1.5)
        await client.until("pong", timestamp=1.5)
    assert fake.last.refused == [
        "client_tool_result without ['invocationId']",
        "unknown type sing",
    ]


# The line ----------------------------------------------------------------------------------------


async def test_audio_that_is_too_much_or_too_little_is_warned_of() -> None:
    async with UltravoxFake(tolerance_s=0.1) as fake:
        async with joined(await create(fake)) as client:
            await client.speak(b"\xff" * 160)
            await asyncio.sleep(0.2)
            await client.speak(b"\xff" * 160)
            await client.until("state", state="listening")
        assert fake.last.warnings == ["underflow"]
        async with joined(await create(fake)) as client:
            await client.speak(b"\xff" * 8000)
            await asyncio.sleep(0.05)
        assert fake.last.warnings == ["overflow"]


async def test_a_line_without_audio_is_given_up() -> None:
    async with UltravoxFake(least_idle_s=0.1) as fake:
        medium = {"serverWebSocket": {"inputSampleRate": 8000, "mediaIdleTimeout": "0.01s"}}
        async with joined(await create(fake, medium=medium)) as client:
            async with asyncio.timeout(20):
                await client.socket.wait_closed()
        assert fake.last.end_reason == "connection_error"


@pytest.mark.parametrize("rate", [16_000, 24_000, 48_000])
async def test_it_talks_at_other_rates_and_in_pieces_of_samples(
    fake: UltravoxFake, rate: int
) -> None:
    fake.manners.odd = True
    fake.script.replies = {"hello": "Good morning."}
    medium = {"serverWebSocket": {"inputSampleRate": rate, "clientBufferSizeMs": 30_000}}
    async with joined(await create(fake, medium=medium)) as client:
        await client.socket.send(Resampler(8000, rate).feed(ulaw_to_pcm16(HELLO)))
        await client.until("transcript", role="agent", final=True)
        heard = pcm16_to_ulaw(Resampler(rate).feed(bytes(client.audio[: len(client.audio) & ~1])))
    assert abs(len(heard) - len(fake.script.voice("Good morning."))) < 80


# Talk --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transcripts", ["delta", "text"])
async def test_a_turn_is_heard_and_answered(fake: UltravoxFake, transcripts: Any) -> None:
    fake.manners.transcripts = transcripts
    fake.script.replies = {"hello": "Good morning."}
    async with joined(await create(fake)) as client:
        await client.until("call_started", callId=fake.last.id)
        await client.speak()
        await client.until("transcript", role="user", text="hello", final=True)
        await client.until("transcript", role="agent", text="Good morning.", final=True)
        await client.until("state", state="listening")
    states = [it["state"] for it in client.said if it["type"] == "state"]
    assert states[:5] == ["idle", "listening", "thinking", "speaking", "listening"]
    assert client.words == ["Good", "morning."]
    interim = [it for it in client.said if it.get("role") == "agent" and not it["final"]]
    assert next(it[transcripts] for it in interim) == "Good"
    assert {it["ordinal"] for it in interim} == {1}
    assert fake.last.end_reason == "hangup"


async def test_who_speaks_first_is_as_the_call_says(fake: UltravoxFake) -> None:
    fake.script.replies = {"Be nice": "How nice."}
    for agent, said in (
        ({"text": "Bella Vista."}, "Bella Vista."),
        ({"prompt": "Be nice"}, "How nice."),
        ({}, "Hello there."),
    ):
        async with joined(await create(fake, firstSpeakerSettings={"agent": agent})) as client:
            await client.until("transcript", text=said, final=True)


async def test_a_caller_who_speaks_interrupts_what_may_be_interrupted(fake: UltravoxFake) -> None:
    text = "This goes on for a while and then some more."
    fake.script.letter_ms = 40
    greeting = {"agent": {"text": text}}
    async with joined(await create(fake, firstSpeakerSettings=greeting)) as client:
        await client.until("transcript", role="agent")
        await asyncio.sleep(0.2)
        await client.speak()
        await client.until("playback_clear_buffer")
        said = (await client.until("transcript", role="agent", final=True))["text"]
        assert said
        assert text.startswith(said)
        assert said != text
    greeting["agent"]["uninterruptible"] = True  # type: ignore[assignment]
    async with joined(await create(fake, firstSpeakerSettings=greeting)) as client:
        await client.until("transcript", role="agent")
        await client.speak()
        await client.until("transcript", role="agent", final=True, text=text)
        await client.until("transcript", role="user", text="hello")
    assert not [it for it in client.said if it["type"] == "playback_clear_buffer"]


async def test_texts_interrupt_wait_or_say_nothing_by_their_urgency(fake: UltravoxFake) -> None:
    fake.script.replies = {"now": "At once.", "soon": "Soon.", "later": "Never."}
    async with joined(await create(fake)) as client:
        await client.send(type="forced_agent_message", content="A long sentence that goes on.")
        await client.until("state", state="speaking")
        await client.send(type="user_text_message", text="later", urgency="later")
        await client.send(type="user_text_message", text="now", urgency="immediate")
        await client.until("playback_clear_buffer")
        await client.until("transcript", text="At once.")
        await client.send(type="user_text_message", text="soon")
        await client.until("transcript", text="Soon.")
    assert not [it for it in client.said if it.get("text") == "Never."]


async def test_an_inactive_caller_is_reminded_and_left(fake: UltravoxFake) -> None:
    reminders = [
        {"duration": "0.1s", "message": "Still there?"},
        {
            "duration": "0.1s",
            "message": "Goodbye.",
            "endBehavior": "END_BEHAVIOR_HANG_UP_SOFT",
        },
    ]
    async with joined(await create(fake, inactivityMessages=reminders)) as client:
        async with asyncio.timeout(30):
            await client.socket.wait_closed()
    assert client.words == ["Still", "there?", "Goodbye."]
    assert fake.last.end_reason == "agent_hangup"


async def test_a_call_ends_when_it_is_too_long(fake: UltravoxFake) -> None:
    call = await create(fake, maxDuration="0.1s", timeExceededMessage="Time is up.")
    async with joined(call) as client:
        async with asyncio.timeout(30):
            await client.socket.wait_closed()
    assert client.words == ["Time", "is", "up."]
    assert fake.last.end_reason == "timeout"


# Tools -------------------------------------------------------------------------------------------


async def test_the_conversation_is_frozen_while_a_tool_runs(fake: UltravoxFake) -> None:
    fake.script.replies = {"hello": [Wants("look")], "seen": "I see."}
    async with joined(await create(fake, selectedTools=[CLIENT_TOOL])) as client:
        await client.speak()
        wanted = await client.until("client_tool_invocation", toolName="look")
        await client.speak(speech("again", 20) + b"\xff" * 4000)
        await client.send(type="user_text_message", text="now", urgency="immediate")
        await asyncio.sleep(0.1)
        assert fake.script.heard == ["hello"]
        await client.send(
            type="client_tool_result", invocationId=wanted["invocationId"], result="seen"
        )
        await client.until("transcript", text="I see.")
        await client.until("transcript", text="Pardon?")
    assert fake.script.returned[0] == ("look", "seen")
    assert fake.last.refused == []


async def test_a_tool_that_takes_too_long_is_given_up(fake: UltravoxFake) -> None:
    fake.script.replies = {"hello": [Wants("look")], "The tool timed out.": "Too late."}
    tool = {"temporaryTool": {**CLIENT_TOOL["temporaryTool"], "timeout": "0.1s"}}
    async with joined(await create(fake, selectedTools=[tool])) as client:
        await client.speak()
        wanted = await client.until("client_tool_invocation")
        await client.until("transcript", text="Too late.")
        await client.send(
            type="client_tool_result", invocationId=wanted["invocationId"], result="seen"
        )
        await client.send(type="ping", timestamp=0)
        await client.until("pong")
    assert fake.last.refused == ["nobody waits for this tool"]


async def test_a_stage_begins_with_a_tools_answer(fake: UltravoxFake) -> None:
    fake.script.replies = {"hello": [Wants("look")], "Moved": "Sales here."}
    async with joined(await create(fake, selectedTools=[CLIENT_TOOL])) as client:
        await client.speak()
        wanted = await client.until("client_tool_invocation")
        stage = {"systemPrompt": "You sell.", "selectedTools": [], "toolResultText": "Moved on."}
        await client.send(
            type="client_tool_result",
            invocationId=wanted["invocationId"],
            result=json.dumps(stage),
            responseType="new-stage",
        )
        await client.until("transcript", text="Sales here.")
    call = fake.last
    assert call.prompt == "You sell."
    assert call.tools == {}
    messages = f"/api/calls/{call.id}/messages"
    last = (await ask(fake, "GET", messages)).json()["results"]
    everything = (await ask(fake, "GET", f"{messages}?mode=in_call&pageSize=2")).json()
    assert len(last) == 2
    assert len(everything["results"]) == 2
    assert everything["total"] == 4
    assert "cursor=2" in everything["next"]


async def test_a_wrong_stage_is_none(fake: UltravoxFake) -> None:
    fake.script.replies = {"hello": [Wants("look")], "The stage is wrong.": "Oh."}
    async with joined(await create(fake, selectedTools=[CLIENT_TOOL])) as client:
        await client.speak()
        wanted = await client.until("client_tool_invocation")
        await client.send(
            type="client_tool_result",
            invocationId=wanted["invocationId"],
            result=json.dumps({"model": "another"}),
            responseType="new-stage",
        )
        await client.until("transcript", text="Oh.")
    assert len(fake.last.stages) == 1


async def test_the_services_own_tools_work(fake: UltravoxFake) -> None:
    fake.corpora["c1"] = [
        {"content": "We open at ten.", "score": 0.9, "citation": {}},
        {"content": "Cats are fine.", "score": 0.2, "citation": {}},
    ]
    fake.script.replies = {
        "hello": [Wants("queryCorpus", {"query": "hours"})],
        "We open at ten.": ["At ten. Goodbye.", Wants("hangUp")],
    }
    tools = [
        {
            "toolName": "queryCorpus",
            "parameterOverrides": {"corpus_id": "c1", "minimum_score": 0.5},
        },
        {"toolName": "hangUp"},
    ]
    async with joined(await create(fake, selectedTools=tools)) as client:
        await client.speak()
        async with asyncio.timeout(30):
            await client.socket.wait_closed()
    assert fake.script.returned[0] == ("queryCorpus", "We open at ten.")
    assert client.words == ["At", "ten.", "Goodbye."]
    assert fake.last.end_reason == "agent_hangup"
    found = await ask(fake, "POST", "/api/corpora/c1/query", {"query": "x", "maxResults": 1})
    assert [it["content"] for it in found.json()] == ["We open at ten."]
    assert (await ask(fake, "POST", "/api/corpora/c2/query", {"query": "x"})).status_code == 404


# Going on, and going down ------------------------------------------------------------------------


async def test_a_call_goes_on_with_what_another_has_said(fake: UltravoxFake) -> None:
    fake.script.replies = {"hello": "Good morning."}
    first = await create(fake, systemPrompt="Be nice.")
    async with joined(first) as client:
        await client.speak()
        await client.until("transcript", text="Good morning.")
    path = f"/api/calls?priorCallId={first['callId']}"
    await create(fake, path)
    assert fake.last.prompt == "Be nice."
    assert [it["text"] for it in fake.last.messages] == ["hello", "Good morning."]
    assert (await ask(fake, "POST", "/api/calls?priorCallId=none", {})).status_code == 400


@pytest.mark.parametrize("phase", ["joined", "caller", "thinking", "speaking", "tool"])
@pytest.mark.parametrize("code", [1011, None])
async def test_a_call_falls_when_it_is_told_to(
    fake: UltravoxFake, phase: Any, code: int | None
) -> None:
    fake.manners.faults.append(Falls(phase, code))
    fake.script.replies = {"hello": ["Look.", Wants("look")]}
    async with joined(await create(fake, selectedTools=[CLIENT_TOOL])) as client:
        try:
            await client.speak()
        except ConnectionClosed:
            assert phase == "joined"
        async with asyncio.timeout(30):
            await client.socket.wait_closed()
    assert client.code == (code or 1006)
    assert fake.last.end_reason == "system_error"


async def test_a_mute_call_says_nothing(fake: UltravoxFake) -> None:
    fake.manners.faults.append(Mute())
    async with joined(await create(fake)) as client:
        await client.speak()
        await client.send(type="ping", timestamp=1)
        await asyncio.sleep(0.2)
        assert client.said == []


async def test_late_and_strange_things_come_when_they_are_asked_for(fake: UltravoxFake) -> None:
    fake.manners.noise = ('{"type": "call_event"}', "no json")
    fake.manners.late_audio_ms, fake.manners.late_tools = 40, True
    fake.manners.transcript_delay_s = 0.3
    fake.script.replies = {"hello": ["A rather long answer to this.", Wants("look")]}
    async with connect((await create(fake, selectedTools=[CLIENT_TOOL]))["joinUrl"]) as socket:
        await socket.send(ulaw_to_pcm16(HELLO))
        texts: list[str | bytes] = []
        async with asyncio.timeout(30):
            while not any(isinstance(it, bytes) for it in texts):
                texts.append(await socket.recv())
            await socket.send(ulaw_to_pcm16(HELLO))
            while not any("client_tool_invocation" in it for it in texts if isinstance(it, str)):
                texts.append(await socket.recv())
    assert texts.count("no json") == 2
    clear = next(at for at, it in enumerate(texts) if "playback_clear" in str(it))
    assert any(isinstance(it, bytes) for it in texts[clear:])


# Twilio's side -----------------------------------------------------------------------------------


class Stream(Client):
    """Twilio on a joinUrl."""

    async def start(self) -> None:
        """Begin the stream."""
        media = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
        start = {"streamSid": "MZ1", "callSid": "CA1", "mediaFormat": media}
        await self.send(event="connected", protocol="Call", version="1.0.0")
        await self.send(event="start", streamSid="MZ1", start=start)

    async def speak(self, audio: bytes = HELLO) -> None:
        for at in range(0, len(audio), 160):
            payload = base64.b64encode(audio[at : at + 160]).decode()
            await self.send(event="media", streamSid="MZ1", media={"payload": payload})

    @property
    def words(self) -> list[str]:
        media = [it["media"]["payload"] for it in self.said if it["event"] == "media"]
        return words_in(b"".join(map(base64.b64decode, media)))


@asynccontextmanager
async def streaming(call: dict[str, Any]) -> AsyncIterator[Stream]:
    async with connect(call["joinUrl"], compression=None) as socket:
        stream = Stream(socket)
        reading = asyncio.create_task(stream.read())
        await stream.start()
        yield stream
        await socket.close()
        await reading


class ToolServer:
    """Answers a tool as it is told to, and keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.answer, self.headers, self.status, self.delay_s = "seen", {}, 200, 0.0  # type: ignore[var-annotated]

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append(
            {"body": await request.json(), "query": dict(request.query), "path": request.path}
            | {"token": request.headers.get("X-Token")}
        )
        await asyncio.sleep(self.delay_s)
        return web.Response(text=self.answer, headers=self.headers, status=self.status)


@pytest.fixture
async def server() -> AsyncIterator[tuple[ToolServer, str]]:
    tools = ToolServer()
    app = web.Application()
    app.router.add_post("/{path:.*}", tools.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield tools, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


def http_tool(url: str, **more: Any) -> dict[str, Any]:
    return {
        "temporaryTool": {
            "modelToolName": "look",
            "description": "Look.",
            "http": {"baseUrlPattern": f"{url}/look/{{what}}", "httpMethod": "POST"},
            "dynamicParameters": [
                {
                    "name": "what",
                    "location": "PARAMETER_LOCATION_PATH",
                    "schema": {"type": "string"},
                    "required": True,
                },
                {
                    "name": "where",
                    "location": "PARAMETER_LOCATION_BODY",
                    "schema": {"type": "string"},
                },
            ],
            "staticParameters": [
                {"name": "X-Token", "location": "PARAMETER_LOCATION_HEADER", "value": "t1"}
            ],
            "automaticParameters": [
                {
                    "name": "call",
                    "location": "PARAMETER_LOCATION_QUERY",
                    "knownValue": "KNOWN_PARAM_CALL_ID",
                }
            ],
            **more,
        }
    }


async def test_twilio_talks_to_it_and_its_tools_are_called_over_http(
    fake: UltravoxFake, server: tuple[ToolServer, str]
) -> None:
    tools, url = server
    arguments = {"what": "a b", "where": "there"}
    fake.script.replies = {"hello": ["One moment.", Wants("look", arguments)], "seen": "I see."}
    call = await create(fake, medium={"twilio": {}}, selectedTools=[http_tool(url)])
    async with streaming(call) as stream:
        await stream.speak()
        await fake.until(lambda: len(fake.last.messages) == 5)
    assert stream.words == ["One", "moment.", "I", "see."]
    assert tools.asked == [
        {
            "path": "/look/a b",
            "body": {"where": "there"},
            "query": {"call": call["callId"]},
            "token": "t1",
        }
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"delay_s": 0.5}, ["Late."]),
        ({"status": 500, "answer": "boom"}, ["Failed."]),
        ({"headers": {"X-Ultravox-Agent-Reaction": "listens"}}, []),
        ({"headers": {"X-Ultravox-Response-Type": "hang-up"}}, []),
        (
            {
                "headers": {"X-Ultravox-Response-Type": "new-stage"},
                "answer": json.dumps({"systemPrompt": "You sell.", "toolResultText": "moved"}),
            },
            ["Moved."],
        ),
    ],
)
async def test_an_http_tool_may_be_late_fail_or_change_the_call(
    fake: UltravoxFake, server: tuple[ToolServer, str], change: dict[str, Any], said: list[str]
) -> None:
    tools, url = server
    for name, value in change.items():
        setattr(tools, name, value)
    fake.script.replies = {
        "hello": [Wants("look", {"what": "x"})],
        "The tool timed out.": "Late.",
        "boom": "Failed.",
        "moved": "Moved.",
    }
    tool = http_tool(url, timeout="0.2s")
    call = await create(fake, medium={"twilio": {}}, selectedTools=[tool])
    async with streaming(call) as stream:
        await stream.speak()
        await fake.until(lambda: bool(fake.script.returned))
        await fake.until(lambda: stream.words == said)
        await asyncio.sleep(0.05)
    assert stream.words == said
    hung_up = "hang-up" in str(change)
    assert fake.last.end_reason == ("agent_hangup" if hung_up else "hangup")
    assert fake.last.prompt == ("You sell." if said == ["Moved."] else "")


async def test_twilio_is_told_to_clear_and_may_press_keys(fake: UltravoxFake) -> None:
    fake.script.replies = {"5": "Five.", "hello": "A rather long answer to all of this."}
    async with streaming(await create(fake, medium={"twilio": {}})) as stream:
        await stream.send(event="dtmf", streamSid="MZ1", dtmf={"track": "inbound", "digit": "5"})
        await stream.until("media")
        await stream.speak()
        await fake.until(lambda: fake.script.heard == ["hello"])
        await asyncio.sleep(0.1)
        await stream.speak()
        await stream.until("clear")
        await stream.send(event="stop", streamSid="MZ1")
        async with asyncio.timeout(20):
            await stream.socket.wait_closed()
    assert fake.last.end_reason == "hangup"


async def test_a_line_is_not_taken_for_the_other(fake: UltravoxFake) -> None:
    async with connect((await create(fake, medium={"twilio": {}}))["joinUrl"]) as socket:
        await socket.send(b"\x00" * 320)
        async with asyncio.timeout(20):
            await socket.wait_closed()
        assert socket.close_code == 1003


async def test_ends_are_told_signed_to_who_asked_for_it(
    fake: UltravoxFake, server: tuple[ToolServer, str]
) -> None:
    tools, url = server
    fake.hooks.account.append((f"{url}/account", "s3cret"))
    call = await create(fake, callbacks={"ended": {"url": f"{url}/ended", "secrets": ["x"]}})
    async with joined(call):
        pass
    await fake.until(lambda: len(tools.asked) == 4)
    told = [(it["path"], it["body"]["event"]) for it in tools.asked]
    assert sorted(told) == [
        ("/account", "call.ended"),
        ("/account", "call.joined"),
        ("/account", "call.started"),
        ("/ended", "call.ended"),
    ]
    ended = next(it["body"]["call"] for it in tools.asked if it["path"] == "/ended")
    assert ended["endReason"] == "hangup"
