"""What the fake Ultravox refuses of who asks for voices, and of calls when it is told to."""

import httpx2
import pytest

from tests.fakes.ultravox import KEY, UltravoxFake
from tests.fakes.ultravox_faults import Refusal
from tests.fakes.ultravox_hooks import signed


async def _ask(fake: UltravoxFake, path: str, key: str = KEY) -> httpx2.Response:
    async with httpx2.AsyncClient(base_url=fake.url) as client:
        return await client.get(path, headers={"X-API-Key": key})


async def test_voices_come_in_pages_with_the_addresses_of_others() -> None:
    async with UltravoxFake() as fake:
        first = (await _ask(fake, "/api/voices?pageSize=2&search=english")).json()
        assert [it["name"] for it in first["results"]] == ["Mark", "Jessica"]
        assert (first["total"], first["previous"]) == (3, None)
        assert first["next"].startswith(fake.url)
        second = (await _ask(fake, first["next"].removeprefix(fake.url))).json()
        assert [it["name"] for it in second["results"]] == ["Steve-English-Australian"]
        assert second["next"] is None
        assert "cursor=0" in second["previous"]


@pytest.mark.parametrize(
    "query", ["ownership=mine", "search=", "primaryLanguage=", "cursor=x", "pageSize=x", "gender=f"]
)
async def test_what_it_does_not_know_of_voices_is_400(query: str) -> None:
    async with UltravoxFake() as fake:
        assert (await _ask(fake, f"/api/voices?{query}")).status_code == 400


async def test_voices_need_the_key() -> None:
    async with UltravoxFake() as fake:
        assert (await _ask(fake, "/api/voices", "wrong")).status_code == 401


async def test_what_is_asked_of_calls_is_refused_as_programmed() -> None:
    async with UltravoxFake() as fake:
        fake.next_reads += [Refusal(503, "7"), None]
        answer = await _ask(fake, "/api/calls/x")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")
        assert (await _ask(fake, "/api/calls/x/messages")).status_code == 404
        assert (await _ask(fake, "/api/voices")).status_code == 200


def test_each_secret_signs() -> None:
    headers = signed(b"{}", "a", "b", stamp="2026-11-27T18:00:00+00:00")
    assert len(headers["X-Ultravox-Webhook-Signature"].split(",")) == 2
