"""A number and an n8n that were VoxFlow's, and notice nothing: paths, bodies, signature."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from phone import Phone
from tests.fakes.n8n import Answer, N8nFake, Received
from tests.harness import ACCOUNT_SID, AUTH_TOKEN, RunningGateway, eventually, running_gateway

SECRET = "voxflows-own-secret"
CALLER, DESK, LEAVER = "+15550002222", "+15550000001", "+15550000002"
AGENTS = {
    "desk.py": """
from worker import Agent
from worker.providers import Espeak

class Desk(Agent):
    tts = Espeak(rate=250)
    first_message = "Hello from the default."

    async def on_start(self):
        await self.call.emit("booking", {"name": "Eva"})

class Leaver(Desk):
    async def on_start(self):
        await super().on_start()
        await self.say("Goodbye.")
        await self.call.hangup()
""",
    "routes.toml": f'default = "desk:Desk"\n[numbers]\n"{LEAVER}" = "desk:Leaver"\n',
}


@dataclass
class Flows:
    """A gateway in VoxFlow's place, and the n8n behind it, whose first flow is ``first``."""

    gateway: RunningGateway
    n8n: N8nFake
    first: Answer

    def told(self, route: str) -> list[Any]:
        """Return what came by a route, in its order."""
        return [it.json for it in self.n8n.taken() if it.json["route"] == route]

    async def call(self, to: str) -> None:
        """Call a number as it is configured at Twilio, and hear the agent out."""
        phone = Phone(
            f"{self.gateway.url}/incoming-call",
            auth_token=AUTH_TOKEN,
            account_sid=ACCOUNT_SID,
            status_url=f"{self.gateway.url}/call-status",
        )
        async with phone.dial(to=to, from_=CALLER) as call:
            await call.heard_reply(60)
            if to == DESK:
                await call.heard_silence(600, 60)
            else:
                await call.ended()


@asynccontextmanager
async def flows(folder: Path) -> AsyncIterator[Flows]:
    async with N8nFake(voxflow_secret=SECRET) as n8n:
        environment = {
            "EVENTS_URL": f"{n8n.url}/webhook/calls",
            "EVENTS_FORMAT": "voxflow",
            "EVENTS_SECRET": SECRET,
            "FIRST_MESSAGE_URL": f"{n8n.url}/webhook/calls",
            "NO_PROXY": "127.0.0.1",
        }
        async with running_gateway(folder, AGENTS, environment) as gateway:
            made = Flows(gateway, n8n, Answer(body=b'{"firstMessage": "Welcome back Eva."}'))

            def answer(it: Received) -> Answer:
                return made.first if it.json["route"] == "1" else Answer()

            n8n.otherwise = answer
            yield made


@pytest.mark.parametrize(
    ("to", "lines"),
    [
        (DESK, "Agent: Welcome back Eva."),
        (LEAVER, "Agent: Welcome back Eva.\nAgent: Goodbye."),
    ],
    ids=["the caller hangs up", "the agent hangs up"],
)
async def test_n8n_is_asked_told_of_a_booking_and_sent_the_transcript_once(
    tmp_path: Path, to: str, lines: str
) -> None:
    async with flows(tmp_path) as it:
        await it.call(to)
        await eventually(lambda: it.told("2"))
        await asyncio.sleep(0.5)
        (asked,), (booked,), (transcript,) = (it.told(route) for route in "132")
        assert (asked["number"], asked["data"]) == (CALLER, "empty")
        assert (booked["number"], json.loads(booked["data"])) == (CALLER, {"name": "Eva"})
        assert transcript == {"route": "2", "number": CALLER, "data": lines}
        assert not [request for request in it.n8n.received if request.answered >= 300]


async def test_a_flow_that_is_switched_off_costs_its_words_and_no_transcript(
    tmp_path: Path,
) -> None:
    async with flows(tmp_path) as it:
        it.first = Answer(404)
        await it.call(DESK)
        (transcript,) = await eventually(lambda: it.told("2"))
        assert transcript["data"] == "Agent: Hello from the default."
