"""A request whose answer was lost is sent again with its key, and does nothing twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest
from starlette.applications import Starlette

from gateway.api import Api, Parts
from gateway.api.bulk_calls import KIND, BulkCalls
from gateway.api.caller import OPERATOR_CALLER
from gateway.api.problems import ProblemError
from gateway.api.repeats import MOST_KEY, id_of
from gateway.calls.registry import Calls
from gateway.campaigns.service import Campaigns
from gateway.dialer.api import DialSection
from gateway.dialer.lines import CompanyAccount
from gateway.dialer.outgoing import OutgoingSection
from gateway.farm.farm import Farm
from gateway.store.companies import Companies
from gateway.store.company import Company, CompanyChange
from gateway.store.secrets import Secrets
from tests.gateway.calls.actors import RULES, FakeFarm
from tests.gateway.campaigns.farm import Yard, successor, yard
from tests.gateway.dialer.exchange import TO, Directory

TOKEN = "the-operator's-token"
NUMBERS = ("+493012345601", "not a number", "+493012345602")
ROUTES = "/api/ultravox-calls"
DIRECTORY = Directory(
    {
        1: CompanyAccount(1, caller_id="+15550001111", settings={"agents": ["Desk"]}),
        2: CompanyAccount(2, caller_id="+15550002222"),
    }
)


async def companies(it: Yard) -> Companies:
    """Return the companies of the directory, in the store as well."""
    kept = Companies(it.store, Secrets(["a key"]))
    for number in (1, 2):
        await kept.create(CompanyChange(name=f"company {number}"), number)
    return kept


@asynccontextmanager
async def asking(it: Yard) -> AsyncIterator[httpx2.AsyncClient]:
    """Return who asks an API with all of a yard."""
    farm = FakeFarm()
    farm_ = cast("Farm", farm)
    dialer = it.world.dialer
    sections = (DialSection(dialer), OutgoingSection(dialer))
    parts = Parts(it.store, await companies(it), it.campaigns, dialer, sections=sections)
    api = Api(Calls(farm_, RULES, 100), farm_, TOKEN, {}, parts)
    transport = httpx2.ASGITransport(app=Starlette(routes=api.routes()))
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://callfarm", headers=headers
    ) as client:
        yield client
    farm.close()


async def test_a_campaign_is_made_once(tmp_path: Path) -> None:
    async with yard(tmp_path) as it, asking(it) as client:
        body = {"name": "News", "policy": {"concurrency": 5}}
        key = {"Idempotency-Key": "news-47"}
        answers = await asyncio.gather(
            *(client.post("/api/campaigns", json=body, headers=key) for _ in range(4))
        )
        assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]
        assert len({answer.json()["id"] for answer in answers}) == 1
        other = await client.post("/api/campaigns", json={"name": "Olds"}, headers=key)
        assert (other.status_code, "key" in other.json()["detail"]) == (422, True)
        theirs = await client.post("/api/campaigns", json=body | {"company": 2}, headers=key)
        assert theirs.status_code == 201  # a key is a company's own
        plain = [await client.post("/api/campaigns", json=body) for _ in range(2)]
        assert len({answer.json()["id"] for answer in plain}) == 2
        long = {"Idempotency-Key": "x" * (MOST_KEY + 1)}
        assert (await client.post("/api/campaigns", json=body, headers=long)).status_code == 400


async def test_a_campaign_names_an_agent_that_there_is(tmp_path: Path) -> None:
    async with yard(tmp_path, companies=DIRECTORY) as it, asking(it) as client:
        for agent, status in (("Desk", 201), ("Nope", 422)):
            body = {"name": "x", "policy": {"agent": agent}}
            answer = await client.post("/api/campaigns", json=body)
            assert answer.status_code == status, answer.text
        assert "No agent is called 'Nope'" in answer.json()["detail"]


async def test_a_campaign_of_a_company_names_an_agent_that_it_may_use(tmp_path: Path) -> None:
    async with yard(tmp_path, companies=DIRECTORY) as it, asking(it) as client:
        for company, agent, status in ((1, "Desk", 201), (1, "Caller", 422), (2, "Caller", 201)):
            body = {"name": "x", "company": company, "policy": {"agent": agent}}
            answer = await client.post("/api/campaigns", json=body)
            assert answer.status_code == status, answer.text


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/calls", {"to": TO}),
        ("/outgoing-call", {"phoneNumber": TO}),
        (f"{ROUTES}/initiate-call", {"companyId": 2, "destinationNumber": TO}),
        (f"{ROUTES}/ultravox-test-call", {"companyId": 2, "destinationNumber": TO}),
    ],
)
async def test_a_call_is_placed_once(tmp_path: Path, path: str, body: dict[str, Any]) -> None:
    async with yard(tmp_path, companies=DIRECTORY) as it, asking(it) as client:
        key = {"Idempotency-Key": "order-4711"}
        for _ in range(2):
            answer = await client.post(path, json=body, headers=key)
            assert answer.is_success, answer.text
        assert len(it.dialled()) == 1
        await client.post(path, json=body)
        assert len(it.dialled()) == 2


async def bulk(
    campaigns: Campaigns, it: Yard, company: Company, *numbers: str, key: str | None, wait: float
) -> Any:
    return await BulkCalls(it.store, campaigns).call(
        company, numbers or NUMBERS, patience=wait, key=key
    )


async def test_a_list_of_numbers_is_called_once_also_by_the_next_gateway(tmp_path: Path) -> None:
    async with yard(tmp_path, companies=DIRECTORY) as it:
        company = await (await companies(it)).get(2)
        first = await bulk(it.campaigns, it, company, key="march", wait=0.0)
        again = await bulk(it.campaigns, it, company, key="march", wait=10.0)
        assert first.status_code == 202
        assert [result.status for result in again.call_results] == [
            "completed",
            "initiation_error",
            "completed",
        ]
        await it.stop()
        async with successor(it) as after:
            third = await bulk(after.campaigns, it, company, key="march", wait=10.0)
        assert [r.call_sid for r in third.call_results] == [r.call_sid for r in again.call_results]
        assert [call.to for call in it.dialled()] == [NUMBERS[0], NUMBERS[2]]
        with pytest.raises(ProblemError) as caught:
            await bulk(it.campaigns, it, company, "+493012345609", key="march", wait=0.0)
        assert caught.value.status == 422


@pytest.mark.parametrize("done", ["create", "add", "start"])
async def test_a_list_whose_request_was_cut_off_is_finished_by_the_next(
    tmp_path: Path, done: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gateway is killed when that is done, and nothing after it."""
    async with yard(tmp_path, companies=DIRECTORY) as it:
        company = await (await companies(it)).get(2)
        work = getattr(it.campaigns, done)

        async def killed(*given: Any, **named: Any) -> None:
            await work(*given, **named)
            raise asyncio.CancelledError

        with monkeypatch.context() as patch:
            patch.setattr(it.campaigns, done, killed)
            with pytest.raises(asyncio.CancelledError):
                await bulk(it.campaigns, it, company, key="march", wait=0.0)
        finished = await bulk(it.campaigns, it, company, key="march", wait=10.0)
        assert [result.phone_number for result in finished.call_results] == list(NUMBERS)
        assert [call.to for call in it.dialled()] == [NUMBERS[0], NUMBERS[2]]


