"""Calls that callfarm places: a real gateway, a fake Twilio, and a callee who picks up."""

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from phone import Call as PhoneCall
from phone import CalleeOutcome
from tests.fakes.speech import speech
from tests.fakes.twilio_account import Refusal
from tests.fakes.twilio_callee import Callee
from tests.fakes.twilio_rest import ApiRequest, TwilioRestServer
from tests.harness import (
    ACCOUNT_SID,
    AUTH_TOKEN,
    RunningGateway,
    eventually,
    free_port,
    running_gateway,
)

FROM, TO = "+15557654321", "+493012345678"
AGENTS = {
    "desk.py": '''
from worker import Agent
from worker.providers import Espeak

class Desk(Agent):
    """Says who it is, by name."""
    tts = Espeak(rate=250)
    greeting = "Hello {{ call.variables.name | default('there') }}"

    async def on_start(self):
        self.state["direction"] = self.call.info.direction
        self.state["variables"] = dict(self.call.info.variables)

    async def on_answered_by(self, verdict):
        self.state["verdict"] = verdict

class Caller(Desk):
    machine = "message"
    voicemail = "This is a message for {{ call.variables.name | default('you') }}."

class Shy(Desk):
    machine = "hang-up"

class Courteous(Desk):
    greeting = None
    first_message = "Hello from the default."
''',
    "routes.toml": 'default = "desk:Desk"\nagents = ["desk:Caller", "desk:Shy"]\n',
}


@asynccontextmanager
async def world(
    folder: Path,
    callee: Callable[[str], Callee],
    agents: Mapping[str, str] = AGENTS,
    **more: str,
) -> AsyncIterator[tuple[RunningGateway, TwilioRestServer]]:
    """Run a gateway whose Twilio has these callees."""
    port = free_port()
    async with TwilioRestServer(ACCOUNT_SID, AUTH_TOKEN, callee=callee, speed=50) as twilio:
        twilio.account.add_number(FROM)
        environment = {
            "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
            "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
            "TWILIO_BASE_URL": twilio.base_url,
            "TWILIO_PHONE_NUMBER": FROM,
            "PUBLIC_URL": f"http://127.0.0.1:{port}",
            "NO_PROXY": "127.0.0.1",
            "DIAL_DOUBT_SECONDS": "2",
            **more,
        }
        options = ("--port", str(port))
        async with running_gateway(folder, agents, environment, options) as gateway:
            yield gateway, twilio
            # The callees hang up before the gateway is stopped.
            await twilio.exchange.close()


