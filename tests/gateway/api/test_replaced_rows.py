"""The routes of replaced systems about calls in progress, asked as the network asks."""

import re
from typing import Any

import httpx2
import pytest

from gateway.api.replaced import ReplacedSection
from gateway.calls.call import Call
from gateway.calls.state import Plan
from shared import messages
from tests.gateway.api.bureau import DESTINATIONS, TOKEN, Bureau
from tests.gateway.calls.actors import SID, incoming

ULTRAVOX_ID = "0190a1b2-uv"
HUMAN = "+493012345678"
JS_TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


async def ask(office: Bureau, verb: str, path: str, body: object = None) -> httpx2.Response:
    """Ask as those systems' clients do: with their header for keys."""
    return await office.client.request(verb, path, headers={"x-api-key": TOKEN}, json=body)


def at_ultravox(office: Bureau) -> Call:
    """Let a call come in whose conversation Ultravox holds."""
    office.calls.incoming(incoming())
    call = office.calls.get(SID)
    assert call is not None
    call.frame(messages.encode(messages.KnownAs(ULTRAVOX_ID)))
    return call


# Ultravox's example ----------------------------------------------------------------------------


async def test_a_call_is_listed_by_the_id_that_ultravox_gave_it_until_it_ends(
    office: Bureau,
) -> None:
    call = at_ultravox(office)
    listed = await ask(office, "GET", "/active-calls")
    assert listed.json() == [{"ultravoxCallId": ULTRAVOX_ID, "twilioCallSid": SID}]
    call.end("done")
    assert (await ask(office, "GET", "/active-calls")).json() == []


@pytest.mark.parametrize("name", [ULTRAVOX_ID, SID])
async def test_a_call_goes_to_the_default_destination_by_either_of_its_names(
    office: Bureau, name: str
) -> None:
    call = at_ultravox(office)
    answer = await ask(office, "POST", "/transferCall", {"callId": name})
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "status": "success",
            "message": "Call transfer initiated",
            "callDetails": {
                "sid": SID,
                "status": "in-progress",
                "to": "+2",
                "from": "+1",
                "direction": "inbound",
            },
        },
    )
    assert (call.flow.plan, call.flow.target) == (Plan.DIAL, DESTINATIONS["default"])


async def test_a_call_goes_to_a_named_destination_and_to_no_other(office: Bureau) -> None:
    call = at_ultravox(office)
    body = {"callId": ULTRAVOX_ID, "to": "cellar"}
    answer = await ask(office, "POST", "/transferCall", body)
    assert answer.status_code == 500
    assert "default, kitchen" in answer.json()["error"]
    answer = await ask(office, "POST", "/transferCall", body | {"to": "kitchen"})
    assert (answer.status_code, call.flow.target) == (200, DESTINATIONS["kitchen"])


@pytest.mark.parametrize(
    "body", [{}, {"callId": ""}, {"callId": "nobody"}, {"callId": "x" * 300}, {"callId": "CA\x00"}]
)
async def test_a_call_that_nobody_knows_is_500_in_the_examples_words(
    office: Bureau, body: dict[str, Any]
) -> None:
    at_ultravox(office)
    answer = await ask(office, "POST", "/transferCall", body)
    assert (answer.status_code, answer.json()) == (
        500,
        {
            "status": "error",
            "message": "Failed to transfer call",
            "error": "Call not found or invalid CallSid",
        },
    )


async def test_a_call_that_is_being_hung_up_is_transferred_by_nobody(office: Bureau) -> None:
    call = at_ultravox(office)
    assert (await ask(office, "POST", f"/api/calls/{SID}/hangup")).status_code == 202
    example = await ask(office, "POST", "/transferCall", {"callId": SID})
    assert (example.status_code, example.json()["message"]) == (500, "Failed to transfer call")
    body = {"ultravoxCallId": SID, "destinationNumber": HUMAN}
    cookbook = await ask(office, "POST", "/api/transfer", body)
    assert (cookbook.status_code, cookbook.json()["status"]) == (409, "error")
    assert call.flow.plan is Plan.HANG_UP


# The cookbook ----------------------------------------------------------------------------------


