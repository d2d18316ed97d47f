"""A company's settings over the API: checked as they are saved, shown without their secrets."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.masking import kept, shown
from gateway.outbox.webhook_check import WebhookCheck
from gateway.store.company import CompanyError
from gateway.store.tables import companies
from shared.settings.types import _networks
from shared.urls import Unmasking, is_masked, masked
from tests.gateway.api.bureau import Bureau, bureau

HOOK = "https://ada:geheim@hooks.example/calls?token=s3cret&of=acme, https://key@n8n.example/x"
SHOWN = "https://ada:****@hooks.example/calls?token=****&of=****, https://****@n8n.example/x"
WHERE = {
    "hooks.example": ["93.184.216.34"],
    "n8n.example": ["93.184.216.35"],
    "inside.example": ["93.184.216.34", "10.0.0.7"],
}


async def resolve(host: str, port: int) -> Sequence[str]:
    if host == "slow.example":
        await asyncio.sleep(60)
    if host.replace(".", "").isdigit() or ":" in host:
        return [host]
    if host not in WHERE:
        raise OSError("nowhere")
    return WHERE[host]


@asynccontextmanager
async def checked(folder: Path, allowed: str = "") -> AsyncIterator[Bureau]:
    """Open a bureau that checks webhooks."""
    networks: Any = _networks(allowed)
    async with bureau(folder, WebhookCheck(networks, resolve)) as office:
        yield office


async def test_secrets_in_urls_are_masked_for_everybody_and_kept_when_saved_again(
    tmp_path: Path,
) -> None:
    async with checked(tmp_path) as office:
        settings = {"events_url": HOOK, "crm": {"urls": ["ftp://u:p@crm.example/"]}, "n": 5}
        body = {"name": "Acme", "id": 1, "settings": settings}
        made = await office.told("POST", "/api/companies", body=body)
        seen = made["settings"]
        assert seen["events_url"] == SHOWN
        assert seen["crm"] == {"urls": ["ftp://u:****@crm.example/"]}
        token = await office.token("read", company=1)
        assert (await office.told("GET", "/api/companies/1", token))["settings"] == seen
        (listed,) = (await office.told("GET", "/api/companies"))["companies"]
        assert listed["settings"] == seen
        again = await office.told(
            "PATCH", "/api/companies/1", body={"settings": seen | {"voice": "Mark"}}
        )
        assert again["settings"] == seen | {"voice": "Mark"}
        (row,) = await office.store.rows(companies.select())
        assert row["settings"] == settings | {"voice": "Mark"}
        changed = seen | {"events_url": "https://ada:****@elsewhere.example/"}
        answer = await office.ask("PATCH", "/api/companies/1", body={"settings": changed})
        assert (answer.status_code, "write the secret" in answer.text) == (422, True)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"events_url": "http://hooks.example/x"}, "https://"),
        ({"events_url": "https://hooks.example:22/x"}, "port 22"),
        ({"events_url": "https://127.0.0.1/x"}, "public"),
        ({"events_url": "https://[::ffff:10.0.0.1]/"}, "public"),
        ({"events_url": ["https://hooks.example/", "https://inside.example/"]}, "public"),
        ({"first_message_url": "https://inside.example/"}, "public"),
        ({"first_message_url": "nonsense"}, "https://"),
        ({"first_message_url": HOOK}, "at most 1"),
        ({"events_url": ["https://hooks.example/"] * 6}, "at most 5"),
        ({"events_url": 7}, "a URL"),
        ({"events": "call ended"}, "call.ended, call.tran"),
        ({"events": "call.end"}, "call.ended"),
        ({"events": ["call"]}, "call.*"),
        ({"events_format": "xml"}, "voxflow"),
        ({"dial_allow": "49"}, "+49"),
        ({"dial_deny": ["+49", 30]}, "+49"),
        ({"agents": {"a": 1}}, "agents"),
        ({"calls_per_second": "fast"}, "number"),
    ],
)
async def test_what_could_never_be_asked_or_understood_is_refused(
    tmp_path: Path, settings: dict[str, Any], words: str
) -> None:
    async with checked(tmp_path) as office:
        body = {"name": "Acme", "id": 1, "settings": settings}
        answer = await office.ask("POST", "/api/companies", body=body)
        assert answer.status_code == 422, answer.text
        assert words in answer.json()["detail"]
        assert "10.0.0.7" not in answer.text
        await office.told("POST", "/api/companies", body={"name": "Acme", "id": 1})
        answer = await office.ask("PATCH", "/api/companies/1", body={"settings": settings})
        assert answer.status_code == 422
        assert (await office.told("GET", "/api/companies/1"))["settings"] == {}


async def test_what_is_right_or_cannot_be_looked_up_now_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.outbox.webhook_check.RESOLVE_SECONDS", 0.05)
    settings = {
        "events_url": f"{HOOK}, https://away.example/, https://slow.example/",
        "first_message_url": "https://hooks.example:8443/first",
        "events": "call.ended, call.*, booking",
        "events_format": "voxflow",
        "dial_allow": ["+49"],
        "dial_deny": "+4930, +4940",
        "agents": ["Reminder"],
        "calls_per_second": 2.5,
    }
    async with checked(tmp_path) as office:
        await office.told("POST", "/api/companies", body={"name": "x", "settings": settings})


async def test_the_operators_own_network_may_be_reached_where_it_is_allowed(tmp_path: Path) -> None:
    async with checked(tmp_path, "10.0.0.0/24") as office:
        settings = {"events_url": "http://10.0.0.7:5678/hook"}
        await office.told("POST", "/api/companies", body={"name": "x", "settings": settings})
        settings = {"events_url": "http://10.0.1.7:5678/hook"}
        body = {"name": "y", "settings": settings}
        assert (await office.ask("POST", "/api/companies", body=body)).status_code == 422


# Masks ---------------------------------------------------------------------------------------

_word = st.text("abc@:/?#&=, *", max_size=12)


@given(st.lists(_word, max_size=4))
def test_what_was_masked_is_put_back_as_it_was(words: list[str]) -> None:
    text = " ".join("https://" + word for word in words)
    assert masked(masked(text)) == masked(text)
    assert Unmasking([text]).restored(masked(text)) == text


def test_of_two_that_look_alike_each_is_put_back_in_its_place() -> None:
    settings = {"events_url": ["https://x.example/?k=1", "https://x.example/?k=2"]}
    assert shown(settings)["events_url"] == ["https://x.example/?k=****"] * 2
    assert kept(shown(settings), settings) == settings
    with pytest.raises(CompanyError):
        kept({"other": "https://x.example/?k=****"}, settings)


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("https://x.example/a@b?q", "https://x.example/a@b?****"),
        ("https://u:p@w@x.example", "https://u:****@x.example"),
        ("https://x.example/plain#part", "https://x.example/plain#part"),
        ("no url, user:pass@host", "no url, user:pass@host"),
    ],
)
def test_a_url_keeps_what_is_no_secret(url: str, seen: str) -> None:
    assert masked(url) == seen
    assert is_masked(seen) == (url != seen)