async def test_many_who_send_a_list_at_once_with_one_key_have_it_called_once(
    tmp_path: Path,
) -> None:
    async with yard(tmp_path, companies=DIRECTORY) as it:
        company = await (await companies(it)).get(2)
        calls = BulkCalls(it.store, it.campaigns)
        answers: list[Any] = await asyncio.gather(
            *(calls.call(company, NUMBERS, patience=10.0, key="x") for _ in range(5))
        )
        assert len({answer.call_results[0].call_sid for answer in answers}) == 1
        assert len(it.dialled()) == 2
        await calls.call(company, NUMBERS, patience=10.0)
        assert len(it.dialled()) == 4


async def test_a_key_whose_first_request_was_cut_off_is_for_that_list_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with yard(tmp_path, companies=DIRECTORY) as it:
        company = await (await companies(it)).get(2)
        add = it.campaigns.add

        async def cut_off(*values: Any, **named: Any) -> Any:
            await add(*values, **named)
            raise asyncio.CancelledError

        with monkeypatch.context() as patch:
            patch.setattr(it.campaigns, "add", cut_off)
            with pytest.raises(asyncio.CancelledError):
                await bulk(it.campaigns, it, company, key="march", wait=0.0)
        # Else those of the first list would be called as those of the second.
        with pytest.raises(ProblemError) as caught:
            await bulk(it.campaigns, it, company, "+493012345609", key="march", wait=0.0)
        assert caught.value.status == 422
        job = await BulkCalls(it.store, it.campaigns).job(
            "job_" + id_of(KIND, company.id, "march"), OPERATOR_CALLER
        )
        assert job is not None
        assert [result.status for result in job.call_results] == ["queued"] * 3
        assert job.state == "draft"
        done = await bulk(it.campaigns, it, company, key="march", wait=10.0)
        assert [r.status for r in done.call_results] == [
            "completed",
            "initiation_error",
            "completed",
        ]
        assert [call.to for call in it.dialled()] == [NUMBERS[0], NUMBERS[2]]
