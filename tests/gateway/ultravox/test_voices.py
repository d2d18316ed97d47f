"""``POST /ultravox-voices``, with the bodies of the system whose route it was."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx2
import pytest
from starlette.applications import Starlette

from gateway.api import Api, Parts
from gateway.api.caller import Scope
from gateway.calls.registry import Calls
from gateway.dialer.company_rules import base_of
from gateway.farm.farm import Farm
from gateway.outbox.dialling import Lines
from gateway.store.companies import Companies
from gateway.store.company import CompanyChange
from gateway.store.secrets import Secrets
from gateway.store.store import Store
from gateway.ultravox.accounts import Accounts
from gateway.ultravox.rest import UltravoxRest
from gateway.ultravox.voices import FAILED, NOT_CONFIGURED, VoicesSection
from tests.fakes.ultravox import KEY, UltravoxFake
from tests.gateway.calls.actors import RULES, FakeFarm

TOKEN = "the-operator's-token"


class Office:
    """The API, and companies with and without a key."""

    def __init__(
        self, fake: UltravoxFake, client: httpx2.AsyncClient, api: Api, rest: UltravoxRest
    ) -> None:
        self.fake, self.client, self.api, self.rest = fake, client, api, rest
        self.rich = self.poor = self.wrong = 0

    async def ask(self, token: str = TOKEN, **body: Any) -> tuple[int, Any]:
        """Ask for voices."""
        answer = await self.client.post("/ultravox-voices", json=body, headers={"x-api-key": token})
        return answer.status_code, answer.json()

    async def names(self, **body: Any) -> list[str]:
        """Return the names of those that are found."""
        status, told = await self.ask(companyId=self.rich, **body)
        assert status == 200, told
        return [it["name"] for it in told["results"]]


@asynccontextmanager
async def _opened(store: Store) -> AsyncIterator[Office]:
    farm = FakeFarm()
    farm_ = cast("Farm", farm)
    companies = Companies(store, Secrets(["a key"]))
    rest = UltravoxRest(Lines(ssl.create_default_context()))
    async with UltravoxFake() as fake:
        section = VoicesSection(rest, Accounts(fake.url, None, companies))
        calls = Calls(farm_, RULES, 10)
        api = Api(calls, farm_, TOKEN, {}, Parts(store, companies, sections=(section,)))
        transport = httpx2.ASGITransport(Starlette(routes=api.routes()))
        async with httpx2.AsyncClient(transport=transport, base_url="http://callfarm") as client:
            office = Office(fake, client, api, rest)
            for name, key in (("rich", KEY), ("poor", None), ("wrong", "uv_wrong")):
                made = await companies.create(CompanyChange(name=name, speech_key=key))
                setattr(office, name, made.id)
            yield office
    await rest.aclose()
    farm.close()


@pytest.fixture
async def office(store: Store) -> AsyncIterator[Office]:
    async with _opened(store) as it:
        yield it


async def test_a_companys_voices_are_listed_page_by_page(office: Office) -> None:
    status, told = await office.ask(companyId=office.rich, limit=2)
    assert status == 200
    assert told.keys() == {"next", "previous", "results", "total"}
    assert told["total"] == 5
    assert told["previous"] is None
    assert told["results"][0] == {
        "voiceId": office.fake.voices[0]["voiceId"],
        "name": "Mark",
        "description": "American English, male",
        "previewUrl": office.fake.voices[0]["previewUrl"],
        "ownership": "public",
    }
    for cursor in (told["next"], "2"):  # the address, or what is in it
        again = (await office.ask(companyId=office.rich, limit=2, cursor=cursor))[1]
        assert [it["name"] for it in again["results"]] == ["Steve-English-Australian", "Greta"]
        assert again["previous"] is not None
    assert (await office.ask(companyId=str(office.rich)))[0] == 200


async def test_they_are_filtered(office: Office) -> None:
    assert await office.names(filters={"language": "de"}) == ["Greta", "Our-Own"]
    assert await office.names(filters={"ownership": "private"}) == ["Our-Own"]
    wanted = {"language": "en", "gender": "female", "accent": "American", "ownership": ""}
    del wanted["ownership"]
    assert await office.names(filters=wanted) == ["Jessica"]
    assert await office.names(filters={"accent": "Martian"}) == []
    assert len(await office.names(filters={"language": None, "gender": ""})) == 5


async def test_a_company_without_a_key_or_none_at_all_is_not_found(office: Office) -> None:
    for company in (office.poor, 999, -1, 2**40, "999"):
        assert await office.ask(companyId=company) == (404, {"error": NOT_CONFIGURED})
    assert office.fake.requests == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"companyId": "x"},
        {"companyId": None},
        {"companyId": True},
        {"companyId": 1, "limit": 0},
        {"companyId": 1, "limit": 201},
        {"companyId": 1, "cursor": 7},
        {"companyId": 1, "filters": []},
        {"companyId": 1, "filters": {"ownership": "mine"}},
    ],
)
async def test_a_body_that_is_none_is_400(office: Office, body: dict[str, Any]) -> None:
    status, told = await office.ask(**body)
    assert (status, list(told)) == (400, ["error"])


async def test_what_ultravox_refuses_is_500_with_its_details(office: Office) -> None:
    status, told = await office.ask(companyId=office.wrong)
    assert (status, told) == (500, {"error": FAILED, "details": "Ultravox answered 401."})
    status, told = await office.ask(companyId=office.rich, cursor="no number")
    assert (status, told["details"]) == (500, "Ultravox answered 400.")
    office.fake.voices[0]["voiceId"] = 7
    status, told = await office.ask(companyId=office.rich)
    assert (status, told["details"]) == (500, "Ultravox' answer is no list of voices.")
    office.fake.answer_s, office.rest.seconds = 5, 0.3
    status, told = await office.ask(companyId=office.rich)
    assert (status, told["details"]) == (500, "Ultravox did not answer within 0.3 s.")
    assert "uv_" not in str(told)


async def test_it_takes_a_token_that_may_read_and_a_companys_own_reads_its_own(
    office: Office,
) -> None:
    assert (await office.ask("wrong", companyId=office.rich))[0] == 401
    assert office.api.tokens is not None
    _, reads = await office.api.tokens.create("a", [Scope.READ], office.rich)
    _, calls = await office.api.tokens.create("b", [Scope.CALLS], None)
    assert (await office.ask(reads, companyId=office.rich))[0] == 200
    assert await office.ask(reads, companyId=office.wrong) == (404, {"error": NOT_CONFIGURED})
    assert (await office.ask(calls, companyId=office.rich))[0] == 403


async def test_a_server_that_is_away_is_said_without_its_address(store: Store) -> None:
    async with _opened(store) as office:
        await office.fake._runner.cleanup()
        await asyncio.sleep(0)
        status, told = await office.ask(companyId=office.rich)
        assert status == 500
        assert told["details"].startswith("Ultravox cannot be reached: ")
        assert "127.0.0.1" not in str(told)


def test_a_companys_address_may_name_the_page_that_makes_calls() -> None:
    for url in ("https://x.test", "https://x.test/api", "https://x.test/api/calls"):
        assert base_of(url) == "https://x.test"
    assert base_of("https://x.test/prefix/api/calls/") == "https://x.test/prefix"
