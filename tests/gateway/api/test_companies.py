"""Companies and the do-not-call list over the API."""

from sqlalchemy import select

from gateway.store.store import Upsert
from gateway.store.tables import companies
from tests.gateway.api.bureau import Bureau

ACME = {
    "name": "Acme",
    "account_sid": "AC" + "1" * 32,
    "auth_token": "a-carriers-token",
    "speech_key": "a-speech-key",
    "phone_number": "+49 30 12345678",
    "secrets": {"n8n": "a-webhook-key"},
}


async def test_a_companys_secrets_go_in_and_never_come_out(office: Bureau) -> None:
    made = await office.ask("POST", "/api/companies", body=ACME)
    assert made.status_code == 201
    company = made.json()
    assert (company["has_auth_token"], company["secret_names"]) == (True, ["n8n"])
    assert company["phone_number"] == "+493012345678"
    shown = await office.ask("GET", f"/api/companies/{company['id']}")
    listed = await office.ask("GET", "/api/companies")
    (row,) = await office.store.rows(select(companies))
    for secret in ("a-carriers-token", "a-speech-key", "a-webhook-key"):
        assert secret not in made.text + shown.text + listed.text + str(dict(row))


async def test_what_is_named_is_changed_and_null_takes_away(office: Bureau) -> None:
    one = f"/api/companies/{(await office.told('POST', '/api/companies', body=ACME))['id']}"
    changed = await office.told("PATCH", one, body={"voice": "Mark", "auth_token": None})
    assert (changed["voice"], changed["has_auth_token"], changed["name"]) == ("Mark", False, "Acme")
    assert (await office.ask("PATCH", one, body={"voise": "Mark"})).status_code == 400
    answer = await office.ask("PATCH", one, body={"phone_number": "030"})
    assert (answer.status_code, "phone_number" in answer.text.lower()) == (422, True)
    assert (await office.ask("DELETE", one)).status_code == 204
    for verb, body in (("GET", None), ("PATCH", {}), ("DELETE", None)):
        assert (await office.ask(verb, one, body=body)).status_code == 404


async def test_companies_are_listed_in_pages_and_an_id_is_given_once(office: Bureau) -> None:
    for number in (3, 1, 2):
        body = {"name": f"company {number}", "id": number}
        assert (await office.ask("POST", "/api/companies", body=body)).status_code == 201
    assert (
        await office.ask("POST", "/api/companies", body={"name": "x", "id": 2})
    ).status_code == 409
    page = await office.told("GET", "/api/companies?limit=2")
    assert ([it["id"] for it in page["companies"]], page["next"]) == ([1, 2], 2)
    page = await office.told("GET", "/api/companies?limit=2&after=2")
    assert ([it["id"] for it in page["companies"]], page["next"]) == ([3], None)


async def test_a_companys_token_shows_that_company_alone(office: Bureau) -> None:
    for number in (1, 2):
        await office.told("POST", "/api/companies", body={"name": "x", "id": number})
    token = await office.token("read", "calls", company=1)
    assert (await office.ask("GET", "/api/companies/1", token)).status_code == 200
    assert (await office.ask("GET", "/api/companies/2", token)).status_code == 404
    assert (await office.ask("PATCH", "/api/companies/1", token, {})).status_code == 403


async def test_nothing_of_a_company_that_is_gone_comes_to_be_anothers(office: Bureau) -> None:
    await office.told("POST", "/api/companies", body={"name": "the old one", "id": 7})
    old = await office.token("read", company=7)
    values = {"sid": "CA7", "began": 1.0, "state": "ended", "ended": 2.0, "company_id": 7}
    office.store.write(Upsert("calls", values))
    await office.told("DELETE", "/api/companies/7")
    assert (await office.ask("GET", "/api/calls", old)).status_code == 401
    made = await office.told("POST", "/api/companies", body={"name": "a new one"})
    assert made["id"] == 8
    new = await office.token("read", company=made["id"])
    assert (await office.told("GET", "/api/calls", new))["calls"] == []


async def test_a_number_is_put_on_the_list_found_and_taken_off(office: Bureau) -> None:
    path = "/api/do-not-call"
    body = {"number": "+49 30 12345678", "reason": "asked for it"}
    made = await office.ask("POST", path, body=body)
    assert (made.status_code, made.json()["number"]) == (201, "+493012345678")
    assert (await office.ask("POST", path, body={"number": "nobody"})).status_code == 422
    (entry,) = (await office.told("GET", path))["numbers"]
    assert (entry["number"], entry["company"], entry["reason"]) == (
        "+493012345678",
        None,
        "asked for it",
    )
    assert (await office.ask("DELETE", f"{path}/%2B493012345678")).status_code == 204
    assert (await office.ask("DELETE", f"{path}/%2B493012345678")).status_code == 404


async def test_each_company_has_a_list_of_its_own(office: Bureau) -> None:
    path = "/api/do-not-call"
    ours, theirs = [await office.token("read", "calls", company=number) for number in (1, 2)]
    for number in ("+493012345678", "+493012345679"):
        assert (await office.ask("POST", path, ours, {"number": number})).status_code == 201
    assert (await office.told("GET", path, theirs))["numbers"] == []
    assert (await office.ask("GET", f"{path}?company=1", theirs)).status_code == 403
    assert (await office.ask("DELETE", f"{path}/%2B493012345678", theirs)).status_code == 404
    page = await office.told("GET", f"{path}?company=1&limit=1")
    assert ([it["number"] for it in page["numbers"]], page["next"]) == (
        ["+493012345678"],
        "+493012345678",
    )