async def test_the_cookbooks_call_is_told_with_its_sid_masked(office: Bureau) -> None:
    call = at_ultravox(office)
    answer = await ask(office, "GET", f"/active-calls/{ULTRAVOX_ID}")
    told = answer.json()
    assert JS_TIME.fullmatch(told["data"].pop("startTime"))
    assert (answer.status_code, told) == (
        200,
        {
            "status": "success",
            "data": {
                "ultravoxCallId": ULTRAVOX_ID,
                "providerCallSid": "CA111...",
                "callerNumber": "+1",
                "provider": "twilio",
            },
        },
    )
    assert SID not in answer.text
    call.end("done")
    answer = await ask(office, "GET", f"/active-calls/{ULTRAVOX_ID}")
    assert (answer.status_code, answer.json()) == (
        404,
        {"status": "error", "message": f"Call not found: {ULTRAVOX_ID}"},
    )


async def test_the_cookbooks_transfer_has_its_bodies(office: Bureau) -> None:
    call = at_ultravox(office)
    body = {"ultravoxCallId": ULTRAVOX_ID, "destinationNumber": HUMAN}
    for wrong, status, message in (
        ({"destinationNumber": ""}, 400, "Missing required fields: ultravoxCallId and"),
        ({"ultravoxCallId": ""}, 400, "Missing required fields: ultravoxCallId and"),
        ({"destinationNumber": "030 1234"}, 400, "Invalid phone number format. Must be E.164"),
        ({"destinationNumber": "+0301234567"}, 400, "Invalid phone number format. Must be E.164"),
        ({"ultravoxCallId": "nobody"}, 404, "Call not found: nobody"),
    ):
        answer = await ask(office, "POST", "/api/transfer", body | wrong)
        assert (answer.status_code, answer.json()["status"]) == (status, "error")
        assert answer.json()["message"].startswith(message)
    answer = await ask(office, "POST", "/api/transfer", body)
    told = answer.json()
    assert JS_TIME.fullmatch(told["data"]["callDetails"].pop("transferInitiated"))
    assert (answer.status_code, told) == (
        200,
        {
            "status": "success",
            "data": {
                "status": "success",
                "message": "Call transfer initiated",
                "callDetails": {
                    "ultravoxCallId": ULTRAVOX_ID,
                    "providerCallSid": SID,
                    "destinationNumber": HUMAN,
                },
            },
        },
    )
    assert (call.flow.plan, call.flow.target) == (Plan.DIAL, HUMAN)


async def test_a_failure_of_ours_is_500_in_each_systems_words(
    office: Bureau, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(call: Call, *_: object) -> bool:
        raise RuntimeError(f"what nobody is to read of {call.sid}")

    at_ultravox(office)
    monkeypatch.setattr(Call, "leave", breaks)
    body = {"ultravoxCallId": SID, "destinationNumber": HUMAN}
    cookbook = await ask(office, "POST", "/api/transfer", body)
    example = await ask(office, "POST", "/transferCall", {"callId": SID})
    assert (cookbook.status_code, list(cookbook.json())) == (500, ["status", "message"])
    assert (example.status_code, list(example.json())) == (500, ["status", "message", "error"])
    for answer in (cookbook, example):
        assert answer.json()["status"] == "error"
        assert "nobody is to read" not in answer.text


@pytest.mark.parametrize("key", [None, "wrong"])
async def test_all_but_the_health_want_a_key_and_say_so_in_each_systems_words(
    office: Bureau, key: str | None
) -> None:
    headers = {"x-api-key": key} if key else {}
    at_ultravox(office)
    section = ReplacedSection(office.calls, None, {})  # type: ignore[arg-type]
    for it in section.endpoints():
        path = it.path.replace("{id}", SID)
        answer = await office.client.request(it.method, path, headers=headers, json={})
        assert answer.status_code == (200 if it.path == "/api/health" else 401)
        if "/transfer" in path or path.startswith("/active-calls/"):
            assert answer.json()["status"] == "error"
    call = office.calls.get(SID)
    assert call is not None
    assert call.flow.plan is Plan.RECONNECT


async def test_a_company_finds_its_own_calls_alone_under_every_name(office: Bureau) -> None:
    at_ultravox(office)
    stranger = await office.token("read", "calls", company=8)
    body = {"ultravoxCallId": ULTRAVOX_ID, "destinationNumber": HUMAN}
    shown = await office.ask("GET", f"/active-calls/{ULTRAVOX_ID}", stranger)
    moved = await office.ask("POST", "/api/transfer", stranger, body)
    assert (shown.status_code, moved.status_code) == (404, 404)
