"""Tokens: what each scope opens, what a company's sees, and that none is kept."""

import asyncio
import time

import pytest
from sqlalchemy import select, text

from gateway.api.caller import Scope
from gateway.api.door import BURST, Rates
from gateway.api.tokens import ApiTokens
from gateway.store.store import Upsert
from gateway.store.tables import tokens
from tests.gateway.api.bureau import TOKEN, Bureau

CALL = {"direction": "inbound", "state": "ended", "began": 1000.0, "ended": 1010.0}


async def test_each_scope_opens_its_own_and_the_refusal_names_the_missing_one(
    office: Bureau,
) -> None:
    reader, caller = await office.token("read"), await office.token("calls")
    admin = await office.token("admin")
    assert (await office.ask("GET", "/api/calls", reader)).status_code == 200
    assert (await office.ask("GET", "/api/calls", caller)).status_code == 403
    assert (await office.ask("GET", "/api/calls", admin)).status_code == 200
    hang_up = "/api/calls/CA1/hangup"
    assert (await office.ask("POST", hang_up, caller)).status_code == 404
    answer = await office.ask("POST", hang_up, reader)
    assert answer.status_code == 403
    assert answer.json()["scope"] == "calls"
    assert "callfarm tokens create NAME --scope calls" in answer.json()["detail"]
    for path in ("/api/tokens", "/api/releases"):
        assert (await office.ask("POST", path, caller, {})).status_code == 403


async def test_a_token_is_shown_once_and_only_its_hash_is_kept(office: Bureau) -> None:
    token = await office.token("read")
    (row,) = await office.store.rows(select(tokens))
    assert token.startswith("cf_")
    assert token not in str(dict(row))
    assert token not in str(await office.told("GET", "/api/tokens"))


async def test_a_token_is_made_for_a_company_that_there_is(office: Bureau) -> None:
    body = {"name": "acme", "scopes": ["read"], "company": 7}
    answer = await office.ask("POST", "/api/tokens", body=body)
    assert (answer.status_code, answer.json()["detail"]) == (422, "There is no company 7.")
    await office.told("POST", "/api/companies", body={"name": "Acme", "id": 7})
    assert (await office.told("POST", "/api/tokens", body=body))["company"] == 7


async def test_a_revoked_token_opens_nothing_any_more(office: Bureau) -> None:
    token = await office.token("read")
    assert (await office.ask("GET", "/api/calls", token)).status_code == 200
    (shown,) = (await office.told("GET", "/api/tokens"))["tokens"]
    await office.told("DELETE", f"/api/tokens/{shown['id']}")
    assert (await office.ask("GET", "/api/calls", token)).status_code == 401
    assert (await office.ask("DELETE", "/api/tokens/a name")).status_code == 404
    (shown,) = (await office.told("GET", "/api/tokens"))["tokens"]
    assert shown["revoked"] > 0


async def test_tokens_outlive_the_gateway_and_are_known_to_another(office: Bureau) -> None:
    token = await office.token("read", "calls")
    found = await ApiTokens(office.store).find(token)
    assert found is not None
    assert found.scopes == {Scope.READ, Scope.CALLS}


async def test_known_tokens_hold_while_the_database_fails(office: Bureau) -> None:
    now = [0.0]
    known, token = ApiTokens(office.store, lambda: now[0]), await office.token("read")
    assert await known.find(token) is not None
    await office.store.commit(text("ALTER TABLE tokens RENAME TO gone"))
    now[0] += 1000
    assert await known.find(token) is not None
    assert await known.find("cf_unknown") is None


async def test_a_company_sees_its_own_calls_alone(office: Bureau) -> None:
    for number, company in ((1, 7), (2, 8), (3, None)):
        row = {"sid": f"CA{number}", "company_id": company, **CALL}
        office.store.write(Upsert("calls", row))
    token = await office.token("read", "calls", company=7)
    listed = await office.told("GET", "/api/calls", token)
    assert [call["sid"] for call in listed["calls"]] == ["CA1"]
    assert (await office.ask("GET", "/api/calls/CA1", token)).status_code == 200
    for sid in ("CA2", "CA3"):
        for path in (f"/api/calls/{sid}", f"/api/calls/{sid}/transcript"):
            assert (await office.ask("GET", path, token)).status_code == 404
    assert (await office.ask("GET", "/api/calls?company=8", token)).status_code == 403
    for path in ("/api/companies", "/api/releases"):
        assert (await office.ask("GET", path, token)).status_code == 403


async def test_a_company_gets_no_token_that_is_everybodys(office: Bureau) -> None:
    body = {"name": "x", "scopes": ["admin"], "company": 7}
    assert (await office.ask("POST", "/api/tokens", body=body)).status_code == 422


@pytest.mark.parametrize(
    "headers",
    [
        {"x-api-key": TOKEN},
        {"Authorization": f"bearer  {TOKEN}"},
        {"Authorization": f"Bearer {TOKEN}", "x-api-key": "another"},
    ],
)
async def test_a_token_may_come_as_bearer_or_as_api_key(
    office: Bureau, headers: dict[str, str]
) -> None:
    assert (await office.client.get("/api/calls", headers=headers)).status_code == 200


async def test_who_guesses_waits_longer_each_time_and_who_knows_does_not(office: Bureau) -> None:
    async def seconds(token: str) -> float:
        before = time.monotonic()
        await office.ask("GET", "/api/calls?live=true", token)
        return time.monotonic() - before

    for _ in range(4):
        await seconds("wrong")
    assert await seconds("wrong") >= 0.4
    assert await seconds(TOKEN) < 0.4
    assert await seconds("wrong") < 0.4


def test_a_token_that_asks_without_end_is_told_when_to_come_again() -> None:
    now = [100.0]
    rates = Rates(lambda: now[0])
    assert not any(rates.take("a") for _ in range(BURST))
    wait = rates.take("a")
    assert 0 < wait < 1
    assert rates.take("b") == 0
    now[0] += wait * 1.01
    assert rates.take("a") == 0


async def test_a_burst_beyond_the_rate_is_answered_429_with_retry_after(office: Bureau) -> None:
    token = await office.token("read")
    for _ in range(BURST):
        assert (await office.ask("GET", "/api/do-not-call?limit=0", token)).status_code == 400
    answer = await office.ask("GET", "/api/calls", token)
    while answer.status_code != 429:
        answer = await office.ask("GET", "/api/calls?limit=0", token)
    assert answer.headers["retry-after"] == "1"
    assert (await office.ask("GET", "/api/calls?live=true")).status_code == 200


async def test_whoever_comes_while_the_tokens_are_read_waits_for_them(office: Bureau) -> None:
    token = await office.token("read")
    fresh = ApiTokens(office.store)
    found = await asyncio.gather(*(fresh.find(token) for _ in range(5)))
    assert all(who is not None for who in found)


async def test_a_token_that_cannot_be_looked_up_yet_is_not_said_to_be_wrong(
    office: Bureau,
) -> None:
    assert office.api.tokens is not None
    await office.store.commit(text("ALTER TABLE tokens RENAME TO gone"))
    answer = await office.ask("GET", "/api/calls", "cf_perhaps")
    assert (answer.status_code, office.api.tokens.is_blind) == (503, True)
    assert (await office.client.get("/api/calls")).status_code == 401
    assert (await office.ask("GET", "/api/calls", TOKEN)).status_code == 200
