"""Webhooks of a real gateway: a call is told of, whatever happens to its process or the gateway."""

import asyncio
import json
import signal
from pathlib import Path

from tests.e2e.cascade import DESK, PARTS, answers, cascade
from tests.fakes.n8n import Answer, N8nFake
from tests.harness import RunningGateway, eventually, running_gateway

SECRET = "webhook-secret-not-to-be-told"

EMITTING = """
from worker import Agent

class Desk(Agent):
    async def on_start(self):
        await self.call.emit("booking", {"people": 2, "from": self.call.info.from_})

    async def on_ended(self):
        await self.call.emit("goodbye")
"""

ROUTES = 'default = "desk:Desk"\n'

CRASHING = """
import os
from worker import Agent

class Desk(Agent):
    async def on_start(self):
        if not self.call.rehearsal:
            os.abort()
"""

FIRST = (
    PARTS
    + """
class Desk(Agent):
    stt, llm, tts = EARS, MODEL, VOICE
    network_ms = 0
    instructions = "The caller was greeted with: {{ first_message }}"
    first_message = "Hello from the default."
"""
)


def _environment(n8n: N8nFake, **more: str) -> dict[str, str]:
    return {
        "EVENTS_URL": f"{n8n.url}/webhook/calls",
        "EVENTS_SECRET": SECRET,
        "NO_PROXY": "127.0.0.1",
        **more,
    }


def _agents(source: str) -> dict[str, str]:
    return {"desk.py": source, "routes.toml": ROUTES}


async def _call(gateway: RunningGateway, seconds: float = 0.3) -> str:
    async with gateway.phone().dial() as call:
        await call.connected(timeout=10)
        await asyncio.sleep(seconds)
        return call.sid


async def test_a_call_is_told_of_signed_from_beginning_to_end(tmp_path: Path) -> None:
    async with (
        N8nFake(secrets=(SECRET,)) as n8n,
        running_gateway(tmp_path, _agents(EMITTING), _environment(n8n)) as gateway,
    ):
        sid = await _call(gateway)
        await eventually(lambda: n8n.bodies("call.ended"))
        assert [body["event"] for body in n8n.bodies()] == [
            "call.started",
            "booking",
            "goodbye",
            "call.ended",
        ]
        assert {body["call"]["sid"] for body in n8n.bodies()} == {sid}
        assert n8n.bodies("booking")[0]["data"]["people"] == 2
        assert n8n.bodies("call.ended")[0]["data"]["outcome"] == "completed"
        assert not [it for it in n8n.received if it.answered >= 300]

        async def are_delivered() -> bool:
            listed = (await gateway.api("GET", "/api/webhooks")).json()["webhooks"]
            return [it["state"] for it in listed] == ["delivered"] * 4

        await eventually(are_delivered)
        code, listed = await gateway.command("webhooks")
        assert code == 0, listed
        assert listed.count("delivered") == 4
        assert SECRET not in gateway.log_text() + listed
        figures = (await gateway.api("GET", "/metrics")).text
        assert "callfarm_webhooks_delivered_total 4.0" in figures
        code, shown = await gateway.command("webhooks", "show", n8n.taken("booking")[0].key)
        assert code == 0, shown
        assert '"people": 2' in shown


async def test_a_call_whose_process_died_is_told_of(tmp_path: Path) -> None:
    async with (
        N8nFake(secrets=(SECRET,)) as n8n,
        running_gateway(tmp_path, _agents(CRASHING), _environment(n8n)) as gateway,
    ):
        await _call(gateway, 1.0)
        await eventually(lambda: n8n.bodies("call.ended"))
        assert "SIGABRT" in n8n.bodies("call.ended")[0]["data"]["exit"]


async def test_a_flow_that_is_switched_off_is_told_by_hand_once_it_is_on(tmp_path: Path) -> None:
    async with (
        N8nFake(secrets=(SECRET,)) as n8n,
        running_gateway(tmp_path, _agents(EMITTING), _environment(n8n)) as gateway,
    ):
        n8n.otherwise = Answer(410)
        await _call(gateway)

        async def failed() -> bool:
            code, listed = await gateway.command("webhooks", "--failed", "--json")
            assert code == 0, listed
            return len(json.loads(listed)) == 4

        await eventually(failed, every=0.2)
        assert "webhook given up" in gateway.log_text()
        n8n.otherwise = Answer()
        code, output = await gateway.command("webhooks", "redeliver", "--failed")
        assert code == 0, output
        await eventually(lambda: len(n8n.taken()) == 4)
        assert len({it.key for it in n8n.received}) == 4
        code, output = await gateway.command("webhooks", "redeliver")
        assert code == 1
        assert "--failed" in output
        code, output = await gateway.command("webhooks", "redeliver", "dl_none")
        assert (code, "there are none such" in output) == (1, True)


