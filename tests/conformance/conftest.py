"""The house that a test is about: opened once, for all of its tests."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import pytest_asyncio

from tests.conformance.house import House
from tests.conformance.houses import HOUSES
from tests.conformance.stage import Stage, opened


@pytest_asyncio.fixture(
    scope="package", loop_scope="package", params=HOUSES, ids=lambda house: house.name
)
async def stage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    """A house with its gateway; what is held side by side has begun."""
    house: House = request.param
    async with opened(house, tmp_path_factory.mktemp(house.name)) as stage:
        stage.begin(_tests_of(request, house))
        yield stage


def _tests_of(request: pytest.FixtureRequest, house: House) -> Iterator[Callable[..., Any]]:
    """Yield the tests of a house that were selected."""
    for item in request.session.items:
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        if isinstance(item, pytest.Function) and parameters.get("stage") is house:
            yield item.function


@pytest_asyncio.fixture(loop_scope="package")
async def alone(stage: Stage) -> AsyncIterator[Stage]:
    """The house once nobody talks: its services may be harmed, and are well again afterwards."""
    await stage.alone()
    yield stage
    for service in stage.premises.services.values():
        service.restore()
    await stage.nothing_is_open()
