"""A company's agent over the API: one that there is, and that the company may have."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.gateway.api.bureau import Bureau, bureau

LIVE = ("desk:Receptionist", "sales:Reminder", "old:Twin", "new:Twin")


def _with(office: Bureau, *agents: str) -> None:
    """Have a release live that has these agents, and one that is not current."""
    other = SimpleNamespace(current=False, agents=("gone:Ghost",))

    def views() -> list[Any]:
        return [other, SimpleNamespace(current=True, agents=agents)]

    office.farm.views = views  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("agent", "settings", "words"),
    [
        ("Nobody", {}, ["'Nobody'", *LIVE]),
        ("Ghost", {}, ["'Ghost'", "desk:Receptionist"]),
        ("Twin", {}, ["several", "old:Twin, new:Twin"]),
        ("Receptionist", {"agents": ["Reminder"]}, ["settings.agents", "Reminder"]),
        ("Receptionist", {"agents": []}, ["settings.agents", "none"]),
    ],
)
async def test_an_agent_that_could_not_take_its_calls_is_refused_with_those_that_could(
    tmp_path: Path, agent: str, settings: dict[str, Any], words: list[str]
) -> None:
    async with bureau(tmp_path) as office:
        _with(office, *LIVE)
        body = {"name": "Acme", "id": 1, "agent": agent, "settings": settings}
        answer = await office.ask("POST", "/api/companies", body=body)
        assert answer.status_code == 422, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        for each in words:
            assert each in answer.json()["detail"]
        await office.told(
            "POST", "/api/companies", body={"name": "Acme", "id": 1, "settings": settings}
        )
        answer = await office.ask("PATCH", "/api/companies/1", body={"agent": agent})
        assert answer.status_code == 422
        assert (await office.told("GET", "/api/companies/1"))["agent"] is None


async def test_an_agent_is_named_in_full_or_by_its_class(tmp_path: Path) -> None:
    async with bureau(tmp_path) as office:
        _with(office, *LIVE)
        settings = {"agents": ["desk:Receptionist", "Reminder", "new:Twin"]}
        body = {"name": "Acme", "id": 1, "agent": "Receptionist", "settings": settings}
        await office.told("POST", "/api/companies", body=body)
        for agent in ("desk:Receptionist", "sales:Reminder", "new:Twin", None):
            made = await office.told("PATCH", "/api/companies/1", body={"agent": agent})
            assert made["agent"] == agent


async def test_a_list_without_the_agent_that_the_company_has_is_refused(tmp_path: Path) -> None:
    async with bureau(tmp_path) as office:
        _with(office, *LIVE)
        await office.told(
            "POST", "/api/companies", body={"name": "A", "id": 1, "agent": "Reminder"}
        )
        change: dict[str, Any] = {"settings": {"agents": ["Receptionist"]}}
        answer = await office.ask("PATCH", "/api/companies/1", body=change)
        assert (answer.status_code, "'Reminder'" in answer.json()["detail"]) == (422, True)
        await office.told("PATCH", "/api/companies/1", body=change | {"agent": "Receptionist"})


async def test_what_a_release_has_lost_holds_up_no_other_change(tmp_path: Path) -> None:
    async with bureau(tmp_path) as office:
        _with(office, *LIVE)
        await office.told(
            "POST", "/api/companies", body={"name": "A", "id": 1, "agent": "Reminder"}
        )
        _with(office, "desk:Receptionist")
        await office.told("PATCH", "/api/companies/1", body={"name": "B", "settings": {}})


async def test_without_a_release_the_companys_list_alone_counts(tmp_path: Path) -> None:
    async with bureau(tmp_path) as office:
        body = {"name": "A", "id": 1, "agent": "x:Later", "settings": {"agents": ["Later"]}}
        await office.told("POST", "/api/companies", body=body)
        answer = await office.ask("PATCH", "/api/companies/1", body={"agent": "Other"})
        assert answer.status_code == 422