World = tuple[RunningGateway, TwilioRestServer]
of_one_world = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A world for tests that call one after the other, each with callees of its own."""
    folder = tmp_path_factory.mktemp("outbound")
    async with world(folder, lambda number: Callee(), CALL_ME_TOKEN="sesame") as it:
        yield it


def picked_up(shared: World, callee: Callable[[str], Callee]) -> World:
    """Let this callee answer from now on."""
    shared[1].exchange.callee = callee
    return shared


@contextmanager
def calls_refused(twilio: TwilioRestServer) -> Iterator[None]:
    """Refuse every call that is to be created meanwhile."""
    refusal = Refusal(400, 21215, "not to that country")

    def mishap(request: ApiRequest) -> Refusal | None:
        return refusal if (request.method, request.path) == ("POST", "/Calls.json") else None

    twilio.mishap, before = mishap, twilio.mishap
    try:
        yield
    finally:
        twilio.mishap = before


async def placed(gateway: RunningGateway, **order: Any) -> dict[str, Any]:
    """Place a call; return what the API says."""
    answer = await gateway.api("POST", "/api/calls", {"to": TO, **order})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def fares(gateway: RunningGateway, dial_id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await gateway.api("GET", f"/api/dials/{dial_id}")).json()
    return found


async def ended(gateway: RunningGateway, dial_id: str) -> dict[str, Any]:
    """Return how a call fared, once it is over."""

    async def over() -> dict[str, Any] | None:
        found = await fares(gateway, dial_id)
        return found if found["state"] == "ended" else None

    found: dict[str, Any] = await eventually(over)
    return found


async def listens(call: PhoneCall) -> None:
    """Hear the greeting out, then hang up."""
    await call.heard_reply(60)
    await call.heard_silence(600, 60)


@of_one_world
async def test_a_callee_who_answers_is_greeted_by_the_agent_that_was_ordered(shared: World) -> None:
    gateway, twilio = picked_up(shared, lambda number: Callee(media=True, act=listens))
    call = await placed(gateway, agent="Desk", variables={"name": "Ada"})
    over = await ended(gateway, call["id"])
    assert (over["status"], over["sid"]) == ("completed", call["sid"])
    report = twilio.exchange.reports[call["sid"]]
    assert report.media_received > 0
    view = await gateway.call_view(call["sid"])
    assert view["direction"] == "outbound-api"
    assert view["agent"] == "desk:Desk"
    assert view["agent_state"]["variables"] == {"name": "Ada"}
    assert view["lines"][0]["text"] == "Hello Ada"


@of_one_world
async def test_a_callee_who_does_not_answer_costs_no_process(shared: World) -> None:
    outcomes = {
        TO: CalleeOutcome.BUSY,
        "+493012345679": CalleeOutcome.NO_ANSWER,
        "+493012345680": CalleeOutcome.FAILED,
    }
    gateway, _ = picked_up(shared, lambda number: Callee(outcomes[number]))
    accepted = gateway.log_text().count("call accepted")
    for number, outcome in outcomes.items():
        call = await placed(gateway, to=number)
        assert (await ended(gateway, call["id"]))["status"] == outcome.value
    assert gateway.log_text().count("call accepted") == accepted


@of_one_world
async def test_a_message_is_left_after_the_beep_and_the_call_is_over(shared: World) -> None:
    machine = Callee(media=True, machine="beep", greeting=speech("nobody is at home"))
    gateway, _ = picked_up(shared, lambda number: machine)
    call = await placed(gateway, agent="Caller", variables={"name": "Ada"})
    over = await ended(gateway, call["id"])
    assert (over["status"], over["answered_by"]) == ("completed", "machine_end_beep")
    view = await gateway.call_view(call["sid"])
    assert view["lines"][-1]["text"] == "This is a message for Ada."
    assert not view["lines"][-1]["interrupted"]
    assert view["reason"] == "the agent hung up"
    assert view["agent_state"]["verdict"] == "machine_end_beep"


@of_one_world
async def test_a_machine_is_hung_up_on_where_that_is_the_policy(shared: World) -> None:
    machine = Callee(media=True, machine="beep", greeting=speech("nobody is at home " * 9))
    gateway, twilio = picked_up(shared, lambda number: machine)
    call = await placed(gateway, agent="Shy")
    over = await ended(gateway, call["id"])
    assert over["answered_by"] == "machine_start"
    assert twilio.account.calls[call["sid"]].seconds is not None
    assert (await gateway.call_view(call["sid"]))["reason"] == "the agent hung up"


@of_one_world
async def test_a_human_is_never_taken_from_the_agent(shared: World) -> None:
    gateway, _ = picked_up(shared, lambda number: Callee(media=True, act=listens))
    call = await placed(gateway, agent="Caller", variables={"name": "Ada"})
    over = await ended(gateway, call["id"])
    assert over["answered_by"] == "human"
    view = await gateway.call_view(call["sid"])
    assert [line["text"] for line in view["lines"]] == ["Hello Ada"]


@of_one_world
async def test_the_call_is_limited_by_its_order(shared: World) -> None:
    gateway, _ = picked_up(shared, lambda number: Callee(media=True))
    call = await placed(gateway, max_seconds=2)
    # The callee would not hang up, and nobody else but who knows of the limit.
    assert (await ended(gateway, call["id"]))["status"] == "completed"
    assert shared[1].account.calls[call["sid"]].asked("TimeLimit") == "2"


async def test_a_gateway_that_dies_after_dialling_knows_the_call_when_it_is_back(
    tmp_path: Path,
) -> None:
    """Its plan is in the database: the callee is greeted by name by the next gateway."""
    ring = Callee(media=True, act=listens, ring_s=500)
    order = {"agent": "Caller", "variables": {"name": "Ada"}, "ring_seconds": 600}
    async with world(tmp_path, lambda number: ring) as (gateway, twilio):
        call = await placed(gateway, **order)
        await eventually(lambda: _is_kept(tmp_path, call["sid"]))
        gateway.process.kill()
        await gateway.ended()
        port = gateway.url.rpartition(":")[2]
        environment = {
            "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
            "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
            "TWILIO_BASE_URL": twilio.base_url,
            "TWILIO_PHONE_NUMBER": FROM,
            "PUBLIC_URL": gateway.url,
            "NO_PROXY": "127.0.0.1",
        }
        options = ("--port", port)
        async with running_gateway(tmp_path, AGENTS, environment, options) as after:
            over = await ended(after, call["id"])
            assert over["status"] == "completed"
            view = await after.call_view(call["sid"])
            assert view["lines"][0]["text"] == "Hello Ada"


def _is_kept(folder: Path, sid: str) -> bool:
    """Tell whether an attempt to call somebody is in the database with its call."""
    with closing(sqlite3.connect(folder / "var/callfarm.db")) as database:
        question = "SELECT count(*) FROM attempts WHERE call_sid = ?"
        return bool(database.execute(question, (sid,)).fetchone()[0])


@of_one_world
async def test_the_command_tells_how_the_call_fares_until_it_is_over(shared: World) -> None:
    gateway, _ = picked_up(shared, lambda number: Callee(media=True, act=listens))
    words = ("dial", TO, "--agent", "Desk", "--var", "name=Ada", "--wait")
    code, output = await gateway.command(*words)
    assert code == 0, output
    assert f"calls {TO} from {FROM}" in output
    assert "completed" in output
    code, output = await gateway.command("dial", "110")
    assert (code, "cannot be a phone number" in output or "emergency" in output) == (1, True)
    code, output = await gateway.command("dial", TO, "--var", "name")
    assert (code, "--var name=value" in output) == (1, True)


@of_one_world
async def test_the_api_refuses_with_a_reason_and_places_one_call_a_key(shared: World) -> None:
    gateway, twilio = picked_up(shared, lambda number: Callee())
    for order, status, reason in (
        ({"to": "+19005551234"}, 422, "premium"),
        ({"to": FROM}, 422, "itself"),
        ({"to": TO, "agent": "Nobody"}, 422, "agent"),
        ({"to": TO, "company": 5}, 404, "company"),
        ({}, 422, "number"),
    ):
        answer = await gateway.api("POST", "/api/calls", order)
        assert (answer.status_code, answer.json()["reason"]) == (status, reason), order
    with calls_refused(twilio):
        answer = await gateway.api("POST", "/api/calls", {"to": TO})
    assert (answer.status_code, answer.json()["code"]) == (422, 21215)
    first = await gateway.api("POST", "/api/calls", {"to": TO, "key": "k"})
    again = await gateway.api("POST", "/api/calls", {"to": TO, "key": "k"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["sid"] == again.json()["sid"]
    assert (await gateway.api("GET", "/api/dials/nothing")).status_code == 404


@of_one_world
async def test_the_route_of_the_replaced_system_has_its_bodies(shared: World) -> None:
    gateway, twilio = picked_up(shared, lambda number: Callee())
    before = set(twilio.account.calls)
    order = {"phoneNumber": TO.removeprefix("+"), "firstMessage": "Good news"}
    answer = await gateway.api("POST", "/outgoing-call", order)
    assert answer.status_code == 200
    (sid,) = twilio.account.calls.keys() - before
    assert answer.json() == {"success": True, "callSid": sid}
    for number in ("12", "+19005551234", "sip:me"):
        answer = await gateway.api("POST", "/outgoing-call", {"phoneNumber": number})
        assert (answer.status_code, list(answer.json())) == (422, ["detail"])
    with calls_refused(twilio):
        answer = await gateway.api("POST", "/outgoing-call", {"phoneNumber": TO})
    assert (answer.status_code, list(answer.json())) == (500, ["detail"])
    async with httpx2.AsyncClient(trust_env=False) as client:
        answer = await client.post(f"{gateway.url}/outgoing-call", json=order)
        assert answer.status_code == 401


async def test_what_is_to_be_said_first_is_said_by_an_agent_that_has_a_first_message(
    tmp_path: Path,
) -> None:
    callee = Callee(media=True, act=listens)
    routes = {"routes.toml": 'default = "desk:Courteous"\n'}
    async with world(tmp_path, lambda number: callee, agents=AGENTS | routes) as (gateway, _):
        order = {"phoneNumber": TO, "firstMessage": "Good news"}
        sid = (await gateway.api("POST", "/outgoing-call", order)).json()["callSid"]

        async def said() -> bool:
            view = await gateway.api("GET", f"/api/calls/{sid}/transcript")
            return view.is_success and "Good news" in view.text

        await eventually(said)


@of_one_world
async def test_a_call_that_still_rings_can_be_hung_up(shared: World) -> None:
    gateway, twilio = picked_up(shared, lambda number: Callee(ring_s=3000))
    order = {"to": TO, "ring_seconds": 600}
    sid = (await gateway.api("POST", "/api/calls", order)).json()["sid"]
    await eventually(lambda: twilio.account.calls[sid].status == "ringing")
    answer = await gateway.api("POST", f"/api/calls/{sid}/hangup")
    assert (answer.status_code, answer.json()) == (202, {"sid": sid, "state": "ending"})
    await eventually(lambda: twilio.account.calls[sid].status == "completed")
    assert not twilio.account.calls[sid].answered

    async def over() -> bool:
        again = await gateway.api("POST", f"/api/calls/{sid}/hangup")
        return again.status_code == 404

    await eventually(over)


@of_one_world
async def test_the_page_is_open_to_the_network_with_its_token_alone(shared: World) -> None:
    callee = Callee(media=True, act=listens)
    gateway, _ = picked_up(shared, lambda number: callee)
    url = f"{gateway.url}/twilio/call-me"
    async with httpx2.AsyncClient(trust_env=False) as client:
        assert (await client.get(url)).status_code == 200
        assert (await client.get(f"{url}?to=%2B493012345678&token=no")).status_code == 401
        answer = await client.get(f"{url}?to=+493012345678&token=sesame")
    assert answer.json()["ok"] is True
    sid = answer.json()["callSid"]

    async def over() -> bool:
        view = await gateway.api("GET", f"/api/calls/{sid}")
        return view.status_code == 200 and view.json()["state"] == "ended"

    await eventually(over)
