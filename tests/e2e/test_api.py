"""The API of a running gateway: orders to live calls, calls of before a restart, tokens."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from phone import PhoneSettings
from tests.harness import RunningGateway, eventually, running_gateway

AGENTS = {
    "desk.py": '''
from worker import Agent
from worker.providers import Espeak

class Desk(Agent):
    """Greets, and says no more by itself."""
    tts = Espeak(rate=250)
    greeting = "Hello there"

class Mute(Agent):
    """Has no voice."""
''',
    "routes.toml": 'default = "desk:Desk"\n[numbers]\n"+15550003333" = "desk:Mute"\n',
}
QUICK = PhoneSettings(verb_speed=50)

of_one_gateway = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningGateway]:
    """A gateway that several tests call, one after the other."""
    async with running_gateway(tmp_path_factory.mktemp("api"), AGENTS) as gateway:
        yield gateway


async def is_live(gateway: RunningGateway, sid: str) -> bool:
    return any(it["sid"] == sid for it in await gateway.calls())


async def order(gateway: RunningGateway, sid: str, what: str, **body: Any) -> httpx2.Response:
    return await gateway.api("POST", f"/api/calls/{sid}/{what}", body or None)


async def said(gateway: RunningGateway, sid: str) -> list[str]:
    view = await gateway.call_view(sid)
    return [line["text"] for line in view["lines"]]


@of_one_gateway
async def test_what_the_operator_wants_said_is_heard_and_stands_in_the_transcript(
    gateway: RunningGateway,
) -> None:
    async with gateway.phone(QUICK).dial() as call:

        async def greeted() -> bool:
            return await said(gateway, call.sid) == ["Hello there"]

        await eventually(lambda: is_live(gateway, call.sid))
        await eventually(greeted)
        answer = await order(gateway, call.sid, "say", text="Your taxi is here.")
        assert answer.status_code == 202

        async def both() -> bool:
            return await said(gateway, call.sid) == ["Hello there", "Your taxi is here."]

        await eventually(both)
        transcript = (await gateway.api("GET", f"/api/calls/{call.sid}/transcript")).json()
        assert transcript["live"]
        assert [line["role"] for line in transcript["lines"]] == ["agent", "agent"]


@of_one_gateway
async def test_an_agent_without_a_voice_is_not_hurt_by_what_it_cannot_say(
    gateway: RunningGateway,
) -> None:
    async with gateway.phone(QUICK, to="+15550003333").dial() as call:
        await eventually(lambda: is_live(gateway, call.sid))
        assert (await order(gateway, call.sid, "say", text="Hello")).status_code == 202
        await eventually(lambda: "is not said" in gateway.log_text())
        assert (await gateway.call_view(call.sid))["live"]


@of_one_gateway
async def test_keys_are_pressed_and_the_agent_is_back_afterwards(gateway: RunningGateway) -> None:
    async with gateway.phone(QUICK).dial() as call:
        await eventually(lambda: is_live(gateway, call.sid))
        assert (await order(gateway, call.sid, "digits", digits="12#")).status_code == 202

        async def streaming_again() -> bool:
            return bool((await gateway.call_view(call.sid))["state"] == "streaming")

        await eventually(streaming_again)
        assert (await order(gateway, call.sid, "digits", digits="12x")).status_code == 400


async def test_calls_are_listed_shown_and_filtered_after_the_gateway_is_another(
    tmp_path: Path,
) -> None:
    async with running_gateway(tmp_path, AGENTS) as gateway:
        async with gateway.phone(QUICK).dial() as call:
            await call.heard_reply(60)
            await call.heard_silence(600, 60)
            await order(gateway, call.sid, "hangup")
            await call.ended()
        await eventually(lambda: _is_over(gateway, call.sid))
    async with running_gateway(tmp_path, AGENTS) as gateway:
        assert await gateway.calls() == []
        (listed,) = await gateway.calls(live=False)
        assert (listed["sid"], listed["live"], listed["outcome"]) == (call.sid, False, "completed")
        view = await gateway.call_view(call.sid)
        assert [line["text"] for line in view["lines"]] == ["Hello there"]
        for query, count in (
            ("since=1h", 1),
            ("until=1h", 0),
            ("outcome=completed&agent=desk:Desk", 1),
            ("outcome=failed", 0),
            (f"to={listed['to'].replace('+', '%2B')}", 1),
            ("live=true", 0),
            ("live=false&state=ended", 1),
        ):
            found = (await gateway.api("GET", f"/api/calls?{query}")).json()
            assert len(found["calls"]) == count, query
        code, printed = await gateway.command("calls", "--since", "24h")
        assert (code, call.sid in printed) == (0, True)
        code, printed = await gateway.command("show", call.sid)
        assert (code, "Hello there" in printed) == (0, True)


async def _is_over(gateway: RunningGateway, sid: str) -> bool:
    return not (await gateway.call_view(sid))["live"]


@of_one_gateway
async def test_a_token_is_made_by_command_opens_its_scope_and_is_revoked(
    gateway: RunningGateway,
) -> None:
    code, printed = await gateway.command("tokens", "create", "wall", "--scope", "read")
    assert code == 0
    token = printed.strip()

    async def ask(method: str, path: str) -> int:
        async with httpx2.AsyncClient(base_url=gateway.url) as client:
            headers = {"Authorization": f"Bearer {token}"}
            return (await client.request(method, path, headers=headers)).status_code

    assert await ask("GET", "/api/calls") == 200
    assert await ask("POST", "/api/releases") == 403
    code, printed = await gateway.command("tokens", "list")
    assert "wall" in printed
    assert token not in printed
    assert (await gateway.command("tokens", "revoke", "wall"))[0] == 0
    assert await ask("GET", "/api/calls") == 401
    code, printed = await gateway.command("tokens", "revoke", "wall")
    assert (code, "no such token" in printed) == (1, True)


@pytest.mark.parametrize("path", ["/api/calls", "/api/openapi.json"])
@of_one_gateway
async def test_no_other_sites_page_may_read_answers(gateway: RunningGateway, path: str) -> None:
    async with httpx2.AsyncClient(base_url=gateway.url) as client:
        headers = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "GET"}
        answer = await client.request("OPTIONS", path, headers=headers)
        assert answer.status_code == 405
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert (await asyncio.to_thread(gateway.log_text)).count("Traceback") == 0