async def test_nothing_is_lost_when_the_gateway_is_killed(tmp_path: Path) -> None:
    async with N8nFake(secrets=(SECRET,)) as n8n:
        n8n.otherwise = Answer(503)
        async with running_gateway(tmp_path, _agents(EMITTING), _environment(n8n)) as gateway:
            sid = await _call(gateway)
            await eventually(
                lambda: [it for it in n8n.received if it.json["event"] == "call.ended"]
            )

            async def are_kept() -> bool:
                listed = (await gateway.api("GET", "/api/webhooks")).json()["webhooks"]
                return len([it for it in listed if it["tries"]]) == 4

            await eventually(are_kept)
            gateway.signal(signal.SIGKILL)
            await gateway.ended()
        failed = {it.key for it in n8n.received}
        n8n.otherwise = Answer()
        async with running_gateway(tmp_path, _agents(EMITTING), _environment(n8n)):
            await eventually(lambda: len({it.key for it in n8n.taken()}) == 4, 30)
        assert {it.key for it in n8n.taken()} >= failed
        assert {it.json["call"]["sid"] for it in n8n.taken()} == {sid}


async def test_the_caller_hears_what_the_operators_service_says_first(tmp_path: Path) -> None:
    async with N8nFake(secrets=(SECRET,), paths=("/webhook/calls", "/webhook/first")) as n8n:
        n8n.otherwise = lambda it: Answer(
            body=b'{"firstMessage": "Welcome back Eva."}' if it.path.endswith("first") else b"{}"
        )
        more = {"FIRST_MESSAGE_URL": f"{n8n.url}/webhook/first"}
        async with cascade(tmp_path, {"desk.py": FIRST}, _environment(n8n, **more)) as stage:
            stage.openai.replies = answers({"hello": "Hi."})
            async with stage.caller() as caller:
                await caller.hears("Welcome back Eva.")
                await caller.asks("hello", "Hi.")
                await caller.is_let_finish()
            assert "Welcome back Eva." in stage.instructions()
            asked = [it.json for it in n8n.received if it.path.endswith("first")]
            assert [it["call_sid"] for it in asked] == [caller.sid]
            await eventually(lambda: n8n.bodies("call.ended"))
            lines = n8n.bodies("call.ended")[0]["data"]["transcript"]
            assert [line["text"] for line in lines] == ["Welcome back Eva.", "hello", "Hi."]


async def test_a_service_that_is_slow_costs_its_limit_and_no_more(tmp_path: Path) -> None:
    async with N8nFake(secrets=(SECRET,)) as n8n:
        n8n.otherwise = Answer(delay_s=30)
        more = {"FIRST_MESSAGE_URL": f"{n8n.url}/webhook/calls", "FIRST_MESSAGE_SECONDS": "0.5"}
        environment = _environment(n8n, **more) | {"EVENTS_URL": ""}
        async with cascade(tmp_path, {"desk.py": FIRST}, environment) as stage:
            began = asyncio.get_running_loop().time()
            async with stage.caller() as caller:
                await caller.hears("Hello from the default.")
                assert asyncio.get_running_loop().time() - began < 25
            assert "no first message came" in stage.gateway.log_text()


async def test_an_agent_that_wants_none_does_not_wait_for_one(tmp_path: Path) -> None:
    async with N8nFake() as n8n:
        n8n.otherwise = Answer(delay_s=30)
        more = {
            "FIRST_MESSAGE_URL": f"{n8n.url}/webhook/calls",
            "FIRST_MESSAGE_SECONDS": "10",
            "NO_PROXY": "127.0.0.1",
        }
        async with (
            cascade(tmp_path, {"desk.py": DESK}, more) as stage,
            stage.caller() as caller,
        ):
            await caller.hears("Good evening.")
            # It is asked for all the same, and may take its time.
            assert "no first message came" not in stage.gateway.log_text()
