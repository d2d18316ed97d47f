"""The routes of the systems that callfarm replaces, with their bodies, for agents of any kind."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2

from phone import CalleeOutcome, PhoneSettings
from tests.e2e.test_outbound import FROM, TO, listens, world
from tests.fakes.twilio_callee import Callee
from tests.harness import (
    ACCOUNT_SID,
    API_TOKEN,
    AUTH_TOKEN,
    RunningGateway,
    eventually,
    running_gateway,
)

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
        acme = await company(
            gateway, system_prompt="You are Steve.", default_destination=TO, agent="Shy"
        )
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
        assert (await gateway.call_view(sid))["agent"] == "desk:Shy"
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
        twilio.fail(400, 21215)
        order = {"companyId": poor, "destinationNumber": TO}
        told_status, told = await ask(gateway, "POST", f"{ROUTES}/initiate-call", order)
        assert (told_status, list(told)) == (500, ["error"])
        assert "21215" in told["error"] or "geographic" in told["error"].lower()


async def test_a_companys_rows_have_their_fields_and_no_secret_is_given_out(
    tmp_path: Path,
) -> None:
    """With the names of that system's tables, and none of its made-up defaults."""
    rows = {
        "account_sid": "AC" + "7" * 32,
        "auth_token": "their-account-token",
        "phone_number": "+15557650000",
        "speech_key": "their-ultravox-key",
        "speech_url": "https://voice.example.com",
        "system_prompt": "You are Steve.",
        "model": "fixie-ai/ultravox",
        "voice": "terrence",
        "first_speaker": "FIRST_SPEAKER_USER",
    }
    async with running_gateway(tmp_path) as gateway:
        whole = (await ask(gateway, "GET", f"/api/companies/{await company(gateway, **rows)}"))[1]
        secrets = ("auth_token", "speech_key")
        assert {name: whole[name] for name in rows if name not in secrets} == {
            name: value for name, value in rows.items() if name not in secrets
        }
        assert (whole["has_auth_token"], whole["has_speech_key"]) == (True, True)
        assert "their-" not in str(whole)
        bare = (await ask(gateway, "GET", f"/api/companies/{await company(gateway)}"))[1]
        assert [bare[name] for name in rows if name not in secrets] == [None] * 7
        # Neither it nor the operator has an account.
        for route, more in (
            ("initiate-call", {"destinationNumber": TO}),
            ("ultravox-test-call", {"destinationNumber": TO}),
            ("bulk-calls-sequential", {"phoneNumbers": [TO]}),
        ):
            order = {"companyId": bare["id"], **more}
            answer = await ask(gateway, "POST", f"{ROUTES}/{route}", order)
            assert answer == (404, {"error": "Twilio configuration not found"}), route


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


async def test_a_call_that_is_canceled_has_ended_and_the_next_one_is_made(
    tmp_path: Path,
) -> None:
    """Each is limited as was asked for; the document that is named is Twilio's affair nowhere."""
    async with world(tmp_path, by_number(n01=Callee(ring_s=1000))) as (gateway, twilio):
        order = {
            "companyId": await company(gateway),
            "phoneNumbers": ["+493012345601", "+493012345602"],
            "maxCallDuration": 45,
            "twimlUrl": "http://demo.twilio.com/docs/voice.xml",
        }
        path = f"{ROUTES}/bulk-calls-sequential"
        status, told = await ask(gateway, "POST", path, order, Prefer="respond-async")
        assert status == 202
        (call,) = await eventually(lambda: list(twilio.account.calls.values()))
        url = f"{twilio.base_url}/2010-04-01/Accounts/{ACCOUNT_SID}/Calls/{call.sid}.json"
        async with httpx2.AsyncClient(auth=(ACCOUNT_SID, AUTH_TOKEN), trust_env=False) as client:
            assert (await client.post(url, data={"Status": "canceled"})).status_code == 200

        async def finished() -> Any:
            job = (await ask(gateway, "GET", told["statusUrl"]))[1]
            return job["state"] == "completed" and job

        results = (await eventually(finished))["callResults"]
        assert [it["status"] for it in results] == ["canceled", "completed"]
        for placed in twilio.placed():
            assert placed.form["TimeLimit"] == ["45"]
            assert placed.form["Url"][0].startswith(gateway.url)


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
            ({"ultravoxCallId": "x", "destinationNumber": HUMAN}, 404, "Call not found: x"),
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
            await asyncio.wait_for(call.ended(), 60)
