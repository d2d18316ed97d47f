"""A company's calls are held by the hosted voice of its own account, as it chose it."""

from itertools import count
from pathlib import Path

import pytest

from phone import Call as PhoneCall
from tests.e2e.carrier import FROM, gateway_of
from tests.e2e.test_replaced_routes import company
from tests.fakes.twilio_callee import Callee
from tests.fakes.twilio_rest import TwilioRestServer
from tests.fakes.ultravox import UltravoxFake
from tests.fakes.ultravox_calls import FakeCall
from tests.harness import eventually, free_port, running_gateway

OURS, THEIRS = "uv-key-of-the-operator", "uv-key-of-the-company"
TO, THEIR_NUMBER = "+493012345678", "+15557650000"
AGENTS = {
    "front.py": """
from worker import Agent
from worker.providers import Ultravox

class Relayed(Agent):
    speech = Ultravox(voice="Jessica", temperature=0.5)
    instructions = "{{ call.variables.system_prompt | default('For ' ~ call.company) }}"
    greeting = "Good evening."
    network_ms = 0

class Direct(Relayed):
    speech = Ultravox(mode="direct", voice="Jessica")
""",
    "routes.toml": 'default = "front:Relayed"\nagents = ["front:Direct"]\n',
}


def joined(call: FakeCall) -> bool:
    return call.joined is not None


@pytest.mark.parametrize("agent", ["Relayed", "Direct"])
async def test_a_companys_call_uses_its_account_and_voice_and_no_others_does(
    tmp_path: Path, agent: str
) -> None:
    calls = count(1)

    async def waits(_: PhoneCall) -> None:
        """Say nothing, and hang up once the model is there."""
        number = next(calls)
        await eventually(lambda: number == sum(map(joined, (*theirs.sessions, *ours.sessions))), 60)

    callee = Callee(media=True, act=waits)
    async with (
        UltravoxFake(OURS) as ours,
        UltravoxFake(THEIRS) as theirs,
        TwilioRestServer(callee=lambda number: callee) as twilio,
    ):
        twilio.account.add_number(FROM)
        twilio.account.add_number(THEIR_NUMBER)
        more = {"ULTRAVOX_API_KEY": OURS, "ULTRAVOX_BASE_URL": ours.url, "NO_PROXY": "127.0.0.1"}
        async with gateway_of(tmp_path, twilio.base_url, free_port(), AGENTS, **more) as gateway:
            acme = await company(
                gateway,
                speech_key=THEIRS,
                speech_url=f"{theirs.url}/api/calls",
                system_prompt="You are Steve.",
                model="ultravox-v0.6",
                voice="Jessica",
                first_speaker="FIRST_SPEAKER_USER",
                phone_number=THEIR_NUMBER,
            )

            async def called(**order: object) -> None:
                body = {"to": TO, "agent": agent, **order}
                placed = await gateway.api("POST", "/api/calls", body)
                assert placed.status_code == 201, placed.text
                sid = placed.json()["sid"]
                await eventually(lambda: twilio.account.calls[sid].status == "completed", 90)

            await called(company=acme, variables={"company_voice": "Mark", "model": "T-Model"})
            await called()
            [it], [other] = theirs.sessions, ours.sessions
            assert it.prompt == "You are Steve."
            assert it.body["voice"] == "Mark"  # the order's, before the company's
            assert it.body["model"] == "ultravox-v0.6"
            assert "agent" not in it.body["firstSpeakerSettings"]
            assert other.prompt == "For None"
            assert other.body["voice"] == "Jessica"
            assert other.body["firstSpeakerSettings"]["agent"]["text"] == "Good evening."
            await twilio.exchange.close()


async def test_a_call_to_a_companys_number_is_held_by_its_account(tmp_path: Path) -> None:
    async with UltravoxFake(OURS) as ours, UltravoxFake(THEIRS) as theirs:
        more = {"ULTRAVOX_API_KEY": OURS, "ULTRAVOX_BASE_URL": ours.url, "NO_PROXY": "127.0.0.1"}
        async with running_gateway(tmp_path, AGENTS, more) as gateway:
            acme = await company(
                gateway,
                speech_key=THEIRS,
                speech_url=theirs.url,
                voice="Mark",
                phone_number=THEIR_NUMBER,
            )
            async with gateway.phone(to=THEIR_NUMBER).dial() as caller:
                await caller.heard_reply(60)
            [it] = theirs.sessions
            assert (it.prompt, it.body["voice"]) == (f"For {acme}", "Mark")
            assert ours.sessions == []
            log = gateway.log_text()
            assert OURS not in log
            assert THEIRS not in log
