"""A list of numbers called for a company by an agent whose conversations Ultravox holds."""

from pathlib import Path
from typing import Any

import pytest

from phone import Call as PhoneCall
from tests.e2e.carrier import FROM, gateway_of
from tests.e2e.test_replaced_routes import ROUTES, ask, company
from tests.fakes.twilio_callee import Callee
from tests.fakes.twilio_rest import TwilioRestServer
from tests.fakes.ultravox import UltravoxFake
from tests.harness import eventually, free_port

KEY = "uv-key-not-to-be-told"
NUMBERS = ["+493012345601", "+493012345602", "+493012345603"]
AGENTS = {
    "front.py": """
from worker import Agent
from worker.providers import Ultravox

class Relayed(Agent):
    speech = Ultravox(voice="Mark")
    instructions = "{{ call.variables.system_prompt | default('You are nobody.') }}"
    greeting = "Good evening."
    network_ms = 0

class Direct(Relayed):
    speech = Ultravox(mode="direct", voice="Jessica")
""",
    "routes.toml": 'default = "front:Relayed"\nagents = ["front:Direct"]\n',
}


async def listens(call: PhoneCall) -> None:
    """Hear the greeting out, then hang up."""
    await call.heard_reply(60)
    await call.heard_silence(600, 60)


@pytest.mark.parametrize(("agent", "voice"), [("Relayed", "Mark"), ("Direct", "Jessica")])
async def test_each_number_has_a_conversation_of_its_own_made_of_the_companys_settings(
    tmp_path: Path, agent: str, voice: str
) -> None:
    callee = Callee(media=True, act=listens)
    async with (
        UltravoxFake(KEY) as ultravox,
        TwilioRestServer(callee=lambda number: callee) as twilio,
    ):
        twilio.account.add_number(FROM)
        more = {"ULTRAVOX_API_KEY": KEY, "ULTRAVOX_BASE_URL": ultravox.url}
        more["NO_PROXY"] = "127.0.0.1"
        port = free_port()
        async with gateway_of(tmp_path, twilio.base_url, port, AGENTS, **more) as gateway:
            steve = await company(gateway, system_prompt="You are Steve.", agent=agent)
            order = {"companyId": steve, "phoneNumbers": NUMBERS}
            path = f"{ROUTES}/bulk-calls-sequential"
            status, told = await ask(gateway, "POST", path, order, Prefer="respond-async")
            assert status == 202, told

            async def finished() -> Any:
                job = (await ask(gateway, "GET", told["statusUrl"]))[1]
                return job["state"] == "completed" and job

            results = (await eventually(finished, 60))["callResults"]
            assert [(it["phoneNumber"], it["status"]) for it in results] == [
                (number, "completed") for number in NUMBERS
            ]
            assert twilio.exchange.most_at_once == 1
            assert len({it.id for it in ultravox.sessions}) == len(NUMBERS)
            assert [it.prompt for it in ultravox.sessions] == ["You are Steve."] * len(NUMBERS)
            assert {it.body["voice"] for it in ultravox.sessions} == {voice}
            assert all(it.joined for it in ultravox.sessions)
            assert all(
                it.medium_name == ("twilio" if agent == "Direct" else "serverWebSocket")
                for it in ultravox.sessions
            )
            # Each is a call's own, by both of its names.
            shown = [
                (await ask(gateway, "GET", f"/api/calls/{it['callSid']}"))[1]["conversation_id"]
                for it in results
            ]
            assert shown == [it.id for it in ultravox.sessions]
            heard = [twilio.exchange.reports[it["callSid"]].media_received for it in results]
            assert all(heard)
            await twilio.exchange.close()
