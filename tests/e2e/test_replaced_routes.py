"""The routes of the systems that callfarm replaces, with their bodies, for agents of any kind."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2

from phone import CalleeOutcome, PhoneSettings
from tests.e2e.test_outbound import FROM, TO, listens, world
from tests.fakes.twilio_callee import Callee
from tests.harness import API_TOKEN, RunningGateway, eventually, running_gateway

ROUTES = "/api/ultravox-calls"
HUMAN, DESK = "+15005550002", "+15005550009"


async def ask(
    gateway: RunningGateway, method: str, path: str, body: object = None, **headers: str
) -> tuple[int, Any]:
    """Ask over the network as those systems' clients would, with their header for keys."""
    async with httpx2.AsyncClient(base_url=gateway.url, timeout=30) as client:
        answer = await client.request(
            method, path, json=body, headers={"x-api-key": API_TOKEN, **headers}
        )
        return answer.status_code, answer.json()


async def company(gateway: RunningGateway, **fields: object) -> int:
    """Make a company; return its id."""
    made = await gateway.api("POST", "/api/companies", {"name": "Acme", **fields})
    assert made.status_code == 201, made.text
    return int(made.json()["id"])


def by_number(**callees: Callee) -> Callable[[str], Callee]:
    """Return callees by the last digits of their numbers."""
    return lambda number: callees.get(f"n{number[-2:]}", Callee(talk_s=10))


async def test_a_call_is_initiated_for_a_company_and_its_settings_reach_the_agent(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, lambda number: Callee(media=True, act=listens)) as (gateway, twilio):
        acme = await company(gateway, system_prompt="You are Steve.", default_destination=TO)
        order = {"companyId": acme, "destinationNumber": "+493012345679"}
        status, told = await ask(gateway, "POST", f"{ROUTES}/initiate-call", order)
        sid = told["callSid"]
        assert (status, told) == (
            200,
            {"message": "Call initiated successfully", "callSid": sid, "joinUrl": None},
        )
        assert (twilio.account.calls[sid].to, twilio.account.calls[sid].from_) == (
            "+493012345679",
            FROM,
        )

        async def variables() -> Any:
            view = await gateway.api("GET", f"/api/calls/{sid}")
            return view.is_success and (view.json()["agent_state"] or {}).get("variables")

        assert (await eventually(variables))["system_prompt"] == "You are Steve."
        test = {"companyId": acme, "systemPrompt": "You are Ann.", "voice": "Mark"}
        status, told = await ask(gateway, "POST", f"{ROUTES}/ultravox-test-call", test)
        assert (status, told["message"]) == (200, "Test call initiated successfully")
        assert twilio.account.calls[told["callSid"]].to == TO


async def test_what_cannot_be_called_is_refused_in_the_words_of_that_system(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, by_number()) as (gateway, twilio):
        poor = await company(gateway)
        for body, status, error in (
            ({}, 400, "Company ID is required"),
            ({"companyId": "x"}, 400, "Company ID is required"),
            ({"companyId": 999}, 404, "Twilio configuration not found"),
            ({"companyId": poor}, 400, "destinationNumber is missing, and company"),
            ({"companyId": poor, "destinationNumber": FROM}, 400, f"'{FROM}' is the number that"),
            ({"companyId": poor, "destinationNumber": "112"}, 400, "'112' is"),
        ):
            told_status, told = await ask(gateway, "POST", f"{ROUTES}/initiate-call", body)
            assert told_status == status, told
            assert list(told) == ["error"]
            assert told["error"].startswith(error)
        none: tuple[object, ...] = (None, [], "+493012345678")
        for numbers in none:
            order = {"companyId": poor, "phoneNumbers": numbers}
            told_status, told = await ask(gateway, "POST", f"{ROUTES}/bulk-calls-sequential", order)
            assert (told_status, told) == (
                400,
                {"error": "Phone numbers array is required and must not be empty"},
            )
        assert not twilio.account.calls


