"""The description of the API, and the running gateway held to it by schemathesis."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.gateway.api.bureau import Bureau
from tests.harness import API_TOKEN, ROOT, running_gateway

SLOW = {("POST", "/api/releases"), ("POST", "/api/releases/rollback")}
"""Each takes a second or two; tests/e2e has them."""

FAILED = "This failed here"
"""What is said of a failure of ours. Some replaced systems say 500 of what is the caller's."""


async def test_every_route_is_described_and_every_description_has_a_route(office: Bureau) -> None:
    document = await office.told("GET", "/api/openapi.json")
    described = {
        (method.upper(), path) for path, item in document["paths"].items() for method in item
    }
    assert described == {(it.method, it.path) for _, it in office.api.table()}
    assert document["openapi"].startswith("3.1")


async def test_the_description_needs_no_token_and_tells_what_each_route_needs(
    office: Bureau,
) -> None:
    document = (await office.client.get("/api/openapi.json")).json()
    paths = document["paths"]
    assert paths["/api/openapi.json"]["get"]["security"] == []
    assert paths["/api/calls/{sid}/hangup"]["post"]["x-scope"] == "calls"
    assert "application/problem+json" in paths["/api/calls"]["get"]["responses"]["401"]["content"]


async def test_no_operation_has_the_name_of_another(office: Bureau) -> None:
    document = await office.told("GET", "/api/openapi.json")
    names = [it["operationId"] for item in document["paths"].values() for it in item.values()]
    assert len(names) == len(set(names))


@pytest.fixture(scope="module")
def gateway_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a gateway beside the test, in a thread of its own."""
    started, ended = threading.Event(), threading.Event()
    urls: list[str] = []

    async def serve(folder: Path) -> None:
        async with running_gateway(folder) as gateway:
            urls.append(gateway.url)
            started.set()
            await asyncio.to_thread(ended.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve(tmp_path_factory.mktemp("api"))))
    thread.start()
    try:
        assert started.wait(60)
        yield urls[0]
    finally:
        ended.set()
        thread.join()


@pytest.fixture
def described(gateway_url: str) -> Any:
    """Return the description that the gateway serves."""
    document = httpx2.get(f"{gateway_url}/api/openapi.json").json()
    for method, path in SLOW:
        del document["paths"][path][method.lower()]
    loaded = schemathesis.openapi.from_dict(document)
    loaded.config.update(base_url=gateway_url)
    loaded.config.checks.positive_data_acceptance.expected_statuses.append("422")
    return loaded


def test_the_guide_has_every_route_of_the_running_gateway(gateway_url: str) -> None:
    guide = (ROOT / "docs" / "api.md").read_text()
    paths = httpx2.get(f"{gateway_url}/api/openapi.json").json()["paths"]
    routes = [f"{method.upper()} {path}" for path, item in paths.items() for method in item]
    assert [route for route in routes if f"`{route}`" not in guide] == []


QUICKLY = settings(
    max_examples=6, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_the_gateway_answers_as_it_is_described(described: Any, mode: GenerationMode) -> None:
    for result in described.get_all_operations():
        with contextlib.suppress(Unsatisfiable):  # what takes nothing is given nothing wrong
            _hold(result.ok(), mode)


def _hold(operation: Any, mode: GenerationMode) -> None:
    excluded: list[Any] = [not_a_server_error]
    if "replaced" in operation.tags:  # what is said by 400 there is theirs to say
        excluded.append(positive_data_acceptance)

    @QUICKLY
    @given(case=operation.as_strategy(generation_mode=mode))
    def holds(case: Any) -> None:
        token = {"Authorization": f"Bearer {API_TOKEN}"}
        answer = case.call_and_validate(headers=token, excluded_checks=excluded)
        assert FAILED not in answer.text

    holds()