async def test_many_are_called_one_after_the_other_and_each_has_its_result_in_order(
    tmp_path: Path,
) -> None:
    callees = by_number(n01=Callee(CalleeOutcome.BUSY), n03=Callee(CalleeOutcome.NO_ANSWER))
    async with world(tmp_path, callees) as (gateway, twilio):
        numbers = ["+493012345601", "not a number", "+493012345602", "+493012345603"]
        order = {"companyId": await company(gateway), "phoneNumbers": numbers}
        status, told = await ask(gateway, "POST", f"{ROUTES}/bulk-calls-sequential", order)
        assert status == 200, told
        assert told["message"] == "Bulk calls processed sequentially"
        assert told["totalCalls"] == 4
        results = told["callResults"]
        assert [it["phoneNumber"] for it in results] == numbers
        assert [it["status"] for it in results] == [
            "busy",
            "initiation_error",
            "completed",
            "no-answer",
        ]
        assert results[1].keys() == {"phoneNumber", "status", "error"}
        assert results[2].keys() == {"phoneNumber", "status", "callSid", "joinUrl"}
        assert twilio.exchange.most_at_once == 1
        assert [call.to for call in twilio.account.calls.values()] == [
            numbers[0],
            *numbers[2:],
        ]


async def test_calls_that_take_their_time_are_a_job_that_tells_how_they_fare(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, by_number(n02=Callee(talk_s=60))) as (gateway, _twilio):
        numbers = ["+493012345601", "+493012345602"]
        order = {"companyId": await company(gateway), "phoneNumbers": numbers}
        status, told = await ask(
            gateway, "POST", f"{ROUTES}/bulk-calls-sequential", order, Prefer="respond-async"
        )
        assert status == 202
        assert told["statusUrl"] == f"/api/jobs/{told['jobId']}"

        async def finished() -> Any:
            job = (await ask(gateway, "GET", told["statusUrl"]))[1]
            assert len(job["callResults"]) == 2
            return job["state"] == "completed" and job

        job = await eventually(finished)
        assert [it["status"] for it in job["callResults"]] == ["completed", "completed"]
        assert job["totalCalls"] == 2
        assert (await ask(gateway, "GET", "/api/jobs/job_none"))[0] == 404


async def test_a_live_call_is_listed_and_transferred_by_its_sid_as_ultravoxs_example_does(
    tmp_path: Path,
) -> None:
    numbers = {"DESTINATION_PHONE_NUMBER": DESK, "NO_PROXY": "127.0.0.1"}
    async with running_gateway(tmp_path, environment=numbers) as gateway:
        assert await ask(gateway, "GET", "/active-calls") == (200, [])
        unknown = await ask(gateway, "POST", "/transferCall", {"callId": "nobody"})
        assert unknown == (
            500,
            {
                "status": "error",
                "message": "Failed to transfer call",
                "error": "Call not found or invalid CallSid",
            },
        )
        async with gateway.phone(PhoneSettings(verb_speed=50)).dial() as call:
            await eventually(gateway.calls)
            active = [{"ultravoxCallId": call.sid, "twilioCallSid": call.sid}]
            assert await ask(gateway, "GET", "/active-calls") == (200, active)
            status, told = await ask(gateway, "POST", "/transferCall", {"callId": call.sid})
            assert status == 200
            assert told["status"] == "success"
            assert told["message"] == "Call transfer initiated"
            assert told["callDetails"]["sid"] == call.sid

            async def dialled() -> Any:
                view = await gateway.call_view(call.sid)
                return view["transferred_to"] == DESK

            await eventually(dialled)


async def test_a_live_call_is_transferred_to_a_number_as_the_cookbook_does(
    tmp_path: Path,
) -> None:
    async with running_gateway(tmp_path) as gateway:
        assert (await ask(gateway, "GET", "/api/health"))[1] == {"status": "ok"}
        for body, status, message in (
            ({}, 400, "Missing required fields: ultravoxCallId and destinationNumber"),
            ({"ultravoxCallId": "x", "destinationNumber": "030"}, 400, "Invalid phone number"),
            ({"ultravoxCallId": "x", "destinationNumber": HUMAN}, 404, "No such call"),
        ):
            told_status, told = await ask(gateway, "POST", "/api/transfer", body)
            assert told_status == status
            assert told["status"] == "error"
            assert told["message"].startswith(message)
        async with gateway.phone(PhoneSettings(verb_speed=50)).dial() as call:
            await eventually(gateway.calls)
            body = {"ultravoxCallId": call.sid, "destinationNumber": HUMAN}
            status, told = await ask(gateway, "POST", "/api/transfer", body)
            assert (status, told["data"]["callDetails"]["destinationNumber"]) == (200, HUMAN)
            await asyncio.wait_for(call.ended(), 15)
